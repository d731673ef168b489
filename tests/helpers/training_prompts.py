"""Steps that train a soft prompt alone."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from training_models import Bench

PROMPT: dict[str, Any] = {"soft_prompt_tuning": {"enabled": True, "num_tokens": 3, "init_range": 0.3}}
NAME = "embedding.soft_prompt.weight"


def tuned(**changes: Any) -> dict[str, Any]:
    """What three steps change, and of which parameters the optimizer keeps a state on any rank."""
    bench = Bench(**PROMPT, weight_decay=0.1, **changes)
    before = {name: parameter.detach().clone() for name, parameter in bench.parameters.items()}
    results = bench.train(3)
    changed = {name for name, parameter in bench.parameters.items() if not torch.equal(before[name], parameter)}
    fragments = [(fragment.name, fragment.role) for fragment in bench.engine.fragments()]
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, fragments)
    saved = [fragment for rank in gathered for fragment in rank]
    return {
        "curve": [(result.loss, result.grad_norm) for result in results],
        "changed": changed,
        "weights": [name for name, role in saved if role == "weight"],
        "state": {name for name, role in saved if role != "weight"},
        "names": set(bench.parameters),
    }


def begun(tokens: tuple[int, ...], **changes: Any) -> dict[str, Any]:
    """The prompt that begins with tokens: as it computes, after a step at rate 0, and the embeddings of the tokens."""
    bench = Bench(**PROMPT, weight_decay=0.0, **changes)
    bench.engine.begin_prompt(tokens)
    prompt = bench.parameters[NAME]
    at_once = prompt.detach().clone()
    bench.engine.train_step(bench.batches, step=0, learning_rate=0.0)
    embeddings = bench.parameters["embedding.weight"].detach()
    return {"at_once": at_once, "after": prompt.detach().clone(), "embeddings": embeddings}
