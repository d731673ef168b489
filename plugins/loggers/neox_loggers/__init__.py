"""The loggers that come with neox: the console, a file of JSON lines, TensorBoard event files."""
