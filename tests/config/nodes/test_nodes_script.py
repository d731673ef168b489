"""Scripts: what runs as a process of its own."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from neox_core.config.nodes import Config, Script, WrongArguments, build, validate
from neox_core.errors import UserError


def run(words: list[str], **kwargs) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=30, **kwargs).stdout


def test_a_file_is_run_by_the_entry_point_with_its_arguments():
    script = Script("scripts/run.sh", args=["--lr", 1e-5, "two words"])
    assert script.command() == ["bash", "scripts/run.sh", "--lr", "1e-05", "two words"]
    assert script.line() == "bash scripts/run.sh --lr 1e-05 'two words'"
    assert script.name == "run.sh"


def test_a_path_may_be_a_path():
    assert Script(Path("a") / "run.py", entrypoint="python -u").command() == ["python", "-u", "a/run.py"]


def test_a_module_is_run_by_python():
    script = Script("acme.train", args=["x"], entrypoint="/usr/bin/python3 -u", module=True)
    assert script.command() == ["/usr/bin/python3", "-u", "-m", "acme.train", "x"]
    assert script.name == "acme.train"


def test_inline_text_runs_with_its_arguments():
    script = Script(inline='echo $0; for word in "$@"; do echo "<$word>"; done', args=["a b", "$HOME", "'"])
    assert run(script.command()) == "echo_0_f\n<a b>\n<$HOME>\n<'>\n"
    assert Script(inline="env").command() == ["bash", "-c", "env"]


def test_inline_python_runs_with_its_arguments():
    script = Script(inline="import sys; print(sys.argv[1:])", args=["a", 2], entrypoint=sys.executable)
    assert run(script.command()) == "['a', '2']\n"


@settings(max_examples=10)
@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), max_size=3), st.text("a'\"$`\\ \n;&|"))
def test_a_line_gives_a_shell_the_words_and_variables_as_they_are(args, value):
    inline = 'printf "%s|" "$VALUE" "$@"'
    script = Script(inline=inline, args=list(args), env={"VALUE": value})
    found = subprocess.run(["sh", "-c", script.line()], capture_output=True, check=True, timeout=30).stdout
    assert found.decode() == "".join(f"{word}|" for word in [value, *(args or [])])


def test_the_environment_is_in_the_line_alone():
    script = Script("run.sh", env={"A": 1, "B_2": "x y"})
    assert script.line() == "A=1 B_2='x y' bash run.sh"
    assert script.command() == ["bash", "run.sh"]


@pytest.mark.parametrize(
    ("inline", "name"),
    [("\nenv\nexport X=1", "env_export"), ("echo 'x'", "echo_x"), ("$$$", "script"), ("ls", "ls")],
)
def test_inline_text_has_a_name_that_a_file_can_have(inline, name):
    assert Script(inline=inline).name == name


def test_inline_text_is_written_to_a_file_that_runs(tmp_path):
    script = Script(inline="\necho $1\n", args=["a b"])
    script.write(tmp_path / "x.sh")
    script.write(str(tmp_path / "x.sh"))
    assert (tmp_path / "x.sh").read_text() == "#!/usr/bin/env bash\necho $1\n"
    assert stat.S_IMODE((tmp_path / "x.sh").stat().st_mode) == 0o755
    assert run([str(tmp_path / "x.sh"), "y"]) == "y\n"
    assert script.command(tmp_path / "x.sh") == ["bash", str(tmp_path / "x.sh"), "a b"]
    assert run(["sh", "-c", script.line(tmp_path / "x.sh")]) == "a b\n"


def test_what_runs_the_text_is_in_its_first_line(tmp_path):
    Script(inline="print(1)", entrypoint="python3 -u").write(tmp_path / "a")
    assert (tmp_path / "a").read_text() == "#!/usr/bin/env -S python3 -u\nprint(1)\n"
    Script(inline="#!/bin/dash\nexit 0\n").write(tmp_path / "b")
    assert (tmp_path / "b").read_text() == "#!/bin/dash\nexit 0\n"


@pytest.mark.skipif(shutil.which("perl") is None, reason="there is no perl")
def test_another_entry_point_takes_inline_text_from_a_file(tmp_path):
    script = Script(inline="print $ARGV[0];", args=["x"], entrypoint="perl")
    script.write(tmp_path / "a.pl")
    assert run(script.command(tmp_path / "a.pl")) == "x"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "neither is given, path and inline"),
        ({"path": "a", "inline": "b"}, "both are given, path and inline"),
        ({"path": "a", "entrypoint": ""}, "entrypoint is empty"),
        ({"path": "a", "entrypoint": " "}, "entrypoint is empty"),
        ({"path": "a", "entrypoint": "bash '"}, 'entrypoint "bash \'" is no command: No closing quotation'),
        ({"path": "a", "module": True}, "this is for 'bash'; give the module's name as path, and entrypoint='python'"),
        ({"inline": "a", "module": True, "entrypoint": "python"}, "this is inline text"),
        ({"path": "a", "env": {"A B": "1"}}, "'A B' cannot be the name of a variable"),
        ({"path": "a", "env": {"x;rm": "1"}}, "letters, digits and underscores"),
    ],
)
def test_mistakes_are_sentences(arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        Script(**arguments)


def test_what_cannot_be_run_or_written_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="how 'perl -w' takes inline text is not known; write it to a file"):
        Script(inline="x", entrypoint="perl -w").command()
    with pytest.raises(UserError, match=r"nothing to write, since 'a\.sh' is a file already"):
        Script("a.sh").write(tmp_path / "a")
    with pytest.raises(UserError, match="cannot be written: No such file"):
        Script(inline="x").write(tmp_path / "none" / "a")


def test_a_script_is_the_target_of_a_node():
    node = Config(Script, inline="echo $1", args=["a"], env={"A": 1})
    node.args.append("b")
    validate(node)
    assert build(node) == Script(inline="echo $1", args=["a", "b"], env={"A": 1})
    assert Config(Script, path="a").env == {}
    with pytest.raises(WrongArguments, match="did you mean 'entrypoint'"):
        Config(Script, entry_point="x")
    with pytest.raises(AttributeError):
        build(node).path = "x"


def test_shells_and_python_are_known_wherever_they_are():
    assert Script("a.b", entrypoint="uv run python", module=True).command() == ["uv", "run", "python", "-m", "a.b"]
    assert Script(inline="x", entrypoint=f"{os.sep}bin{os.sep}zsh -e").command() == ["/bin/zsh", "-e", "-c", "x"]
