"""`neox data`: what there is to do with training data."""

from __future__ import annotations

from neox_commands.verbs import Verb, VerbGroup

GROUP = VerbGroup(
    "data",
    "Training data: from text to token files.",
    {
        "fetch": Verb("neox_commands.data_fetch", "download corpora, vocabularies and weights"),
        "tokenizer": Verb("neox_commands.data_tokenizer", "train a tokenizer, or show what one has"),
        "prepare": Verb("neox_commands.data_prepare", "make token files from a corpus, or from files of text"),
        "merge": Verb("neox_commands.data_merge", "put token files together"),
        "split": Verb("neox_commands.data_split", "cut token files into training, validation and test"),
        "count": Verb("neox_commands.data_count", "documents and tokens of token files"),
        "show": Verb("neox_commands.data_show", "facts of token files, and their documents"),
        "verify": Verb("neox_commands.data_verify", "read token files from end to end"),
        "at": Verb("neox_commands.data_at", "which documents a step of a run is trained on"),
        "replay": Verb(
            "neox_commands.data_replay", "the batch of a step, made again and compared with what was recorded"
        ),
    },
)

main = GROUP.run
