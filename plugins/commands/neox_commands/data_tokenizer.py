"""`neox data tokenizer`: train a tokenizer, or show what one has."""

from __future__ import annotations

from neox_commands.verbs import Verb, VerbGroup

GROUP = VerbGroup(
    "data tokenizer",
    "Tokenizers.",
    {
        "train": Verb("neox_commands.data_tokenizer_train", "a byte-level BPE from text"),
        "show": Verb("neox_commands.data_tokenizer_show", "kind, entries and special tokens; and what a text becomes"),
    },
)

main = GROUP.run
