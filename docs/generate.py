"""Writes what the docs take from the code, or checks that it is current.

docs/attacks.md, probes.md and comparisons.md come from the plug-ins; the drawing and the table of rooms in
docs/architecture.md come from the import contract in pyproject.toml and from each room's `__init__`.

python docs/generate.py            write
python docs/generate.py --check    exit 1 where a page is stale, or a module stands on no floor
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlearn_audit.api import Attack, Probe, Profile
from unlearn_audit.api.comparison import Comparison
from unlearn_audit.api.plugins import ATTACKS, COMPARISONS, OWN_DISTRIBUTION, PROBES, available

ROOT = Path(__file__).resolve().parent.parent
HEAD = "<!-- Written by docs/generate.py from the plug-ins. Do not edit. -->\n"
ROOMS = "<!-- rooms: written by docs/generate.py -->", "<!-- end of rooms -->"
CORE = "unlearn_audit"
FOLDERS = {"attacks": "unlearn_audit.attacks", "probes": "unlearn_audit.probes, unlearn_audit.comparisons"}
"""Folders of plug-ins, with the entry-point groups through which they are found."""

_WIDTH = 96  # of the drawing
_MOST_DOORS = 20  # of a room, in the drawing and in the table; of more, their number


ATTACKS_INTRO = """What an adversary does to a model. Every attack runs on checkpoint, original and controls.

**One after the other.** `first+second` among a spec's attacks hands what the first makes to the second, as if it were
the checkpoint: fine-tune, then round; fine-tune, then begin the answer. It runs alike in every role, costs the first
once and the second at each of its doses, and needs the access of the more demanding. A dose is named after both
(`lora r16 step 160 + nf4`), and a fact is scored where both score it. A part without settings runs at a few strong
doses; `{}` for its settings runs all that the profile has.

```yaml
attacks:
  relearning+quantization: # few doses of each
  ablation+relearning: {relearning: {steps: [80]}}
```

`standard` runs `relearning+quantization`, `deep` also `relearning+prefill` and `ablation+relearning`; others run where
they are named. No paper is followed: each part departs from its own as its section says."""


def page(title: str, intro: str, group: str, kind: type[Any]) -> str:
    """One page: a section a plug-in, in the order of `list`."""
    sections = [
        section(name, entry.plugin)
        for name, entry in available(group, kind).items()
        if entry.distribution == OWN_DISTRIBUTION and entry.plugin is not None
    ]
    return f"{HEAD}\n# {title}\n\n{intro}\n\n" + "\n".join(sections)


def section(name: str, plugin: type[Any]) -> str:
    """What a plug-in is, needs, measures and takes."""
    paper = f"[arXiv {plugin.paper}](https://arxiv.org/abs/{plugin.paper})" if plugin.paper else "none"
    lines = [f"## {name}", "", plugin.summary, "", inspect.cleandoc(plugin.__doc__ or ""), ""]
    lines.append(f"- **Access**: {plugin.access}{', served to every user' if getattr(plugin, 'served', False) else ''}")
    lines.append(f"- **Paper**: {paper}")
    if (profiles := getattr(plugin, "profiles", frozenset(Profile))) != frozenset(Profile):
        lines.append(
            f"- **Profiles**: {', '.join(each for each in Profile if each in profiles)}; any, where it is named"
        )
    if issubclass(plugin, Attack):
        lines.append(f"- **Plant**: {_first_paragraph(plugin.planting) if _plants(plugin) else 'none'}")
    if issubclass(plugin, Probe):
        measures = ", ".join(
            f"`{measure.name}` ({measure.kind}{', gates' if measure.gates else ''})" for measure in plugin.measures
        )
        lines.append(
            f"- **Reads**: the {plugin.reads} set, {'under every attack' if plugin.under_attacks else 'un-attacked'}"
        )
        lines.append(f"- **Measures**: {measures}; in [0, 1], higher = more of the knowledge shown")
        lines.append(f"- **Refusal-proof**: {'yes' if plugin.refusal_proof else 'no'}")
    if issubclass(plugin, Comparison):
        lines.append(f"- **Needs**: the {' and the '.join(plugin.reads)} set")
    lines += ["", *parameters(plugin), ""]
    return "\n".join(lines)


def _plants(plugin: type[Attack[Any]]) -> bool:
    return plugin.planting is not Attack.planting


def _first_paragraph(function: object) -> str:
    text = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ").rstrip(".")
    return text[:1].lower() + text[1:]


def parameters(plugin: type[Any]) -> list[str]:
    """The table of a plug-in's parameters."""
    fields = plugin.Parameters.model_fields
    if not fields:
        return ["No parameters."]
    rows = [
        f"| `{name}` | `{_plain(field.get_default(call_default_factory=True))}` | {field.description or ''} |"
        for name, field in fields.items()
    ]
    return ["| parameter | default | what it does |", "|---|---|---|", *rows]


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_plain, value)) + "]"
    return str(value).replace("|", "\\|").replace("None", "by profile")


@dataclass(frozen=True, kw_only=True)
class Room:
    """A room of the code: what it is for, and what others may take from it."""

    name: str
    path: str
    purpose: str
    doors: tuple[str, ...]

    @property
    def doors_in_short(self) -> str:
        """Its doors, or how many there are."""
        return ", ".join(self.doors) if len(self.doors) <= _MOST_DOORS else f"{len(self.doors)} names in __all__"


