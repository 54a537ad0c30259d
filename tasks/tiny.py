"""Tables that the kinds' tiny tasks share: 84 rendered scenes, and a recipe of one epoch."""

TINY_DATA = {"scenes": {"seed": 3, "pool": 60, "test": 24}, "validation": 12}
TINY_RECIPE = {"epochs": 1, "batch": 16, "optimizer": "adamw", "learning_rate": 1e-3}
