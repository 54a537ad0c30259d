"""Semantic segmentation by small encoder-decoders."""
