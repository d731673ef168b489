"""Must not be imported by this version."""

raise RuntimeError("future_neox was imported")
