"""Keeps a report within its size, whatever the result holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from unlearn_audit.errors import AuditError
from unlearn_audit.report.parts.view import Limits


def render_within(render: Callable[[Limits], str], ladder: Sequence[Limits], *, longest: int) -> str:
    """The first rendering, from the most generous limits down, that is shorter than `longest` bytes of UTF-8.

    Raises:
        AuditError: not even the last one is.
    """
    for limits in ladder:
        text = render(limits)
        if len(text.encode()) < longest:
            return text
    raise AuditError(
        f"Expected a report of at most {longest:,} bytes, got more; read result.json, and please report this bug."
    )
