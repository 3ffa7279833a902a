"""Where facts come from, as users write it: a file, a data set, or either read through the preset of a benchmark."""

from __future__ import annotations

import re
from dataclasses import dataclass

from unlearn_audit.api.plugins import PRESETS, names

_FILE = re.compile(r"([a-z][a-z0-9-]+):(.+)", re.DOTALL)  # one letter is a drive of Windows
_BENCHMARK = re.compile(r"([a-z][a-z0-9-]+)(?:/([^:]*))?:(.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A source of facts, taken apart.

    Attributes:
        preset: the name of the preset that reads it; None for plain facts.
        config: of the preset's benchmark that is read as a whole; None where one file is read.
        where: the file, folder or data set; empty for a benchmark in the local cache of the hub.
    """

    preset: str | None = None
    config: str | None = None
    where: str

    def __str__(self) -> str:
        """As it is written: `parse_source` gives the same again."""
        if self.preset is None:
            return self.where
        return f"{self.preset}:{self.where}" if self.config is None else f"{self.preset}/{self.config}:{self.where}"


def parse_source(source: str) -> Source:
    """Takes a source apart: `FILE`, `PRESET:FILE`, or `PRESET/CONFIG:FOLDER`, whose folder may be empty.

    A hub id has a slash as well (`locuslab/TOFU:forget10`); what stands before it is an owner unless a preset of that
    name is installed.
    """
    one = _FILE.fullmatch(source)
    if one:
        return Source(preset=one[1], where=one[2])
    whole = _BENCHMARK.fullmatch(source)
    if whole and whole[2] is not None and whole[1] in names(PRESETS):
        return Source(preset=whole[1], config=whole[2], where=whole[3])
    return Source(where=source)


def benchmark_source(benchmark: str, folder: str) -> str:
    """The source of a benchmark (`tofu/forget10`, `lume`) in a folder; an empty one stands for the hub's cache."""
    preset, _, config = benchmark.partition("/")
    return str(Source(preset=preset, config=config, where=folder))
