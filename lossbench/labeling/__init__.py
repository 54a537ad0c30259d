"""Labeling rounds on a user's own images: which to label next, and files for annotation tools."""
