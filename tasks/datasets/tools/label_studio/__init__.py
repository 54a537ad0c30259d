"""Label Studio: what it exports, and what it imports."""
