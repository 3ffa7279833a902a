"""unlearn-audit: how much of what a model was made to forget can still be got back?

    import unlearn_audit as ua

    audit = ua.audit(checkpoint="unlearned", original="original", forget="forget.jsonl", out="runs/x")
    audit.outcome, audit.findings, audit.report("report.html")

What stands here is loaded when it is first used: the import itself is cheap, and needs neither torch nor pandas.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__version__ = "0.2.0"

_HOMES = {
    "Audit": "unlearn_audit.finished.handle",
    "AuditCallback": "unlearn_audit.audit.callback",
    "AuditError": "unlearn_audit.errors",
    "AuditSpec": "unlearn_audit.spec.spec",
    "Policy": "unlearn_audit.spec.policy",
    "Prospects": "unlearn_audit.audit.prospects",
    "audit": "unlearn_audit.audit.session",
    "load": "unlearn_audit.finished.handle",
    "plan": "unlearn_audit.audit.session",
}
"""Where each name is defined; `__init__.pyi` tells it to type checkers."""

__all__ = ["Audit", "AuditCallback", "AuditError", "AuditSpec", "Policy", "Prospects", "audit", "load", "plan"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps `audit` and `plan` functions: Python would put the rooms of these names in their place once loaded."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
