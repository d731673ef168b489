"""What must not be imported while its requirement is missing."""

raise RuntimeError("broken_neox.heavy was imported")
