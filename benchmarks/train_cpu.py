"""Training on a CPU: tokens a second of a model of nine million parameters, against Hugging Face's GPTNeoX and the machine's own peak.

    python benchmarks/train_cpu.py [--rounds N] [--threads N]

All contenders run in this process and take turns. `neox train` runs as a user starts it; its loop takes turns with bare steps of the
same model, which a plugin takes between its steps.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import bare_steps
import torch
from contenders import (
    hugging_face_loss,
    hugging_face_model,
    language_model,
    median_ratio,
    our_loss,
    seconds_in_turn,
    training_flops,
    training_step,
)
from record import write_result

from neox_core.config import dump_yaml

BATCH = 4
MODEL: dict[str, Any] = {
    "num_layers": 6,
    "hidden_size": 256,
    "num_attention_heads": 8,
    "seq_length": 512,
    "max_position_embeddings": 512,
    "vocab_size": 8192,
    "pos_emb": "rotary",
    "no_weight_tying": True,
}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def peak(dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large matrix product: the best of several."""
    size = 2048
    one, other = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
    return 2 * size**3 / min(seconds_in_turn({"product": lambda: float((one @ other)[0, 0])}, 8)["product"])


def bare(precision: str, rounds: int) -> dict[str, Any]:
    """Steps without a loop around them."""
    dtype = DTYPES[precision]
    torch.manual_seed(0)
    tokens = torch.randint(MODEL["vocab_size"], (BATCH, MODEL["seq_length"]))
    steps = {
        "hugging face": training_step(hugging_face_model(MODEL, dtype, "cpu", "sdpa"), hugging_face_loss, tokens),
        "neox": training_step(language_model(MODEL, dtype, "cpu"), our_loss, tokens),
        "neox, compiled": training_step(language_model(MODEL, dtype, "cpu", torch_compile=True), our_loss, tokens),
    }
    seconds = seconds_in_turn(steps, rounds)
    highest = peak(dtype)
    figures = {}
    for name, found in seconds.items():
        rate = tokens.numel() / statistics.median(found)
        figures[name] = {
            "tokens_per_second": rate,
            "share_of_peak": rate * training_flops(MODEL) / highest,
            "ratio_to_hugging_face": median_ratio(found, seconds["hugging face"]),
        }
    return figures


def loop(precision: str, rounds: int) -> dict[str, Any]:
    """`neox train`, and the bare steps that it takes turns with."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        settings = {
            **MODEL,
            "mock_data": True,
            "train_iters": rounds + 3,
            "train_batch_size": BATCH,
            "eval_iters": 0,
            "log_interval": 1,
            "precision": "fp32" if precision == "fp32" else "bfloat16",
            "runs_dir": str(place / "runs"),
            "optimizer": {"type": "adam", "params": {"lr": 1e-4, "betas": [0.9, 0.95]}},
        }
        (place / "run.yml").write_text(dump_yaml(settings))
        neox, plugin = Path(sys.executable).with_name("neox"), Path(bare_steps.__file__)
        words = [str(neox), "-p", str(plugin), "train", "run.yml"]
        done = subprocess.run(words, check=False, cwd=place, capture_output=True, text=True, timeout=1800)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        (written,) = place.glob(f"runs/*/*/{bare_steps.FILE}")
        seconds = json.loads(written.read_text())
    tokens = BATCH * MODEL["seq_length"]
    return {
        "tokens_per_second": tokens / statistics.median(seconds["loop"]),
        "bare_tokens_per_second": tokens / statistics.median(seconds["bare"]),
        "ratio_to_bare_step": median_ratio(seconds["loop"], seconds["bare"]),
    }


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    figures: dict[str, Any] = {"threads": options.threads}
    for precision in DTYPES:
        figures[precision] = bare(precision, options.rounds)
        for name, found in figures[precision].items():
            print(
                f"{precision}  {name:16} {found['tokens_per_second']:8.0f} tokens/s  {found['share_of_peak']:4.0%} of peak  "
                f"{found['ratio_to_hugging_face']:.2f} x Hugging Face"
            )
    for precision in ("fp32",):
        figures[precision]["neox train"] = found = loop(precision, 4 * options.rounds)
        print(
            f"{precision}  {'neox train':16} {found['tokens_per_second']:8.0f} tokens/s  "
            f"{found['ratio_to_bare_step']:.3f} of the bare step"
        )
    write_result("train_cpu", figures)


if __name__ == "__main__":
    main()
