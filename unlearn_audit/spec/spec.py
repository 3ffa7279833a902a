"""AuditSpec: everything that an audit depends on, from flags or `audit.yaml`. An unknown key is an error."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from unlearn_audit.api import FactSet, Profile
from unlearn_audit.api.judge import JudgeKind
from unlearn_audit.api.problems import did_you_mean, first_problem
from unlearn_audit.api.terms import CheckpointReference
from unlearn_audit.api.user_files import LARGEST_SETTINGS, is_there, read_text
from unlearn_audit.errors import SpecError
from unlearn_audit.evidence.digests import sha256_json
from unlearn_audit.spec.benchmarks import with_preset
from unlearn_audit.spec.policy import Policy, Release
from unlearn_audit.spec.reading import Columns, Reading, columns_of
from unlearn_audit.spec.sources import Source, parse_source
from unlearn_audit.spec.waivers import Waivers, Waiving
from unlearn_audit.spec.yaml_files import read_yaml

Settings = dict[str, Any]
ModelType = TypeVar("ModelType", bound=BaseModel)


def _named(value: object) -> object:
    """A list of names is a mapping from each to no settings; a name without settings may stand alone."""
    if isinstance(value, list | tuple):
        return {str(name): {} for name in value}
    if isinstance(value, dict):
        return {name: settings or {} for name, settings in value.items()}
    return value


Named = Annotated[dict[str, Settings], BeforeValidator(_named)]


DATE = dt.date(2024, 7, 26)
"""The day of every audit that names none: a template that writes today's asks another question every day."""


class ModelOptions(BaseModel):
    """How models are loaded; the same for every role."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        "auto", description="auto: the checkpoint's own on a GPU, float32 on the CPU"
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    device_map: str | None = Field(None, description="spread over devices by accelerate, e.g. auto")
    chat_template: str = Field("auto", description="auto: the tokenizer's, if it has one; none; a file or folder")
    date: dt.date = Field(DATE, description="the day that templates write which ask for today's")
    system_prompt: str | None = Field(None, description="system text of every prompt that has none of its own")
    base: str | None = Field(
        None, description="public base: of an adapter, overriding the one that it names; and what `merge` merges with"
    )
    max_batch_tokens: Annotated[int, Field(ge=64)] | None = Field(
        None, description="most tokens per batch, padding included; None: by device"
    )
    trust_remote_code: bool = Field(False, description="run Python code that comes with a checkpoint")
    allow_pickle: bool = Field(False, description="load weights from pickle files, which can run code")
    download: bool = Field(False, description="fetch hub ids that are not in the local cache")


def _judge(value: object) -> object:
    """A judge by its kind alone, or as `kind=model`."""
    if not isinstance(value, str):
        return value
    kind, given, model = value.partition("=")
    return {"kind": kind, **({"model": model} if given else {})}


class JudgeOptions(BaseModel):
    """What decides whether an output contains an answer; the same for every role, attack and text probe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: JudgeKind = Field(JudgeKind.MATCH, description="match, rouge-l, entailment or llm")
    model: str | None = Field(None, description="directory or hub id of the judge; for entailment and llm")
    twins: int = Field(20, ge=0, description="most twins of an output that a model judges; 0: no twin scores")

    @model_validator(mode="after")
    def _has_its_model(self) -> Self:
        if self.kind.needs_model != (self.model is not None):
            needs = f"needs a model: {self.kind}=DIRECTORY" if self.kind.needs_model else "takes no model; remove it"
            raise ValueError(f"the judge {self.kind} {needs}")
        return self


_SECONDS = {"s": 1, "m": 60, "h": 3600}


def _time(value: str) -> str:
    if re.fullmatch(r"[1-9]\d{0,5}[smh]", value) is None:
        raise ValueError("expected a time such as 90s, 15m or 2h")
    return value


def _one_or_several(schema: dict[str, Any]) -> None:
    """In a file, `checkpoints` may stand in the place of `checkpoint`."""
    schema["required"] = [name for name in schema["required"] if name != "checkpoint"]
    schema["anyOf"] = [{"required": ["checkpoint"]}, {"required": ["checkpoints"]}]


