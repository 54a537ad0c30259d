"""Strategies from outside the repository: conformance checks, submissions, verification."""
