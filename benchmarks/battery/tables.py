"""docs/battery.md: each attack, its paper, the published figure, ours, and what it cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.battery.results import HONEST, MASKED
from unlearn_audit.api.plugins import ATTACKS, names

PUBLISHED = Path(__file__).with_name("published.json")
HEAD = "<!-- Written by `python -m benchmarks.battery table`. Do not edit. -->\n"

Row = Mapping[str, Any]

UNDONE = 0.8
"""Share of what was hidden from which on an arm undoes that kind of hiding."""


def write_page(page: Path, results: Path, plants: Path) -> None:
    """Writes the page from the stored numbers and the published figures."""
    found, published, hidden = (json.loads(path.read_text(encoding="utf-8")) for path in (results, PUBLISHED, plants))
    parts = (
        _intro(found),
        _plants(hidden),
        _recovered(found),
        _papers(found, published),
        _honest(found),
        _faults(found),
    )
    page.write_text(HEAD + "\n" + "\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def _intro(found: Row) -> str:
    return (
        "# The battery on models whose truth is known\n\n"
        "Every attack that comes with the tool, on the bundled organisms (0.6 M parameters, 60 subjects to forget). "
        f"Profile `{found['profile']}`, one seed, two cores without a GPU:\n\n"
        "    python -m benchmarks.battery plants   # the table of plants; goes on where it was stopped\n"
        f"    python -m benchmarks.battery audit --profile {found['profile']}   # the others; goes on, too\n"
        f"    python -m benchmarks.battery table --profile {found['profile']}\n\n"
        "A percentage is the share of forget questions answered at the attack's worst dose and way of asking; `back` "
        "is the share of the original's knowledge that came back, (U - C) / (O - C). What to make of it: "
        "[decisions.md](decisions.md).\n\n"
        "The table of plants is of this version. "
        f"**All others were made by version {found['versions']['unlearn-audit']}**, whose relearning chose its rate on "
        "a plant, and whose int8 had no plant: they say what these attacks did then."
    )


def _plants(hidden: Row) -> str:
    """One row a plant, one column an arm: the share of what was hidden that came back."""
    made = {name: one for name, one in hidden.items() if "back" in one}
    arms = list(dict.fromkeys(arm for one in made.values() for arm in one["back"]))
    lines = [
        "## What each arm brings back of each plant",
        "",
        "A plant is the bundled original, made to hide what it knows. Mean probability of the answers to 60 forget "
        "questions: shown by the original and left in the plant, and the share of the difference that comes back. In "
        f"bold from {_percent(UNDONE)} on; the rest is **not undone** by that arm. `relearning` is one fold of LoRA at "
        "3e-3 after 40 steps, scored on the other fold. A plant that is not in the table was not measured yet; the "
        "command goes on with it.",
        "",
        f"| plant | kind | shown, left | {' | '.join(f'`{arm}`' for arm in arms)} |",
        f"|---|---|---|{'---|' * len(arms)}",
    ]
    for name, one in made.items():
        cells = [_share(one["back"].get(arm)) for arm in arms]
        lines.append(f"| {name} | {one['kind']} | {one['known']:.2f}, {one['left']:.2f} | {' | '.join(cells)} |")
    nobody = [name for name, one in made.items() if max(one["back"].values()) < UNDONE]
    lines += ["", f"Undone by no arm: {', '.join(nobody) or 'none of them'}."]
    lines += [f"- No {name} plant: {one['why']}" for name, one in hidden.items() if "back" not in one]
    return "\n".join(lines)


def _share(back: float | None) -> str:
    if back is None:
        return "-"
    shown = _percent(round(back, 2) + 0.0)  # no -0
    return f"**{shown}**" if back >= UNDONE else shown


def _recovered(found: Row) -> str:
    """One row an attack, the masked organisms side by side, with what it found in its plants."""
    lines = [
        "## What comes back",
        "",
        f"| attack | {' | '.join(f'`{name}`: checkpoint / original / control, back' for name in MASKED)} "
        "| plant found | seconds a model |",
        f"|---|{'---|' * len(MASKED)}---|---|",
    ]
    for attack in found["seconds"]:
        cells = [_cell(found["attacks"].get(name, {}).get(attack)) for name in MASKED]
        plants = ", ".join(f"{name} {_percent(share)}" for name, share in (found["plants"].get(attack) or {}).items())
        lines.append(f"| `{attack}` | {' | '.join(cells)} | {plants or '-'} | {found['seconds'][attack]:.0f} |")
    missing = ", ".join(f"`{name}`" for name in names(ATTACKS) if name not in found["seconds"])
    lines += ["", f"Not measured here yet: {missing or 'none'}."]
    return "\n".join(lines)


def _cell(one: Row | None) -> str:
    if one is None:
        return "not run"
    shares = " / ".join(_percent(one[role]) for role in ("unlearned", "original", "control"))
    back = f"{_percent(one['recovered'])}" if one["recovered"] is not None else "no power"
    return f"{shares}, **{back}** ({one['dose']}; {one['status']})"


def _papers(found: Row, published: Row) -> str:
    lines = [
        "## Beside the literature",
        "",
        "Published figures are of other models, methods and data; they say what an attack has done, and ours what it "
        "does here.",
        "",
        "| attack | paper | published | ours: back from `refusal` |",
        "|---|---|---|---|",
    ]
    for attack, papers in published.items():
        own = found["attacks"].get("refusal", {}).get(attack)
        ours = _percent(own["recovered"]) if own and own["recovered"] is not None else "-"
        for paper in papers:
            link = f"[{paper['paper']}](https://arxiv.org/abs/{paper['arxiv']})"
            lines.append(f"| `{attack}` | {link} | {paper['figure']} | {ours} |")
    return "\n".join(lines)


def _honest(found: Row) -> str:
    lines = [
        "## Models that never learned",
        "",
        f"{len(HONEST)} retrained models, each against the two others: gating findings that FAIL, and estimates (dose "
        "x way of asking) above the margin.",
        "",
        "| attack | findings | FAIL | estimates | above the margin |",
        "|---|---|---|---|---|",
    ]
    for attack, row in found["honest"].items():
        share = row["above"] / row["cells"] if row["cells"] else 0.0
        lines.append(
            f"| `{attack}` | {row['findings']} | {row['failed']} | {row['cells']} | {row['above']} ({share:.0%}) |"
        )
    total = {key: sum(row[key] for row in found["honest"].values()) for key in ("findings", "failed", "cells", "above")}
    share = total["above"] / total["cells"] if total["cells"] else 0.0
    lines.append(
        f"| all | {total['findings']} | {total['failed']} | {total['cells']} | {total['above']} ({share:.1%}) |"
    )
    outcomes = ", ".join(f"`{name}` {outcome}" for name, outcome in found["outcomes"].items())
    return "\n".join([*lines, "", f"Outcomes: {outcomes}."])


def _faults(found: Row) -> str:
    if not found["faults"]:
        return ""
    return "\n".join(["## Cells that failed", "", *(f"- {fault}" for fault in found["faults"])])


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"