class AuditSpec(BaseModel):
    """What to audit, against what, how hard, and by which policy."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_one_or_several)

    checkpoint: CheckpointReference = Field(
        description="the unlearned checkpoint: directory, hub id@revision, adapter, or .gguf"
    )
    checkpoints: tuple[CheckpointReference, ...] = Field(
        (), exclude=True, description="in place of `checkpoint`: several, each audited with the same controls"
    )
    original: CheckpointReference | None = Field(None, description="the model before unlearning")
    retrained: tuple[CheckpointReference, ...] = Field((), description="models trained without the forget set")
    served: tuple[CheckpointReference, ...] = Field(
        (), description="the checkpoint as it is served, each audited itself: .gguf files, quantized checkpoints"
    )
    forget: str = Field(description="facts that must be gone: a file, a datasets id, or PRESET:FILE of a benchmark")
    retain: str | None = Field(None, description="facts that must stay")
    holdout: str | None = Field(None, description="facts that no model was trained on")
    generator: CheckpointReference | None = Field(
        None, description="a local model that writes prompts for probes; not audited itself"
    )
    preset: str | None = Field(
        None, exclude=True, description="a benchmark with all of its fact sets, e.g. tofu/forget10: `list presets`"
    )
    data: str | None = Field(
        None, exclude=True, description="folder with the benchmark's files as published; None: the hub's local cache"
    )
    columns: Columns = Field(
        {}, description="fact field -> column name in the data files; under forget, retain, holdout: in that file alone"
    )
    subject_rows: Annotated[int, Field(ge=1)] | dict[FactSet, Annotated[int, Field(ge=1)]] | None = Field(
        None, description="so many rows each are about one subject, in the file's order: all files, or by fact set"
    )
    release: Release = Field(Release.OPEN_WEIGHTS, description="who will hold the model")
    profile: Profile = Field(Profile.STANDARD, description="how hard the attacks try")
    budget: Annotated[str, AfterValidator(_time)] | None = Field(
        None, description="longest time (90s, 15m, 2h): attacks that do not fit are left out; None: no limit"
    )
    too_dear: tuple[str, ...] = Field((), description="attacks that did not fit into the budget; written by the tool")
    attacks: Named | None = Field(None, description="attacks and their settings; None: all built-in")
    probes: Named | None = Field(None, description="probes and their settings; None: all built-in")
    comparisons: Named | None = Field(None, description="comparisons of models and their settings; None: all built-in")
    judge: Annotated[JudgeOptions, BeforeValidator(_judge)] = Field(
        JudgeOptions(), description="what decides whether an output contains an answer; match: the answer key"
    )
    plant: bool = Field(False, description="make a positive control for each attack, and check that it is found")
    seed: int = Field(0, ge=0, description="seed of every random choice")
    seeds: Annotated[int, Field(ge=1, le=20)] | None = Field(
        None, description="repeats of every attack with random draws; None: 1 in quick, else 3 of its main arms"
    )
    models: ModelOptions = ModelOptions()
    policy: Policy = Policy()

    @model_validator(mode="before")
    @classmethod
    def _with_its_preset(cls, content: Any) -> Any:
        return with_preset(content) if isinstance(content, dict) else content

    @model_validator(mode="before")
    @classmethod
    def _with_its_first(cls, content: Any) -> Any:
        several = content.get("checkpoints") if isinstance(content, dict) else None
        if not several or not isinstance(several, list | tuple):
            return content
        if content.get("checkpoint") not in (None, several[0]):
            raise ValueError("expected `checkpoint` or `checkpoints`, got both; list all under `checkpoints`")
        return {**content, "checkpoint": several[0]}

    @model_validator(mode="after")
    def _has_its_budget(self) -> Self:
        if self.too_dear and self.budget is None:
            raise ValueError("too_dear is written by the tool beside a budget; leave attacks out with `attacks`")
        return self

    def each(self) -> tuple[Self, ...]:
        """The same for each checkpoint by itself."""
        return tuple(
            self.model_copy(update={"checkpoint": one, "checkpoints": ()})
            for one in self.checkpoints or (self.checkpoint,)
        )

    def reading(self, name: FactSet) -> Reading:
        """How the file of a fact set is read."""
        columns, lenient = columns_of(self.columns, name)
        rows = self.subject_rows.get(name) if isinstance(self.subject_rows, dict) else self.subject_rows
        return Reading(columns=columns, lenient=lenient, subject_rows=rows, download=self.models.download)

    @property
    def repeats(self) -> int:
        """How often an attack with random draws is run, each time with another seed."""
        return self.seeds or (1 if self.profile is Profile.QUICK else 3)

    @property
    def budget_seconds(self) -> float:
        """The budget in seconds; endless where there is none."""
        return float("inf") if self.budget is None else int(self.budget[:-1]) * _SECONDS[self.budget[-1]]

    def digest(self) -> str:
        """SHA-256 of the spec's canonical JSON; keys that came later change nothing where they are not used."""
        unused = {"budget", "too_dear"} if self.budget is None else set()
        unused |= set() if self.served else {"served"}
        unused |= {"subject_rows"} if self.subject_rows is None else set()
        return sha256_json({**self.model_dump(mode="json", exclude=unused), "policy": self.policy.canonical()})

    def as_yaml(self) -> str:
        """The resolved spec, for a rerun."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


_PATHS = ("checkpoint", "original", "forget", "retain", "holdout", "generator", "data")
_FACTS = ("forget", "retain", "holdout")


def load_spec(path: Path | None, flags: Mapping[str, Any]) -> AuditSpec:
    """A spec from a file, overridden by flags that were given (nested for `models`).

    Paths in the file are relative to it. Raises SpecError naming file, line, key and remedy.
    """
    content = read_yaml(path) if path else {}
    if path:
        content = _beside(content, path.parent)
        if isinstance(content.get("policy"), str):
            policy_path = path.parent / content["policy"]
            content["policy"] = read_yaml(policy_path)
            validate(Policy, content["policy"], policy_path)
    given = {key: value for key, value in flags.items() if value is not None}
    if "checkpoints" in given:  # whatever the file names is overridden
        content = {key: value for key, value in content.items() if key not in ("checkpoint", "checkpoints")}
    models, chosen = content.get("models") or {}, given.pop("models", {})
    if isinstance(models, dict):  # else what is wrong with it is said below
        models = {**models, **chosen}
    return validate(AuditSpec, {**content, **given, "models": models}, path)


def load_policy(path: Path) -> Policy:
    """A policy from a YAML file."""
    return validate(Policy, read_yaml(path), path)


def load_waivers(path: Path) -> Waiving:
    """The waivers of a YAML file, checked as of today."""
    return Waiving(waivers=validate(Waivers, read_yaml(path), path).waivers)


def _beside(content: dict[str, Any], directory: Path) -> dict[str, Any]:
    """The content with paths that exist relative to the spec made relative to here; hub ids stay as they are."""

    def place(value: object) -> object:
        found = directory / value if isinstance(value, str) else None
        return _from_here(found.resolve()) if found is not None and is_there(found) else value

    def facts(value: object) -> object:
        source = parse_source(value) if isinstance(value, str) else None
        if source is None or source.preset is None or not source.where:
            return place(value)
        return str(Source(preset=source.preset, config=source.config, where=str(place(source.where))))

    placed = {key: place(value) if key in _PATHS else value for key, value in content.items()}
    placed |= {key: facts(content[key]) for key in _FACTS if key in content}
    for key in ("checkpoints", "retrained", "served"):
        if isinstance(content.get(key), list | tuple):
            placed[key] = [place(value) for value in content[key]]
        elif key in content:
            placed[key] = [place(content[key])]
    judge = _judge(content.get("judge"))
    if isinstance(judge, dict) and "model" in judge:
        placed["judge"] = {**judge, "model": place(judge["model"])}
    return placed


def _from_here(path: Path) -> str:
    """Relative if it is below the working directory, so that a report reveals no more of a machine than it must."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def validate(model: type[ModelType], content: Mapping[str, Any], path: Path | None) -> ModelType:
    """The content as a model, or one SpecError for the first thing that is wrong with it."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise SpecError(_explain(model, error, path)) from error


def _explain(model: type[BaseModel], error: ValidationError, path: Path | None) -> str:
    first = first_problem(error)
    line = _line_of(path, str(first.place[-1])) if path and first.place else ""
    where = f"{path}{line}: " if path else ""
    if first.unknown:
        known = _keys_at(model, first.place[:-1])
        return f"{where}unknown key {first.key!r}{did_you_mean(str(first.place[-1]), known)}"
    if first.missing:
        return f"{where}{first.key!r} is required; give it in the spec or as a flag"
    return f"{where}{first.key!r}: {first.message} (got {first.value!r})"


def _keys_at(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    for part in place:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)


def _line_of(path: Path, key: str) -> str:
    for number, line in enumerate(read_text(path, LARGEST_SETTINGS).splitlines(), 1):
        if line.strip().lstrip("- ").startswith(f"{key}:"):
            return f", line {number}"
    return ""
