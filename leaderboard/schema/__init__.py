"""Records, badges and published curves: what is stored."""
