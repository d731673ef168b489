"""Conversations, written out by a model's chat template, with labels for what the model is to say."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from neox_core.data.preparing.forms.chat_templates import ChatTemplate
from neox_core.data.preparing.forms.form import MASKED, Column, Encode, Made, Tokens, encodable, value_of
from neox_core.data.preparing.forms.turns import binary_reward, differing_turn, require_turns, reward
from neox_core.data.preparing.records import BadDocument, Fields
from neox_core.errors import UserError

_INT32 = np.dtype(np.int32)
_FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatOptions:
    """What is learned of conversations.

    Args:
        keys: of the conversations: lists of objects with `role` and `content`.
        no_mask: no labels: all of it is learned.
        for_rm: for reward models: two ends of text follow, and only the last is a label.
        generation_role: whose turns are learned.
        only_last: only the last turn is learned, if it is that role's.
        reward_key: of a number, or a list of numbers, that is written beside each conversation.
        binary_reward: the reward is 1 where its value is true, else -1.
    """

    keys: tuple[str, ...] = ("conversation",)
    no_mask: bool = False
    for_rm: bool = False
    generation_role: str = "assistant"
    only_last: bool = False
    reward_key: str | None = None
    binary_reward: bool = False


class Chat(NamedTuple):
    """A conversation, ready to be encoded: what the template makes of it up to each turn, and whether the turn is learned."""

    texts: tuple[str, ...]
    learned: tuple[bool, ...]


class Exchange(NamedTuple):
    """A document: its conversations, and its reward if it has one."""

    chats: tuple[Chat, ...]
    reward: Tokens | None


class ChatForm:
    """Tokens of conversations, with labels and rewards as GPT-NeoX's tool makes them.

    The template is applied to ever more of the conversation, and each turn gets the tokens that it adds. A conversation whose
    beginning is written differently once it goes on has no such turns, and is a bad document.

    Args:
        encode: makes token ids, adding no special tokens.
        template: writes conversations.
        eos: token that is appended where labels are made; reward models need it.
        options: what is learned.
    """

    def __init__(self, encode: Encode, template: ChatTemplate, eos: int | None, options: ChatOptions) -> None:
        if options.for_rm and not options.no_mask and eos is None:
            raise UserError(
                "--for-rm: the tokenizer has no end-of-text token (eos_token in its tokenizer_config.json)."
            )
        self._encode, self._template, self._eos, self._given = encode, template, eos, options

    @property
    def keys(self) -> tuple[str, ...]:
        """Those of the conversations, and of the reward."""
        reward = () if self._given.reward_key is None else (self._given.reward_key,)
        return (*self._given.keys, *reward)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """For each key the tokens, then `KEY_label` unless nothing is masked, then `KEY_reward` (float32) if there is a reward."""
        columns = []
        for key in self._given.keys:
            columns.append(Column(key, _INT32))
            if not self._given.no_mask:
                columns.append(Column(f"{key}_label", _INT32, holds_labels=True))
            if self._given.reward_key is not None:
                columns.append(Column(f"{key}_reward", _FLOAT32))
        names = [column.name for column in columns]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UserError(f"--jsonl-keys: two files would be named '{twice}'; rename the keys.")
        return tuple(columns)

    @property
    def options(self) -> Mapping[str, Any]:
        """The options, and the template."""
        given = {name: getattr(self._given, name) for name in ChatOptions.__slots__}
        return {"form": "chat", **given, "keys": list(self._given.keys), **self._template.identity}

    def parse(self, fields: Fields) -> Exchange:
        """What the template makes of the conversations. Raises `BadDocument` when a key, a role or a content is missing."""
        chats = tuple(self._chat(key, value_of(fields, key)) for key in self._given.keys)
        return Exchange(chats, self._reward(fields))

    def encode(self, documents: Sequence[Exchange]) -> Iterator[Made]:
        """Tokens, labels and rewards of each document."""
        texts = [text for document in documents for chat in document.chats for text in chat.texts]
        encoded = iter(self._encode(texts))
        for document in documents:
            yield self._made(document, encoded)

    def _chat(self, key: str, turns: Any) -> Chat:
        require_turns(key, turns)
        if self._given.no_mask or self._given.for_rm:
            return Chat((encodable(self._template.render(turns)),), (self._given.no_mask,))
        role, last = self._given.generation_role, len(turns) - 1
        texts = []
        for turn in range(len(turns)):
            is_prompt = turn < last and turns[turn + 1]["role"] == role
            texts.append(encodable(self._template.render(turns[: turn + 1], add_generation_prompt=is_prompt)))
        learned = (
            turn["role"] == role and (number == last or not self._given.only_last) for number, turn in enumerate(turns)
        )
        return Chat(tuple(texts), tuple(learned))

    def _reward(self, fields: Fields) -> Tokens | None:
        key = self._given.reward_key
        if key is None:
            return None
        make = binary_reward if self._given.binary_reward else reward
        return make(key, value_of(fields, key))

    def _made(self, document: Exchange, encoded: Iterator[Tokens]) -> Made:
        parts: list[Tokens] = []
        problem: BadDocument | None = None
        for chat in document.chats:
            turns = list(itertools.islice(encoded, len(chat.texts)))
            problem = problem or differing_turn(turns)
            parts.extend(self._labelled(chat, turns))
            if document.reward is not None:
                parts.append(document.reward)
        return problem or tuple(parts)

    def _labelled(self, chat: Chat, turns: Sequence[Tokens]) -> list[Tokens]:
        """The tokens of a conversation, and its labels unless nothing is masked; both int32 [tokens]."""
        tokens = turns[-1].astype(np.int32)
        if self._given.no_mask:
            return [tokens]
        labels = tokens.copy()
        starts = [0, *map(len, turns)]
        for (start, stop), learned in zip(itertools.pairwise(starts), chat.learned, strict=True):
            if not learned:
                labels[start:stop] = MASKED
        return self._with_ends(tokens, labels)

    def _with_ends(self, tokens: Tokens, labels: Tokens) -> list[Tokens]:
        if self._eos is None:
            return [tokens, labels]
        if self._given.for_rm:  # labels move back by one in training: that of the first end is the second
            return [np.append(tokens, _int32(self._eos, self._eos)), np.append(labels, _int32(MASKED, self._eos))]
        is_learned = len(labels) > 0 and labels[-1] != MASKED
        return [
            np.append(tokens, _int32(self._eos)),
            np.append(labels, _int32(self._eos if is_learned else MASKED)),
        ]


def _int32(*values: int) -> Tokens:
    return np.array(values, np.int32)
