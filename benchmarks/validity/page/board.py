"""The board of docs/validity.md: one table of all auditors, what each misses by method, and who was judged by what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from benchmarks.validity.page.text import number, table
from benchmarks.validity.truth.board import ClusterRate, Judged, Line, lines, missed, with_chosen_thresholds
from benchmarks.validity.truth.results import Results
from benchmarks.validity.truth.tabulation import Truth
from unlearn_audit.verdict.result import Outcome

START, END = "<!-- board: written by `python -m benchmarks.validity table` -->", "<!-- end of the board -->"
CRITERIA = {"verdict": "own verdict", "chosen": "threshold chosen on the other parents", "score": "score alone"}


def board(results: Results, worlds: Sequence[str]) -> str:
    """All sections, each under its heading."""
    by_auditor = results.by_auditor()
    sections = {
        "The zoo as it was judged": judged_zoo(results, worlds),
        "The board": standings(lines(by_auditor, worlds)),
        "What each auditor misses, by method": misses(by_auditor, worlds),
        "Wrong verdicts and errors of this tool": wrong_ones(by_auditor),
        "Which code gave the verdicts": codes(by_auditor),
    }
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in sections.items())


def standings(found: Sequence[Line]) -> str:
    """One row an auditor and criterion."""
    rows = [
        [
            line.auditor,
            CRITERIA[line.criterion],
            rate_text(line.wrong_pass),
            rate_text(line.wrong_fail),
            _count(line.inconclusive),
            _count(line.error),
            "" if line.area is None else f"{line.area[0]:.2f} [{line.area[1]:.2f}, {line.area[2]:.2f}]",
            number(line.minutes, 1),
        ]
        for line in found
    ]
    head = ["auditor", "criterion", "wrong PASS", "wrong FAIL", "INCONCLUSIVE", "ERROR", "AUC", "minutes"]
    return table(head, rows)


def rate_text(rate: ClusterRate) -> str:
    """`3 / 40 [0.02, 0.20]`; where nothing or everything went wrong, the bounds of models and of parents."""
    if rate.interval is None or rate.upper is None:
        return ""
    if rate.count in (0, rate.total):
        end = f"at most {rate.upper[0]:.2f} by models, {rate.upper[1]:.2f} by parents" if rate.count == 0 else "all"
        return f"{rate.count} / {rate.total} ({end})"
    return f"{rate.count} / {rate.total} [{rate.interval[0]:.2f}, {rate.interval[1]:.2f}]"


def _count(rate: ClusterRate) -> str:
    return f"{rate.count} / {rate.total}" if rate.total else ""


def judged_zoo(results: Results, worlds: Sequence[str]) -> str:
    """Worlds and the truths of their models that anyone judged."""
    truths = (Truth.KNOWS, Truth.NEVER, Truth.GONE, Truth.BROKEN, Truth.UNDETERMINED)
    rows = []
    for world in worlds:
        own = [one.organism for one in results.entered if one.organism.world == world]
        rows.append([world, str(len(own)), *(str(sum(one.truth is truth for one in own)) for truth in truths)])
    total = [str(sum(int(row[place]) for row in rows)) for place in range(1, len(truths) + 2)]
    return table(["world", "models", *truths], [*rows, ["all", *total]])


def misses(by_auditor: Mapping[str, Sequence[Judged]], worlds: Sequence[str]) -> str:
    """Of the models of each method that know, how many each auditor passed: by its verdict, else by its threshold."""
    judged = {
        name: list(said)
        if any(one.answer.verdict not in (None, Outcome.ERROR) for one in said)
        else with_chosen_thresholds(said, worlds)
        for name, said in by_auditor.items()
    }
    found = {name: missed(said) for name, said in judged.items() if said}
    families = dict.fromkeys(family for one in found.values() for family in one)
    rows = [
        [family, *(f"{one[family][0]} / {one[family][1]}" if family in one else "" for one in found.values())]
        for family in families
    ]
    return table(["PASS of what knows", *found], rows)


def wrong_ones(by_auditor: Mapping[str, Sequence[Judged]]) -> str:
    """Every model that this tool passed although it knows, failed although it never knew, or could not judge."""
    rows = []
    for name, said in by_auditor.items():
        for one in said if name.startswith("unlearn-audit") else ():
            what = _wrong(one)
            if what:
                place = f"{one.organism.world}/{one.organism.name}"
                rows.append([name, place, one.organism.family, what, one.answer.note.replace("|", "/")])
    return table(["auditor", "model", "method", "what", "note"], rows) if rows else "None."


def _wrong(one: Judged) -> str:
    truth, verdict = one.organism.truth, one.answer.verdict
    if verdict is Outcome.ERROR:
        return "ERROR"
    if verdict is Outcome.PASS and truth in (Truth.KNOWS, Truth.BROKEN):
        return f"PASS of what is {truth}" if truth is Truth.BROKEN else "wrong PASS"
    return "wrong FAIL" if verdict is Outcome.FAIL and truth is Truth.NEVER else ""


def codes(by_auditor: Mapping[str, Sequence[Judged]]) -> str:
    """How many verdicts of each auditor came from which version of the code (a digest over its source files)."""
    rows = []
    for name, said in by_auditor.items():
        counts = Counter(one.answer.code for one in said if one.answer.code)
        rows += [[name, code, str(count)] for code, count in sorted(counts.items())]
    merged = [
        [", ".join(row[0] for row in own), code, own[0][2]]
        for (code, _), group in groupby(
            sorted(rows, key=lambda row: (row[1], row[2])), key=lambda row: (row[1], row[2])
        )
        for own in [list(group)]
    ]
    return table(["auditors", "code", "verdicts each"], merged)
