"""From data settings to the datasets of a run; costs no torch."""

from __future__ import annotations

from pathlib import Path

from neox_core.config import DataSettings, ModelSettings, Resolved, TrainingSettings
from neox_core.config.weight_stages import weight_stages
from neox_core.data.datasets import Mixing, Sampling, cut_datasets, epoch_samples, listed_datasets
from neox_core.data.named import cut_file, listed_parts
from neox_core.data.samples.blend_weights import normalised_weights
from neox_core.data.samples.blending import Stage
from neox_core.data.samples.building import Builder
from neox_core.data.samples.mock import MockDataset
from neox_core.data.splits import SPLITS, Datasets, SampleCounts
from neox_core.training.streams import online_datasets


def open_datasets(
    resolved: Resolved, builder: Builder | None = None, *, rank: int = 0, warms: bool = False
) -> Datasets:
    """The datasets that the settings name, as long as the run needs them.

    Args:
        resolved: the settings.
        builder: whether this process makes indices that are not there, or waits for them; None: they are made in memory.
        rank: this process's data-parallel rank. Where a server makes the samples each rank has its own; else all have the same.
        warms: whether this process reads token files once before, if the settings ask for it: one on each host does.

    Raises:
        UserError: a file is absent or damaged, or too short for one sample; or an index is waited for too long; or a list of
            servers does not fit the ranks.
    """
    data = resolved[DataSettings]
    counts = sample_counts(resolved)
    if data.mock_data:
        return _mock_datasets(resolved, counts)
    if data.dataset_impl == "online":
        return online_datasets(resolved, counts, rank)
    sampling = sampling_of(resolved, builder, warms=warms)
    if (files := cut_file(resolved)) is not None:
        return cut_datasets(files, data.split, counts, sampling)
    mixing = Mixing(
        by_documents=data.weight_by_num_documents, alpha=data.weighted_sampler_alpha, stages=_stages(resolved)
    )
    return listed_datasets(listed_parts(resolved), counts, sampling, mixing)


def sample_counts(resolved: Resolved) -> SampleCounts:
    """How many samples the run needs of each split."""
    training = resolved[TrainingSettings]
    if training.train_epochs is not None:
        return SampleCounts.of_one_epoch()
    return SampleCounts.of_run(
        train_iters=resolved.train_iters,
        eval_interval=training.eval_interval,
        eval_iters=training.eval_iters,
        batch_size=resolved.batch.total,
    )


def sampling_of(resolved: Resolved, builder: Builder | None = None, *, warms: bool = False) -> Sampling:
    """How the settings say that samples are made, with the arguments of `open_datasets`."""
    data = resolved[DataSettings]
    return Sampling(
        seq_length=resolved[ModelSettings].seq_length,
        seed=resolved[TrainingSettings].seed,
        pack=data.pack_impl,
        allow_chopped=data.allow_chopped,
        with_documents=data.reset_attention_mask or data.reset_position_ids,
        impl=data.data_impl,
        warm=data.mmap_warmup and warms,
        compat=as_gpt_neox(resolved),
        directory=None if data.data_cache_path is None else Path(data.data_cache_path),
        builder=builder,
    )


def as_gpt_neox(resolved: Resolved) -> bool:
    """Whether samples are made with GPT-NeoX's defects, which come back together."""
    return (
        resolved.reproduces("split-ignored")
        and resolved.reproduces("last-sample-left-out")
        and resolved.reproduces("token-of-the-next-document")
        and resolved.reproduces("fill-is-learned")
        and resolved.reproduces("last-label-overlooked")
        and resolved.reproduces("pairs-of-some-length")
        and resolved.reproduces("pairs-in-the-same-order")
        and resolved.reproduces("weights-by-documents")
        and resolved.reproduces("unused-files-serve")
        and resolved.reproduces("epochs-of-unequal-files")
    )


def count_epoch_samples(resolved: Resolved) -> int | None:
    """Samples of the training data, where `train_epochs` says how long the run is and there are such data; else None.

    Raises:
        UserError: a file is absent or damaged.
    """
    if resolved[TrainingSettings].train_epochs is None:
        return None
    files = cut_file(resolved) or listed_parts(resolved).get("train")
    return None if files is None else epoch_samples(files, resolved[DataSettings].split, sampling_of(resolved))


def _stages(resolved: Resolved) -> tuple[Stage, ...]:
    stages, begin = [], 0
    for stage in weight_stages(resolved[DataSettings].train_data_stages):
        end = resolved.train_iters if stage.until is None else min(stage.until, resolved.train_iters)
        if end > begin:
            weights = normalised_weights(stage.weights, len(stage.weights))
            stages.append(Stage((end - begin) * resolved.batch.total, tuple(weights)))
        begin = end
    return tuple(stages)


def _mock_datasets(resolved: Resolved, counts: SampleCounts) -> Datasets:
    seq_length, vocabulary = resolved[ModelSettings].seq_length, resolved.vocabulary or 1
    seed = resolved[TrainingSettings].seed
    return Datasets(
        **{name: MockDataset(max(getattr(counts, name), 1), seq_length, vocabulary, seed, name=name) for name in SPLITS}
    )
