"""Speed and memory of `neox data prepare`, on the standard library's text over and over, encoded by a BPE of 32,000 entries.

Five ways take the same documents, each in a process of its own, on one core and on all:

- `prepare`: the whole command's work, from a file of JSON lines to finished token files;
- `prepare, plain`: the same without the package fastokens;
- `BatchEncoder`: neox's encoder, on documents that are in memory;
- `encode_batch`: the `tokenizers` library's, on documents that are in memory;
- `per document`: as GPT-NeoX's tool works: processes that each encode one document after another, and a loop that appends them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from record import write_result

from neox_core.data.corpora import load_corpus
from neox_core.data.preparing.forms.texts import TextForm
from neox_core.data.preparing.inputs import find_inputs
from neox_core.data.preparing.preparation import Preparation, prepare_files
from neox_core.data.token_files import TokenFileWriter
from neox_core.data.tokenizers import HFTokenizer, load_tokenizer
from neox_core.data.tokenizers.encoding import BatchEncoder
from neox_core.data.tokenizers.training import train_bpe

VOCAB_SIZE = 32_000
BATCH = 1 << 20  # bytes of text that are encoded at once
CHUNK = 25  # documents that GPT-NeoX's tool gives a process at once


def main() -> None:
    """Measure, print and record; called with --way, measure that one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100, help="text to encode")
    parser.add_argument("--slow-megabytes", type=int, help="text for the ways that are slow (default: the same)")
    parser.add_argument("--way", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--cores", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(measure(arguments.way, arguments.cores, arguments.directory)))
        return
    with tempfile.TemporaryDirectory() as directory:
        slow = arguments.slow_megabytes or arguments.megabytes
        write_result("preprocess", figures(Path(directory), arguments.megabytes, slow))


def figures(directory: Path, megabytes: int, slow_megabytes: int) -> dict[str, Any]:
    """MB/s of each way on one core and on all, their ratios, and the command's peak memory for two sizes of input."""
    texts = [document.text for document in load_corpus("stdlib").documents()]
    (directory / "tokenizer.json").write_text(train_bpe(texts, VOCAB_SIZE).to_json())
    sizes = {way: slow_megabytes if way in SLOW else megabytes for way in WAYS}
    places = {size: make_place(directory, size) for size in {megabytes // 4, *sizes.values()}}
    cores = len(os.sched_getaffinity(0))
    speeds: dict[str, dict[str, float]] = {}
    for count in sorted({1, cores}):
        speeds[f"{count} cores"] = {way: run(way, count, places[sizes[way]])["mb_per_second"] for way in WAYS}
    ratios = {
        f"{count}: {ours} / {way}": values[ours] / values[way]
        for count, values in speeds.items()
        for ours in OURS
        for way in WAYS
        if way not in OURS and (ours, way) != ("prepare, plain", "BatchEncoder")
    }
    peaks = {f"{size} MB": run("prepare", cores, places[size])["peak_mib"] for size in (megabytes // 4, megabytes)}
    for ratio, value in ratios.items():
        print(f"{ratio:40} {value:8.2f}")
    print(f"peak memory: {peaks}")
    return {"megabytes": sizes, "mb_per_second": speeds, "ratios": ratios, "peak_mib": peaks}


def run(way: str, cores: int, directory: Path) -> dict[str, float]:
    """Measure one way in a process that has so many cores."""
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(cores), "TOKENIZERS_PARALLELISM": "true"}
    command = [sys.executable, __file__, "--way", way, "--cores", str(cores), "--directory", str(directory)]
    done = subprocess.run(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, chosen),
    )
    result: dict[str, float] = json.loads(done.stdout)
    print(
        f"{way:15} {cores} cores  {result['mb_per_second']:8.2f} MB/s  peak {result['peak_mib']:6.0f} MiB", flush=True
    )
    return result


def make_place(directory: Path, megabytes: int) -> Path:
    """A directory with the tokenizer, and the library's documents over and over, numbered, until there is that much text."""
    place = directory / f"{megabytes}"
    place.mkdir()
    (place / "tokenizer.json").write_bytes((directory / "tokenizer.json").read_bytes())
    texts = [document.text for document in load_corpus("stdlib").documents()]
    written = number = 0
    with (place / "texts.jsonl").open("w") as file:
        while written < megabytes * 10**6:
            text = f"{number}\n{texts[number % len(texts)]}"
            file.write(json.dumps({"text": text}) + "\n")
            written += len(text.encode())
            number += 1
    return place


def measure(way: str, cores: int, directory: Path) -> dict[str, float]:
    """Megabytes of text a second, and the process's peak memory."""
    path = directory / "texts.jsonl"
    tokenizer = load_tokenizer("HFTokenizer", directory / "tokenizer.json")
    seconds, size = WAYS[way](tokenizer, path, cores)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"mb_per_second": size / 1e6 / seconds, "peak_mib": peak}


def _prepare(tokenizer: HFTokenizer, path: Path, cores: int) -> tuple[float, int]:
    form = TextForm(BatchEncoder(tokenizer, cores), np.dtype(np.uint16), eod=tokenizer.eod_id)
    started = time.perf_counter()
    preparation = Preparation(
        inputs=find_inputs([str(path)]),
        prefix=path.parent / f"prepared-{cores}",
        form=form,
        tokenizer=tokenizer.definition,
        force=True,
    )
    prepare_files(preparation)
    seconds = time.perf_counter() - started
    return seconds, sum(len(text.encode()) for text in _texts(path))


def _prepare_plain(tokenizer: HFTokenizer, path: Path, cores: int) -> tuple[float, int]:
    sys.modules["fastokens"] = None  # type: ignore[assignment]  # as if it were not installed
    return _prepare(tokenizer, path, cores)


def _batch_encoder(tokenizer: HFTokenizer, path: Path, cores: int) -> tuple[float, int]:
    encoder = BatchEncoder(tokenizer, cores)
    return _in_memory(path, encoder)


def _encode_batch(tokenizer: HFTokenizer, path: Path, cores: int) -> tuple[float, int]:
    return _in_memory(path, lambda texts: [encoding.ids for encoding in tokenizer.backend.encode_batch(texts)])


def _in_memory(path: Path, encode: Callable[[list[str]], object]) -> tuple[float, int]:
    texts = list(_texts(path))
    size = sum(len(text.encode()) for text in texts)
    started = time.perf_counter()
    batch: list[str] = []
    length = 0
    for text in texts:
        batch.append(text)
        length += len(text)
        if length >= BATCH:
            encode(batch)
            batch, length = [], 0
    encode(batch)
    return time.perf_counter() - started, size


def _per_document(tokenizer: HFTokenizer, path: Path, cores: int) -> tuple[float, int]:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    size = sum(len(text.encode()) for text in _texts(path))
    started = time.perf_counter()
    with (
        TokenFileWriter(path.parent / f"per-document-{cores}", np.uint16) as writer,
        multiprocessing.get_context("spawn").Pool(cores, _Encoder.start, (path.parent / "tokenizer.json",)) as pool,
    ):
        documents = pool.imap(_Encoder.encode, _texts(path), CHUNK) if cores > 1 else _alone(path)
        for ids in documents:
            writer.add(np.array(ids, np.uint16))
    return time.perf_counter() - started, size


def _alone(path: Path) -> Iterator[list[int]]:
    _Encoder.start(path.parent / "tokenizer.json")
    return map(_Encoder.encode, _texts(path))


class _Encoder:
    """A process's tokenizer."""

    tokenizer: HFTokenizer

    @staticmethod
    def start(path: Path) -> None:
        _Encoder.tokenizer = load_tokenizer("HFTokenizer", path)  # type: ignore[assignment]

    @staticmethod
    def encode(text: str) -> list[int]:
        return [*_Encoder.tokenizer.backend.encode(text).ids, 0]


def _texts(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)["text"]


WAYS: dict[str, Callable[[Any, Path, int], tuple[float, int]]] = {
    "prepare": _prepare,
    "prepare, plain": _prepare_plain,
    "BatchEncoder": _batch_encoder,
    "encode_batch": _encode_batch,
    "per document": _per_document,
}
OURS = ("prepare", "prepare, plain")
SLOW = ("prepare, plain", "encode_batch", "per document")

if __name__ == "__main__":
    main()
