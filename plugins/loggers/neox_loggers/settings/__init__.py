"""Keys of the loggers."""
