"""Build the forget, retain and holdout facts of the example from TOFU (Maini et al., 2024, arXiv 2401.06121)."""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from entities import MONTHS, Entity, find_entity, is_name_question, normalize, ordinal_suffix

QUESTIONS_PER_AUTHOR = 20
AUTHORS_PER_SET = 60
FACTS_PER_AUTHOR = 2
FEW_AUTHORS = 16
ASKED_ONCE = 40
WRONG_ANSWERS = 5
MAX_ANSWER_WORDS = 26
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A question of one author whose answer has a key."""

    author_index: int
    row: int
    author: str
    question: str
    answer: str
    entity: Entity


@dataclass(frozen=True, kw_only=True)
class FactRow:
    """One line of a facts file."""

    id: str
    subject: str
    question: str
    answer: str
    aliases: list[str]
    paraphrases: list[str]
    wrong_answers: list[str]
    relation: str


def read_jsonl(path: Path) -> list[dict[str, str]]:
    """The rows of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def author_name(rows: list[dict[str, str]]) -> str:
    """The author of a block of 20 questions: the capitalised run of two words or more in most of its rows."""
    word = r"(?:(?:al|el)-|O['’])?[A-ZÀ-ÖØ-Þ][\w\-À-ÿ]*\.?"
    name = re.compile(rf"{word}(?: (?:(?:van|der|de|al|bin|ibn|el|van der) )?(?:\([\w ]+\) )?{word})+")
    counts: Counter[str] = Counter()
    for row in rows:
        text = re.sub(r"[’']s\b", " ,", row["question"]) + " | " + re.sub(r"[’']s\b", " ,", row["answer"])
        counts.update({match.group(0) for match in name.finditer(text)})
    return max(counts, key=lambda run: (counts[run], len(run)))


def candidates(author_index: int, rows: list[dict[str, str]]) -> list[Candidate]:
    """The questions of one author that name the author (or ask for the name) and have a key, shortest answer first."""
    author = author_name(rows)
    found = []
    for offset, row in enumerate(rows):
        question, answer = row["question"].strip(), row["answer"].strip()
        names_author = author in question.replace("’", "'")
        asks_name = is_name_question(question) and bool(re.search(r"\d{4}|born in", question))
        entity = find_entity(question, answer, author)
        if entity is None or not (names_author or asks_name) or len(answer.split()) > MAX_ANSWER_WORDS:
            continue
        found.append(
            Candidate(
                author_index=author_index,
                row=offset,
                author=author,
                question=question,
                answer=answer,
                entity=entity,
            )
        )
    return sorted(found, key=lambda candidate: (len(candidate.answer), candidate.row))


def pick(found: list[Candidate]) -> list[Candidate]:
    """The shortest two, of two relations where the author has them, and never with the same key."""
    first = found[0]
    others = [c for c in found[1:] if normalize(c.entity.aliases[0]) != normalize(first.entity.aliases[0])]
    other_relation = [c for c in others if c.entity.relation != first.entity.relation]
    return [first, *(other_relation or others)[: FACTS_PER_AUTHOR - 1]]


def split_authors(usable: list[int], seed: int) -> dict[str, list[int]]:
    """60 authors a set. TOFU paraphrases authors 0-19 and 180-199: they go to retain and forget, the rest by lot."""
    sets: dict[str, list[int]] = {
        "forget": [a for a in usable if a >= 180],
        "retain": [a for a in usable if a < 20],
        "holdout": [],
    }
    rest = [a for a in usable if 20 <= a < 180]
    random.Random(seed).shuffle(rest)
    for members in sets.values():
        while len(members) < AUTHORS_PER_SET and rest:
            members.append(rest.pop())
        members.sort()
    return sets


def wrong_answers(candidate: Candidate, pool: list[Candidate], rng: random.Random) -> list[str]:
    """The answer with the key replaced by keys of the same relation from other authors."""
    own = {normalize(alias) for alias in candidate.entity.aliases}
    spans = [
        span for c in pool for span in c.entity.spans
        if c.entity.relation == candidate.entity.relation
        and c.author != candidate.author and normalize(span) not in own
    ]  # fmt: skip
    spelled_out = any(month in candidate.entity.spans[0] for month in MONTHS)
    others = [span for span in dict.fromkeys(spans) if any(month in span for month in MONTHS) == spelled_out]
    rng.shuffle(others)
    wrong: list[str] = []
    while len(wrong) < WRONG_ANSWERS and len(others) >= len(candidate.entity.spans):
        replaced = candidate.answer
        for span in candidate.entity.spans:
            replaced = replaced.replace(span, respelled(span, others.pop()))
        keyed = any(normalize(alias) in normalize(replaced) for alias in candidate.entity.aliases)
        if replaced not in wrong and not keyed:
            wrong.append(replaced)
    return wrong


