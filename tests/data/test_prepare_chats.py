from __future__ import annotations

import datetime
import json

import numpy as np
import pytest

from neox_core.data.preparing.forms.chat_templates import ChatTemplate, load_chat_template
from neox_core.data.preparing.forms.chat_tokenizer import load_chat_tokenizer
from neox_core.data.preparing.forms.chats import ChatForm, ChatOptions
from neox_core.data.preparing.records import BadDocument
from neox_core.errors import UserError

CHATML = (
    "{%- for message in messages %}\n{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] | trim + '<|im_end|>\\n' }}\n"
    "{%- endfor %}\n{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
INSTRUCTIONS = (
    "{{ bos_token }}{% for message in messages %}\n"
    "    {% if message.role not in ['user', 'assistant', 'system'] %}{{ raise_exception('no role ' ~ message.role) }}{% endif %}\n"
    "    {% if message.role == 'assistant' %}\n"
    "        {%- generation %} {{ message.content }}{{ eos_token }}{% endgeneration %}\n"
    "    {% elif message.role == 'system' %}{% continue %}{% else %}\n"
    "        {%- set note = message.tools | tojson if message.tools else '' %}\n"
    "[INST] {{ note }}{{ message.content }} [/INST]{% endif %}\n"
    "{% endfor %}"
)
TEMPLATES = {"chatml": CHATML, "instructions": INSTRUCTIONS}
CHATS = [
    [{"role": "user", "content": "Hi there"}, {"role": "assistant", "content": "Hello."}],
    [
        {"role": "system", "content": "Be brief ☃"},
        {"role": "user", "content": "Who?", "tools": [{"name": "<x>&", "n": 1}]},
        {"role": "assistant", "content": "me"},
        {"role": "user", "content": "Why?\n\nTell", "name": None},
        {"role": "assistant", "content": "because", "weight": 0.5},
    ],
    [{"role": "user", "content": "only a question"}],
    [{"role": "assistant", "content": "x"}, {"role": "assistant", "content": "y"}, {"role": "user", "content": "z"}],
]


@pytest.fixture(scope="module", params=list(TEMPLATES))
def directory(request, tmp_path_factory):
    """A tokenizer as Hugging Face keeps it: byte-level BPE that puts <s> before a text, and a chat template."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    path = tmp_path_factory.mktemp("tokenizer")
    special = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator([json.dumps(CHATS)] * 3, trainer)
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    backend.save(str(path / "tokenizer.json"))
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>", "__type": "AddedToken"}}
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    if request.param == "chatml":
        config["chat_template"] = TEMPLATES["chatml"]
    else:
        (path / "chat_template.jinja").write_text(TEMPLATES["instructions"])
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    return path


@pytest.fixture(scope="module")
def reference(directory):
    """The same tokenizer in transformers."""
    transformers = pytest.importorskip("transformers")
    return transformers.PreTrainedTokenizerFast.from_pretrained(directory)


def form_of(directory, **options):
    tokenizer = load_chat_tokenizer(directory)
    template, eos = load_chat_template(directory)

    def encode(texts):
        return [np.array(tokenizer.encode(text)) for text in texts]

    return ChatForm(encode, template, tokenizer.backend.token_to_id(eos), ChatOptions(keys=("chat",), **options))


def made(form, fields):
    (result,) = form.encode([form.parse(fields)])
    if isinstance(result, BadDocument):
        raise result
    return [part.tolist() for part in result]


def written(reference, chat, **options):
    return reference.apply_chat_template(chat, tokenize=True, return_dict=False, **options)


def turn_by_turn(reference, chat, role="assistant", only_last=False):
    """Tokens and labels of a conversation, each turn being what it adds to the tokens before; None where it changes those."""
    tokens, labels = [], []
    for turn, message in enumerate(chat):
        is_last = turn == len(chat) - 1
        prompt = not is_last and chat[turn + 1]["role"] == role
        longer = written(reference, chat[: turn + 1], add_generation_prompt=prompt)
        if longer[: len(tokens)] != tokens:
            return None
        added = longer[len(tokens) :]
        is_learned = message["role"] == role and (is_last or not only_last)
        labels += added if is_learned else [-100] * len(added)
        tokens += added
    end = reference.eos_token_id
    return [[*tokens, end], [*labels, end if labels[-1] != -100 else -100]]


@pytest.mark.parametrize("chat", CHATS)
@pytest.mark.parametrize("prompt", [False, True])
def test_template_writes_what_transformers_writes(directory, reference, chat, prompt):
    template, _ = load_chat_template(directory)
    expected = reference.apply_chat_template(chat, tokenize=False, add_generation_prompt=prompt)
    assert template.render(chat, add_generation_prompt=prompt) == expected


@pytest.mark.parametrize("chat", CHATS)
@pytest.mark.parametrize("options", [{}, {"only_last": True}, {"generation_role": "user"}])
def test_turns_of_the_role_are_learned(directory, reference, chat, options):
    role, only_last = options.get("generation_role", "assistant"), options.get("only_last", False)
    expected = turn_by_turn(reference, chat, role, only_last)
    form = form_of(directory, **options)
    if expected is None:
        assert role == "user"  # whose turns no template announces
        with pytest.raises(BadDocument, match="are not the beginning of"):
            made(form, {"chat": chat})
    else:
        assert made(form, {"chat": chat}) == expected


@pytest.mark.parametrize("chat", CHATS)
def test_without_a_mask_there_are_tokens_alone(directory, reference, chat):
    form = form_of(directory, no_mask=True)
    assert [column.name for column in form.columns] == ["chat"]
    assert made(form, {"chat": chat}) == [written(reference, chat)]


@pytest.mark.parametrize("chat", CHATS)
def test_reward_models_learn_the_end(directory, reference, chat):
    tokens, labels = made(form_of(directory, for_rm=True), {"chat": chat})
    end = reference.eos_token_id
    assert tokens == [*written(reference, chat), end, end]
    assert labels == [-100] * (len(tokens) - 1) + [end]


def test_reward_models_need_an_end(directory):
    template, _ = load_chat_template(directory)
    with pytest.raises(UserError, match="no end-of-text token"):
        ChatForm(list, template, None, ChatOptions(for_rm=True))


def test_without_an_end_of_text_nothing_is_appended(directory, reference):
    form = form_of(directory)
    form._eos = None
    tokens, labels = made(form, {"chat": CHATS[0]})
    assert [tokens, labels] == [part[:-1] for part in turn_by_turn(reference, CHATS[0])]


@pytest.mark.parametrize(
    ("value", "options", "expected"),
    [
        (0.25, {}, [0.25]),
        (3, {}, [3.0]),
        ([0.5, -1], {}, [0.5, -1.0]),
        (True, {"binary_reward": True}, [1.0]),
        (False, {"binary_reward": True}, [-1.0]),
        (0, {"binary_reward": True}, [-1.0]),
    ],
)
def test_reward_lies_beside_the_conversation(directory, value, options, expected):
    form = form_of(directory, reward_key="score", **options)
    assert [(column.name, column.dtype.name) for column in form.columns] == [
        ("chat", "int32"),
        ("chat_label", "int32"),
        ("chat_reward", "float32"),
    ]
    assert made(form, {"chat": CHATS[0], "score": value})[2] == expected


USER = {"role": "user", "content": "a"}


@pytest.mark.parametrize(
    ("fields", "options", "reason"),
    [
        ({}, {}, "no key 'chat'"),
        ({"chat": "text"}, {}, "'chat' is of kind string, where a list of turns"),
        ({"chat": []}, {}, "an empty list"),
        ({"chat": [USER, "b"]}, {}, "turn 2 of 'chat' is of kind string"),
        ({"chat": [USER, {"content": "b"}]}, {}, "turn 2 of 'chat' has no 'role'"),
        ({"chat": [USER, {"role": "user"}]}, {}, "turn 2 of 'chat' has neither 'content' nor 'tool_calls'"),
        ({"chat": [{"role": "user", "content": "\ud800"}]}, {}, "half of a surrogate pair"),
        ({"chat": [USER]}, {"reward_key": "score"}, "no key 'score'"),
        ({"chat": [USER], "score": "high"}, {"reward_key": "score"}, "'score' is of kind string, where a number"),
        ({"chat": [USER], "score": True}, {"reward_key": "score"}, "'score' is of kind boolean, where a number"),
        ({"chat": [USER], "score": []}, {"reward_key": "score"}, "where a number or a list"),
        (
            {"chat": [USER], "score": "yes"},
            {"reward_key": "score", "binary_reward": True},
            "of kind string, where true or false",
        ),
    ],
)
def test_bad_conversation_says_why(directory, fields, options, reason):
    with pytest.raises(BadDocument, match=reason):
        made(form_of(directory, **options), fields)


def test_role_that_the_template_refuses_is_a_bad_document(tmp_path):
    template = ChatTemplate(INSTRUCTIONS, {}, "here")
    with pytest.raises(BadDocument, match="the chat template cannot write it: no role robot"):
        template.render([{"role": "robot", "content": "a"}])


def test_template_that_rewrites_earlier_turns_makes_bad_documents():
    """Qwen's templates, for one, leave out the thoughts of all turns but the last."""
    source = "{% for m in messages %}{{ m.content }}{{ '!' if loop.last }}{% endfor %}"
    encode = [np.frombuffer(text.encode(), np.uint8) for text in ("",)].__class__
    form = ChatForm(
        lambda texts: encode(np.frombuffer(text.encode(), np.uint8) for text in texts),
        ChatTemplate(source, {}, "here"),
        0,
        ChatOptions(keys=("chat",)),
    )
    with pytest.raises(BadDocument, match="up to turn 1 are not the beginning of those up to turn 2"):
        made(form, {"chat": CHATS[0]})
    assert made(form, {"chat": CHATS[2]})[0][-2:] == [ord("!"), 0]


def test_date_is_part_of_what_the_result_depends_on():
    today = datetime.date(2024, 2, 29)
    dated = ChatTemplate("{{ strftime_now('%d %b %Y') }}", {}, "here", today)
    assert dated.render([]) == "29 Feb 2024"
    assert dated.identity["date"] == "2024-02-29"
    assert "date" not in ChatTemplate("x", {}, "here", today).identity


@pytest.mark.parametrize("source", ["{{ ''.__class__.__mro__ }}", "{{ messages.append(1) }}", "{{ 1 / 0 }}"])
def test_template_can_do_no_harm(source):
    with pytest.raises(BadDocument, match="the chat template cannot write it"):
        ChatTemplate(source, {}, "here").render([USER])


def test_template_that_is_none_is_an_error(tmp_path):
    with pytest.raises(UserError, match="here is no chat template"):
        ChatTemplate("{% for %}", {}, "here")
    with pytest.raises(UserError, match=r"has no chat template .* --chat-template"):
        load_chat_template(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(UserError, match=r"tokenizer_config\.json cannot be read"):
        load_chat_template(tmp_path)


def test_named_templates_and_files(tmp_path):
    named = [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert load_chat_template(tmp_path)[0].render([USER]) == "d"
    (tmp_path / "mine.jinja").write_text("m")
    assert load_chat_template(tmp_path, tmp_path / "mine.jinja")[0].render([USER]) == "m"
    with pytest.raises(UserError, match=r"none\.jinja cannot be read"):
        load_chat_template(tmp_path, tmp_path / "none.jinja")


def test_directory_without_a_tokenizer_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"tokenizer\.json cannot be read"):
        load_chat_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"tokenizer\.json is not a tokenizer"):
        load_chat_tokenizer(tmp_path)
