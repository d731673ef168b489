"""A checkpoint of GPT-NeoX, opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from neox_converters.archives import verify_archives
from neox_converters.gpt_neox import GPTNeoXConverter
from neox_converters.gpt_neox_files.configs import ELSEWHERE, read_settings, says_a_model
from neox_converters.gpt_neox_files.cuts import cut_of, cut_of_moment, is_row_bias
from neox_converters.gpt_neox_files.eras import of_today
from neox_converters.gpt_neox_files.layout import Layout
from neox_converters.gpt_neox_files.optimizer import MASTER
from neox_converters.gpt_neox_files.order import layer_of, stored_name
from neox_converters.gpt_neox_files.run import (
    iteration_of,
    loss_scale,
    progress,
    read_run,
    said_settings,
    samples_in_a_step,
)
from neox_converters.gpt_neox_files.sizes import Sizes
from neox_converters.gpt_neox_files.states import STEP, RankRole, read_states
from neox_converters.gpt_neox_files.weights import WholeWeights, read_ranks
from neox_core.checkpoint import LazyTensors
from neox_core.errors import UserError
from neox_core.training.loss_scale import LOSS_SCALE

if TYPE_CHECKING:
    from neox_core.config import Resolved
    from neox_core.data.tokenizers import TokenizerSource


class GPTNeoXCheckpoint:
    """A `ForeignCheckpoint`.

    Args:
        path: its directory.
        given: settings that a user gives.

    Raises:
        UserError: a file is missing, damaged, or of another run; or the settings are not those of its tensors.
    """

    def __init__(self, path: Path, given: Mapping[str, Any]) -> None:
        self._layout = Layout.of(path)
        self._run = read_run(self._layout)
        self._ranks = read_ranks(self._layout)
        settings = read_settings(path, given)
        sizes = Sizes(path, self._ranks[0], len(self._ranks))
        _require_a_model(path, settings)
        self._samples = samples_in_a_step(self._run, settings)
        settings = {**said_settings(self._run), **settings}
        self._shape = sizes.shape(settings)
        self._settings = sizes.settings(settings, self._shape)
        self._states = [] if settings.get("no_load_optim") else read_states(self._layout, self._ranks)
        if self._states and "weight_decay" in self._states[0].options:
            self._settings.setdefault("weight_decay", self._states[0].options["weight_decay"])
        self.path = path

    @property
    def settings(self) -> Mapping[str, Any]:
        """Its settings, without those about machines and ranks; and as many samples a step as it had, on one rank."""
        found = {key: value for key, value in self._settings.items() if key not in ELSEWHERE}
        if found.get("seq_length") is None and "max_position_embeddings" in found:
            found["seq_length"] = found["max_position_embeddings"]
        if found.get("train_iters") is None and found.get("train_epochs") is None:
            found["train_iters"] = found.get("lr_decay_iters") or iteration_of(self._run) or 1
        if self._samples is not None:
            micro = found.get("train_micro_batch_size_per_gpu")
            found["train_batch_size"] = self._samples
            if micro is not None and self._samples % micro:
                del found["train_micro_batch_size_per_gpu"]
        elif found.get("train_micro_batch_size_per_gpu") is None:
            found["train_micro_batch_size_per_gpu"] = 1
        if self.bias_copies > 1 and "row_parallel_bias_copies" not in found:
            found["row_parallel_bias_copies"] = self.bias_copies
        if self.clip_norm_blocks is not None:
            found.setdefault("clip_norm_blocks", self.clip_norm_blocks)
        return found

    @property
    def clip_norm_blocks(self) -> int | None:
        """Blocks of the first stage, where a pipeline clipped by a norm in which norms and biases of the others are missing."""
        state = self._states[0] if self._states else None
        clips = self._settings.get("gradient_clipping", 1.0) > 0
        if state is None or len(state.stages) < 2 or not state.clipped_by_engine or not clips:
            return None
        last = self._settings["num_layers"] + 1  # the embedding is layer 0
        return len({layer for name in state.stages[0] if 2 <= (layer := layer_of(stored_name(name))) <= last})

    @property
    def bias_copies(self) -> int:
        """How many copies of each row-parallel bias were trained, whose sum is used."""
        return len(self._ranks) if self._shape.parallel and self._has_row_biases else 1

    @property
    def _has_row_biases(self) -> bool:
        return any(is_row_bias(name) for name in self._today)

    @property
    def vocabulary(self) -> int | None:
        """Rows of the embedding: how many of them are tokens only the tokenizer says."""
        return int(self._settings["vocab_size"])

    @property
    def progress(self) -> Mapping[str, Any] | None:
        """How far the run was."""
        found = progress(self._run, self._samples)
        scale = loss_scale(self._layout, self._run)
        return found if found is None or scale is None else {**found, LOSS_SCALE: scale}

    def verify(self) -> None:
        """Every byte that is read, by the archives' sums."""
        verify_archives(self._layout.files(partitions=bool(self._states)))

    @property
    def tokenizer(self) -> TokenizerSource | None:
        """That of the settings, where its file is here."""
        from neox_core.data.tokenizers import read_source

        vocabulary, merges = self._settings.get("vocab_file"), self._settings.get("merge_file")
        kind = self._settings.get("tokenizer_type", "GPT2BPETokenizer")
        if vocabulary is None or not Path(vocabulary).is_file() or (merges is not None and not Path(merges).is_file()):
            return None
        return read_source(kind, vocabulary, merges)

    def weights(self, resolved: Resolved) -> LazyTensors:
        """Its weights.

        Raises:
            UserError: as `ForeignCheckpoint.weights`; or stages of a pipeline have trained what is one weight here apart.
        """
        self._check_tables()
        return self._converted(resolved, WholeWeights(self._ranks, self._today, self._shape, cut_of))

    def _check_tables(self) -> None:
        """Relative positions are one table of all layers; GPT-NeoX has one on each stage of a pipeline, each trained by itself."""
        for rank in self._ranks:
            names = [name for name in rank if name.endswith("attention.rpe.weight")]
            for name in names[1:]:
                if not torch.equal(rank[name], rank[names[0]]):
                    raise UserError(
                        f"{self.path}: '{name}' is not '{names[0]}': each stage of the pipeline has trained a table of relative "
                        "positions of its own, and a model here has one for all layers; such a run goes on in GPT-NeoX alone"
                    )

    def states(self, resolved: Resolved) -> Mapping[str, LazyTensors]:
        """The weights in float32 ("master"), the moments and the number of steps; nothing with `no_load_optim`."""
        if not self._states:
            return {}
        roles = dict.fromkeys(role for state in self._states for role in state.tensors)
        found: dict[str, LazyTensors] = {}
        for role in roles:
            ranks = [RankRole(state, role, weights) for state, weights in zip(self._states, self._ranks, strict=True)]
            today = {
                name: made for name, made in self._today.items() if all(stored in ranks[0] for stored in made.names)
            }
            cut = cut_of if role == MASTER else cut_of_moment
            found[role] = self._converted(resolved, WholeWeights(ranks, today, self._shape, cut))
        if self._states[0].steps:
            found[STEP] = Steps(self._states[0].steps, self._origins(resolved))
        return found

    @cached_property
    def _today(self) -> Mapping[str, Any]:
        return of_today(self._ranks[0].keys(), self._shape)

    def _converted(self, resolved: Resolved, theirs: LazyTensors) -> LazyTensors:
        try:
            return GPTNeoXConverter(resolved).reading(theirs)
        except UserError as error:
            raise UserError(f"{self.path}: {error}") from error

    def _origins(self, resolved: Resolved) -> Mapping[str, Sequence[str]]:
        """Names in files by ours."""
        rules = GPTNeoXConverter(resolved).origins()
        return {ours: [stored for name in names for stored in self._today[name].names] for ours, names in rules.items()}


class Steps(LazyTensors):
    """How many steps an optimizer has taken, a number for each parameter.

    Args:
        steps: by names in files.
        origins: those names by ours.
    """

    def __init__(self, steps: Mapping[str, float], origins: Mapping[str, Sequence[str]]) -> None:
        self._steps, self._origins, self._most = steps, origins, max(steps.values())

    def meta(self, name: str) -> Tensor:
        """A number."""
        return torch.empty((), device="meta")

    def __getitem__(self, name: str) -> Tensor:
        return torch.tensor(max((self._steps[n] for n in self._origins[name] if n in self._steps), default=self._most))

    def __iter__(self) -> Iterator[str]:
        return iter(self._origins)

    def __len__(self) -> int:
        return len(self._origins)


def _require_a_model(path: Path, settings: Mapping[str, Any]) -> None:
    """Refuse to guess what no tensor shows: positions, parallel residuals, epsilons."""
    if not says_a_model(settings):
        raise UserError(
            f"{path} has no directory configs, and its tensors do not say all of the architecture (gpt_j_residual, pos_emb, "
            "rotary_pct, norms' epsilons): give the YAML files that it was trained with"
        )
