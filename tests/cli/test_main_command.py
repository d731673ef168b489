"""The command line itself: verbs, global options, exit codes."""

from __future__ import annotations

import importlib.metadata

import pytest
from plugin_distributions import neox


def test_help_lists_the_verbs_of_core_and_plugins(tmp_path):
    done = neox("--help", cwd=tmp_path)
    assert done.returncode == 0
    for verb in ("train", "plugins", "config", "doctor", "data", "generate"):
        assert f"\n  {verb} " in done.stdout


def test_no_verb_prints_the_help_and_fails(tmp_path):
    done = neox(cwd=tmp_path)
    assert (done.returncode, done.stdout[:12]) == (2, "usage: neox ")


def test_version(tmp_path):
    assert neox("--version", cwd=tmp_path).stdout == f"neox {importlib.metadata.version('neox-toolkit')}\n"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["trian"], "there is no verb 'trian'; did you mean 'train'?"),
        (["--nonsense"], "--nonsense: there is no such option"),
        (["-p"], "-p: needs a name"),
    ],
)
def test_mistakes_exit_with_2(tmp_path, words, part):
    done = neox(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert part in done.stderr


def test_traceback_shows_where_an_error_comes_from(tmp_path):
    done = neox("--traceback", "train", "nowhere.yml", cwd=tmp_path)
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_a_verb_that_cannot_be_imported_is_named(tmp_path):
    (tmp_path / "odd.py").write_text(
        "def neox_commands(commands):\n    commands.add('odd', 'no_such_module:main', help='never')\n"
    )
    done = neox("-p", "odd.py", "odd", cwd=tmp_path)
    assert done.returncode == 2
    assert "the verb 'odd' of odd is broken: no_such_module:main: ModuleNotFoundError" in done.stderr


@pytest.mark.parametrize(
    ("body", "code", "stderr"),
    [
        ("raise KeyboardInterrupt", 130, ""),
        ("open('a_file/x')", 2, "error: a_file/x: Not a directory\n"),
        ("raise OSError('the disk is on fire')", 2, "error: the disk is on fire\n"),
    ],
)
def test_what_the_system_or_the_user_ends_has_no_traceback(tmp_path, body, code, stderr):
    (tmp_path / "a_file").touch()
    (tmp_path / "odd.py").write_text(
        f"def main(argv, context):\n    {body}\n"
        "def neox_commands(commands):\n    commands.add('odd', 'odd:main', help='ends')\n"
    )
    done = neox("-p", "odd.py", "odd", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (code, stderr)


def test_traceback_shows_where_the_system_refused(tmp_path):
    (tmp_path / "here").touch()
    (tmp_path / "odd.py").write_text(
        "def main(argv, context):\n    open('here/x')\n"
        "def neox_commands(commands):\n    commands.add('odd', 'odd:main', help='ends')\n"
    )
    assert "Traceback" in neox("--traceback", "-p", "odd.py", "odd", cwd=tmp_path).stderr


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    import subprocess
    import sys

    command = f"'{sys.executable}' -m neox_core --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_without_a_letter_gets_its_number(tmp_path):
    (tmp_path / "part.yml").write_text("run_name: café\n", encoding="utf-8")
    done = neox("config", "convert", "part.yml", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "run_name: caf\\xe9")
