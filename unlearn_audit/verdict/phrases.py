"""Numbers and sizes in words, as every sentence of a verdict says them."""

from __future__ import annotations

from unlearn_audit.plan.case import Case
from unlearn_audit.spec.policy import Unit
from unlearn_audit.statistics.bounds import TOLERANCE


def percent(share: float) -> str:
    """`98 %`."""
    return f"{100 * share:.3g} %"


def counted(number: int, unit: Unit) -> str:
    """`64 subjects`; or facts, with the assumption that counting them implies."""
    if unit is Unit.SUBJECT:
        return f"{number} subject" + ("s" if number != 1 else "")
    return f"{number} facts, counted as independent"


def shown(facts: float | None) -> str:
    """`9`; of soft scores, which count as shares of a fact, `9.4`; `no` where nothing is counted."""
    return "no" if facts is None else f"{facts:.4g}"


def p_value(value: float) -> str:
    """`< 0.0001` or `= 0.0123`."""
    return "< 0.0001" if value < 1e-4 else f"= {value:.4f}"


def excess_over(margin: float, case: Case) -> str:
    """What the bounded number is an excess over: a share with an original, points without one."""
    return f"excess over {percent(margin)}" if case.has_original else f"excess over {100 * margin:.3g} points"


def signed(value: float | None) -> str:
    """Two decimals, or more if two would round a bound onto the limit that it missed or met."""
    if value is None:
        return "unknown"
    if abs(value) <= TOLERANCE:
        return "0"
    return f"{value:+.2f}" if abs(value) >= 0.005 else f"{value:+.1g}"
