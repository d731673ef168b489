"""From text to batches: corpora and tokenizers, token files, packed and blended datasets, loaders.

Nothing is imported here, so that the size of a vocabulary can be read without loading numpy or torch. Use the modules:
`token_files`, `sample_index`, `dataset`, `blend`, `split`, `loader`, `tokenizers`, `corpora`, `holdout`, `prepare`.
"""
