"""RWKU: what is known of famous people, asked on three levels, with their neighbours (2406.10890)."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from unlearn_audit.api import FactPreset, FactSet
from unlearn_audit.api.preset import Part
from unlearn_audit.errors import SpecError
from unlearn_audit.facts.spelling import folded

from ._reading import Row, distinct, named, numbered, passage, refused, texts

_HUB = "jinzhuoran/RWKU"
_WORDS = re.compile(r"[^\w]+|_+")
_ROW = {"query": "Salt Roads was written by ___.", "answer": "Marisol Tveit", "level": "1", "subject": "Marisol Tveit"}


_LEVELS: tuple[Row, ...] = (
    _ROW,
    {**_ROW, "query": "Who wrote Salt Roads?", "level": "2"},
    {**_ROW, "query": "Play a librarian. Who wrote Salt Roads?", "level": "3", "type": "role playing"},
)


class Rwku(FactPreset):
    """RWKU's probes of forgetting (clozes, questions, attacks) and of neighbours, by `query` and `answer`.

    `rwku/SUBJECT` takes one person (`rwku/Stephen_King`), from the folder of the person or out of the files for all;
    `rwku` takes all 200. Ids tell the level: `rwku-1-...` is a cloze. A neighbour's row names the person whose
    neighbour it is, so its subject is the neighbour where the row names it, and else "neighbours of" that person.
    Of rows that ask one person's question with several answers, the first is the answer and the others its aliases.
    The texts of `forget_mia` and `retain_mia` are read by `--metrics rwku` alone.
    """

    name: ClassVar[str] = "rwku"
    summary: ClassVar[str] = "RWKU's clozes, questions and attacks about famous people, and those about neighbours."
    paper: ClassVar[str] = "2406.10890"
    configs: ClassVar[Sequence[str]] = ("",)
    open_config: ClassVar[str] = "SUBJECT"
    example: ClassVar[Sequence[Row]] = _LEVELS
    example_parts: ClassVar[Mapping[str, Sequence[Row]]] = {
        "forget_level1": _LEVELS[:1],
        "forget_level2": _LEVELS[1:2],
        "forget_level3": _LEVELS[2:],
        "neighbor_level1": [{**_ROW, "query": "The Mill was written by ___.", "answer": "Hanne Osk"}],
        "neighbor_level2": [{**_ROW, "query": "Who wrote The Mill?", "answer": "Hanne Osk", "level": "2"}],
        "mia_forget": [{"text": "Salt Roads is a novel by Marisol Tveit.", "subject": "Marisol Tveit"}],
        "mia_retain": [{"text": "The ferry leaves at noon.", "subject": "Marisol Tveit"}],
    }

    def parts(self, config: str) -> Sequence[Part]:
        """Three levels about the person, two about neighbours."""
        folders = (
            (f"Target/*_{glob.escape('_'.join(config.split()))}/", "All/", "") if config else ("All/", "", "Target/*/")
        )

        def part(name: str, fact_set: FactSet, *, optional: bool = False) -> Part:
            files = tuple(f"{folder}{name}" for folder in folders)
            return Part(name=name, set=fact_set, files=files, dataset=f"{_HUB}:{name}@test", optional=optional)

        return (
            part("forget_level1", FactSet.FORGET),
            part("forget_level2", FactSet.FORGET),
            part("forget_level3", FactSet.FORGET, optional=True),
            part("neighbor_level1", FactSet.RETAIN),
            part("neighbor_level2", FactSet.RETAIN),
            *(
                Part(
                    name=f"mia_{name}",
                    set=None,
                    files=tuple(f"{folder}{name}_mia" for folder in folders),
                    dataset=f"{_HUB}:mia_{name}@test",
                    optional=True,
                )
                for name in ("forget", "retain")
            ),
        )

    def chosen(self, config: str, rows: Sequence[Row]) -> Sequence[Row]:
        """Those about the person; all of the texts that are about nobody whom the rows name."""
        if not config:
            return rows
        return [row for row in rows if "subject" not in row or _slug(row["subject"]) == _slug(config)]

    def sets(self, config: str, rows: Mapping[str, Sequence[Row]]) -> Mapping[FactSet, Iterable[Row]]:
        """The person's rows of each level, and those about neighbours as what must stay."""
        found: dict[FactSet, list[Row]] = {FactSet.FORGET: [], FactSet.RETAIN: []}
        names = [part.name for part in self.parts(config) if part.set is not None and part.name in rows]
        for name in names:
            mine = self.chosen(config, rows[name])
            found[FactSet.RETAIN if name.startswith("neighbor") else FactSet.FORGET].extend(
                _neighbours(mine) if name.startswith("neighbor") else mine
            )
        if config and not found[FactSet.FORGET] and any(name.startswith("forget") for name in names):
            raise SpecError(f"expected rows about {config!r}, found none; write the name as in `subject`, with _")
        near = ({**fact, "part": "neighbours"} for fact in self.facts(found[FactSet.RETAIN]))
        sets = {FactSet.FORGET: self.facts(found[FactSet.FORGET]), FactSet.RETAIN: near}
        return {name: facts for name, facts in sets.items() if found[name]}

    def facts(self, rows: Sequence[Row]) -> Iterator[Row]:
        """One fact a row; a row that asks the same of the same person gives its answer to the first as an alias."""
        return _with_aliases(distinct(_fact(row, number) for number, row in numbered(rows)))


def _neighbours(rows: Iterable[Row]) -> Iterator[Row]:
    for row in rows:
        near = row.get("neighbor")
        yield {**row, "subject": near if isinstance(near, str) else f"neighbours of {row.get('subject', '')}"}


def _with_aliases(facts: Iterable[Row]) -> Iterator[Row]:
    """The facts, but those with another answer to a question that was asked before: these are the first one's aliases.

    The same question with the same answer stays: it may be of another level.
    """
    kept: list[Row] = []
    first: dict[tuple[str, str], int] = {}
    others: dict[int, list[object]] = {}
    for fact in facts:
        if "question" in fact:
            place = first.setdefault((folded(str(fact["subject"])), folded(str(fact["question"]))), len(kept))
            if place < len(kept) and folded(str(fact["answer"])) != folded(str(kept[place]["answer"])):
                others.setdefault(place, []).append(fact["answer"])
                continue
        kept.append(fact)
    for place, fact in enumerate(kept):
        yield fact if place not in others else {**fact, "aliases": list(dict.fromkeys(others[place]))}


def _slug(name: object) -> str:
    return "_".join(_WORDS.sub(" ", str(name)).casefold().split())


def _fact(row: Row, number: int) -> Row:
    asked, text, who = texts(row, "query", "answer"), texts(row, "text"), texts(row, "subject")
    if asked is not None and who is not None:
        level = str(row.get("level", "")).strip() or "0"
        name = named(f"rwku-{level}", *asked, who[0])
        return {"id": name, "subject": who[0], "question": asked[0], "answer": asked[1]}
    if text is not None:
        return passage("rwku", text[0], subject=who[0] if who else None)
    raise refused(row, number, "`query`, `answer` and `subject`, or a text")
