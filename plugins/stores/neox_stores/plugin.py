"""What this plugin offers: stores of objects, and copies of a run's checkpoints in one."""

from __future__ import annotations

from collections.abc import Iterable

from neox_core.plugins import Companion, Component, Store


def neox_components() -> Iterable[Component]:
    """The stores, and what copies to them."""
    return [
        Companion(
            name="copies",
            summary="copies a run's checkpoints to s3_path while it trains",
            factory="neox_stores.companion:build",
            enabled_by="s3_path",
        ),
        Store(
            name="s3",
            summary="buckets of S3 and of what understands it, by boto3",
            factory="neox_stores.s3:build",
            schemes=("s3", "s3a"),
            extra="s3",
        ),
        Store(
            name="fsspec",
            summary="whatever fsspec knows: gs://, az://, file://, memory:// and others",
            factory="neox_stores.fsspec_store:build",
        ),
    ]
