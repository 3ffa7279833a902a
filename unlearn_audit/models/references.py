"""From what a user names (directory, hub id, adapter, GGUF file) to files on disk and their digest. No torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from unlearn_audit.api.extent import Extent
from unlearn_audit.api.terms import CheckpointReference
from unlearn_audit.errors import AuditError, IntegrityError, require
from unlearn_audit.evidence.digests import sha256_json, sha256_text
from unlearn_audit.evidence.files import read_json
from unlearn_audit.models.adapters import refused
from unlearn_audit.models.digests import extent, file_digest, files_digest, weights_digest
from unlearn_audit.models.stored.bounds import refuse_bulk, refuse_more_layers, refuse_special
from unlearn_audit.models.stored.files import WeightFiles, adapter_files, model_files, tensor_tables
from unlearn_audit.models.stored.gguf import gguf_extent
from unlearn_audit.models.stored.sameness import same_weights
from unlearn_audit.models.stored.states import READING
from unlearn_audit.models.stored.templates import check_stored, chosen_template

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
    "chat_template.json",
    "*.tiktoken",
    "additional_chat_templates/*.jinja",
)
_REDIRECTIONS = ("transformers_weights",)
"""Settings by which config.json names another file of weights than the one with the usual name."""

# fmt: off
ENCODER_DECODERS = frozenset({
    "bart", "bigbird_pegasus", "blenderbot", "blenderbot-small", "encoder-decoder", "fsmt", "led", "longt5",
    "m2m_100", "marian", "mbart", "mt5", "mvp", "nllb-moe", "pegasus", "pegasus_x", "plbart", "prophetnet",
    "seamless_m4t", "speech_to_text", "switch_transformers", "t5", "t5gemma", "t5gemma2", "udop", "umt5",
    "whisper",
})
# fmt: on
"""Model types that have an encoder and a decoder where their settings do not say otherwise."""

_MOST_ADAPTERS = 4
"""How many adapters may lie on each other; an adapter that names itself has no end."""


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
        extent: sizes; of an adapter its base's, but that the weights of both count.
    """

    reference: CheckpointReference
    storage: Storage
    path: Path
    base: Checkpoint | None
    weights_digest: str
    digest: str
    extent: Extent


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
    return _resolved(reference, base, download=download, allow_pickle=allow_pickle, above=0)


def _resolved(
    reference: CheckpointReference, base: str | None, *, download: bool, allow_pickle: bool, above: int
) -> Checkpoint:
    path = Path(reference).expanduser()
    if path.is_file():
        return _gguf(reference, path)
    directory = path if path.is_dir() else _from_hub(reference, download=download)
    refuse_special(directory)
    refuse_bulk(directory)
    if not (directory / "adapter_config.json").is_file():
        return _whole(reference, directory, allow_pickle=allow_pickle)
    config = directory / "adapter_config.json"
    if above >= _MOST_ADAPTERS:
        raise AuditError(f"{config}: is one of more than {above} adapters on each other; does it name itself?")
    settings = READING.of(config, read_json)
    if not isinstance(settings, dict):
        raise AuditError(f"{config}: expected a JSON object")
    if (why := refused(settings)) is not None:
        raise AuditError(f"{config}: {why}")
    named = base or settings.get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        raise AuditError(f"{config}: names no base model; give one with --base")
    beside = directory / named
    found = str(beside) if beside.is_dir() or (beside.suffix == ".gguf" and beside.is_file()) else named
    files = adapter_files(directory, allow_pickle=allow_pickle)
    _refuse_more(config, settings, files)
    try:
        below = _resolved(found, None, download=download, allow_pickle=allow_pickle, above=above + 1)
    except IntegrityError:
        raise
    except AuditError as error:
        raise AuditError(f"{config}: base model {named!r} of the adapter: {error}; give another with --base") from error
    return _checkpoint(reference, Storage.ADAPTER, directory, files, below)


def _refuse_more(path: Path, settings: dict[str, object], files: WeightFiles) -> None:
    if files.tensors:
        tensors = sum(map(len, tensor_tables(files.tensors).values()))
        refuse_more_layers(path, settings, tensors=tensors, parameters=extent(files.tensors).weights)


