"""Verbs of the command line beyond the core's."""
