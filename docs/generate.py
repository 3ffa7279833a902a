"""Writes docs/attacks.md, probes.md and comparisons.md from the plug-ins themselves, or checks that they are current.

python docs/generate.py            write
python docs/generate.py --check    exit 1 where a page is stale, or a page names a command that does not exist
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

from unlearn_audit.api import Attack, Probe
from unlearn_audit.api.comparison import Comparison
from unlearn_audit.api.plugins import ATTACKS, COMPARISONS, OWN_DISTRIBUTION, PROBES, available
from unlearn_audit.cli.app import app

ROOT = Path(__file__).resolve().parent.parent
HEAD = "<!-- Written by docs/generate.py from the plug-ins. Do not edit. -->\n"


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


def pages() -> dict[Path, str]:
    """All generated pages."""
    return {
        ROOT / "docs" / "attacks.md": page(
            "Attacks",
            "What an adversary does to a model. Every attack runs on the checkpoint, the original and the controls.",
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
            "What is measured on models as wholes: a number with its interval, beside that of its null. Advisory "
            "unless the policy's `gate` names it.",
            COMPARISONS,
            Comparison,
        ),
    }


def unknown_commands() -> list[str]:
    """Commands that a page names and the tool does not have."""
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    found = []
    for path in [
        ROOT / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "examples").rglob("*.md")),
    ]:
        named = re.findall(r"^\s*(?:\$ )?unlearn-audit ([a-z]+)", path.read_text(encoding="utf-8"), re.M)
        found += [f"{path.relative_to(ROOT)}: unlearn-audit {verb}" for verb in named if verb not in known]
    return found


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
    for problem in unknown_commands():
        print(f"no such command: {problem}", file=sys.stderr)
    return 1 if stale or unknown_commands() else 0


if __name__ == "__main__":
    sys.exit(main())
