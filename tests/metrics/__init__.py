"""Tests of what the operator's Prometheus reads."""
