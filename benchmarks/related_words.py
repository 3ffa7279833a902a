"""Which English words may stand for each other, from WordNet's own files: writes the matcher's `related.txt`.

    python -m benchmarks.related_words DICT unlearn_audit/api/kit/matching/wording/related.txt

DICT is the folder `dict` of WordNet 3.1, as Princeton publishes it. A line is a stem and those behind it in the
alphabet of all that share a set of synonyms with it, or stand in sets that are derived from one another, similar, or of
one verb group. Single words of three letters and more, by Snowball's English stemmer.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from unlearn_audit.api.kit.matching.wording.related import stem

FILES = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
RELATIONS = {"+", "&", "\\", "=", "^", "$"}
"""Derived form, similar, of an adjective, attribute, also, verb group: as in wninput(5)."""


def synsets(folder: Path) -> Iterator[tuple[str, set[str], list[str]]]:
    """Each set of synonyms: its key, the stems in it, the keys of those related to it."""
    for name, part in FILES.items():
        for line in (folder / f"data.{name}").read_text(encoding="ascii").splitlines():
            if line.startswith(" "):  # the licence
                continue
            fields = line.split(" | ")[0].split()
            count = int(fields[3], 16)
            words = (fields[4 + 2 * at].lower().split("(")[0] for at in range(count))
            stems = {stem(word) for word in words if word.isalpha() and len(word) > 2}
            behind = 4 + 2 * count
            pointers = (fields[behind + 1 + 4 * at : behind + 5 + 4 * at] for at in range(int(fields[behind])))
            yield part + fields[0], stems, [own[2] + own[1] for own in pointers if own[0] in RELATIONS]


def related_words(folder: Path) -> dict[str, set[str]]:
    """Stem -> all that may stand for it."""
    found = list(synsets(folder))
    sets = {key: stems for key, stems, _ in found}
    others: dict[str, set[str]] = {}
    for _, stems, pointers in found:
        near = stems.union(*(sets[key] for key in pointers))
        for one in stems:
            for other in near - {one}:
                others.setdefault(one, set()).add(other)
                others.setdefault(other, set()).add(one)
    return others


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dict", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    lines = (
        " ".join([one, *sorted(other for other in others if other > one)])
        for one, others in sorted(related_words(asked.dict).items())
        if any(other > one for other in others)
    )
    asked.out.write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
