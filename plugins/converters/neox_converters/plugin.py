"""What this plugin offers: converters between our weights and those of other families."""

from __future__ import annotations

from collections.abc import Iterable

from neox_core.plugins import Component, Converter

DIRECTORIES = {
    "hf-gpt-neox": "gpt_neox",
    "hf-llama": "llama",
    "hf-mistral": "mistral",
    "hf-mamba": "mamba",
}
"""Functions that make what reads and writes their directories."""

HUGGING_FACE = {
    "hf-gpt-neox": "gpt_neox:GPTNeoXForCausalLM",
    "hf-llama": "llama:LlamaForCausalLM",
    "hf-mistral": "llama:MistralForCausalLM",
    "hf-mamba": "mamba:MambaForCausalLM",
}
"""Families of transformers, by the class that they are named after."""


RAW_RELEASES = {"llama": "Meta's LLaMA to LLaMA 3", "mistral": "Mistral's 7B"}
"""What is published as params.json and consolidated files."""


def neox_components() -> Iterable[Component]:
    """The families."""
    yield Converter(
        name="gpt-neox",
        summary="GPT-NeoX's parameter names and layouts, in memory, and its directories of checkpoints",
        factory="neox_converters.gpt_neox:GPTNeoXConverter",
        directories="neox_converters.gpt_neox_files.family:GPTNeoXDirectories",
        status="provisional",
    )
    for name, factory in HUGGING_FACE.items():
        yield Converter(
            name=name,
            summary=f"Hugging Face's {factory.partition(':')[2]}: state dicts, and directories to read and write",
            factory=f"neox_converters.hugging_face.{factory}",
            directories=f"neox_converters.hugging_face.directories:{DIRECTORIES[name]}",
            status="provisional",
        )
    for name, models in RAW_RELEASES.items():
        yield Converter(
            name=name,
            summary=f"releases of {models}: weights in memory, and directories to read",
            factory=f"neox_converters.raw_releases.weights:{name}",
            directories=f"neox_converters.raw_releases.directories:{name}",
            status="provisional",
        )
