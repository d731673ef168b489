"""Chat templates: the Jinja templates that come with Hugging Face tokenizers, rendered as `transformers` renders them."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from neox_core.data.preparing.records import BadDocument
from neox_core.errors import UserError

_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


class ChatTemplate:
    """Writes conversations as a model expects them.

    Args:
        source: the template.
        special_tokens: texts that it can ask for by name, such as `bos_token`.
        origin: where it comes from, for messages.
        today: the date that `strftime_now` gives.

    Raises:
        UserError: the template cannot be compiled.
    """

    def __init__(
        self, source: str, special_tokens: Mapping[str, str], origin: str, today: datetime.date | None = None
    ) -> None:
        self._source, self._special_tokens = source, dict(special_tokens)
        self._today = today or datetime.date.today()
        try:
            self._template = _environment(self._today).from_string(source)
        except jinja2.TemplateError as error:
            raise UserError(f"{origin} is no chat template that can be used: {error}.") from error

    @property
    def identity(self) -> Mapping[str, Any]:
        """What its texts depend on."""
        identity = {
            "template_sha256": hashlib.sha256(self._source.encode()).hexdigest(),
            "special_tokens": self._special_tokens,
        }
        return {**identity, "date": self._today.isoformat()} if "strftime_now" in self._source else identity

    def render(self, turns: Sequence[Mapping[str, Any]], add_generation_prompt: bool = False) -> str:
        """The text of a conversation. Raises `BadDocument` when the template refuses it or cannot be applied to it."""
        messages = [{key: value for key, value in turn.items() if value is not None} for turn in turns]
        try:
            return self._template.render(
                messages=messages,
                tools=None,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                **self._special_tokens,
            )
        except (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
            raise BadDocument(f"the chat template cannot write it: {error}") from error


def load_chat_template(directory: Path, file: Path | None = None) -> tuple[ChatTemplate, str | None]:
    """The template of a tokenizer's directory, or of `file`, and the text of the end-of-text token if the tokenizer has one.

    Raises `UserError` when there is none, or it cannot be used.
    """
    config = _tokenizer_config(directory)
    special = {name: text for name in _SPECIAL if (text := _token_text(config.get(name))) is not None}
    origin, source = _template_file(file) if file else _template_beside(directory, config)
    return ChatTemplate(source, special, origin), special.get("eos_token")


def _template_beside(directory: Path, config: Mapping[str, Any]) -> tuple[str, str]:
    if (directory / "chat_template.jinja").is_file():
        return _template_file(directory / "chat_template.jinja")
    template = config.get("chat_template")
    if isinstance(template, list):  # several by name
        template = {entry["name"]: entry["template"] for entry in template}.get("default")
    if not isinstance(template, str):
        raise UserError(
            f"--tokenizer-path: {directory} has no chat template (chat_template.jinja, or `chat_template` in tokenizer_config.json); "
            "give one by --chat-template FILE."
        )
    return f"chat_template of {directory / 'tokenizer_config.json'}", template


def _template_file(path: Path) -> tuple[str, str]:
    try:
        return str(path), path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--chat-template: {path} cannot be read ({error}).") from error


def _tokenizer_config(directory: Path) -> Mapping[str, Any]:
    path = directory / "tokenizer_config.json"
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"--tokenizer-path: {path} cannot be read ({error}).") from error
    return config if isinstance(config, dict) else {}


def _token_text(value: Any) -> str | None:
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None


def _environment(today: datetime.date) -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = today.strftime
    return environment


class _Generation(jinja2.ext.Extension):
    """The tags `generation` and `endgeneration`, which mark what the model says, and write nothing."""

    tags = {"generation"}  # noqa: RUF012  as jinja declares it

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body).set_lineno(line)


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    """Jinja's own filter writes for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)
