"""WMDP: questions about hazards with four choices (2403.03218)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from unlearn_audit.api import FactPreset, FactSet
from unlearn_audit.api.preset import Part
from unlearn_audit.facts.printed import place_of, unpacked

from ._reading import Row, distinct, named, numbered, passage, refused, texts

_KINDS = ("bio", "chem", "cyber")
_CHOICES = [
    {"question": "Which invented river is longest?", "choices": ["Anlo", "Kettle", "Tarn", "Weir"], "answer": 2}
]


class Wmdp(FactPreset):
    """WMDP's questions, and MMLU's in the same layout: `question`, `choices`, and the index of the right one.

    The other choices are the wrong answers. No row names a subject: each question counts as one. A file of MMLU has a
    `subject`, which is a field of study and unites nothing that leaks together; it becomes the relation.
    `wmdp/cyber` and `wmdp/bio` have the retain corpus as retain set where it is found.
    """

    name: ClassVar[str] = "wmdp"
    summary: ClassVar[str] = "WMDP's questions with four choices, and MMLU's; the other choices are wrong answers."
    paper: ClassVar[str] = "2403.03218"
    configs: ClassVar[Sequence[str]] = _KINDS
    example: ClassVar[Sequence[Row]] = _CHOICES
    example_parts: ClassVar[Mapping[str, Sequence[Row]]] = {
        "questions": _CHOICES,
        "retain": [{"text": "A lock keeper writes down the level of the river every morning."}],
    }

    def parts(self, config: str) -> Sequence[Part]:
        """The questions, and the retain corpus."""
        if config not in _KINDS:
            raise self.unknown(config)
        name, corpus = f"wmdp-{config}", f"{config}-retain-corpus"
        return (
            Part(
                name="questions",
                set=FactSet.FORGET,
                files=(f"{name}/test", name, config, f"{config}_questions"),
                dataset=f"cais/wmdp:{name}@test",
            ),
            Part(
                name="retain",
                set=FactSet.RETAIN,
                files=(corpus, f"wmdp-corpora/{corpus}", f"{corpus}/train"),
                dataset=f"cais/wmdp-corpora:{corpus}",
                optional=True,
            ),
        )

    def facts(self, rows: Sequence[Row]) -> Iterator[Row]:
        """One fact a row: a question, or a text of a corpus."""
        return distinct(_fact(row, number) for number, row in numbered(rows))


def _fact(row: Row, number: int) -> Row:
    asked, choices, text = row.get("question"), unpacked(row.get("choices")), texts(row, "text")
    right = row.get("answer")
    if isinstance(choices, list):
        right = place_of(right, choices)
    if text is not None and choices is None:
        return passage("wmdp", text[0])
    if not (isinstance(asked, str) and isinstance(choices, list) and isinstance(right, int)):
        raise refused(row, number, "`question`, a list of `choices` and the index of the `answer`, or a text")
    options = [str(choice) for choice in choices]
    if isinstance(right, bool) or not 0 <= right < len(options):
        raise refused(row, number, f"an `answer` from 0 to {len(options) - 1}")
    name = named("wmdp", asked, options)
    fact: dict[str, object] = {
        "id": name,
        "subject": name,
        "question": asked,
        "answer": options[right],
        "wrong_answers": [option for place, option in enumerate(options) if place != right],
    }
    field = texts(row, "subject")
    return fact if field is None else {**fact, "relation": field[0]}
