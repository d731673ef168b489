"""GPT-2 vocabularies with random merges, and its encoder written down plainly, as the reference for ours."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import regex

CUT = regex.compile(r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""")
END = "<|endoftext|>"
SAMPLE = """It's what they've said: we'll see 12 or 3,456 of them, don't you think?

def function(argument, other=None):
    return [argument + 1 for _ in range(10)]  # naïve café 日本語の文章 Русский
"""


def letters_of_bytes() -> dict[int, str]:
    """The letter that GPT-2 writes for each byte: itself where Latin-1 prints it, else the next from U+0100 on."""
    letters, further = {}, 256
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255:
            letters[byte] = chr(byte)
        else:
            letters[byte] = chr(further)
            further += 1
    return letters


LETTERS = letters_of_bytes()


class Vocabulary(NamedTuple):
    """Ids by token, and the merges in order."""

    ids: dict[str, int]
    merges: list[tuple[str, str]]

    def write(self, directory: Path) -> tuple[Path, Path]:
        """Write vocab.json and merges.txt."""
        vocab_file, merge_file = directory / "vocab.json", directory / "merges.txt"
        vocab_file.write_text(json.dumps(self.ids))
        lines = ["#version: 0.2", *(" ".join(pair) for pair in self.merges)]
        merge_file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return vocab_file, merge_file

    def encode(self, text: str) -> list[int]:
        """The ids of a text, one merge after another."""
        ids = []
        for place, part in enumerate(text.split(END)):
            ids += [self.ids[END]] * (place > 0)
            for word in CUT.findall(part):
                ids += [self.ids[token] for token in merged([LETTERS[byte] for byte in word.encode()], self.merges)]
        return ids


def merged(tokens: list[str], merges: list[tuple[str, str]]) -> list[str]:
    """The tokens once no merge applies: time and again the first of the merges that apply, wherever it does, from the left."""
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    while True:
        pairs = [pair for pair in pairwise(tokens) if pair in ranks]
        if not pairs:
            return tokens
        left, right = min(pairs, key=lambda pair: ranks[pair])
        place = 0
        while place < len(tokens) - 1:
            if (tokens[place], tokens[place + 1]) == (left, right):
                tokens = [*tokens[:place], left + right, *tokens[place + 2 :]]
            place += 1


def random_vocabulary(count: int = 120, seed: int = 0, sample: str = SAMPLE) -> Vocabulary:
    """A vocabulary with so many merges of neighbours that occur in a sample, drawn at random, and ids in random order."""
    draw = random.Random(seed)
    words = [[LETTERS[byte] for byte in word.encode()] for word in CUT.findall(sample)]
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        word = draw.choice([word for word in words if len(word) > 1])
        place = draw.randrange(len(word) - 1)
        merges.append((word[place], word[place + 1]))
        words = [merged(word, merges[-1:]) for word in words]
    tokens = [*LETTERS.values(), *dict.fromkeys("".join(pair) for pair in merges), END]
    draw.shuffle(tokens)
    return Vocabulary({token: number for number, token in enumerate(tokens)}, merges)
