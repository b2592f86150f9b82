"""Measurements, by hand: a timing is no test."""
