"""`doctor`: what is installed, which device and extras there are, and whether a checkpoint loads."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

import unlearn_audit
from unlearn_audit.api import Prompt
from unlearn_audit.api.plugins import ATTACKS, OWN_DISTRIBUTION, PROBES, Listed, available
from unlearn_audit.cli.commands.list_plugins import KINDS
from unlearn_audit.errors import AuditError, missing
from unlearn_audit.plan.make import versions
from unlearn_audit.spec.spec import ModelOptions

EXTRAS = {
    "gptq": "gptqmodel",
    "hqq": "hqq",
    "torchao": "torchao",
    "llama-cpp": "llama_cpp",
    "ray": "ray",
    "sign": "securesystemslib",
    "mlflow": "mlflow",
    "wandb": "wandb",
}
"""Extra -> the module that shows that it is there."""
DISTRIBUTIONS = {"llama_cpp": "llama-cpp-python"}
"""Where the module has another name than its distribution."""


def examine(console: Console, checkpoint: str | None, base: str | None) -> bool:
    """Prints what it finds; false if something required is broken."""
    checks = [_packages(console), _run(console), _extras(console), _plugins(console), _places(console)]
    if checkpoint is not None:
        checks.append(_checkpoint(console, checkpoint, base))
    return all(checks)


def _say(console: Console, good: bool | None, text: str) -> None:
    mark = {True: "ok     ", False: "BROKEN ", None: "-      "}[good]
    console.print(f"{mark}{text}", markup=False, highlight=False, soft_wrap=True)


def _packages(console: Console) -> bool:
    _say(console, True, ", ".join(f"{name} {number}" for name, number in versions().items()))
    return True


def _run(console: Console) -> bool:
    absent = missing()
    if absent:
        found = "this installation can decide and report finished audits, but not run one"
        what = f"extra 'run': {', '.join(absent)} not installed"
        _say(console, None, f"{what}; {found}: pip install 'unlearn-audit[run]'")
    return True if "torch" in absent else _device(console)


def _device(console: Console) -> bool:
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        _say(console, True, f"CUDA: {name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")
    else:
        threads = torch.get_num_threads()
        _say(console, True, f"no CUDA device: models run on the CPU, {threads} threads, in float32{_hint()}")
    return True


def _hint() -> str:
    import torch

    from unlearn_audit.api.kit.training.products import multiplies_bfloat16

    if not multiplies_bfloat16(torch.device("cpu")):
        return ""
    return "; this processor multiplies bfloat16, so --dtype bfloat16 reads a large model faster (docs/performance.md)"


def _extras(console: Console) -> bool:
    for extra, module in EXTRAS.items():
        if find_spec(module) is None:
            _say(console, None, f"extra {extra!r} is not installed: pip install 'unlearn-audit[{extra}]'")
        else:
            try:
                _say(console, True, f"extra {extra!r}: {module} {version(DISTRIBUTIONS.get(module, module))}")
            except PackageNotFoundError:
                _say(console, False, f"extra {extra!r}: {module} can be imported but has no metadata")
    return True


def _plugins(console: Console) -> bool:
    good = True
    for kind, (group, interface) in KINDS.items():
        listed = available(group, interface)
        names = [_with_owner(entry) for entry in listed.values() if entry.plugin is not None]
        _say(console, True, f"{kind}: {', '.join(names)}")
        for entry in listed.values():
            if entry.plugin is None:
                good = False
                _say(console, False, f"{entry.name} of {entry.distribution}: {entry.broken}")
    return good


def _with_owner(entry: Listed[Any]) -> str:
    return entry.name if entry.distribution == OWN_DISTRIBUTION else f"{entry.name} (from {entry.distribution})"


def _places(console: Console) -> bool:
    """Our own plug-ins must come from this installation; from anywhere else they are someone else's code."""
    ours = Path(unlearn_audit.__file__).resolve().parent
    homes = (ours, *(ours.parent / name for name in ("attacks", "probes")))  # beside the package, in a checkout
    good = True
    for group in (ATTACKS, PROBES):
        spec = find_spec(group)
        found = [Path(place).resolve() for place in (spec.submodule_search_locations if spec else None) or ()]
        if not found or not all(any(place.is_relative_to(home) for home in homes) for place in found):
            good = False
            where = ", ".join(map(str, found)) or "nowhere"
            _say(console, False, f"expected {group} in {ours}, found it in {where}: reinstall unlearn-audit")
    return good


def _checkpoint(console: Console, reference: str, base: str | None) -> bool:
    from unlearn_audit.models.references import check_templates, resolve

    try:
        found = resolve(reference, base=base)
        check_templates(found)  # before torch: a template that does not end is told within seconds
        from unlearn_audit.models.examine import check_model
        from unlearn_audit.models.loading import load, record

        engine = load(found, ModelOptions(base=base))
        check_model(reference, engine)
        about = record("checkpoint", "checkpoint", found, engine)
        answer = engine.generate([Prompt(text="What is the capital of France?")], max_new_tokens=8)[0]
    except AuditError as error:
        _say(console, False, str(error))
        return False
    for note in about.notes:
        _say(console, None, f"{reference}: {note}")
    _say(
        console,
        True,
        f"{reference}: {about.architecture}, {about.parameters / 1e6:.1f} M parameters, {about.dtype} on "
        f"{about.device}, chat template {about.chat_template}, digest {about.digest[:12]}; it answers "
        f"({answer.new_tokens} tokens)",
    )
    return True
