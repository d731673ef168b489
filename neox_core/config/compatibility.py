"""GPT-NeoX's defects: what it does, what neox does, and what `compat: gpt-neox` brings back.

The table is read by the code that reproduces a defect, by the reference and by the tests. A name is asked for where the switch acts,
by `Resolved.reproduces(name)`, so that nothing depends on `compat` elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

GPT_NEOX = "gpt-neox"
"""The one value of `compat`."""


class Defect(NamedTuple):
    """One defect.

    Args:
        name: by which code asks for it.
        upstream: what GPT-NeoX does.
        ours: what neox does.
        switch: what `compat: gpt-neox` changes; None: nothing, because GPT-NeoX fails there, or nothing could depend on it.
        pending: whether neox does not have the feature yet in which the switch would act.
    """

    name: str
    upstream: str
    ours: str
    switch: str | None = None
    pending: bool = False


_TABLE = (
    # Settings
    Defect(
        name="clipping-left-out",
        upstream="`gradient_clipping: 1.0` is its default and therefore left out of DeepSpeed's configuration; its fork of DeepSpeed "
        "then does not clip, DeepSpeed itself clips at 1.0",
        ours="always passed on, 0 too",
        switch="left out where it is 1.0: DeepSpeed's own default holds",
    ),
    Defect(
        name="one-bit-schedule",
        upstream="`lr_decay_style` and all that goes with it is ignored with optimizer OneBitAdam, whose rate follows DeepSpeed's "
        "WarmupDecayLR",
        ours="the rate follows the settings with every optimizer",
        switch="follows WarmupDecayLR, with a notice where `lr_decay_style` is given",
    ),
    Defect(
        name="precision-typo",
        upstream="a misspelt `precision` means fp32",
        ours="an error with the nearest name",
        switch="means fp32, with a notice",
    ),
    Defect(
        name="fp16-type-ignored",
        upstream="`type: bfloat16` in the fp16 dictionary is ignored: such settings train in fp16",
        ours="means bfloat16, with a notice",
        switch="ignored",
    ),
    Defect(
        name="extra-args-win",
        upstream="`deepspeed_extra_args` silently replaces what other keys say",
        ours="an error that names both places",
        switch="replaces it, with a notice",
    ),
    Defect(
        name="hyphen-duplicates",
        upstream="`num-layers` in a later file silently replaces `num_layers` of an earlier one",
        ours="an error that names both places",
        switch="replaces it",
    ),
    Defect(
        name="wandb-suffix-twice",
        upstream="a random suffix is appended to `wandb_group` twice",
        ours="appended once",
        switch="appended twice",
    ),
    Defect(
        name="accumulation-defaults-to-1",
        upstream="`train_batch_size` with a micro-batch size fails unless their quotient is the number of ranks",
        ours="the accumulation is computed",
    ),
    Defect(
        name="bf16-without-zero",
        upstream="`precision: bfloat16` without a `zero_optimization` dictionary fails",
        ours="works",
    ),
    Defect(
        name="suffix-added",
        upstream="deepy.py adds .yml to a name that ends in .yaml",
        ours="files are found by either name",
    ),
    Defect(
        name="overwritten-values-undone",
        upstream="a rank's `overwrite_values` are silently undone by what the launcher passes along for autotuning",
        ours="what is overwritten stays, and autotuning's values are taken over only when it tunes",
    ),
    Defect(
        name="srun-options-twice",
        upstream="`comment` and `account` are passed to the launcher twice",
        ours="passed once",
    ),
    Defect(name="list-ports", upstream="lists of addresses and ports of data servers are refused", ours="accepted"),
    Defect(
        name="wrong-types",
        upstream="a value of the wrong type fails with an AttributeError",
        ours="an error that says what the key takes",
    ),
    Defect(name="numbers-as-text", upstream="`1e-5` is text", ours="a number, as in YAML 1.2"),
    # Schedule and optimizer
    Defect(
        name="cosine-rebound",
        upstream="the cosine schedule rises again after `lr_decay_iters`",
        ours="stays at min_lr",
        switch="rises again",
    ),
    Defect(
        name="short-warmup",
        upstream="a warm-up of less than one step begins above the peak learning rate",
        ours="never above the peak",
        switch="begins above it",
    ),
    Defect(
        name="no-load-optim-trains-one-tensor",
        upstream="with `no_load_optim` only the first parameter is given to the optimizer",
        ours="all are trained, with fresh optimizer state",
        switch=None,
    ),
    Defect(name="noise-scale", upstream="the gradient noise scale uses undefined names", ours="measured"),
    Defect(
        name="gradient-norm-logging",
        upstream="norms of gradients are silently not logged",
        ours="logged",
    ),
    # Model
    Defect(
        name="attention-dropped",
        upstream="`gpt_j_residual` without a bias in the MLP, or with experts, leaves the attention's output out",
        ours="both sides are added",
        switch="left out",
    ),
    Defect(
        name="biasless-dropout",
        upstream="without a bias there is no `hidden_dropout` on the MLP's branch, nor on the attention's in a parallel block",
        ours="dropout is the same with and without biases",
        switch="no dropout there",
    ),
    Defect(
        name="bias-copies",
        upstream="with `gpt_j_residual` and tensor parallelism each rank trains a copy of a row-parallel bias, and their sum is added",
        ours="one bias",
        switch="the bias moves as the sum of the copies would; `row_parallel_bias_copies` says how many, whatever `compat` is",
    ),
    Defect(
        name="pipeline-norm",
        upstream="pipelines without ZeRO clip by a norm that lacks the norms and the row-parallel biases of all stages but the first, "
        "and has tied weights twice",
        ours="each element counts once; `clip_norm_blocks` is for runs that began in such a pipeline, whatever `compat` is",
    ),
    Defect(
        name="rope-fusion-offset",
        upstream="`rope_fusion` forgets the positions of cached keys",
        ours="positions run on",
        switch=None,
        pending=True,
    ),
    Defect(
        name="window-lost",
        upstream="`sliding_window_width` is forgotten by attention 'global' with `pipe_parallel_size: 0`",
        ours="heeded",
        switch="forgotten",
    ),
    Defect(
        name="layer-scaling-of-biases",
        upstream="`apply_query_key_layer_scaling` multiplies what alibi and rpe add to attention scores by the number of the layer",
        ours="it changes no result but by rounding",
        switch="multiplies it",
    ),
    Defect(
        name="experts-ungated",
        upstream="gated activations of experts are applied without their gate",
        ours="gated",
        switch="without the gate",
        pending=True,
    ),
    Defect(
        name="rwkv-axis",
        upstream="rwkv mixes over the samples of a batch in place of time",
        ours="over time",
        switch="over the samples",
    ),
    Defect(
        name="gmlp-without-residual",
        upstream="gmlp and amlp have no residual connection and no dropout, and fail unless the batch is as large as the "
        "sequence is long",
        ours="a residual connection, dropout, and the right axis",
        switch="no residual connection, no dropout",
    ),
    Defect(name="mamba-bfloat16", upstream="mamba fails in bfloat16", ours="works"),
    Defect(name="soft-prompts", upstream="soft prompts fail", ours="work"),
    Defect(
        name="mup",
        upstream="with `use_mup` attention, embedding and logits are computed without their factors, `mup_attn_temp` and "
        "`mup_output_temp` are not read, and `mup_embedding_mult` is left out of gradients",
        ours="all of muP works; `neox mup coord-check` shows it",
    ),
    Defect(
        name="mup-ends-in-failure",
        upstream="`save_base_shapes` and `coord_check` end with exit code 1, and leave a file for each rank",
        ours="one file and exit code 0; `neox mup coord-check` in place of the switch",
    ),
    Defect(name="orthogonal", upstream="`init_method: orthogonal` fails", ours="works"),
    Defect(
        name="fp8",
        upstream="every fp8 mode of Transformer Engine fails",
        ours="works where the hardware does",
        pending=True,
    ),
    Defect(
        name="te-width",
        upstream="`te_layernorm_mlp` has another width and gates the other half than the same settings without it",
        ours="the same model",
        switch="the other width and half",
        pending=True,
    ),
    Defect(name="kv-cache-reuse", upstream="the cache of one prompt is seen by the next", ours="each has its own"),
    # Data
    Defect(
        name="weights-by-documents",
        upstream="`weight_by_num_documents` multiplies by a further (1 - share)",
        ours="the share to the power of alpha",
        switch="multiplies by it",
    ),
    Defect(
        name="split-ignored",
        upstream="`pack_impl` unpacked and pack_until_overflow begin at the first document, whatever `split` says",
        ours="each part has its own documents",
        switch="begins at the first one",
    ),
    Defect(
        name="pairs-of-some-length",
        upstream="`allow_chopped: false` leaves out short pairs in place of long ones with `pack_impl: pack_until_overflow`",
        ours="those that are longer than a sample",
        switch="the short ones",
    ),
    Defect(
        name="pairs-in-the-same-order",
        upstream="where unpacked pairs are left out, for length or labels, as many of the first ones are taken twice as often",
        ours="every pair is taken as often as any other",
        switch="the first ones are taken more often",
    ),
    Defect(
        name="epochs-of-unequal-files",
        upstream="with `train_epochs` several files are taken alike: short ones are repeated, the end of long ones is left out",
        ours="every sample of every file is taken once in an epoch",
        switch="files are taken alike",
    ),
    Defect(
        name="unused-files-serve",
        upstream="a file with weight 0 serves where no other file lags behind its share",
        ours="it never serves",
        switch="it may serve",
    ),
    Defect(
        name="last-sample-left-out",
        upstream="the last sample of a dataset is never taken, so that samples of whole documents begin again before the run ends",
        ours="every sample is taken",
        switch="the last one is left out",
    ),
    Defect(
        name="token-of-the-next-document",
        upstream="samples of whole documents also have the first token of the document that follows; the last sample is another",
        ours="they have their own documents",
        switch="they have it",
    ),
    Defect(
        name="fill-is-learned",
        upstream="samples of whole documents without labels are trained to predict what fills them up",
        ours="no loss there",
        switch="it is predicted",
    ),
    Defect(
        name="last-label-overlooked",
        upstream="`pack_impl: unpacked` leaves out documents whose only label is at the end of the sample, and takes those with one "
        "at its beginning, which is never predicted",
        ours="the other way round",
        switch="as GPT-NeoX does",
    ),
    Defect(
        name="epoch-end",
        upstream="where the data end, a last incomplete micro-batch is left out: what comes next depends on how a step is divided",
        ours="a last incomplete step is left out",
        switch="a last incomplete micro-batch is",
    ),
    Defect(
        name="skipping-too-far",
        upstream="documents that are left out at the end of a pass end the run with an IndexError, and where all are, it never begins",
        ours="the next pass begins; where all are left out, an error says so",
    ),
    Defect(
        name="integer-rewards",
        upstream="rewards are stored as whole numbers",
        ours="`neox data prepare` stores them as they are",
    ),
    Defect(name="infer", upstream="`data_impl: infer`, the default, fails", ours="works"),
    Defect(
        name="batches-kept", upstream="loaders keep every batch that they have read in memory", ours="nothing is kept"
    ),
    # Objectives
    Defect(name="preference-log-probabilities", upstream="DPO, KTO and REINFORCE fail", ours="work", pending=True),
    Defect(
        name="kto-mean-weights",
        upstream="KTO weighs half a batch by its mean weight",
        ours="each sample by its own",
        switch="by the mean",
        pending=True,
    ),
    Defect(
        name="reinforce-divided-twice",
        upstream="REINFORCE divides by the batch size once too often",
        ours="once",
        switch="twice",
        pending=True,
    ),
    Defect(name="reward-micro-batch-1", upstream="reward models fail at a micro-batch of 1", ours="work", pending=True),
    Defect(
        name="reference-replaced",
        upstream="a resumed run takes the policy that it saved as its reference model",
        ours="the reference stays what it was",
        switch="the saved policy becomes the reference",
        pending=True,
    ),
    # Running
    Defect(
        name="evaluation-limit",
        upstream="evaluation by the harness takes 10 samples of each task",
        ours="all",
        switch="10",
        pending=True,
    ),
    Defect(
        name="one-random-state",
        upstream="every rank resumes with the random state of the first one",
        ours="every rank has its own",
    ),
    Defect(
        name="exit-without-saving",
        upstream="`exit_interval` loses what was trained since the last checkpoint",
        ours="it is saved",
    ),
    Defect(
        name="fresh-start",
        upstream="where the checkpoint is missing it prints a line and trains from the beginning",
        ours="an error, unless none was ever completed",
    ),
    Defect(
        name="converted-biases",
        upstream="converters mistake grouped queries for plain ones and merge biases wrongly",
        ours="converted exactly, both ways",
    ),
)

DEFECTS: Mapping[str, Defect] = {defect.name: defect for defect in _TABLE}
"""By name."""


def reproduces(compat: object, name: str) -> bool:
    """Whether the value of `compat`, validated or as it was given, brings back the defect `name`.

    Raises:
        KeyError: there is no such defect.
    """
    chosen = isinstance(compat, str) and compat.strip().casefold() == GPT_NEOX
    return DEFECTS[name].switch is not None and chosen
