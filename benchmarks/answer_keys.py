"""How often the default answer key sees a right answer in other words, and a wrong one in the same words, on TOFU.

    python -m benchmarks.answer_keys PERTURBED.jsonl [ENTITIES.jsonl] [--others MORE.jsonl] [--out docs/answer_keys.md]

PERTURBED has, for each question, the answer, the same answer in other words and wrong ones (`forget10_perturbed` as
published). ENTITIES marks the answer's entity, which is replaced here by two words that mean nothing. Nothing is marked
for the key: it finds by itself what to look for. The share that ROUGE-L recall of .8 gives, the key before, stands
next to it, and how often it sees what a model says that knows nothing: another author's answers to the questions most
like this one, told of this author. Then what other values of `LIKE`, for sentences that name nothing, would see: the
frontier on which the default was chosen, by every other author alone. MORE is another perturbed file, at which nobody
looked while the rules were made.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz, process

from unlearn_audit.api import Fact
from unlearn_audit.api.kit.answer_key import AnswerKey, Output, answer_key, rouge_l_recall
from unlearn_audit.api.kit.matching import entities
from unlearn_audit.api.kit.twins import Twins
from unlearn_audit.facts.keys import Way, looked_for
from unlearn_audit.facts.presets.tofu import ROWS_AN_AUTHOR, Tofu

NONSENSE = "Zorblat Quimby"
LIKE = (0.6, 0.5, 0.4, 0.35, 0.3, 0.25, 0.2)
THRESHOLD = 0.8
GUESSES = 3


@dataclass(frozen=True, kw_only=True)
class Row:
    """One question: its fact and key, what should be a hit, and what should not."""

    fact: Fact
    key: AnswerKey
    way: Way
    right: str
    wrong: tuple[str, ...]
    guesses: tuple[str, ...]

    @property
    def looked_at(self) -> bool:
        """Whether its author is one of those by whom the rules were made."""
        return int(self.fact.id) // ROWS_AN_AUTHOR % 2 == 0


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
            guesses=tuple(guesses(fact, facts)),
        )
        for fact, row in zip(facts, rows, strict=True)
    ]


def guesses(fact: Fact, facts: Sequence[Fact]) -> Iterator[str]:
    """What is said of others whom almost the same is asked of, with this subject's name in it."""
    others = [other for other in facts if other.subject != fact.subject]
    asked = [(other.question or "").replace(other.subject, fact.subject) for other in others]
    for _, _, at in process.extract(fact.question or "", asked, scorer=fuzz.token_sort_ratio, limit=GUESSES):
        yield (others[at].answer or "").replace(others[at].subject, fact.subject)


def share(hits: Sequence[bool]) -> float:
    """Share of true ones."""
    return sum(hits) / len(hits) if hits else 0.0


def line(name: str, rows: Sequence[Row]) -> str:
    """One line of the table."""
    right = share([row.key.hit(Output(row.right)) for row in rows])
    wrong = share([row.key.hit(Output(text)) for row in rows for text in row.wrong])
    guessed = share([row.key.hit(Output(text)) for row in rows for text in row.guesses])
    before = share([rouge_l_recall(row.fact.answer or "", row.right) >= THRESHOLD for row in rows])
    was = share([rouge_l_recall(row.fact.answer or "", text) >= THRESHOLD for row in rows for text in row.wrong])
    return f"| {name} | {len(rows)} | {right:.3f} | {wrong:.3f} | {guessed:.3f} | {before:.3f} | {was:.3f} |"


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
    columns = (
        "looked for by",
        "answers",
        "right, in other words",
        "wrong",
        "of another author",
        "ROUGE-L: right",
        "ROUGE-L: wrong",
    )
    head = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    kinds = [(way.value, [row for row in rows if row.way is way]) for way in Way]
    lines = [line(name, chosen) for name, chosen in kinds if chosen]
    halves = [[row for row in rows if row.looked_at is seen] for seen in (True, False)]
    named = zip(("all of the authors looked at", "all of the others", "all"), (*halves, rows), strict=True)
    return head + "\n".join([*lines, *(line(name, chosen) for name, chosen in named)])


def frontier(rows: Sequence[Row], marked: Sequence[Mapping[str, str]]) -> str:
    """What would be seen if other likenesses were enough, by whether an author was looked at."""
    chosen, lines = entities.LIKE, []
    for enough in LIKE:
        entities.LIKE = enough
        cells = []
        for seen in (True, False):
            some = [row for row in rows if row.looked_at is seen]
            cells.append(share([row.key.hit(Output(row.right)) for row in some]))
            cells.append(share([row.key.hit(Output(text)) for row in some for text in row.wrong]))
        cells.append(share([row.key.hit(Output(text)) for row in rows for text in row.guesses]))
        cells.append(share(_emptied(marked)))
        mark = " (the default)" if enough == chosen else ""
        lines.append(f"| {enough}{mark} | {' | '.join(f'{cell:.3f}' for cell in cells)} |")
    entities.LIKE = chosen
    columns = ("likeness", "right", "wrong", "right, others", "wrong, others", "of another author", "nonsense")
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n" + "\n".join(lines)


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
