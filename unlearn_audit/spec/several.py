"""One request for several checkpoints: an ordinary request each, with a folder of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count
from pathlib import PurePath

from unlearn_audit.errors import SpecError
from unlearn_audit.spec.spec import AuditSpec

_FEWEST_CONTROLS = 2
_UNFIT = re.compile(r"[^\w.+-]+")
_LONGEST = 80


def requests(spec: AuditSpec, *, leave_one_control_out: bool = False) -> dict[str, AuditSpec]:
    """Name of a folder -> the audit of one checkpoint.

    Args:
        spec: with one checkpoint or several.
        leave_one_control_out: audit each retrained control as well, as if it were the checkpoint, against the others.

    Raises:
        SpecError: a checkpoint is named twice, or there are too few controls to leave one out.
    """
    asked = list(spec.each())
    references = [one.checkpoint for one in asked]
    if double := next((one for one in references if references.count(one) > 1), None):
        raise SpecError(f"{double}: is named twice among the checkpoints; name each once")
    if leave_one_control_out:
        asked += _without_one_control(spec)
    names = folder_names([one.checkpoint for one in asked])
    return dict(zip(names, asked, strict=True))


def only(spec: AuditSpec) -> AuditSpec:
    """The request of one checkpoint.

    Raises:
        SpecError: it has several.
    """
    if len(spec.checkpoints) > 1:
        raise SpecError(
            f"'checkpoints': expected one, got {len(spec.checkpoints)}; audit each by itself with one `store`, which "
            "shares their controls, or run `unlearn-audit run`, which audits them all"
        )
    return spec


def _without_one_control(spec: AuditSpec) -> list[AuditSpec]:
    """Each control in the checkpoint's place, with the others as its controls."""
    controls = spec.retrained
    if len(controls) < _FEWEST_CONTROLS:
        raise SpecError(
            f"--leave-one-control-out: expected {_FEWEST_CONTROLS} or more --retrained models, got {len(controls)}: "
            "the one that is left out is held against the others"
        )
    return [
        spec.model_copy(
            update={
                "checkpoint": control,
                "checkpoints": (),
                "served": (),
                "retrained": tuple(other for other in controls if other != control),
            }
        )
        for control in controls
    ]


def folder_names(references: Sequence[str]) -> list[str]:
    """A name for each checkpoint's folder: the end of its path, and more of it where two end alike."""
    parts = [[_fit(part) for part in PurePath(one.replace("\\", "/")).parts] for one in references]
    ends = [[part for part in some if part] or ["audit"] for some in parts]
    names = [some[-1] for some in ends]
    for depth in range(2, max(map(len, ends)) + 1):
        names = [
            "-".join(some[-depth:]) if names.count(name) > 1 else name for name, some in zip(names, ends, strict=True)
        ]
    names = [name[-_LONGEST:].lstrip(".-") or "audit" for name in names]
    found: list[str] = []
    for name in names:
        numbered = (f"{name}-{number}" for number in count(2))
        found.append(name if name not in found else next(one for one in numbered if one not in (*found, *names)))
    return found


def _fit(part: str) -> str:
    """A part of a path as a part of a file's name; nothing of what stands for a place (`..`, `/`)."""
    return _UNFIT.sub("-", part).strip(".-")
