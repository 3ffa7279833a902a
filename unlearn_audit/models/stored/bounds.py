"""What a checkpoint's files may make a loader build: bounded before a model library reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from unlearn_audit.api.user_files import MIB, MOST_JSON_VALUES, is_there, kind_of, read_bytes, values_of
from unlearn_audit.errors import AuditError
from unlearn_audit.models.stored.states import READING

LARGEST_TOKENIZER = 128 * MIB
"""Bytes of a file beside the weights: the largest vocabularies in use take 35 MiB."""
_RANKS = "rank_pattern"
_LAYERS = re.compile(r"(num|n)_(\w+_)?(layers?|blocks?)|num_layers|depth")
_COUNTS = re.compile(r"(num|n)_(\w+_)?(heads?|experts?|groups?)|n_head|r")
_READ = (
    *("config.json", "generation_config.json", "adapter_config.json", "*.index.json", "tokenizer.json", "vocab.json"),
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.json"),
    *("processor_config.json", "preprocessor_config.json"),
)
"""JSON that a library reads; what a training run leaves beside it is nobody's business."""


def refuse_special(directory: Path) -> None:
    """Refuses a directory with pipes or devices: a reader may wait for them, or never come to their end.

    Raises:
        AuditError: naming the first.
    """
    for path in sorted((*directory.glob("*"), *directory.glob("additional_chat_templates/*"))):
        kind = kind_of(path.stat().st_mode) if is_there(path) and not path.is_dir() else None
        if kind is not None:
            raise AuditError(f"{path}: expected a regular file, got {kind}; remove it")


def refuse_bulk(directory: Path) -> None:
    """Refuses JSON files from which a library would build more than memory holds.

    Raises:
        AuditError: naming the file and the limit.
    """
    for path in sorted(path for name in _READ for path in directory.glob(name)):
        if path.is_file() and READING.of(path, _values) > MOST_JSON_VALUES:
            raise AuditError(f"{path}: expected at most {MOST_JSON_VALUES} values; check that it is the right file")


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _values(path: Path) -> int:
    return values_of(read_bytes(path, LARGEST_TOKENIZER))


def refuse_more_layers(path: Path, settings: Mapping[str, object], *, tensors: int, parameters: int) -> None:
    """Refuses settings that describe more parts than the weights could fill: a library would build them all first.

    Args:
        path: of the settings.
        settings: of a model, or of the part of it that is a language model.
        tensors: in the checkpoint's files; a layer has one at least.
        parameters: numbers in them; a head or an expert has one at least.

    Raises:
        AuditError: naming the setting.
    """
    for name, value in settings.items():
        if isinstance(value, Mapping):
            inner = dict.fromkeys(["r"], max(map(_whole, value.values()), default=0)) if name == _RANKS else value
            refuse_more_layers(path, inner, tensors=tensors, parameters=parameters)
        if not isinstance(value, int) or isinstance(value, bool):
            continue
        most = tensors if _LAYERS.fullmatch(name) else parameters if _COUNTS.fullmatch(name) else value
        if value > most:
            raise AuditError(
                f"{path}: says {name} {value}, and the weights have {tensors} tensors; give the {path.name} that "
                "belongs to them"
            )
