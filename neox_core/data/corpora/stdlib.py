"""The Python standard library as a corpus: real code and real English that every machine has.

The code is the library's own `.py` files without tests and bundled programs; the English is the topics of Python's built-in
help, from the language reference.
"""

from __future__ import annotations

import io
import sysconfig
import tokenize
from collections.abc import Iterator
from pathlib import Path

from neox_core.data.corpora import Document

# Other people's packages, tests, and programs that are shipped beside the library.
_LEFT_OUT = frozenset(
    {"site-packages", "dist-packages", "test", "tests", "idlelib", "turtledemo", "lib2to3", "_bundled"}
)
_TOPICS = "pydoc_data"  # its one module is the topics, which come as documents of their own


def documents() -> Iterator[Document]:
    """Every source file by its path below the library's directory, then every help topic as `topics/NAME`."""
    from pydoc_data.topics import topics

    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if parts[0] != _TOPICS and not _LEFT_OUT.intersection(parts):
            yield Document("/".join(parts), _decoded(path.read_bytes()))
    for name, text in sorted(topics.items()):
        yield Document(f"topics/{name}", text)


def _decoded(source: bytes) -> str:
    """The text in the encoding that the source declares, with its line endings as they are."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
    return source.decode(encoding)
