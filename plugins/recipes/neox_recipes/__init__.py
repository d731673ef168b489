"""Recipes: whole runs in NeMo's vocabulary, from Python or the command line."""
