"""`init`: commented audit.yaml and policy.yaml, made from the models' own descriptions so that they cannot drift."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import yaml
from pydantic import BaseModel

from unlearn_audit.errors import SpecError
from unlearn_audit.evidence.files import write_text
from unlearn_audit.spec.policy import Policy, Preset
from unlearn_audit.spec.spec import AuditSpec

_EXAMPLES = {
    "checkpoint": "path/to/unlearned",
    "original": "path/to/original",
    "retrained": ["path/to/retrained-1"],
    "forget": "forget.jsonl",
    "retain": "retain.jsonl",
    "policy": "policy.yaml",
}
_HEADS = {
    "audit.yaml": "What to audit. Paths are relative to this file; flags of `run` override it.\n"
    "Then: unlearn-audit plan --spec audit.yaml",
    "policy.yaml": "What a release must meet ({preset} policy). Delete values that are the default.\n"
    "To decide a finished run by it: unlearn-audit gate RUN --policy policy.yaml",
}


class Pipeline(StrEnum):
    """Whose pipelines `init --ci` knows."""

    GITHUB = "github"
    GITLAB = "gitlab"

    @property
    def path(self) -> str:
        """Where its definition lies in a repository."""
        return {Pipeline.GITHUB: ".github/workflows/unlearn-audit.yml", Pipeline.GITLAB: ".gitlab-ci.yml"}[self]

    @property
    def text(self) -> str:
        """The definition."""
        return Path(__file__).with_name("ci_templates").joinpath(f"{self}.yml").read_text(encoding="utf-8")


def write_templates(
    directory: Path, *, force: bool, pipeline: Pipeline | None = None, preset: Preset = Preset.DEFAULT
) -> list[Path]:
    """Writes all files, or none.

    Raises:
        SpecError: one of them already exists.
    """
    texts = {
        "audit.yaml": _commented(AuditSpec, _HEADS["audit.yaml"], _EXAMPLES),
        "policy.yaml": _commented(
            Policy, _HEADS["policy.yaml"].format(preset=preset), preset.policy.model_dump(mode="json")
        ),
    }
    if pipeline is not None:
        texts[pipeline.path] = pipeline.text
    for name in texts:
        if (directory / name).exists() and not force:
            raise SpecError(f"{directory / name}: already exists; --force overwrites it")
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        write_text(directory / name, text)
    return [directory / name for name in texts]


def _commented(model: type[BaseModel], head: str, examples: Mapping[str, object]) -> str:
    parts = [textwrap.indent(head, "# ")]
    for key, field in model.model_fields.items():
        value = examples.get(key)
        if value is None and not field.is_required():
            value = _plain(field.get_default(call_default_factory=True))
        comment = f"# {field.description}\n" if field.description else ""
        entry = yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True).rstrip()
        parts.append(comment + (entry if value not in (None, {}, []) else f"# {key}:"))
    return "\n\n".join(parts) + "\n"


def _plain(value: object) -> object:
    """A default as YAML can write it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value
