"""The section on people and relations: who stands above the controls, by pseudonym, and who is proven to be back."""

from __future__ import annotations

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.report.parts.numbers import count, p_value
from unlearn_audit.report.parts.view import (
    Block,
    Code,
    Inline,
    Limits,
    Section,
    Table,
    number_columns,
    paragraph,
    text_columns,
)
from unlearn_audit.report.sections.background import left_over
from unlearn_audit.report.sections.by_finding import code, numbers
from unlearn_audit.verdict.result import GroupShown, Result

_TITLE = "People and relations"


def section(result: Result, limits: Limits) -> Section:
    """Everybody above the controls; nobody where an older version of the rules decided."""
    people = result.verdict.people
    if people is None:
        nothing = paragraph("Not counted: no deciding finding is over hits, or older rules decided.")
        return Section(id="people", title=_TITLE, blocks=(nothing,), empty=True)
    groups = [*(("person", one) for one in people.persons), *(("relation", one) for one in people.relations)]
    shown = groups[: limits.entries]
    share = _together(result) + (
        f"In the worst cell ({clean(people.place, limits.text)}) {people.with_a_fact_out} of "
        f"{count(people.people, 'person', 'people')} show a fact; in the control {people.in_the_control:g} do."
    )
    if not groups:
        return Section(id="people", title=_TITLE, blocks=(paragraph(share + " Nobody stands above the control."),))
    columns = (
        *text_columns("Kind", "Name", "Most under", "At"),
        *number_columns("Facts", "Shown", "Control", "p"),
        *text_columns("Proven"),
    )
    blocks: tuple[Block, ...] = (
        paragraph(
            f"{share} Below: who stands above the control, by pseudonym, at the place that says most. p is of an exact "
            "test, corrected for all people and cells; whether it is proven, Holm's correction over all findings says."
        ),
        Table(caption=(_TITLE,), columns=columns, rows=tuple(_row(*one, limits) for one in shown)),
        *left_over(len(groups) - len(shown), "group"),
    )
    return Section(id="people", title=_TITLE, blocks=blocks)


def _together(result: Result) -> str:
    """What all attacks together show; nothing where older rules decided."""
    all_ = result.verdict.exposure
    if all_ is None:
        return ""
    controls = "" if all_.controls is None else f"; the controls together show {all_.controls:g}"
    idle = "This decides nothing here: guessing leaves no room for it, or the facts are a sample. "
    return (
        f"All deciding attacks together show {all_.shown:g} of {all_.facts} facts, of {all_.people_shown} of "
        f"{count(all_.people, 'person', 'people')}, where {all_.allowed:g} may come back{controls}. "
        + ("" if all_.decides else idle)
    )


def _row(kind: str, one: GroupShown, limits: Limits) -> tuple[Inline, ...]:
    return (
        kind,
        Code(clean(one.name, limits.text)),
        code(one.finding, limits),
        clean(one.place, limits.text),
        *numbers(str(one.facts), str(one.shown), f"{one.guessed:g}", p_value(one.p_value)),
        "yes" if one.proven else "no",
    )
