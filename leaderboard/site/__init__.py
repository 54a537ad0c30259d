"""Pages, tables and pictures of a board."""
