"""Families of Hugging Face's transformers, whose models have the same weights under other names."""
