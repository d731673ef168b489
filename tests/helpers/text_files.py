"""Files of text in every form that preparing reads, and what is read of them."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile

from neox_core.data.preparing.inputs import find_inputs
from neox_core.data.preparing.readers import reader_of
from neox_core.data.preparing.sources import Meter


def json_lines(texts, key="text"):
    return b"".join(json.dumps({key: text}).encode() + b"\n" for text in texts)


def dat(texts):
    return b"".join(b"%016d" % len(text.encode()) + text.encode() for text in texts)


def zstd(content):
    import zstandard

    return zstandard.ZstdCompressor().compress(content)


COMPRESS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd}


def zip_of(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def tar_of(members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def read_records(*paths, keys=("text",)):
    """(block, record) of everything in these files."""
    inputs = find_inputs([str(path) for path in paths])
    for block in inputs.blocks:
        source = inputs.sources[block.source]
        for record in reader_of(source.path).read(source, block, Meter(), keys):
            yield block, record


def read_documents(*paths, keys=("text",)):
    """The decoded documents of files."""
    return [record.decode(record.raw) for _, record in read_records(*paths, keys=keys)]
