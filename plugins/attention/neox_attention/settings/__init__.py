"""Keys of the sequence mixers, a file for each kind of mixer."""
