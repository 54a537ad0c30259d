"""Altair charts of a section's scores, for the site and as picture files."""
