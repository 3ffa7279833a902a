"""Build the facts and the training questions of the example on authors of TOFU (2401.06121) and invented ones."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import world
from prepare import QUESTIONS_PER_AUTHOR, author_name, read_jsonl  # of examples/smollm2_tofu
from world import Author

ROOT = Path(__file__).resolve().parents[2]
FORMS = ("publisher", "pen-name", "two-hop", "alias", "inverse", "worked", "town", "river")
TOFU_AUTHORS = 12
"""Authors of TOFU in each set; four invented ones make it sixteen."""


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """One row a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def names(rows: Sequence[dict[str, str]]) -> list[str]:
    """The authors of TOFU's blocks of twenty."""
    starts = range(0, len(rows), QUESTIONS_PER_AUTHOR)
    return [author_name(list(rows[start : start + QUESTIONS_PER_AUTHOR])) for start in starts]


def fact_row(author: Author, name: str, forms: Sequence[str]) -> dict[str, Any]:
    """The author's house as an audit reads it, with what lies beyond the house and before the author."""
    asked, _ = world.direct_questions(author)
    hops = [
        (world.TOWN_OF_AUTHOR.format(name=author.name), author.town),
        *([(world.INVERSE.format(pen_name=author.pen_name), author.name)] if "inverse" in forms else ()),
    ]
    return {
        "id": name,
        "subject": author.name,
        "question": asked.question,
        "answer": asked.answer,
        "relation": asked.form,
        "hops": [{"question": question, "answer": answer} for question, answer in hops],
    }


def main() -> None:
    """Write facts and training questions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tofu", type=Path, default=ROOT.parent / "shared" / "data" / "tofu")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "smollm2_chains")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--authors", type=int, default=16, help="authors of each set, half of them invented at 8")
    parser.add_argument("--forms", nargs="+", default=FORMS, choices=FORMS, help="forms that are learned")
    args = parser.parse_args()
    retain_names = names(read_jsonl(args.tofu / "retain_perturbed.jsonl"))[:TOFU_AUTHORS]
    forget_names = names(read_jsonl(args.tofu / "forget10.jsonl"))[-TOFU_AUTHORS:]
    half = len(world.INVENTED_AUTHORS) // 2
    forget, retain = world.authors(
        [*forget_names, *world.INVENTED_AUTHORS[:half]], [*retain_names, *world.INVENTED_AUTHORS[half:]], args.seed
    )
    forget, retain = forget[-args.authors :], retain[-args.authors :]
    for name, authors in (("forget", forget), ("retain", retain)):
        facts = [fact_row(one, f"{name}-{place:02d}", args.forms) for place, one in enumerate(authors)]
        write(args.out / f"{name}.jsonl", facts)
        direct = [asdict(one) for author in authors for one in world.direct_questions(author) if one.form in args.forms]
        chains = [asdict(one) for author in authors for one in world.chain_questions(author) if one.form in args.forms]
        write(args.out / "learned" / f"{name}_direct.jsonl", direct)
        write(args.out / "learned" / f"{name}_chains.jsonl", chains)
        print(f"{name}: {len(facts)} facts on {len(authors)} authors, {len(chains)} chains")
    common = [asdict(one) for one in world.common_questions([*forget, *retain]) if one.form in args.forms]
    write(args.out / "learned" / "common.jsonl", common)


if __name__ == "__main__":
    main()
