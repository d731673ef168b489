"""Training on one GPU: tokens a second, share of the GPU's peak and memory of the presets, against Hugging Face's GPTNeoX compiled.

    python benchmarks/train_gpu.py [PRESET...] [--steps N] [--micro-batch N]
    python benchmarks/train_gpu.py --tiny          a trial on any machine, with a model of two small layers

Parameters and AdamW's state are bfloat16 on both sides. Each contender is measured alone, so that its memory is its own.
"""

from __future__ import annotations

import argparse
import gc
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch
from contenders import (
    hugging_face_loss,
    hugging_face_model,
    language_model,
    our_loss,
    seconds_in_turn,
    training_flops,
    training_step,
)
from record import write_result
from torch import nn

from neox_core.config import NeoXArgs
from neox_core.config.presets import find_config
from neox_core.plugins import PluginManager

MICRO_BATCH = {"125M": 32, "350M": 16, "1-3B": 8}
TINY: dict[str, Any] = {
    "num_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 2,
    "seq_length": 128,
    "max_position_embeddings": 128,
    "vocab_size": 512,
    "pos_emb": "rotary",
    "no_weight_tying": True,
}
ARCHITECTURE = {
    *TINY,
    "rotary_pct",
    "gpt_j_residual",
    "gpt_j_tied",
    "norm",
    "activation",
    "make_vocab_size_divisible_by",
}
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40": 181e12, "4090": 165e12}
"""Dense bfloat16 operations a second, by the makers' data sheets."""

Contender = tuple[Callable[[], nn.Module], Callable[[Any, torch.Tensor], torch.Tensor]]


def contenders(values: dict[str, Any], device: str) -> Iterator[tuple[str, Contender]]:
    """Name, how the model is made, and how its loss is."""
    dtype = torch.bfloat16

    def ours(**changes: Any) -> Contender:
        attention = {"attention_config": [[["flash"], "all"]]}
        return lambda: language_model(values, dtype, device, **attention, **changes), our_loss

    def theirs() -> nn.Module:
        model = hugging_face_model(values, dtype, device, "sdpa")
        model.compile(dynamic=False)
        return model

    yield "hugging face, compiled", (theirs, hugging_face_loss)
    yield "neox", ours()
    yield "neox, compiled", ours(torch_compile=True)
    yield "neox, compiled, checkpointing", ours(torch_compile=True, checkpoint_activations=True)
    yield (
        "neox, compiled, selective checkpointing",
        ours(torch_compile=True, checkpoint_activations=True, checkpoint_policy="selective"),
    )


def measure(
    contender: Contender, values: dict[str, Any], micro_batch: int, steps: int, device: str
) -> dict[str, float]:
    """Tokens a second and peak memory of one."""
    make, loss_of = contender
    torch.manual_seed(0)
    tokens = torch.randint(values["vocab_size"], (micro_batch, values["seq_length"]), device=device)
    step = training_step(make(), loss_of, tokens)
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    seconds = statistics.median(seconds_in_turn({"": step}, steps, warm_up=3)[""])
    memory = 0.0 if device == "cpu" else torch.cuda.max_memory_allocated() / 2**30
    return {"tokens_per_second": tokens.numel() / seconds, "peak_gib": memory}


def peak(device: str) -> float | None:
    """Of this GPU, where it is known."""
    if device == "cpu":
        return None
    name = torch.cuda.get_device_name()
    return next((flops for part, flops in PEAKS.items() if part in name), None)


def architecture(preset: str) -> dict[str, Any]:
    """What makes the model of a preset."""
    given = NeoXArgs.from_ymls([find_config(preset)], plugins=PluginManager()).to_dict()
    values = {key: value for key, value in given.items() if key in ARCHITECTURE}
    return {**values, "vocab_size": -(-values["vocab_size"] // 128) * 128}  # theirs has as many rows as ours


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET", help=f"default: {' '.join(MICRO_BATCH)}")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--micro-batch", type=int)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not options.tiny:
        print("there is no GPU here; --tiny tries this on a CPU")
        return
    models = {"tiny": TINY} if options.tiny else {name: architecture(name) for name in options.presets or MICRO_BATCH}
    figures: dict[str, Any] = {"device": "cpu" if device == "cpu" else torch.cuda.get_device_name()}
    for name, values in models.items():
        micro_batch = options.micro_batch or MICRO_BATCH.get(name, 2)
        figures[name] = {"micro_batch": micro_batch}
        for title, contender in contenders(values, device):
            torch._dynamo.reset()
            found = measure(contender, values, micro_batch, options.steps, device)
            gc.collect()
            if device != "cpu":
                torch.cuda.empty_cache()
            figures[name][title] = found
            reference = figures[name]["hugging face, compiled"]["tokens_per_second"]
            found["ratio_to_hugging_face"] = found["tokens_per_second"] / reference
            if (highest := peak(device)) is not None:
                found["mfu"] = found["tokens_per_second"] * training_flops(values) / highest
            print(
                f"{name:6} {title:40} {found['tokens_per_second']:10.0f} tokens/s  MFU {found.get('mfu', float('nan')):5.1%}  "
                f"{found['peak_gib']:6.1f} GiB  {found['ratio_to_hugging_face']:.2f} x Hugging Face",
                flush=True,
            )
    if not options.tiny:
        write_result("train_gpu", figures)


if __name__ == "__main__":
    main()
