"""FaithUn: facts about famous people with paraphrases, longer chains and questions of the same answer (2502.19207)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from unlearn_audit.api import FactPreset, FactSet
from unlearn_audit.api.preset import Part
from unlearn_audit.errors import SpecError

from ._reading import Row, distinct, listed, named, refused

_FALSE = ("false_answers", "false_options", "wrong_answers", "distractors")
_BASE = {"question": "Where was Marisol Tveit born?", "answers": ["Tromso"], "false_answers": ["Bergen", "Oslo"]}
_DATA = {
    "Q0": {
        "hop1_unlearn": [_BASE],
        "hop1_test": [{**_BASE, "question": "What is Marisol Tveit's birthplace?"}],
        "hop2_test": [{"question": "In which country was Marisol Tveit born?", "answers": ["Norway"]}],
        "same_object": [{"question": "Where does the ferry from Alta end?", "answers": ["Tromso"]}],
    },
    "Q1": {"hop1_unlearn": [{"question": "Where was Jon Weir born?", "answers": ["Tarn"], "false_answers": []}]},
}


@dataclass(frozen=True, kw_only=True)
class _Cluster:
    """A base question of a person, with what belongs to it."""

    person: str
    base: Row
    paraphrases: tuple[str, ...]
    chains: tuple[Row, ...]
    same_answer: tuple[Row, ...]


class Faithun(FactPreset):
    """FaithUn's data file and its lists of clusters. The names of fields inside a question were not seen.

    A cluster is a base question of a person; the split files count clusters over all persons, from 0. Its paraphrases,
    and the two-hop questions as hops, belong to it where the file has one for each base question, or a list for each.
    Clusters to forget are the forget set; clusters to keep and to test, and the questions with the same answer as a
    forgotten fact, are the retain set. A person may be in both: what is kept has "(kept)" behind the name.
    """

    name: ClassVar[str] = "faithun"
    summary: ClassVar[str] = "FaithUn's facts about famous people, with paraphrases, chains and same-answer questions."
    paper: ClassVar[str] = "2502.19207"
    configs: ClassVar[Sequence[str]] = ("",)
    example: ClassVar[Sequence[Row]] = (_DATA,)
    example_parts: ClassVar[Mapping[str, Sequence[Row]]] = {
        "data": example,
        "forget_split": [{"text": "0\n"}],
        "kept": [{"text": "1\n"}],
        "test": [{"text": ""}],
    }

    def parts(self, config: str) -> Sequence[Part]:
        """The data, and the three lists of clusters."""
        if config:
            raise self.unknown(config)
        below = ("dataset/", "")

        def part(name: str, fact_set: FactSet, file: str, *, optional: bool = False) -> Part:
            files = tuple(f"{folder}{file}" for folder in below)
            return Part(name=name, set=fact_set, files=files, optional=optional)

        return (
            part("data", FactSet.FORGET, "FaithUn_Dataset"),
            part("forget_split", FactSet.FORGET, "splits/forget_set_split"),
            part("kept", FactSet.RETAIN, "splits/retaining_set_split", optional=True),
            part("test", FactSet.RETAIN, "splits/test_set_split", optional=True),
        )

    def sets(self, config: str, rows: Mapping[str, Sequence[Row]]) -> Mapping[FactSet, Iterable[Row]]:
        """The clusters of each list."""
        clusters = list(_clusters(rows["data"]))
        gone = _places(rows["forget_split"], len(clusters))
        kept = [place for name in ("kept", "test") for place in _places(rows.get(name, ()), len(clusters))]
        near = [question for place in gone for question in clusters[place].same_answer]
        stays = [_fact(clusters[place], " (kept)") for place in kept if place not in set(gone)]
        return {
            FactSet.FORGET: list(distinct(_fact(clusters[place]) for place in gone)),
            FactSet.RETAIN: list(distinct([*stays, *map(_alone, near)])),
        }

    def facts(self, rows: Sequence[Row]) -> Iterator[Row]:
        """All clusters."""
        return distinct(_fact(cluster) for cluster in _clusters(rows))


def _clusters(rows: Sequence[Row]) -> Iterator[_Cluster]:
    for number, row in enumerate(rows, 1):
        for person, held in row.items():
            bases = held.get("hop1_unlearn") if isinstance(held, dict) else None
            if not isinstance(held, dict) or not isinstance(bases, list):
                raise refused(row, number, "`hop1_unlearn` with the base questions of each person")
            for place, base in enumerate(bases):
                if not (isinstance(base, dict) and _asked(base)):
                    raise refused(row, number, "a `question` with its `answers` in each base question")
                yield _Cluster(
                    person=str(person),
                    base=base,
                    paraphrases=tuple(str(one["question"]) for one in _own(held, "hop1_test", place, len(bases))),
                    chains=_own(held, "hop2_test", place, len(bases)),
                    same_answer=_own(held, "same_object", place, len(bases)),
                )


def _own(held: Row, name: str, place: int, count: int) -> tuple[Row, ...]:
    """What belongs to one of `count` base questions: its item, its list of items, or all if it is the only one."""
    items = held.get(name)
    if not isinstance(items, list):
        return ()
    own = items if count == 1 else [items[place]] if len(items) == count else []
    flat = [one for item in own for one in (item if isinstance(item, list) else [item])]
    return tuple(one for one in flat if isinstance(one, dict) and _asked(one))


def _asked(question: Row) -> tuple[str, list[str]] | None:
    answers = listed(question.get("answers")) or listed(question.get("answer"))
    asked = question.get("question")
    return (asked, answers) if isinstance(asked, str) and asked.strip() and answers else None


def _fact(cluster: _Cluster, kept: str = "") -> Row:
    question, answers = _asked(cluster.base) or ("", [""])
    wrong = next((found for name in _FALSE if (found := listed(cluster.base.get(name)))), [])
    steps = [(one["question"], (_asked(one) or ("", [""]))[1][0]) for one in cluster.chains]
    return {
        "id": named("faithun", cluster.person, question),
        "subject": cluster.person + kept,
        "question": question,
        "answer": answers[0],
        "aliases": answers[1:],
        "paraphrases": list(cluster.paraphrases),
        "wrong_answers": wrong,
        "hops": [{"question": asked, "answer": answer} for asked, answer in steps],
    }


def _alone(question: Row) -> Row:
    """A question with the answer of a forgotten fact: another fact, which must stay."""
    asked, answers = _asked(question) or ("", [""])
    name = named("faithun-same", asked)
    fact = {"id": name, "subject": name, "question": asked, "answer": answers[0], "aliases": answers[1:]}
    return {**fact, "part": "same answer"}


def _places(rows: Sequence[Row], count: int) -> list[int]:
    """The clusters of a list, one number a line, counted from 0."""
    words = [word for row in rows for word in str(row.get("text", "")).split()]
    if not all(word.isdigit() and int(word) < count for word in words):
        raise SpecError(f"expected the numbers of clusters, from 0 to {count - 1}, one a line, in a split file")
    return [int(word) for word in words]