def same_model(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether two checkpoints have the same weights, in whatever type, shards or company of stray tensors."""
    if one.weights_digest == other.weights_digest:
        return True
    if one.storage is not other.storage or one.storage is Storage.GGUF:
        return False
    if one.base is not None and other.base is not None and not same_model(one.base, other.base):
        return False
    files = [_weights_of(checkpoint) for checkpoint in (one, other)]
    return all(files) and same_weights(*files)


def _weights_of(checkpoint: Checkpoint) -> tuple[Path, ...]:
    read = model_files if checkpoint.base is None else adapter_files
    return read(checkpoint.path, allow_pickle=True).tensors


def check_templates(checkpoint: Checkpoint, choice: str = "auto") -> None:
    """Refuses chat templates that do not end, before a model library is loaded.

    Args:
        checkpoint: its own files, and those of an adapter's base.
        choice: as `--chat-template`.

    Raises:
        AuditError: naming the file or directory, and the limit.
    """
    check_stored(checkpoint.path, choice)
    if checkpoint.base is not None:
        check_templates(checkpoint.base, choice)


def template_digest(choice: str) -> str | None:
    """SHA-256 of the text that was chosen as `--chat-template`; None for auto and none.

    Raises:
        AuditError: it cannot be read.
    """
    return None if choice in ("auto", "none") else sha256_text(chosen_template(choice))


def check_unchanged(checkpoint: Checkpoint) -> None:
    """Refuses a checkpoint that is no longer the one of the plan: its digest is taken again where a file changed.

    Cheap while nothing changed. What was computed meanwhile must not be kept: nobody knows which weights it is of.

    Raises:
        IntegrityError: something in it changed, appeared or is gone.
    """
    try:
        now = _again(checkpoint)
    except AuditError as error:
        raise IntegrityError(f"{checkpoint.reference}: changed since the audit was planned: {error}") from error
    if now.digest != checkpoint.digest:
        raise IntegrityError(
            f"{checkpoint.reference}: changed since the audit was planned (digest {checkpoint.digest[:12]} then, "
            f"{now.digest[:12]} now); audit a copy that nothing writes to, in a new run"
        )


def _again(checkpoint: Checkpoint) -> Checkpoint:
    """What lies now where the checkpoint was found."""
    if checkpoint.storage is Storage.GGUF:
        return _gguf(checkpoint.reference, checkpoint.path)
    if checkpoint.base is None:
        if (checkpoint.path / "adapter_config.json").exists():
            raise AuditError("an adapter_config.json has appeared")
        return _whole(checkpoint.reference, checkpoint.path, allow_pickle=True)
    files = adapter_files(checkpoint.path, allow_pickle=True)
    return _checkpoint(checkpoint.reference, checkpoint.storage, checkpoint.path, files, _again(checkpoint.base))


def _gguf(reference: CheckpointReference, path: Path) -> Checkpoint:
    if path.suffix != ".gguf":
        raise AuditError(f"{path}: expected a checkpoint directory or a .gguf file")
    if (path.parent / "adapter_config.json").exists():  # transformers loads what that names instead of the file
        raise AuditError(f"{path}: lies beside an adapter_config.json; move the .gguf file to a folder of its own")
    digest = file_digest(path)
    return Checkpoint(
        reference=reference,
        storage=Storage.GGUF,
        path=path,
        base=None,
        weights_digest=digest,
        digest=digest,
        extent=READING.of(path, gguf_extent),
    )


def _whole(reference: CheckpointReference, directory: Path, *, allow_pickle: bool) -> Checkpoint:
    config = directory / "config.json"
    if not config.is_file():
        raise AuditError(f"{directory}: expected config.json, adapter_config.json or .gguf; give a checkpoint")
    settings = READING.of(config, read_json)
    if not isinstance(settings, dict):
        raise AuditError(f"{config}: expected a JSON object")
    for name in _REDIRECTIONS:
        if settings.get(name) is not None:
            raise AuditError(f"{config}: {name} sends the loader to another file; remove it, and use the usual names")
    kind = settings.get("model_type")
    if settings.get("is_encoder_decoder", kind in ENCODER_DECODERS) is True:
        raise AuditError(
            f"{config}: {kind} has an encoder and a decoder; audits need a causal language model (decoder only)"
        )
    files = model_files(directory, allow_pickle=allow_pickle)
    _refuse_more(config, settings, files)
    return _checkpoint(reference, Storage.DIRECTORY, directory, files, None)


def _checkpoint(
    reference: CheckpointReference, storage: Storage, directory: Path, files: WeightFiles, base: Checkpoint | None
) -> Checkpoint:
    tensors = list(files.tensors)
    weights = weights_digest(tensors) if tensors else files_digest(files.pickles)
    weights = sha256_json([weights, base.weights_digest]) if base else weights
    others = [path for name in (*_SETTINGS, *_TOKENIZER) for path in sorted(directory.glob(name)) if path.is_file()]
    others += sorted(directory.glob("*.py"))  # what --trust-remote-code would run
    others += files.pickles if tensors else ()
    return Checkpoint(
        reference=reference,
        storage=storage,
        path=directory,
        base=base,
        weights_digest=weights,
        digest=sha256_json([weights, files_digest(others), base.digest if base else None]),
        extent=_extent(tensors, base),
    )


def _extent(tensors: list[Path], base: Checkpoint | None) -> Extent:
    own = extent(tensors)
    return own if base is None else replace(base.extent, weights=base.extent.weights + own.weights)


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
