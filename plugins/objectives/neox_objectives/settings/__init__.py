"""Keys of the training objectives, a file for each."""
