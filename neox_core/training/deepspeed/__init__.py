"""DeepSpeed as it is used here: every private name of it that neox knows is in this package; proved on DeepSpeed 0.19."""
