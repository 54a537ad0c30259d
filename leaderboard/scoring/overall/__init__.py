"""Strategies over many protocols: which to use, and overall ranks."""
