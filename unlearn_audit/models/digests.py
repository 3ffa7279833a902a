"""Digests of weights and files, without torch: what was audited, byte for byte.

A checkpoint's weights digest is taken over its tensors (name, type, shape, bytes), not over its files, so that the
same weights in other shards are the same model, and a control that is the checkpoint itself is recognized.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unlearn_audit.errors import AuditError
from unlearn_audit.evidence.digests import sha256_file, sha256_json

_CHUNK = 1 << 24


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The tensor table of a safetensors file and the offset of its data.

    Raises:
        AuditError: the file is not a complete safetensors file.
    """
    size = path.stat().st_size
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if size < 8 or not 2 <= length <= size - 8:
            raise AuditError(f"{path}: not a safetensors file (or cut off in its header); fetch it again")
        try:
            table = json.loads(handle.read(length))
        except ValueError as error:
            raise AuditError(f"{path}: the safetensors header is damaged; fetch the file again") from error
    table.pop("__metadata__", None)
    end = max((int(entry["data_offsets"][1]) for entry in table.values()), default=0)
    if size != 8 + length + end:
        raise AuditError(f"{path}: {size} bytes where its header promises {8 + length + end}; fetch it again")
    return table, 8 + length


def tensor_digests(files: Iterable[Path]) -> dict[str, str]:
    """Tensor name -> SHA-256 over type, shape and bytes, over all safetensors files of a checkpoint."""
    digests: dict[str, str] = {}
    for path in sorted(files):
        table, start = read_header(path)
        with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for name, entry in table.items():
                low, high = (start + int(offset) for offset in entry["data_offsets"])
                digest = hashlib.sha256(f"{entry['dtype']}{entry['shape']}".encode())
                for place in range(low, high, _CHUNK):
                    digest.update(data[place : min(place + _CHUNK, high)])
                digests[name] = digest.hexdigest()
    return digests


def parameter_count(files: Iterable[Path]) -> int:
    """Number of weights in a checkpoint's safetensors files."""
    total = 0
    for path in files:
        for entry in read_header(path)[0].values():
            count = 1
            for side in entry["shape"]:
                count *= int(side)
            total += count
    return total


def weights_digest(files: Iterable[Path]) -> str:
    """One digest over all tensors of a checkpoint."""
    return sha256_json(tensor_digests(files))


def files_digest(files: Iterable[Path]) -> str:
    """One digest over the names and bytes of some files."""
    return sha256_json({path.name: sha256_file(path) for path in files})