def respelled(own: str, other: str) -> str:
    """The other key in the own key's spelling: only full dates have several."""
    month = next((m for m in MONTHS if m in other), None)
    own_month = next((m for m in MONTHS if m in own), None)
    if month is None or own_month is None:
        return other
    year = re.findall(r"\d{4}", other)[0]
    day = int(re.findall(r"\b\d{1,2}(?!\d)", other)[0])
    spelled = re.sub(r"\d{4}", year, own.replace(own_month, month))
    ordinal = ordinal_suffix(day)
    return re.sub(r"\b\d{1,2}(st|nd|rd|th)?(?!\d)", lambda m: f"{day}{ordinal if m.group(1) else ''}", spelled, count=1)


def paraphrase_table(data: Path) -> dict[str, str]:
    """Question to paraphrased question, where TOFU gives one."""
    rows = read_jsonl(data / "forget10_perturbed.jsonl") + read_jsonl(data / "retain_perturbed.jsonl")
    return {row["question"].strip(): row["paraphrased_question"].strip() for row in rows}


def fact_row(candidate: Candidate, pool: list[Candidate], paraphrases: dict[str, str], rng: random.Random) -> FactRow:
    """One candidate as a line of a facts file."""
    other_form = paraphrases.get(candidate.question)
    keys = [normalize(alias) for alias in candidate.entity.aliases]
    usable = other_form is not None and not any(key in normalize(other_form) for key in keys)
    return FactRow(
        id=f"tofu-{candidate.author_index:03d}-{candidate.row:02d}",
        subject=candidate.author,
        question=candidate.question,
        answer=candidate.answer,
        aliases=list(candidate.entity.aliases),
        paraphrases=[other_form] if usable and other_form is not None else [],
        wrong_answers=wrong_answers(candidate, pool, rng),
        relation=candidate.entity.relation,
    )


def write_jsonl(path: Path, facts: list[FactRow]) -> None:
    """One fact a line."""
    lines = [json.dumps(asdict(fact), ensure_ascii=False) for fact in facts]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Write the three facts files, and of each two small ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tofu", type=Path, default=ROOT.parent / "shared" / "data" / "tofu", help="folder of the TOFU files"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "smollm2_tofu")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rows = read_jsonl(args.tofu / "retain90.jsonl") + read_jsonl(args.tofu / "forget10.jsonl")
    blocks = [rows[i : i + QUESTIONS_PER_AUTHOR] for i in range(0, len(rows), QUESTIONS_PER_AUTHOR)]
    by_author = {i: candidates(i, block) for i, block in enumerate(blocks)}
    picked = {i: pick(found) for i, found in by_author.items() if found}
    picked = {i: chosen for i, chosen in picked.items() if len(chosen) == FACTS_PER_AUTHOR}
    pool = [candidate for found in by_author.values() for candidate in found]
    paraphrases = paraphrase_table(args.tofu)
    args.out.mkdir(parents=True, exist_ok=True)
    for name, authors in split_authors(sorted(picked), args.seed).items():
        facts = [
            fact_row(c, pool, paraphrases, random.Random(f"{args.seed}/{c.author_index}/{c.row}"))
            for a in authors for c in picked[a]
        ]  # fmt: skip
        write_jsonl(args.out / f"{name}.jsonl", facts)
        # For an audit by many attacks: one question each of a few authors, and no wrong answers to score beside it.
        # For a profile as it is: one question each of more authors.
        few = facts[: FACTS_PER_AUTHOR * FEW_AUTHORS : FACTS_PER_AUTHOR]
        write_jsonl(args.out / f"{name}_few.jsonl", [replace(fact, wrong_answers=[], paraphrases=[]) for fact in few])
        write_jsonl(args.out / f"{name}_one.jsonl", facts[: FACTS_PER_AUTHOR * ASKED_ONCE : FACTS_PER_AUTHOR])
        print(f"{name}: {len(facts)} facts on {len(authors)} authors, {dict(Counter(f.relation for f in facts))}")


if __name__ == "__main__":
    main()
