"""Arithmetic and networks that strategies share."""
