"""Attention to some blocks of tokens only: DeepSpeed's layouts as masks."""
