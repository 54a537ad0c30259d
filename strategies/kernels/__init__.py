"""Functions and small networks that strategies are built from. They know no strategy."""
