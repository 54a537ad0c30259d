"""Measures how fast models train and what a selection costs."""
