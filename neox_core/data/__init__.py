"""From text to batches.

Nothing is imported here, so that the size of a vocabulary can be read without loading numpy or torch. Use the modules:

- `corpora`: what texts there are, and how to get them; `tokenizers`: text to token ids and back
- `preparing`: from files of text to `token_files`
- `samples`: from token files to samples; `online`: samples that a server makes
- `named`, `splits`, `datasets`: which files a run reads, and the datasets that they make
- `batches`, `loader`: from datasets to batches
"""
