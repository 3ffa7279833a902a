"""The flags that build a spec, declared once for every command that takes one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from unlearn_audit.cli.network import Network
from unlearn_audit.errors import SpecError, require

_CONTEXT = "context"
_SPEC = "What to audit"
_MODEL = "How models are loaded"


def _option(kind: Any, flag: str, help: str, panel: str) -> Any:
    return Annotated[kind, typer.Option(flag, help=help, rich_help_panel=panel, show_default=False)]


_ANNOTATIONS: dict[str, Any] = {
    "checkpoints": Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CHECKPOINT...",
            help="The unlearned model: a directory, a hub id (owner/name@revision), a PEFT adapter, or a .gguf file. "
            "Several are audited one after the other, with shared controls.",
            show_default=False,
        ),
    ],
    "spec": _option(Path | None, "--spec", "audit.yaml to start from; flags override its values.", _SPEC),
    "original": _option(str | None, "--original", "The model before unlearning.", _SPEC),
    "retrained": _option(list[str] | None, "--retrained", "A model trained without the forget set; repeatable.", _SPEC),
    "served": _option(
        list[str] | None, "--served", "A file that is served, audited itself: .gguf, or quantized; repeatable.", _SPEC
    ),
    "forget": _option(str | None, "--forget", "Facts that must be gone: .jsonl, .csv, .parquet, PRESET:FILE.", _SPEC),
    "retain": _option(str | None, "--retain", "Facts that must stay.", _SPEC),
    "holdout": _option(str | None, "--holdout", "Facts that no model was trained on.", _SPEC),
    "preset": _option(
        str | None, "--preset", "A benchmark with its fact sets, e.g. tofu/forget10; `list presets` names them.", _SPEC
    ),
    "data": _option(str | None, "--data", "Folder of the preset's files; default: the hub's local cache.", _SPEC),
    "subject_rows": _option(
        int | None, "--subject-rows", "So many rows each are about one subject, in the file's order.", _SPEC
    ),
    "generator": _option(
        str | None, "--generator", "A local model that writes prompts for the probe stepwise; not audited.", _SPEC
    ),
    "release": _option(str | None, "--release", "Who will hold the model: api or open-weights.", _SPEC),
    "profile": _option(str | None, "--profile", "How hard attacks try: quick, standard (default) or deep.", _SPEC),
    "budget": _option(
        str | None,
        "--budget",
        "Longest time, e.g. 15m or 2h; attacks that do not fit are left out, and it says so.",
        _SPEC,
    ),
    "attacks": _option(str | None, "--attacks", "Comma-separated; default: all built-in.", _SPEC),
    "probes": _option(str | None, "--probes", "Comma-separated; default: all built-in.", _SPEC),
    "comparisons": _option(
        str | None, "--comparisons", "Of whole models, comma-separated; default: all built-in.", _SPEC
    ),
    "judge": _option(
        str | None, "--judge", "How outputs are judged: match (default), rouge-l, entailment=MODEL or llm=MODEL.", _SPEC
    ),
    "plant": _option(
        bool | None, "--plant", "Make a positive control for each attack, and check that it is found.", _SPEC
    ),
    "policy": _option(Path | None, "--policy", "policy.yaml with the thresholds for the verdict.", _SPEC),
    "seed": _option(int | None, "--seed", "Seed of every random choice (default 0).", _SPEC),
    "base": _option(
        str | None, "--base", "Public base: of an adapter (overrides the one it names), and for merge.", _MODEL
    ),
    "dtype": _option(str | None, "--dtype", "auto, float32, float16 or bfloat16.", _MODEL),
    "device": _option(str | None, "--device", "auto, cpu, cuda, cuda:1, mps.", _MODEL),
    "device_map": _option(str | None, "--device-map", "Spread the model over devices, e.g. auto.", _MODEL),
    "chat_template": _option(str | None, "--chat-template", "auto, none, a Jinja file, or a folder with one.", _MODEL),
    "date": _option(str | None, "--date", "The day that chat templates write, e.g. 2024-07-26 (default).", _MODEL),
    "system_prompt": _option(str | None, "--system-prompt", "System text of every prompt, for all models.", _MODEL),
    "max_batch_tokens": _option(int | None, "--max-batch-tokens", "Most tokens per batch.", _MODEL),
    "trust_remote_code": _option(
        bool | None, "--trust-remote-code", "Run Python code that comes with a checkpoint. Off by default.", _MODEL
    ),
    "allow_pickle": _option(
        bool | None, "--allow-pickle", "Load pickled weights, which can run code. Off by default.", _MODEL
    ),
    "download": _option(bool | None, "--download", "Fetch hub ids that are not cached. Off by default.", _MODEL),
}


def takes_spec(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command whose first parameter is an AuditSpec the flags that build one."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    flags_of_spec = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _ANNOTATIONS.items()
    ]

    def with_flags(**given: Any) -> None:
        require(f"`{command.__name__}`")  # before the spec is read: fixing a spec first would be in vain
        flags = {name: given.pop(name) for name in _ANNOTATIONS}
        spec = _spec(flags)
        network = given.pop(_CONTEXT).find_object(Network)
        if spec.models.download and network is not None:
            network.open()
        command(spec, **given)

    context = inspect.Parameter(_CONTEXT, inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    rest = (parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own)
    parameters = [context, *flags_of_spec, *rest]
    with_flags.__name__, with_flags.__doc__ = command.__name__, command.__doc__
    with_flags.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_flags.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_flags


def _is_spec(reference: str) -> bool:
    return reference.endswith((".yaml", ".yml")) and Path(reference).is_file()


def _spec(flags: dict[str, Any]) -> Any:
    from unlearn_audit.spec.given import spec_given

    given = dict(flags)
    path = given.pop("spec")
    for name in ("attacks", "probes", "comparisons"):
        if given[name] is not None:
            given[name] = [part.strip() for part in given[name].split(",") if part.strip()]
    for name in ("checkpoints", "retrained", "served"):
        given[name] = given[name] or None
    if path is None and (spec := next(filter(_is_spec, given["checkpoints"] or ()), None)):
        raise SpecError(f"{spec}: a checkpoint is a directory, a hub id or a .gguf file; give a spec as --spec {spec}")
    return spec_given(path, given)
