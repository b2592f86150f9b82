"""Tests of what happens to an account."""
