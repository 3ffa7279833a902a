"""Which files of a directory the loader reads as weights. What it does not read must not lie beside them.

A second set of weights (a backup, an older save beside new shards, a pickle beside safetensors) is refused: the
verdict would be about one of them, and whoever takes the directory may load the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from unlearn_audit.api.kit.printable import listed
from unlearn_audit.errors import AuditError
from unlearn_audit.evidence.files import read_json
from unlearn_audit.models.stored.headers import Tensor, read_header
from unlearn_audit.models.stored.states import READING

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
NO_WEIGHTS = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state|random_states|trainer_state)[\w-]*\.\w+")
"""Pickles in which a training run keeps its own state; no loader takes them for a model."""

OTHER_LAYOUT = re.compile(r"consolidated([.-][\w-]+)*\.safetensors")
"""The same weights in the layout of their author's own code, which hubs carry beside the shards; never loaded here."""


@dataclass(frozen=True, kw_only=True)
class WeightFiles:
    """The files that hold a model's weights.

    Attributes:
        tensors: safetensors files, in the order in which they are read.
        pickles: what is loaded from pickles, or lies beside and was allowed.
    """

    tensors: tuple[Path, ...]
    pickles: tuple[Path, ...] = ()


def model_files(directory: Path, *, allow_pickle: bool) -> WeightFiles:
    """The weights of a whole model.

    Raises:
        AuditError: none, more than one set of them, or pickles without leave.
    """
    return _files(directory, "model.safetensors", "pytorch_model.bin", allow_pickle=allow_pickle)


def adapter_files(directory: Path, *, allow_pickle: bool) -> WeightFiles:
    """The weights of an adapter.

    Raises:
        AuditError: none, more than one set of them, or pickles without leave.
    """
    return _files(directory, "adapter_model.safetensors", "adapter_model.bin", allow_pickle=allow_pickle)


def tensor_tables(files: Iterable[Path]) -> dict[Path, Mapping[str, Tensor]]:
    """File -> its tensors; each name once in all of them.

    Raises:
        AuditError: a file is damaged, or a name stands in two.
    """
    tables: dict[Path, Mapping[str, Tensor]] = {}
    owner: dict[str, Path] = {}
    for path in files:
        tables[path] = READING.of(path, read_header)
        for name in tables[path]:
            if name in owner:
                raise AuditError(f"{path}: holds {name}, and so does {owner[name].name}; keep one set of weights")
            owner[name] = path
    return tables


def _files(directory: Path, single: str, pickle: str, *, allow_pickle: bool) -> WeightFiles:
    there = sorted(path for path in directory.iterdir() if path.suffix in (".safetensors", *PICKLES))
    tensors = [path for path in there if path.suffix == ".safetensors" and not OTHER_LAYOUT.fullmatch(path.name)]
    pickles = [path for path in there if path.suffix in PICKLES and not NO_WEIGHTS.fullmatch(path.name)]
    index = directory / f"{single}.index.json"
    read = _read(directory, single, index)
    _refuse_others(directory, [path for path in tensors if path not in read], read, index)
    if pickles and not allow_pickle:
        raise AuditError(
            f"{pickles[0]}: expected safetensors alone; pickled weights can run code when they are loaded. "
            f"{'Remove them' if read else 'Convert them to safetensors'}, or trust the source with --allow-pickle"
        )
    if read:
        return WeightFiles(tensors=tuple(read), pickles=tuple(pickles))
    loaded = [path for path in pickles if path.name == pickle or path.name.startswith(f"{Path(pickle).stem}-")]
    if not loaded:
        raise AuditError(f"{directory}: expected weights ({single}, or shards with {index.name}), found none")
    return WeightFiles(tensors=(), pickles=tuple(pickles))


def _read(directory: Path, single: str, index: Path) -> list[Path]:
    """The safetensors files that are loaded: the one file where it is there, else what the index names."""
    if (directory / single).is_file():
        return [directory / single]
    if not index.is_file():
        return []
    named = _weight_map(index)
    shards = [directory / name for name in sorted(set(named.values()))]
    absent = [shard.name for shard in shards if not shard.is_file()]
    if absent:
        raise AuditError(f"{index}: names {absent[0]}, which is missing; fetch the checkpoint again")
    tables = tensor_tables(shards)
    found = {name: path.name for path, table in tables.items() for name in table}
    if found != named:
        odd = sorted(set(found.items()) ^ set(named.items()))[0][0]
        raise AuditError(f"{index}: says otherwise than the shards where {odd} is; save the checkpoint again")
    return shards


def _weight_map(index: Path) -> dict[str, str]:
    """Tensor name -> file, as an index has it: files of the same directory alone."""
    content = read_json(index)
    named = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        raise AuditError(f"{index}: expected an object with a weight_map of tensor names to files; save it again")
    for name in named.values():
        if PurePosixPath(name).name != name or not name.endswith(".safetensors"):
            raise AuditError(f"{index}: names {name!r}; expected safetensors files of the same directory")
    return named


def _refuse_others(directory: Path, others: list[Path], read: list[Path], index: Path) -> None:
    single = index.name.removesuffix(".index.json")
    if others and not read:
        raise AuditError(
            f"{directory}: has {_names(others)}, which no loader reads: expected {single}, or shards with {index.name}"
        )
    if index.is_file() and read and read[0].name == single:  # an older save beside new shards, or the reverse
        others = [index, *others]
    if others:
        raise AuditError(
            f"{directory}: has two sets of weights: {_names(read)} is what is loaded, and {_names(others)} lies beside "
            "it. Move away what is not the model to audit"
        )


def _names(files: list[Path]) -> str:
    return listed([path.name for path in files], 3)
