"""GPT-NeoX's checkpoints as they lie on disk: which files there are, what is in them, and writing such files."""
