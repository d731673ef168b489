from __future__ import annotations

import pytest

from neox_core.data.corpora import Document, distinct, load_corpus
from neox_core.errors import UserError


@pytest.fixture(scope="module")
def stdlib():
    return list(load_corpus("stdlib").documents())


def test_standard_library_has_code_and_prose(stdlib):
    texts = {document.name: document.text for document in stdlib}
    assert "class Decimal" in texts["_pydecimal.py"]
    assert "class JSONDecoder" in texts["json/decoder.py"]
    assert "assignment" in texts["topics/assignment"]
    assert sum(map(len, texts.values())) > 5_000_000


def test_standard_library_leaves_out_what_is_not_the_library(stdlib):
    parts = {part for document in stdlib for part in document.name.split("/")}
    assert not parts & {"site-packages", "test", "tests", "idlelib", "turtledemo", "lib2to3", "_bundled", "pydoc_data"}


def test_standard_library_comes_in_the_same_order_with_unique_names(stdlib):
    assert stdlib == list(load_corpus("stdlib").documents())
    assert len({document.name for document in stdlib}) == len(stdlib)


def test_documents_with_the_same_text_are_kept_once():
    documents = [Document("a", "x"), Document("b", ""), Document("c", "y"), Document("d", "x")]
    assert [document.name for document in distinct(documents)] == ["a", "c"]


def test_unknown_corpus_gets_the_nearest():
    with pytest.raises(UserError, match="did you mean 'stdlib'"):
        load_corpus("stdlibs")
