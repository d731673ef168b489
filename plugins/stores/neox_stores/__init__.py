"""Stores of objects to which checkpoints are copied, and what copies them while a run trains."""
