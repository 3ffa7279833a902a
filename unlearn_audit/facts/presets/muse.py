"""MUSE: news and books, as questions, as texts cut in two, and as texts whole (2407.06460)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from unlearn_audit.api import FactPreset, FactSet
from unlearn_audit.api.preset import Part

from ._reading import Row, cut, distinct, listed, named, numbered, passage, refused, texts

_HUBS = {"news": "muse-bench/MUSE-News", "books": "muse-bench/MUSE-Books"}
_OLD_FOLDERS = {"news": "bbc", "books": "hp"}
_QUESTIONS = [{"question": "Which port closed in May?", "answer": "Port Alder"}]


class Muse(FactPreset):
    """MUSE's files, from the hub or as its `load_data.py` writes them (`data/news/knowmem/forget_qa.json`).

    Questions of `knowmem` are facts, prompts of `verbmem` are texts with the benchmark's own cut, and the texts of
    `privleak` that no model was trained on are the holdout set. The files name no subject: each question and each text
    counts as one.
    """

    name: ClassVar[str] = "muse"
    summary: ClassVar[str] = "MUSE's questions and texts of news or books; each question and text is its own subject."
    paper: ClassVar[str] = "2407.06460"
    configs: ClassVar[Sequence[str]] = ("news", "books")
    example: ClassVar[Sequence[Row]] = (
        *_QUESTIONS,
        {"prompt": "Long ago, on the ferry to Port Alder,", "gt": " the crew found a locked chest."},
        {"text": "The harbour office said on Monday that the port would close."},
    )
    example_parts: ClassVar[Mapping[str, Sequence[Row]]] = {
        "forget_qa": _QUESTIONS,
        "verbmem": example[1:2],
        "retain_qa": [{"question": "Who runs the ferry?", "answer": "Hanne Osk"}],
        "holdout": example[2:],
        **dict.fromkeys(("forget_qa_icl", "retain_qa_icl"), _QUESTIONS),
        "privleak_forget": example[2:],
    }

    def parts(self, config: str) -> Sequence[Part]:
        """Questions and prompts of the forget set, questions of the retain set, texts of the holdout set.

        The examples before a question and the texts of PrivLeak are for MUSE's own measures.
        """
        if config not in _HUBS:
            raise self.unknown(config)
        hub, folders = _HUBS[config], ("", f"{config}/", f"data/{config}/", f"{_OLD_FOLDERS[config]}/")

        def part(name: str, fact_set: FactSet | None, kind: str, *splits: str, optional: bool = False) -> Part:
            files = tuple(f"{folder}{kind}/{split}" for split in splits for folder in folders)
            first, *others = (f"{hub}:{kind}@{split}" for split in splits)
            return Part(
                name=name, set=fact_set, files=files, dataset=first, other_datasets=tuple(others), optional=optional
            )

        return (
            part("forget_qa", FactSet.FORGET, "knowmem", "forget_qa"),
            part("verbmem", FactSet.FORGET, "verbmem", "forget"),
            part("retain_qa", FactSet.RETAIN, "knowmem", "retain_qa", "retain2_qa"),
            part("holdout", FactSet.HOLDOUT, "privleak", "holdout", optional=True),
            part("forget_qa_icl", None, "knowmem", "forget_qa_icl", optional=True),
            part("retain_qa_icl", None, "knowmem", "retain_qa_icl", "retain2_qa_icl", optional=True),
            part("privleak_forget", None, "privleak", "forget", optional=True),
        )

    def facts(self, rows: Sequence[Row]) -> Iterator[Row]:
        """One fact a row, by its columns."""
        return distinct(_fact(row, number) for number, row in numbered(rows))


def _fact(row: Row, number: int) -> Row:
    asked, halves, whole = row.get("question"), texts(row, "prompt", "gt"), texts(row, "text")
    answers = listed(row.get("answer"))
    if isinstance(asked, str) and answers:
        name = named("muse", asked, answers)
        return {"id": name, "subject": name, "question": asked, "answer": answers[0], "aliases": answers[1:]}
    if halves is not None:
        given, text = cut(*halves)
        return passage("muse", text, given)
    if whole is not None:
        return passage("muse", whole[0])
    raise refused(row, number, "`question` and `answer`, `prompt` and `gt`, or a text")
