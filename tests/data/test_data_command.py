from __future__ import annotations

import subprocess
import sys

import pytest
from neox_commands.data import main

from neox_core.data.token_files import open_tokens
from neox_core.errors import UserError


def test_standard_library_is_prepared(prepared_stdlib):
    file = open_tokens(prepared_stdlib.directory / "data" / "stdlib" / "train_text_document")
    assert f"{len(file):,} documents, {int(file.sizes.sum()):,} tokens" in prepared_stdlib.stdout
    assert "2,048 entries" in prepared_stdlib.stdout
    assert "data/stdlib prepared" in prepared_stdlib.stdout


def test_stages_are_plain_lines_where_there_is_no_terminal(prepared_stdlib):
    assert prepared_stdlib.stderr.splitlines()[0] == "reading ..."
    assert "\r" not in prepared_stdlib.stderr


def test_second_time_says_that_it_was_there(prepared_stdlib, capsys, monkeypatch):
    monkeypatch.chdir(prepared_stdlib.directory)
    assert main(["prepare", "stdlib"], None) == 0
    assert "was there already" in capsys.readouterr().out


def test_terminal_gets_a_bar(prepared_stdlib, capsys, monkeypatch):
    monkeypatch.chdir(prepared_stdlib.directory)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    main(["prepare", "stdlib"], None)
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
