"""Recognition tasks: the contract, the kinds, and what they are made of: data forms, networks, training."""
