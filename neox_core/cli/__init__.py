"""The command line: the core's verbs."""
