from __future__ import annotations

import subprocess
import sys

import pytest
from neox_commands.data import main

from neox_core.data.token_files import open_tokens
from neox_core.errors import UserError


@pytest.fixture(scope="module")
def data_directory(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def first(data_directory):
    """What preparing the standard library prints."""
    command = "import sys; from neox_commands.data import main; sys.exit(main(sys.argv[1:], None))"
    arguments = ["prepare", "stdlib", "--data-dir", str(data_directory), "--vocab-size", "512"]
    return subprocess.run([sys.executable, "-c", command, *arguments], capture_output=True, text=True, check=True)


def test_standard_library_is_prepared(first, data_directory):
    prefix = data_directory / "stdlib" / "train_text_document"
    file = open_tokens(prefix)
    assert f"{len(file):,} documents, {int(file.sizes.sum()):,} tokens" in first.stdout
    assert "512 entries" in first.stdout
    assert f"{data_directory / 'stdlib'} prepared" in first.stdout


def test_stages_are_plain_lines_where_there_is_no_terminal(first):
    assert first.stderr.splitlines()[0] == "reading ..."
    assert "\r" not in first.stderr


def test_second_time_says_that_it_was_there(first, data_directory, capsys):
    assert main(["prepare", "stdlib", "--data-dir", str(data_directory), "--vocab-size", "512"], None) == 0
    assert "was there already" in capsys.readouterr().out


def test_terminal_gets_a_bar(first, data_directory, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    main(["prepare", "stdlib", "--data-dir", str(data_directory), "--vocab-size", "512"], None)
    shown = capsys.readouterr().err
    assert "reading: 100%" in shown


def test_unknown_corpus_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="no corpus 'wikipedia'"):
        main(["prepare", "wikipedia", "--data-dir", str(tmp_path)], None)


def test_help_imports_nothing_heavy():
    program = (
        "import sys\nfrom neox_commands.data import main\n"
        "try: main(['prepare', '--help'], None)\nexcept SystemExit: pass\n"
        "print(sorted({'numpy', 'torch', 'tokenizers', 'tqdm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: neox data prepare")
    assert done.stdout.endswith("[]\n")


def test_verb_is_required(capsys):
    assert main([], None) == 2
    assert "usage: neox data VERB" in capsys.readouterr().out


def test_verbs_are_listed(capsys):
    assert main(["--help"], None) == 0
    assert "make token files from a corpus" in capsys.readouterr().out


def test_unknown_verb_is_a_user_error():
    with pytest.raises(UserError, match="no verb 'data prepair'; did you mean 'prepare'"):
        main(["prepair"], None)
