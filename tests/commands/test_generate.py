"""`neox generate`, on a model that knows three sentences."""

from __future__ import annotations

import pytest
from neox_commands.sampling import Sampling, generate
from plugin_distributions import neox

from neox_core.plugins import Switches
from neox_core.training import load_trained


def test_the_model_goes_on_as_it_was_taught(trained_directory):
    done = neox("generate", "checkpoints", "--prompt", "the dog sat", "--temperature", "0", cwd=trained_directory)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the dog sat on the ")


def test_several_prompts_and_samples_are_told_apart(trained_directory):
    words = ["generate", "checkpoints/global_step20", "--prompt", "a", "--prompt", "b", "--num-samples", "2"]
    first, second = (neox(*words, "--maximum-tokens", "5", cwd=trained_directory).stdout for _ in range(2))
    assert first == second  # the seed is fixed
    texts = first.split("\n---\n")
    assert [text.strip()[0] for text in texts] == ["a", "a", "b", "b"]


def test_the_newest_checkpoint_is_taken_and_an_older_one_can_be_asked_for(trained_directory):
    newest = load_trained(trained_directory / "checkpoints", Switches())
    older = load_trained(trained_directory / "checkpoints", Switches(), iteration=20)
    assert (newest.iteration, older.iteration) == (40, 20)
    assert not newest.model.embedding.weight.equal(older.model.embedding.weight)


def test_the_cache_changes_nothing(trained_directory):
    """Each token is the one that a full pass over everything so far would give."""
    import torch

    trained = load_trained(trained_directory / "checkpoints", Switches())
    prompt = trained.tokenizer.encode("the bird")
    drawn = list(
        generate(trained.model, prompt, count=15, sampling=Sampling(), vocabulary=trained.resolved.vocabulary, limit=32)
    )
    for index, token in enumerate(drawn):
        with torch.no_grad():
            logits = trained.model(torch.tensor([prompt + drawn[:index]])).logits()[0, -1]
        assert int(logits[: trained.resolved.vocabulary].argmax()) == token


def test_a_text_ends_with_its_document_and_at_the_last_position(trained_directory):
    trained = load_trained(trained_directory / "checkpoints", Switches())
    options = {"sampling": Sampling(), "vocabulary": trained.resolved.vocabulary}
    prompt = trained.tokenizer.encode("a bird in the hand")
    assert list(generate(trained.model, prompt, count=9, limit=32, stop=trained.tokenizer.eod_id, **options)) == []
    assert len(list(generate(trained.model, prompt[:1] * 30, count=10, limit=32, **options))) == 2
    assert len(list(generate(trained.model, prompt[:1], count=100, limit=32, **options))) == 31


def test_a_prompt_is_read_whole_or_refused(trained_directory):
    words = ["generate", "checkpoints", "--maximum-tokens", "40", "--temperature", "0", "--prompt"]
    trained = load_trained(trained_directory / "checkpoints", Switches())
    room = 32 - len(trained.tokenizer.encode("a bird"))
    done = neox(*words, "a bird", cwd=trained_directory)
    assert done.returncode == 0
    assert done.stderr.startswith(f"note: --prompt: {room} of the 40 tokens of --maximum-tokens have room")
    done = neox(*words, "a bird", "--prompt", "a bird in the hand " * 20, cwd=trained_directory)
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: --prompt 2: has " in done.stderr
    assert "the model reads and writes 32 in all (max_position_embeddings); shorten it by " in done.stderr


def test_a_terminal_that_lacks_a_letter_gets_another(trained_directory):
    words = ["--prompt", "caf\u00e9", "--maximum-tokens", "1"]
    done = neox(
        "generate", "checkpoints", *words, cwd=trained_directory, PYTHONIOENCODING="ascii:strict", PYTHONUTF8="1"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("caf?")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["nowhere"], "nowhere: there is no checkpoint"),
        (["checkpoints", "--iteration", "7"], "checkpoints/global_step7"),
        (["checkpoints", "--maximum-tokens", "0"], "--maximum-tokens: 0"),
        (["checkpoints", "--top-p", "2"], "top_p: 2.0"),
        (["checkpoints", "--temperature", "nan"], "temperature: nan"),
        (["checkpoints", "--temperature", "inf"], "temperature: inf"),
        (["checkpoints", "--prompt", "a\udcff"], "write the prompt in UTF-8"),
    ],
)
def test_mistakes_are_said_in_a_sentence(trained_directory, words, part):
    done = neox("generate", *words, cwd=trained_directory)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert part in done.stderr
