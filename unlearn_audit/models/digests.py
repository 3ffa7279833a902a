"""Digests of weights and files, without torch: what was audited, byte for byte.

A checkpoint's weights digest is taken over its tensors (name, type, shape, bytes), not over its files, so that the
same weights in other shards are the same model. It covers exactly the files that the loader reads (`stored.files`).
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable
from pathlib import Path

from unlearn_audit.api.extent import Extent, extent_of
from unlearn_audit.evidence.digests import sha256_file, sha256_json
from unlearn_audit.models.stored.files import tensor_tables
from unlearn_audit.models.stored.headers import read_header
from unlearn_audit.models.stored.states import READING

_CHUNK = 1 << 24


def tensor_digests(files: Iterable[Path]) -> dict[str, str]:
    """Tensor name -> SHA-256 over type, shape and bytes, over all safetensors files of a checkpoint.

    Raises:
        AuditError: a file is damaged, or a name stands in two.
        IntegrityError: a file is being written to.
    """
    digests: dict[str, str] = {}
    for path in tensor_tables(sorted(files)):
        digests |= READING.of(path, _digests_of)
    return digests


def _digests_of(path: Path) -> dict[str, str]:
    digests = {}
    entries = read_header(path)
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for name, entry in entries.items():
            digest = hashlib.sha256(f"{entry.dtype}{list(entry.shape)}".encode())
            for place in range(entry.start, entry.stop, _CHUNK):
                digest.update(data[place : min(place + _CHUNK, entry.stop)])
            digests[name] = digest.hexdigest()
    return digests


def extent(files: Iterable[Path]) -> Extent:
    """The sizes of a checkpoint by its safetensors files."""
    tables = tensor_tables(files).values()
    return extent_of((name, one.shape, one.stop - one.start) for table in tables for name, one in table.items())


def weights_digest(files: Iterable[Path]) -> str:
    """One digest over all tensors of a checkpoint."""
    return sha256_json(tensor_digests(files))


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, taken once for as long as the file does not change."""
    return READING.of(path, sha256_file)


def files_digest(files: Iterable[Path]) -> str:
    """One digest over the names and bytes of some files."""
    return sha256_json({path.name: file_digest(path) for path in files})
