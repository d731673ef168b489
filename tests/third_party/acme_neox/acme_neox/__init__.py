"""Components for neox by somebody else."""
