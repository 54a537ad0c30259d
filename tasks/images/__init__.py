"""Pixels in memory, augmentation, drawing."""
