"""The tables of docs/validity.md, from decided organisms. Pure text."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.validity.page.text import number, table
from benchmarks.validity.truth import tabulation
from benchmarks.validity.truth.tabulation import Decided, Rate, Truth, is_outcome
from unlearn_audit.verdict.result import Outcome

START, END = "<!-- tables: written by `python -m benchmarks.validity table` -->", "<!-- end of tables -->"
FIRST = "<!-- first tables: written by `python -m benchmarks.validity table` -->", "<!-- end of first tables -->"


def tables(decided: Sequence[Decided], harder: Sequence[Decided]) -> str:
    """All tables, each under its heading."""
    attacks = list(decided[0].without) if decided else []
    sections = {
        "In short": in_short(decided),
        "By method": by_method(decided),
        "By attack": by_attack(decided, attacks),
        "By finding": by_finding(decided),
        "Without each attack": without_each(decided, attacks),
        "What did not fail, tried harder": tried_harder(decided, harder),
        "Time": times(decided),
        "Every organism": every_organism(decided),
    }
    return "\n\n".join(f"### {title}\n\n{table}" for title, table in sections.items())


def in_short(decided: Sequence[Decided]) -> str:
    """The error rates, with both kinds of bound."""
    rows = {
        "wrong PASS (of what knows)": tabulation.wrong_pass(decided),
        "PASS of what is broken": tabulation.broken_pass(decided),
        "wrong FAIL (of what never knew)": tabulation.wrong_fail(decided),
        "FAIL of what the oracle calls gone": tabulation.disputed_fail(decided),
        "INCONCLUSIVE or ERROR (of all determined)": tabulation.undecided(decided),
    }
    head = ["", "count", "of", "95 % interval", "at most (one-sided 95 %)"]
    return table(head, [[name, *_rate(one)] for name, one in rows.items()])


def by_method(decided: Sequence[Decided]) -> str:
    """One row a method: truths, outcomes, and the wrong ones."""
    rows = []
    for family in dict.fromkeys(one.organism.family for one in decided):
        own = [one for one in decided if one.organism.family == family]
        rows.append(
            [
                family,
                str(len(own)),
                ", ".join(f"{_count(own, truth)} {truth}" for truth in Truth if _count(own, truth)),
                *(str(sum(one.outcome is outcome for one in own)) for outcome in _OUTCOMES),
                _short(tabulation.wrong_pass(own)),
                _short(tabulation.wrong_fail(own)),
            ]
        )
    return table(["method", "models", "truth", *_OUTCOMES, "wrong PASS", "wrong FAIL"], rows)


_OUTCOMES = (Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR)


def _count(decided: Sequence[Decided], truth: Truth) -> int:
    return sum(one.organism.truth is truth for one in decided)


def by_attack(decided: Sequence[Decided], attacks: Sequence[str]) -> str:
    """Under which attack the findings failed, by truth, and what each alone found."""
    rows = [
        [
            attack,
            _short(tabulation.found_by(decided, attack, Truth.KNOWS)),
            _names(tabulation.found_alone(decided, attack)),
            *(_short(tabulation.found_by(decided, attack, truth)) for truth in (Truth.NEVER, Truth.GONE, Truth.BROKEN)),
        ]
        for attack in attacks
    ]
    head = ["attack", "found of what knows", "found by it alone", "of never knew", "of gone", "of broken"]
    return table(head, rows)


def by_finding(decided: Sequence[Decided]) -> str:
    """How many models of each truth each finding failed."""
    names = dict.fromkeys(name for one in decided for name in one.failed)
    truths = (Truth.KNOWS, Truth.NEVER, Truth.GONE, Truth.UNDETERMINED, Truth.BROKEN)
    rows = [
        [
            name,
            *(str(sum(name in one.failed for one in decided if one.organism.truth is truth)) for truth in truths),
            str(sum(one.failed == (name,) for one in decided if one.organism.truth is Truth.KNOWS)),
        ]
        for name in sorted(names)
    ]
    return table(["finding failed", *truths, "the only one, of what knows"], rows)


def without_each(decided: Sequence[Decided], attacks: Sequence[str]) -> str:
    """What a battery without the attack would have said."""
    rows = [["all attacks", *_outcome_row(decided), ""]]
    for attack in attacks:
        less = tabulation.had_been_left_out(decided, attack)
        rows.append([f"without {attack}", *_outcome_row(less), _names(tabulation.missed_without(decided, attack))])
    head = ["battery", "FAIL of what knows", "wrong PASS", "wrong FAIL", "PASS of never knew", "INCONCLUSIVE", "missed"]
    return table(head, rows)


def _outcome_row(decided: Sequence[Decided]) -> list[str]:
    knows, never = frozenset({Truth.KNOWS}), frozenset({Truth.NEVER})
    return [
        _short(tabulation.rate(decided, knows, is_outcome(Outcome.FAIL))),
        _short(tabulation.wrong_pass(decided)),
        _short(tabulation.wrong_fail(decided)),
        _short(tabulation.rate(decided, never, is_outcome(Outcome.PASS))),
        _short(tabulation.undecided(decided)),
    ]


def tried_harder(decided: Sequence[Decided], harder: Sequence[Decided]) -> str:
    """The same model under the battery and under the harder one."""
    quick = {(one.organism.world, one.organism.name): one for one in decided}
    rows = [
        [
            one.organism.world,
            one.organism.name,
            one.organism.truth,
            quick[place].outcome if (place := (one.organism.world, one.organism.name)) in quick else "",
            one.outcome,
            one.deciding,
        ]
        for one in harder
    ]
    return table(["world", "model", "truth", "`quick`", "harder", "deciding finding"], rows)


def times(decided: Sequence[Decided]) -> str:
    """Processor time of the audits; the first of a world pays for its original and its controls."""
    rows = []
    for world in dict.fromkeys(one.organism.world for one in decided):
        spent = sorted(one.seconds for one in decided if one.organism.world == world and one.seconds is not None)
        middle = spent[len(spent) // 2] if spent else 0.0
        rows.append([world, str(len(spent)), f"{sum(spent):.0f}", f"{middle:.0f}", f"{max(spent, default=0.0):.0f}"])
    return table(["world", "audits", "processor seconds", "median", "longest"], rows)


def every_organism(decided: Sequence[Decided]) -> str:
    """One row a model."""
    rows = [
        [
            one.organism.world,
            one.organism.name,
            number(one.organism.forget),
            number(one.organism.kept),
            number(one.organism.oracle),
            one.organism.truth,
            one.outcome,
            one.deciding,
            "" if one.seconds is None else f"{one.seconds:.0f}",
        ]
        for one in decided
    ]
    head = ["world", "model", "forget hits", "retain kept", "oracle", "truth", "outcome", "deciding finding", "s"]
    return table(head, rows)


def _rate(one: Rate) -> list[str]:
    upper = "" if one.upper is None else f"{one.upper:.3f}"
    interval = "" if one.interval is None else f"{one.interval[0]:.3f} to {one.interval[1]:.3f}"
    return [str(one.count), str(one.total), interval, upper]


def _short(one: Rate) -> str:
    if one.interval is None:
        return ""
    return f"{one.count} / {one.total} [{one.interval[0]:.2f}, {one.interval[1]:.2f}]"


def _names(decided: Sequence[Decided]) -> str:
    return ", ".join(f"{one.organism.world}/{one.organism.name}" for one in decided) or "none"
