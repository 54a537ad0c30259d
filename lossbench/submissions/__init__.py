"""Strategies from outside: checks, submission, verification."""
