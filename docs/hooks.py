"""For the site: links out of docs/ lead to the repository, and a notebook becomes a page."""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_LINK = re.compile(r"(\]\()(?![a-zA-Z][a-zA-Z0-9+.-]*:|//|#|/)([^)\s]+)(\))")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 - as mkdocs calls it
    """The page with links to files of the repository that are no page turned into addresses."""
    here = posixpath.dirname(f"docs/{page.file.src_uri}")

    def placed(found: re.Match[str]) -> str:
        target, _, anchor = found[2].partition("#")
        path = posixpath.normpath(posixpath.join(here, target))
        inside = path.startswith("docs/") and not path.endswith(".py")
        if not target or (inside and not (ROOT / path).is_dir()):
            return found[0].replace(".ipynb", ".md")
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        address = f"{config.repo_url}/{kind}/main/{path}" + (f"#{anchor}" if anchor else "")
        return f"{found[1]}{address}{found[3]}"

    return _LINK.sub(placed, markdown)


def as_markdown(notebook: dict[str, Any]) -> str:
    """A notebook's text and code; what it printed is not kept."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    return "\n\n".join(parts) + "\n"


def on_files(files: Any, config: Any) -> Any:
    """Notebooks are pages, at the address that links give them with `.ipynb` left out."""
    from mkdocs.structure.files import File

    for file in [one for one in files if one.src_uri.endswith(".ipynb")]:
        text = as_markdown(json.loads(Path(file.abs_src_path).read_text(encoding="utf-8")))
        files.remove(file)
        files.append(File.generated(config, file.src_uri.removesuffix(".ipynb") + ".md", content=text))
    return files
