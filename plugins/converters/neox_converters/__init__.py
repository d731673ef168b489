"""Checkpoint families."""