def floors(root: Path = ROOT) -> list[list[Room]]:
    """The rooms by layer of the import contract, the highest first."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (one for one in settings["tool"]["importlinter"]["contracts"] if one["type"] == "layers")
    return [[_room(name.strip(), root) for name in layer.split("|")] for layer in contract["layers"]]


def _room(module: str, root: Path) -> Room:
    path = Path(*module.split("."))
    source = root / path / "__init__.py" if (root / path).is_dir() else root / path.with_suffix(".py")
    tree = ast.parse(source.read_text(encoding="utf-8"))
    purpose = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
    return Room(
        name=module.removeprefix(f"{CORE}."),
        path=f"{path}/" if (root / path).is_dir() else str(path.with_suffix(".py")),
        purpose=purpose,
        doors=(f"entry points {FOLDERS[module]}",) if module in FOLDERS else _doors(tree),
    )


def _doors(tree: ast.Module) -> tuple[str, ...]:
    """What `__all__` names; without it, the public functions and classes."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == "__all__" for to in node.targets):
            return tuple(ast.literal_eval(node.value))
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return tuple(name for name in defined if not name.startswith("_"))


def rooms(root: Path = ROOT) -> str:
    """The drawing and the table of the rooms."""
    layers = floors(root)
    table = ["| room | what it is for | doors |", "|---|---|---|"]
    for room in (room for layer in layers for room in layer):
        doors = room.doors_in_short if room.name in FOLDERS else _as_code(room)
        table.append(f"| [`{room.name}`](../{room.path}) | {room.purpose} | {doors} |")
    return "\n".join(["```text", *drawing(layers), "```", "", *table])


def _as_code(room: Room) -> str:
    if len(room.doors) > _MOST_DOORS:
        return f"{len(room.doors)} names in `__all__`"
    return ", ".join(f"`{door}`" for door in room.doors)


def drawing(layers: Sequence[Sequence[Room]]) -> list[str]:
    """The rooms as floors of a house: a room imports rooms of lower floors, none of its own floor, none above."""
    lines = [_ceiling(None, _widths(layers[0]))]
    for number, layer in enumerate(layers):
        widths = _widths(layer)
        columns = [
            [room.name, *textwrap.wrap(room.doors_in_short, width - 4, initial_indent="  ", subsequent_indent="  ")]
            for room, width in zip(layer, widths, strict=True)
        ]
        for line in range(max(map(len, columns))):
            texts = [column[line] if line < len(column) else "" for column in columns]
            lines.append(
                "│" + "│".join(f" {text:<{width - 2}} " for text, width in zip(texts, widths, strict=True)) + "│"
            )
        lines.append(_ceiling(widths, _widths(layers[number + 1]) if number + 1 < len(layers) else None))
    return lines


def _widths(layer: Sequence[Room]) -> list[int]:
    """Widths of the rooms of a floor, between its walls."""
    inside = _WIDTH - 1 - len(layer)
    share, rest = divmod(inside, len(layer))
    return [share + (place < rest) for place in range(len(layer))]


def _ceiling(above: Sequence[int] | None, below: Sequence[int] | None) -> str:
    """The line between two floors, with a joint where a wall stands above or below it."""
    up, down = _walls(above), _walls(below)
    joints = {(True, True): "┼", (True, False): "┴", (False, True): "┬", (False, False): "─"}
    middle = "".join(joints[place in up, place in down] for place in range(1, _WIDTH - 1))
    left, right = ("┌", "┐") if above is None else ("└", "┘") if below is None else ("├", "┤")
    return left + middle + right


def _walls(widths: Sequence[int] | None) -> set[int]:
    places, at = set(), 0
    for width in (widths or [])[:-1]:
        at += width + 1
        places.add(at)
    return places


def homeless(root: Path = ROOT) -> list[str]:
    """Modules and folders of the core that stand in no layer of the import contract."""
    known = {Path(room.path).as_posix() for layer in floors(root) for room in layer}
    there = [path for path in (root / CORE).iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    found = [path.relative_to(root).as_posix() for path in there if not path.name.startswith("__")]
    return sorted(set(found) - known - {f"{CORE}/{folder}" for folder in FOLDERS})


def filled(page: str, part: str) -> str:
    """A page with a part written anew between its marks.

    Raises:
        ValueError: the page has no marks.
    """
    begin, end = ROOMS
    head, found, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page has no part between {begin} and {end}")
    return f"{head}{begin}\n\n{part}\n\n{end}{tail}"


def pages() -> dict[Path, str]:
    """All generated pages, and the page with a generated part."""
    architecture = ROOT / "docs" / "architecture.md"
    return {
        architecture: filled(architecture.read_text(encoding="utf-8"), rooms()),
        ROOT / "docs" / "attacks.md": page(
            "Attacks",
            ATTACKS_INTRO,
            ATTACKS,
            Attack,
        ),
        ROOT / "docs" / "probes.md": page(
            "Probes",
            "What is measured on each attacked model. A probe cannot see which attack or role it measures.",
            PROBES,
            Probe,
        ),
        ROOT / "docs" / "comparisons.md": page(
            "Comparisons",
            "What is measured on models as wholes: a number with its interval, next to that of its null. Advisory "
            "unless the policy's `gate` names it.",
            COMPARISONS,
            Comparison,
        ),
    }


def main() -> int:
    """Writes or checks."""
    if "--check" not in sys.argv[1:]:
        for path, text in pages().items():
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [
        str(path.relative_to(ROOT))
        for path, text in pages().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    for name in stale:
        print(f"{name} is stale: run `make docs`", file=sys.stderr)
    unplaced = homeless()
    for module in unplaced:
        print(f"{module} stands in no layer of the import contract in pyproject.toml", file=sys.stderr)
    return 1 if stale or unplaced else 0


if __name__ == "__main__":
    sys.exit(main())
