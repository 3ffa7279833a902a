"""From what a user names (directory, hub id, adapter, GGUF file) to files on disk and their digest. No torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from unlearn_audit.api.terms import CheckpointReference
from unlearn_audit.errors import AuditError, require
from unlearn_audit.evidence.digests import sha256_file, sha256_json
from unlearn_audit.models.adapters import refused
from unlearn_audit.models.digests import files_digest, parameter_count, weights_digest

_SETTINGS = ("config.json", "generation_config.json", "adapter_config.json")
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "added_tokens.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
)


class Storage(StrEnum):
    """How a checkpoint is stored."""

    DIRECTORY = "directory"
    ADAPTER = "adapter"
    GGUF = "gguf"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model on disk.

    Attributes:
        reference: what the user wrote.
        path: the directory, or the GGUF file.
        base: the model that an adapter sits on.
        weights_digest: over the tensors alone; equal for a copy in other shards.
        digest: over weights, settings and tokenizer.
    """

    reference: CheckpointReference
    storage: Storage
    path: Path
    base: Checkpoint | None
    weights_digest: str
    digest: str
    parameters: int


def resolve(
    reference: CheckpointReference, *, base: str | None = None, download: bool = False, allow_pickle: bool = False
) -> Checkpoint:
    """Finds a checkpoint and takes its digest.

    Args:
        reference: a directory, a `.gguf` file, or a hub id `owner/name` or `owner/name@revision`.
        base: for an adapter, its base model in place of the one that its settings name.
        download: whether the hub may be asked; else only what is cached already is found.
        allow_pickle: accept weights in pickle files, which run code when they are loaded.

    Raises:
        AuditError: nothing usable is there.
    """
    path = Path(reference).expanduser()
    if path.is_file():
        if path.suffix != ".gguf":
            raise AuditError(f"{path}: expected a checkpoint directory or a .gguf file")
        digest = sha256_file(path)
        return Checkpoint(
            reference=reference,
            storage=Storage.GGUF,
            path=path,
            base=None,
            weights_digest=digest,
            digest=digest,
            parameters=_gguf_parameters(path),
        )
    directory = path if path.is_dir() else _from_hub(reference, download=download)
    if (directory / "adapter_config.json").is_file():
        return _adapter(reference, directory, base, download=download, allow_pickle=allow_pickle)
    if not (directory / "config.json").is_file():
        raise AuditError(f"{directory}: expected config.json, adapter_config.json or .gguf; give a checkpoint")
    files = _weight_files(directory, "*.safetensors", allow_pickle=allow_pickle)
    return _checkpoint(reference, Storage.DIRECTORY, directory, files, None)


def _gguf_parameters(path: Path) -> int:
    """Weights of a GGUF file, by its table of tensors.

    Raises:
        AuditError: it is not such a file.
    """
    require(f"{path}: a GGUF file", ("gguf",))
    from gguf import GGUFReader

    try:
        return sum(int(tensor.n_elements) for tensor in GGUFReader(path).tensors)
    except (ValueError, IndexError, OSError) as error:
        raise AuditError(f"{path}: expected a readable GGUF file ({error})") from error


def _checkpoint(
    reference: CheckpointReference, storage: Storage, directory: Path, files: list[Path], base: Checkpoint | None
) -> Checkpoint:
    tensors = [file for file in files if file.suffix == ".safetensors"]
    weights = weights_digest(tensors) if tensors else files_digest(files)
    weights = sha256_json([weights, base.weights_digest]) if base else weights
    others = [directory / name for name in (*_SETTINGS, *_TOKENIZER) if (directory / name).is_file()]
    others += sorted(directory.glob("*.py"))  # what --trust-remote-code would run
    return Checkpoint(
        reference=reference,
        storage=storage,
        path=directory,
        base=base,
        weights_digest=weights,
        digest=sha256_json([weights, files_digest(others), base.digest if base else None]),
        parameters=parameter_count(tensors) + (base.parameters if base else 0),
    )


def _adapter(
    reference: CheckpointReference, directory: Path, base: str | None, *, download: bool, allow_pickle: bool
) -> Checkpoint:
    config = directory / "adapter_config.json"
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise AuditError(f"{config}: expected valid JSON ({error})") from error
    why = refused(settings)
    if why is not None:
        raise AuditError(f"{config}: {why}")
    named = base or settings.get("base_model_name_or_path")
    if not named:
        raise AuditError(f"{config}: names no base model; give one with --base")
    beside = directory / str(named)
    found = str(beside) if beside.is_dir() else str(named)
    files = _weight_files(directory, "adapter_model*.safetensors", allow_pickle=allow_pickle)
    try:
        below = resolve(found, download=download, allow_pickle=allow_pickle)
    except AuditError as error:
        raise AuditError(f"{config}: base model {named!r} of the adapter: {error}; give another with --base") from error
    return _checkpoint(reference, Storage.ADAPTER, directory, files, below)


def _weight_files(directory: Path, pattern: str, *, allow_pickle: bool) -> list[Path]:
    files = sorted(directory.glob(pattern))
    if files:
        _check_shards(directory, files)
        return files
    pickles = sorted([*directory.glob("*.bin"), *directory.glob("*.pt"), *directory.glob("*.pth")])
    if not pickles:
        raise AuditError(f"{directory}: expected weights ({pattern}), found none")
    if not allow_pickle:
        raise AuditError(
            f"{pickles[0]}: expected safetensors; pickled weights can run code when loaded; "
            "convert them to safetensors, or trust the source with --allow-pickle"
        )
    return pickles


def _check_shards(directory: Path, files: list[Path]) -> None:
    index = directory / "model.safetensors.index.json"
    if not index.is_file():
        return
    wanted = set(json.loads(index.read_text(encoding="utf-8")).get("weight_map", {}).values())
    absent = sorted(wanted - {file.name for file in files})
    if absent:
        raise AuditError(f"{index}: names {absent[0]}, which is missing; fetch the checkpoint again")


def _from_hub(reference: CheckpointReference, *, download: bool) -> Path:
    name, _, revision = reference.partition("@")
    if reference.startswith((".", "/", "~")) or name.count("/") > 1:
        raise AuditError(f"{reference}: no such file or directory")
    require(f"{reference}: a hub id", ("huggingface_hub",))
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        found = snapshot_download(
            name,
            revision=revision or None,
            local_files_only=not download,
            ignore_patterns=["*.msgpack", "*.h5", "*.onnx", "*.tflite"],
        )
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError, OSError) as error:
        remedy = "check the name and the network" if download else "give --download to fetch it from the hub"
        raise AuditError(f"{reference}: no such directory, and not in the local hub cache; {remedy}") from error
    return Path(found)
