"""Kernels that several plugins share; a plugin's own kernels live beside it."""
