"""Training on a device that the processor does not wait for: batches and steps made there."""
