"""Keys of the launchers."""
