"""Records, what is computed from them, and the page. Imports no torch."""
