"""Weights as Meta and Mistral publish them: params.json and consolidated files, in shards for tensor-parallel ranks."""
