"""How often the default answer key sees a right answer in other words, and a wrong one in the same words, on TOFU.

    python -m benchmarks.answer_keys PERTURBED.jsonl [ENTITIES.jsonl] [--others MORE.jsonl] [--out docs/answer_keys.md]

PERTURBED has, for each question, the answer, the same answer in other words and wrong ones (`forget10_perturbed` as
published). ENTITIES marks the answer's entity, which is replaced here by two words that mean nothing. Nothing is marked
for the key: it finds by itself what to look for. The share that ROUGE-L recall of .8 gives, the key before, stands
next to it. Then what other shares of a sentence's words, of one that names nothing, would see: the frontier on which
the default was chosen. MORE is another perturbed file, at which nobody looked while the rules were made.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlearn_audit.api import Fact
from unlearn_audit.api.kit.answer_key import AnswerKey, Output, answer_key, rouge_l_recall
from unlearn_audit.api.kit.matching import entities
from unlearn_audit.api.kit.twins import Twins
from unlearn_audit.facts.keys import Way, looked_for
from unlearn_audit.facts.presets.tofu import Tofu

NONSENSE = "Zorblat Quimby"
SHARES = (0.9, 0.5, 0.4, 0.3, 0.2, 0.1)
THRESHOLD = 0.8


@dataclass(frozen=True, kw_only=True)
class Row:
    """One question: its fact and key, what should be a hit, and what should not."""

    fact: Fact
    key: AnswerKey
    way: Way
    right: str
    wrong: tuple[str, ...]


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rows_of(path: Path) -> list[Row]:
    """The questions of a perturbed file, each with the key that an audit of them would use."""
    rows = read(path)
    subjects = [str(row["subject"]) for row in Tofu().facts(rows)]
    facts = [
        Fact(id=str(place), subject=subject, question=row["question"], answer=row["answer"])
        for place, (row, subject) in enumerate(zip(rows, subjects, strict=True))
    ]
    twins = Twins(facts, rouge_threshold=THRESHOLD)
    ways = {one.fact.id: one.way for one in looked_for(facts)}
    return [
        Row(
            fact=fact,
            key=twins.entry(fact).key.asked(Output(fact.question or "")),
            way=ways[fact.id],
            right=row["paraphrased_answer"],
            wrong=tuple(row["perturbed_answer"]),
        )
        for fact, row in zip(facts, rows, strict=True)
    ]


def share(hits: Sequence[bool]) -> float:
    """Share of true ones."""
    return sum(hits) / len(hits) if hits else 0.0


def line(name: str, rows: Sequence[Row]) -> str:
    """One line of the table."""
    right = share([row.key.hit(Output(row.right)) for row in rows])
    wrong = share([row.key.hit(Output(text)) for row in rows for text in row.wrong])
    before = share([rouge_l_recall(row.fact.answer or "", row.right) >= THRESHOLD for row in rows])
    was = share([rouge_l_recall(row.fact.answer or "", text) >= THRESHOLD for row in rows for text in row.wrong])
    return f"| {name} | {len(rows)} | {right:.3f} | {wrong:.3f} | {before:.3f} | {was:.3f} |"


def replaced(marked: Sequence[Mapping[str, str]]) -> str:
    """The sentence on answers whose marked entity is replaced."""
    texts, keys = _nonsense(marked), _keys(marked)
    now = share([key.hit(Output(text)) for key, text in zip(keys, texts, strict=True)])
    was = share([rouge_l_recall(row["answer"], text) >= THRESHOLD for row, text in zip(marked, texts, strict=True)])
    found = [
        (key, text)
        for key, text, row in zip(keys, texts, marked, strict=True)
        if key.told is not None and any(one.text in row["entity"] for one in (*key.told.fixed, *key.told.names))
    ]
    own = share([key.hit(Output(text)) for key, text in found])
    return (
        f"With the entity that the file marks replaced by nonsense, and the rest of the sentence as it was, {now:.3f}"
        f" of {len(marked)} answers are a hit ({was:.3f} by ROUGE-L); of the {len(found)} where the key looks for a"
        f" name, number or date inside the marked entity, {own:.3f}."
    )


def table(rows: Sequence[Row]) -> str:
    """The table, by how an answer is looked for."""
    columns = ("looked for by", "answers", "right, in other words", "wrong", "ROUGE-L: right", "ROUGE-L: wrong")
    head = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    kinds = [(way.value, [row for row in rows if row.way is way]) for way in Way]
    lines = [line(name, chosen) for name, chosen in kinds if chosen]
    return head + "\n".join([*lines, line("all", rows)])


def frontier(rows: Sequence[Row], marked: Sequence[Mapping[str, str]]) -> str:
    """What would be seen if other shares of a sentence's words were enough."""
    chosen, lines = entities.ENOUGH_WORDS, []
    for enough in SHARES:
        entities.ENOUGH_WORDS = enough
        right = share([row.key.hit(Output(row.right)) for row in rows])
        wrong = share([row.key.hit(Output(text)) for row in rows for text in row.wrong])
        emptied = share(_emptied(marked))
        mark = " (the default)" if enough == chosen else ""
        lines.append(f"| {enough}{mark} | {right:.3f} | {wrong:.3f} | {emptied:.3f} |")
    entities.ENOUGH_WORDS = chosen
    head = "| enough of the words | right, in other words | wrong | entity replaced by nonsense |\n|---|---|---|---|\n"
    return head + "\n".join(lines)


def _emptied(marked: Sequence[Mapping[str, str]]) -> list[bool]:
    return [key.hit(Output(text)) for key, text in zip(_keys(marked), _nonsense(marked), strict=True)]


def _nonsense(marked: Sequence[Mapping[str, str]]) -> list[str]:
    return [row["answer"].replace(row["entity"], NONSENSE) for row in marked]


def _keys(marked: Sequence[Mapping[str, str]]) -> list[AnswerKey]:
    facts = [
        Fact(id=str(place), subject="the author", question=row["question"], answer=row["answer"])
        for place, row in enumerate(marked)
    ]
    return [answer_key(fact, rouge_threshold=THRESHOLD).asked(Output(fact.question or "")) for fact in facts]


def main() -> None:
    """Prints the table, or puts it between the marks of a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("perturbed", type=Path)
    parser.add_argument("entities", type=Path, nargs="?")
    parser.add_argument("--others", type=Path, help="Another perturbed file.")
    parser.add_argument("--out", type=Path, help="A page with <!-- table --> and <!-- end of table -->.")
    asked = parser.parse_args()
    rows = rows_of(asked.perturbed)
    said = table(rows)
    if asked.entities is not None:
        marked = read(asked.entities)
        said += f"\n\n{replaced(marked)}\n\n{frontier(rows, marked)}"
    if asked.others is not None:
        said += f"\n\nOn `{asked.others.name}`:\n\n{table(rows_of(asked.others))}"
    if asked.out is None:
        print(said)
        return
    before, _, rest = asked.out.read_text(encoding="utf-8").partition("<!-- table -->")
    after = rest.partition("<!-- end of table -->")[2]
    asked.out.write_text(f"{before}<!-- table -->\n\n{said}\n\n<!-- end of table -->{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
