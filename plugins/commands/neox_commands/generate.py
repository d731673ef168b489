"""`neox generate`: let a trained model write."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from typing import TYPE_CHECKING

from neox_core.cli.report import print_notes
from neox_core.cli.words import checkpoint_here
from neox_core.errors import Notice, UserError
from neox_core.launch import device_kind
from neox_core.plugins import CommandContext

if TYPE_CHECKING:
    from neox_commands.sampling import Sampling


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="neox generate", description="Let a trained model continue a prompt.")
    parser.add_argument(
        "checkpoint", type=checkpoint_here, help="a checkpoint, or a directory of checkpoints (the newest is taken)"
    )
    parser.add_argument(
        "--prompt", action="append", default=[], help="text to continue; may be repeated; `-` reads it from stdin"
    )
    parser.add_argument("--iteration", type=int, help="step of the checkpoint to take from a directory")
    parser.add_argument("--maximum-tokens", type=int, default=64, metavar="N", help="tokens to write at most (64)")
    parser.add_argument("--num-samples", type=int, default=1, metavar="N", help="continuations of each prompt (1)")
    parser.add_argument("--temperature", type=float, default=0.8, help="0 takes the likeliest token each time (0.8)")
    parser.add_argument("--top-k", type=int, default=0, metavar="K", help="only the K likeliest tokens; 0 for all")
    parser.add_argument(
        "--top-p", type=float, default=0.0, metavar="P", help="only the likeliest that make up P; 0 for all"
    )
    parser.add_argument("--seed", type=int, default=1234, help="of the random draws (1234)")
    options = parser.parse_args(argv)
    for name in ("maximum_tokens", "num_samples"):
        if getattr(options, name) < 1:
            raise UserError(f"--{name.replace('_', '-')}: {getattr(options, name)} is not a whole number > 0")
    return options


def main(argv: list[str], context: CommandContext) -> int:
    """Print each prompt with what the model makes of it."""
    options = parse(argv)
    from neox_commands.sampling import Sampling

    sampling = Sampling(temperature=options.temperature, top_k=options.top_k, top_p=options.top_p)
    prompts = [read_prompt(word) for word in options.prompt] or [""]
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # the model may write what the terminal's encoding lacks
    for number, text in enumerate(continuations(options, context, sampling, prompts)):
        print(("" if number == 0 else "\n---\n") + text, flush=True)
    return 0


def read_prompt(word: str) -> str:
    """The prompt that a word of the command line is, or that stdin has.

    Raises:
        UserError: its bytes are no text.
    """
    try:
        prompt = sys.stdin.read() if word == "-" else word
        prompt.encode()
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise UserError(f"--prompt {word!a}: {error.reason} at {error.start}; write the prompt in UTF-8") from error
    return prompt


def continuations(
    options: argparse.Namespace, context: CommandContext, sampling: Sampling, prompts: list[str]
) -> Iterator[str]:
    """Each prompt with its continuations, as text."""
    import torch

    from neox_commands.sampling import generate
    from neox_core.training import load_trained

    trained = load_trained(options.checkpoint, context.switches, iteration=options.iteration, device=device_kind())
    tokenizer, vocabulary = trained.tokenizer, trained.resolved.vocabulary
    if tokenizer is None or vocabulary is None:
        raise UserError(
            f"{trained.path}: was trained without a tokenizer, so that it can neither read a prompt nor write text"
        )
    if trained.resolved.head == "reward":
        raise UserError(f"{trained.path}: is a reward model, which scores texts and cannot write any")
    limit = trained.model.context_length
    encoded = [tokenizer.encode(prompt) or [0 if tokenizer.eod_id is None else tokenizer.eod_id] for prompt in prompts]
    require_room(encoded, options.maximum_tokens, limit)
    for prompt, ids in zip(prompts, encoded, strict=True):
        for sample in range(options.num_samples):
            random = torch.Generator(next(trained.model.parameters()).device).manual_seed(options.seed + sample)
            drawn = generate(
                trained.model,
                ids,
                count=options.maximum_tokens,
                sampling=sampling,
                vocabulary=vocabulary,
                limit=limit,
                stop=tokenizer.eod_id,
                random=random,
            )
            yield prompt + tokenizer.decode(list(drawn))


def require_room(prompts: list[list[int]], wanted: int, limit: int) -> None:
    """Refuse prompts, as token ids, that leave no room to write in; say where less can be written than is wanted.

    Raises:
        UserError: a prompt has as many tokens as the model can read, or more.
    """
    for number, ids in enumerate(prompts, 1):
        which = "--prompt" if len(prompts) == 1 else f"--prompt {number}"
        if len(ids) >= limit:
            raise UserError(
                f"{which}: has {len(ids)} tokens, and the model reads and writes {limit} in all (max_position_embeddings); "
                f"shorten it by {len(ids) - limit + 1} tokens or more"
            )
        if len(ids) + wanted > limit:
            room = f"{limit - len(ids)} of the {wanted} tokens of --maximum-tokens have room after its {len(ids)}"
            print_notes([Notice(message=f"{which}: {room}: the model reads and writes {limit} in all")])
