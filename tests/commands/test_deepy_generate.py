"""`neox deepy generate.py`, on a model that knows three sentences."""

from __future__ import annotations

from plugin_distributions import neox


def test_prompts_of_a_file_are_continued_into_another(trained_directory):
    (trained_directory / "sampling.yml").write_text("load: checkpoints\nmaximum_tokens: 5\niteration: 20\n")
    (trained_directory / "prompts.txt").write_text("the dog sat\n\nthe cat sat\n")
    words = ["deepy", "generate.py", "tiny.yml", "sampling", "-i", "prompts.txt"]
    told = neox(*words, cwd=trained_directory)
    assert told.returncode == 0, told.stderr
    direct = ["generate", "checkpoints", "--iteration=20", "--maximum-tokens=5", "--temperature=0"]
    again = neox(*direct, "--prompt=the dog sat", "--prompt=the cat sat", cwd=trained_directory)
    assert told.stdout == again.stdout
    assert told.stdout.startswith("the dog sat")

    written = neox(*words, "-o", "answers.txt", cwd=trained_directory)
    assert (written.returncode, written.stdout) == (0, ""), written.stderr
    assert (trained_directory / "answers.txt").read_text() == told.stdout
