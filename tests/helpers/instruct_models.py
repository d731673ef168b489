"""A model of transformers that answers in chats: special tokens with roles that their names do not say, and a template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers
from foreign_models import CASES, CLASSES, SIZES, filled

from neox_core.data.tokenizers.training import train_bpe

LLAMA = CASES["Llama, two key/value heads"]
BEGIN, END, TURN, PAD = "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|fill|>"
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
CHAT = [{"role": "user", "content": "where is the caf\u00e9?"}, {"role": "assistant", "content": "there"}]
TEXTS = ("the cat sat on the mat", f"caf\u00e9{TURN} \u65e5\u672c", f"{BEGIN}two  spaces{PAD}")
ROWS = 300


def save_instruct(directory: Path, *, template_in_a_file: bool = True) -> Path:
    """The model with random weights, its tokenizer and how it generates, as transformers saves them."""
    backend = train_bpe(TEXTS, ROWS, special=(BEGIN, END, PAD, TURN)).backend
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=BEGIN, eos_token=TURN, pad_token=PAD, chat_template=TEMPLATE
    )
    tokenizer.save_pretrained(directory, save_jinja_files=template_in_a_file)
    made, config = CLASSES[LLAMA.converter]
    theirs = filled(made(config(**{**SIZES, **LLAMA.theirs, "vocab_size": ROWS})))
    theirs.generation_config = transformers.GenerationConfig(
        bos_token_id=0, eos_token_id=[1, 3], pad_token_id=2, do_sample=True, temperature=0.6
    )
    theirs.save_pretrained(directory)
    return directory


def behaviour(directory: Path) -> dict[str, Any]:
    """What transformers makes of a directory's tokenizer, and of how its model generates."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    config = transformers.AutoConfig.from_pretrained(directory)
    generation = transformers.GenerationConfig.from_pretrained(directory)
    return {
        "ids": [tokenizer.encode(text) for text in TEXTS],
        "roles": tokenizer.special_tokens_map,
        "special": (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id),
        "chat": tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, return_dict=False),
        "generation": {key: value for key, value in generation.to_dict().items() if key != "transformers_version"},
        "model": (config.bos_token_id, config.eos_token_id, config.pad_token_id),
    }
