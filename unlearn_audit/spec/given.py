"""A request as somebody gives it: a file or a spec, and single settings that go before what it says."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

from unlearn_audit.errors import SpecError
from unlearn_audit.spec.policy import Policy
from unlearn_audit.spec.spec import AuditSpec, ModelOptions, load_policy, load_spec, validate

Place: TypeAlias = str | os.PathLike[str]
"""A file, a folder, or a hub id."""
Choice: TypeAlias = Sequence[str] | Mapping[str, Mapping[str, Any] | None]
"""Names of plug-ins, or each with its settings."""


class Settings(TypedDict, total=False):
    """The settings of a request by their flags' names; `unlearn-audit run --help` says what each is.

    What stands under `models` in an `audit.yaml` (`device`, `dtype`, `base`, ...) is given next to the others, as on
    the command line.
    """

    checkpoint: Place
    checkpoints: Sequence[Place]
    original: Place
    retrained: Sequence[Place]
    served: Sequence[Place]
    forget: Place
    retain: Place
    holdout: Place
    generator: Place
    preset: str
    data: Place
    columns: Mapping[str, Any]
    subject_rows: int | Mapping[str, int]
    release: str
    profile: str
    budget: str
    attacks: Choice
    probes: Choice
    comparisons: Choice
    judge: str | Mapping[str, Any]
    plant: bool
    seed: int
    seeds: int
    policy: Policy | Place | Mapping[str, Any]
    dtype: str
    device: str
    device_map: str
    chat_template: str
    date: Any
    system_prompt: str
    base: Place
    max_batch_tokens: int
    trust_remote_code: bool
    allow_pickle: bool
    download: bool


def spec_given(spec: AuditSpec | Place | None, settings: Mapping[str, Any]) -> AuditSpec:
    """The request that a spec and settings make together; a setting goes before the spec, and None counts as absent.

    Args:
        spec: an `audit.yaml`, whose paths are relative to it, or a spec; None where the settings say everything.
        settings: by the names of `Settings`; a policy may be a file.

    Raises:
        SpecError: naming file, line, key and remedy.
    """
    given = {name: _plain(value) for name, value in settings.items() if value is not None}
    if isinstance(given.get("policy"), str):
        given["policy"] = policy_given(given["policy"]).model_dump(mode="json")
    if isinstance(given.get("retrained"), str):
        raise SpecError(f"'retrained': expected a list of models, got {given['retrained']!r}; put it into a list")
    models = {name: given.pop(name) for name in ModelOptions.model_fields if name in given}
    if isinstance(spec, AuditSpec):
        before = spec.model_dump(mode="json")
        return validate(AuditSpec, {**before, **given, "models": {**before["models"], **models}}, None)
    return load_spec(None if spec is None else Path(spec), {**given, "models": models})


def policy_given(policy: Policy | Place | Mapping[str, Any]) -> Policy:
    """A policy as somebody gives it: a file, its keys and values, or itself.

    Raises:
        SpecError: it cannot be read, or has a key or value that no policy has.
    """
    if isinstance(policy, Policy):
        return policy
    if isinstance(policy, Mapping):
        return validate(Policy, dict(policy), None)
    return load_policy(Path(policy))


def default_run(spec: AuditSpec) -> Path:
    """The run directory of a request that names none."""
    return Path("runs") / (Path(spec.checkpoint).name.replace("@", "-") or "audit")


def _plain(value: Any) -> Any:
    """The value as YAML would have it: paths as text, a policy as a mapping."""
    if isinstance(value, Policy):
        return value.model_dump(mode="json")
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
