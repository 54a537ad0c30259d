"""Scores, computed from records alone."""
