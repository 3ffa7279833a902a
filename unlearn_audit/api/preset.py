"""The interface of a fact preset: a plug-in that reads a published benchmark as facts.

A benchmark is published in its own layout. Its preset says once how these rows become facts, so that no one has to
convert a file by hand. One file is read as `NAME:FILE` (`tofu:forget10.jsonl`), a whole benchmark with its forget,
retain and holdout sets as `NAME/CONFIG` (`tofu/forget10`), from a folder or from the local cache of the hub.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from unlearn_audit.api.facts import FactSet
from unlearn_audit.api.problems import did_you_mean
from unlearn_audit.errors import SpecError

Row: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One file of a benchmark, wherever it is published.

    Attributes:
        name: of the part, the same in every configuration (`forget`, `retain_qa`).
        set: the fact set that its rows belong to; None: no fact, rows that only the authors' own measures read.
        files: paths below the benchmark's folder, without suffix, the best first; `*` stands for anything, and
            a folder `*` for every folder: the files in all of them are the part. Each is looked for as .jsonl, .json,
            .parquet (its shards too), .csv and .txt, here and in a folder `data`.
        dataset: its place on the hub as `owner/name:config@split`, or empty where there is none.
        other_datasets: places on the hub that do as well where that one is not to be had, the best first.
        optional: the benchmark is read without it where it is not found.
    """

    name: str
    set: FactSet | None
    files: tuple[str, ...]
    dataset: str = ""
    other_datasets: tuple[str, ...] = ()
    optional: bool = False


class FactPreset(ABC):
    """One benchmark's layout, by an entry point of the group `unlearn_audit.presets`.

    A class is cheap to import. It is made without arguments and holds no state.

    Attributes:
        summary: what the benchmark holds and which files of it are read, in a sentence.
        paper: arXiv id, or empty.
        example: a few made-up rows in the published layout. They document it, and the contract test reads them.
        configs: the benchmarks that it reads as a whole; "" where its name alone is one. Empty: it reads files only.
        open_config: what else may stand for a configuration, as it is told to people (SUBJECT); empty: nothing.
        example_parts: made-up rows of each part, by its name, for the contract test; all configurations have them.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    example: ClassVar[Sequence[Row]]
    configs: ClassVar[Sequence[str]] = ()
    open_config: ClassVar[str] = ""
    example_parts: ClassVar[Mapping[str, Sequence[Row]]] = {}

    @abstractmethod
    def facts(self, rows: Sequence[Row]) -> Iterator[Row]:
        """The facts in these rows, as mappings with the fields of `api.Fact`.

        What it promises:

        - Keys are only fields of `Fact`; `id` and `subject` are in every mapping, and either `question` and
          `answer` or `text`. Values are plain: texts, and lists of texts. A field without a value is omitted.
        - `subject` is the unit of statistics: what leaks together has one subject.
        - Ids are unique. Ids and subjects follow from the rows' content, not from a row's position in its file, so
          that the forget set and the retain set of one benchmark never share one by accident.
        - Facts come in the order of the rows, the same ones each time. The rows are not changed.

        Args:
            rows: all rows of the file, in its order, as it has them.

        Raises:
            SpecError: the rows are not in the published layout. It says what was expected, what came and what to do,
                and never repeats an answer: that may be the secret.
        """

    def parts(self, config: str) -> Sequence[Part]:
        """The files of a configuration, in the order in which their facts come.

        Raises:
            SpecError: there is no such configuration.
        """
        raise self.unknown(config)

    def chosen(self, config: str, rows: Sequence[Row]) -> Sequence[Row]:
        """Those of a part's rows that are a configuration's, where a file holds more. By default, all."""
        return rows

    def sets(self, config: str, rows: Mapping[str, Sequence[Row]]) -> Mapping[FactSet, Iterable[Row]]:
        """The facts of each set of a configuration, as `facts` gives them. By default, those of each part's rows.

        What it promises besides: no subject of the forget set is in another set, and ids are unique within a set.

        Args:
            config: one of `configs`, or what else `parts` takes.
            rows: by the part's name, those that are `chosen`; a part that was not found is missing.
        """
        found: dict[FactSet, list[Row]] = {}
        for part in self.parts(config):
            if part.name in rows and part.set is not None:
                found.setdefault(part.set, []).extend(self.facts(rows[part.name]))
        return found

    def unknown(self, config: str) -> SpecError:
        """The error for a configuration that the preset does not have."""
        known = [f"{self.name}/{one}" if one else self.name for one in self.configs]
        if not known:
            return SpecError(f"the preset {self.name!r} reads single files only; give --forget {self.name}:FILE")
        wanted = f"{self.name}/{config}" if config else self.name
        return SpecError(f"no benchmark {wanted!r}{did_you_mean(wanted, known)}")
