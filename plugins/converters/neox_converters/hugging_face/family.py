"""What all converters of Hugging Face's families do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar

import torch

from neox_converters.mapping import MappedConverter, Rule
from neox_converters.mup_factors import foldable, folded
from neox_converters.needs import Need, check
from neox_core.checkpoint import LazyTensors, Renamed, Typed
from neox_core.config import ModelSettings, Resolved
from neox_core.errors import UserError


class HuggingFaceConverter(MappedConverter):
    """A converter between our weights and the state dict of a `...ForCausalLM` model; each family is a subclass.

    Embedding and head have all rows of ours, the padded ones too: `vocab_size` of their configuration is our padded size. With tied
    weights their state dict has the head twice; a file may lack it. Theirs are multiplied by the factors that muP has beside ours.

    Raises:
        SettingsError: the family cannot express the architecture.
    """

    family: ClassVar[str]
    """How messages call it."""

    embedding: ClassVar[str]
    """Its name of the embedding's weight."""

    head: ClassVar[str] = "lm_head.weight"
    """Its name of the head's."""

    in_files: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Names that weights have in files and not in a model, by those in a model."""

    float32: ClassVar[tuple[str, ...]] = ()
    """Ends of the names of weights that are not written narrower."""

    older: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Names of weights in earlier versions, and what they are called now."""

    def __init__(self, resolved: Resolved) -> None:
        check(f"Hugging Face's {self.family}", resolved, self.needs(resolved))
        self._factors = foldable(f"Hugging Face's {self.family}", resolved)
        self._vocabulary = resolved.padded_vocab_size
        self._tied = not resolved[ModelSettings].no_weight_tying
        super().__init__(f"Hugging Face's {self.family}", self._all_rules(resolved), self.unused(resolved))

    def needs(self, resolved: Resolved) -> Iterable[Need]:
        """What an architecture must have to be of this family."""
        raise NotImplementedError

    def rules(self, resolved: Resolved) -> Iterable[Rule]:
        """A rule for each weight but embedding and head."""
        raise NotImplementedError

    def unused(self, resolved: Resolved) -> Iterable[str]:
        """Prefixes of what earlier versions stored and now compute."""
        return ()

    def _all_rules(self, resolved: Resolved) -> Iterator[Rule]:
        if self._tied:
            both = (self.embedding, self.head)
            yield Rule(both, ("embedding.weight",), lambda theirs: theirs[:1], lambda ours: [ours[0], ours[0]])
        else:
            yield folded(self.embedding, "embedding.weight", self._factors.embedding)
            yield folded(self.head, "head.weight", self._factors.head)
        yield from self.rules(resolved)

    def reading(self, foreign: LazyTensors) -> LazyTensors:
        """Their weights under our names, each when it is asked for.

        Raises:
            UserError: a weight is missing or left over, their vocabulary has another size, or their head is not the embedding
                though ours is.
        """
        names = {self.older.get(name, name): name for name in foreign}
        if self.embedding in names:
            self._check_vocabulary(len(foreign.meta(names[self.embedding])))
            if self._tied:
                head = names.setdefault(self.head, names[self.embedding])
                self._check_tied(foreign, names[self.embedding], head)
        return super().reading(Renamed(foreign, names))

    def stored(self, ours: LazyTensors, dtype: str) -> LazyTensors:
        """Our weights as files have them: in one type, and the head only where it is not the embedding.

        Args:
            ours: by canonical name.
            dtype: torch's name of the type.

        Raises:
            UserError: one has no place there.
        """
        theirs = self.writing(ours)
        names = (name for name in theirs if not (self._tied and name == self.head))
        kept = Renamed(theirs, {self.in_files.get(name, name): name for name in names})
        types = {name: torch.float32 if name.endswith(self.float32) else getattr(torch, dtype) for name in kept}
        return Typed(kept, types)

    def _check_tied(self, foreign: LazyTensors, embedding: str, head: str) -> None:
        if head != embedding and not torch.equal(foreign[head], foreign[embedding]):
            raise UserError(
                f"no_weight_tying: false needs '{self.head}' to be the same as '{self.embedding}', which it is not: "
                "set no_weight_tying to true"
            )

    def _check_vocabulary(self, rows: int) -> None:
        if self._vocabulary not in {None, rows}:
            raise UserError(
                f"'{self.embedding}' has {rows} rows, and the embedding that the settings describe {self._vocabulary}, and rows "
                f"that are added would take part in every softmax: set vocab_size to {rows} and "
                "make_vocab_size_divisible_by to 1"
            )
