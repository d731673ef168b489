"""How long indices take and how much memory: packed samples, samples of whole documents, blends.

The packed index of 1 M documents with 2 G tokens is compared with what numpy takes for the random orders and the sum that are in it:
a permutation of the documents, one of the windows, and a running sum. CPU time, the best of several turns. Peak memory is that
of a process that does nothing else.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable

import numpy as np
from record import write_result

from neox_core.data.samples.blending import Stage, blend_index
from neox_core.data.samples.packed_index import packed
from neox_core.data.samples.whole_document_index import until_overflow

TURNS = 15
DOCUMENTS = 1_000_000
TOKENS = 2_000_000_000
SEQ_LENGTH = 2048
MANY_SAMPLES = 100_000_000


def document_sizes(documents: int, tokens: int) -> np.ndarray:
    """Sizes spread as those of texts are, with about so many tokens in all."""
    sizes = np.random.default_rng(0).lognormal(0, 1.2, documents)
    return np.maximum(1, sizes * (tokens / sizes.sum())).astype(np.int32)


def best_seconds(works: dict[str, Callable[[], object]], turns: int = TURNS) -> dict[str, float]:
    """The least CPU time of each. They take turns, so that each has its share of whatever else the machine does."""
    rounds = [turn(works) for _ in range(turns)]
    return {name: min(seconds[name] for seconds in rounds) for name in works}


def turn(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    seconds = {}
    for name, work in works.items():
        start = time.process_time()
        work()
        seconds[name] = time.process_time() - start
    return seconds


def packed_against_numpy() -> dict[str, float]:
    sizes = document_sizes(DOCUMENTS, TOKENS)
    documents = np.arange(DOCUMENTS, dtype=np.int32)
    windows = (int(sizes.sum(dtype=np.int64)) - 1) // SEQ_LENGTH

    def reference() -> None:
        random = np.random.RandomState(1)
        random.permutation(DOCUMENTS)
        random.permutation(windows)
        np.cumsum(sizes, dtype=np.int64)

    index = best_seconds(
        {
            "packed_seconds": lambda: packed(sizes, documents, demand=windows, seq_length=SEQ_LENGTH, seed=1),
            "numpy_seconds": reference,
        }
    )
    return {**index, "ratio": index["packed_seconds"] / index["numpy_seconds"]}


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def memory_of_many_samples(documents: int) -> dict[str, float]:
    """Run in a process of its own."""
    sizes, numbers = document_sizes(documents, MANY_SAMPLES * 64 + documents), np.arange(documents, dtype=np.int32)
    before, start = peak_bytes(), time.process_time()
    index = packed(sizes, numbers, demand=MANY_SAMPLES, seq_length=64, seed=1)
    seconds = time.process_time() - start
    own = index.doc_idx.nbytes + index.sample_idx.nbytes + index.shuffle_idx.nbytes
    return {"bytes_of_arrays": own, "peak_ratio": (peak_bytes() - before) / own, "seconds": seconds}


def others() -> dict[str, float]:
    sizes = document_sizes(DOCUMENTS, 700_000_000)
    documents = np.arange(DOCUMENTS, dtype=np.int32)
    shares = np.random.default_rng(0).random(22)
    weights = {2: (0.7, 0.3), 22: tuple((shares / shares.sum()).tolist())}
    return best_seconds(
        {
            "until_overflow_500k_samples_seconds": lambda: until_overflow(
                sizes, documents, num_samples=500_000, seq_length=SEQ_LENGTH, seed=1
            ),
            **{
                f"blend_1m_samples_of_{n}_seconds": lambda n=n: blend_index([Stage(1_000_000, weights[n])])
                for n in weights
            },
        },
        turns=3,
    )


def main() -> None:
    """Measure, print and record."""
    figures: dict[str, object] = {"packed_1m_documents_2g_tokens": packed_against_numpy(), **others()}
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for documents in (1_000_000, 20_000_000):
            figures[f"100m_samples_of_{documents // 10**6}m_documents"] = pool.apply(
                memory_of_many_samples, (documents,)
            )
    for name, figure in figures.items():
        print(f"{name}: {figure}")
    write_result("index", figures)


if __name__ == "__main__":
    main()
