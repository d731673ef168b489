"""S3, and what understands it: Amazon's, MinIO, Ceph, SeaweedFS, R2 and others, through boto3.

Credentials, region and endpoint come from where the tools of S3 have them: the environment, ~/.aws, the role of the machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

from neox_core.checkpoint.remote import SourceFile, Span, Stored, StoreError, StoreOptions, below, checked
from neox_stores.s3_errors import ABSENT, code_of, spoken
from neox_stores.s3_parts import LEAST, Parts, base64_of, repeated

BLOCK = 1 << 20
"""Bytes of an answer that are read at once."""

ATTEMPTS = 3
"""How often a request is made before its failure is told."""


def build(url: str, options: StoreOptions) -> S3Store:
    """The store of `s3://BUCKET/PREFIX`; nothing is sent yet."""
    return S3Store(url, options)


class S3Store:
    """A prefix of a bucket as a `neox_core.checkpoint.remote.store.Store`."""

    def __init__(self, url: str, options: StoreOptions) -> None:
        self.url, self._options = checked(url), options
        self._bucket, _, prefix = self.url.partition("://")[2].partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        with self._spoken("", "begin"):
            session = boto3.session.Session()
            config = Config(
                connect_timeout=min(10.0, self._options.timeout),
                read_timeout=self._options.timeout,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                max_pool_connections=max(10, 2 * self._options.threads),
                # We give checksums ourselves. Stores that only resemble S3 refuse the form in which botocore would.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                user_agent_extra="neox",
            )
            return session.client("s3", region_name=session.region_name or "us-east-1", config=config)

    def _spoken(self, name: str, doing: str) -> AbstractContextManager[None]:
        return spoken(lambda: below(self.url, name) if name else self.url, doing)

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + name}

    def folders(self, within: str = "") -> list[str]:
        """First parts of names that have several."""
        found, prefix = list[str](), f"{self._prefix}{within}/" if within else self._prefix
        with self._spoken(within, "list what is there"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix, Delimiter="/"
            )
            for page in pages:
                found += (each["Prefix"] for each in page.get("CommonPrefixes", ()))
        return [name.removeprefix(prefix).rstrip("/") for name in found]

    def list(self, folder: str) -> Iterator[Stored]:
        """The objects in a folder."""
        with self._spoken(folder, "list what is there"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=f"{self._prefix}{folder}/"
            )
            for page in pages:
                for each in page.get("Contents", ()):
                    yield Stored(each["Key"].removeprefix(self._prefix), each["Size"])

    def stat(self, name: str) -> Stored | None:
        """What is known of one object."""
        from botocore.exceptions import ClientError

        with self._spoken(name, "read"):
            try:
                answer = self._client.head_object(**self._at(name))
            except ClientError as error:
                if code_of(error) in ABSENT:
                    return None
                raise
        return Stored(name, answer["ContentLength"], answer.get("Metadata", {}).get("sha256"))

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        """Bytes of an object."""
        if stop <= start:
            return
        with self._spoken(name, "read"):
            body = self._client.get_object(**self._at(name), Range=f"bytes={start}-{stop - 1}")["Body"]
            try:
                yield from body.iter_chunks(BLOCK)
            finally:
                body.close()

    def write(self, name: str, content: bytes) -> None:
        """Make a small object."""
        digest = hashlib.sha256(content)
        with self._spoken(name, "write"):
            self._client.put_object(
                **self._at(name),
                Body=content,
                ChecksumSHA256=base64_of(digest.digest()),
                Metadata={"sha256": digest.hexdigest()},
            )

    def upload(self, name: str, source: SourceFile, stopped: Callable[[], bool]) -> int:
        """Make an object of a file."""
        if source.size > max(self._options.part_size, LEAST):
            parts = Parts(self._client, self._at(name), source, self._options, lambda doing: self._spoken(name, doing))
            sent = parts.send(stopped)
        else:
            sent = self._upload_at_once(name, source)
        found = self.stat(name)
        if found != Stored(name, source.size, source.record.sha256):
            self.delete(name)
            raise StoreError(
                f"{below(self.url, name)}: what the store keeps is not what was sent; it was removed there"
            )
        return sent

    def _upload_at_once(self, name: str, source: SourceFile) -> int:
        source.check(source.digest())

        def send() -> None:
            with self._spoken(name, "write"):
                self._client.put_object(
                    **self._at(name),
                    Body=Span(source, 0, source.size) if source.size else b"",
                    ContentLength=source.size,
                    ChecksumSHA256=base64_of(bytes.fromhex(source.record.sha256)),
                    Metadata={"sha256": source.record.sha256},
                )

        repeated(send)
        return source.size

    def delete(self, name: str) -> None:
        """Remove an object."""
        with self._spoken(name, "delete"):
            self._client.delete_object(**self._at(name))

    def forget_uploads(self, folder: str) -> None:
        """Remove the parts of uploads that were cut short."""
        with self._spoken(folder, "list unfinished uploads"):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=f"{self._prefix}{folder}/"
            )
            for page in pages:
                for each in page.get("Uploads", ()):
                    self._client.abort_multipart_upload(Bucket=self._bucket, Key=each["Key"], UploadId=each["UploadId"])
