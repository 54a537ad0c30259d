"""Code from outside the repository: how its files are loaded, and what is said of its errors."""
