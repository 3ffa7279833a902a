"""Parts of a page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from importlib.resources import files

from markupsafe import Markup

from unlearn_audit.api.kit.printable import clean

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def document(title: str, body: Markup, *, refresh: int | None = None, style: str = "") -> str:
    """A page.

    Args:
        title: any text.
        body: what stands below it.
        refresh: seconds after which a browser loads it again; None: it stays.
        style: rules of its own, after those of the report.
    """
    again = Markup('<meta http-equiv="refresh" content="{}">').format(refresh) if refresh else Markup("")
    head = Markup(
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="{}">{}<title>{}</title>'
    ).format(_POLICY, again, clean(title))
    sheet = Markup("<style>{}</style>").format(Markup(stylesheet() + style))  # noqa: S704 - files of this package
    return str(
        Markup('<!doctype html>\n<html lang="en"><head>{}{}</head><body><main>{}</main></body></html>\n').format(
            head, sheet, body
        )
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str | Markup]], numeric: Collection[int] = ()) -> Markup:
    """A table, whose first column names its rows.

    Args:
        head: titles of columns.
        rows: cells, texts already clean; a text is escaped, markup is taken as it is.
        numeric: places of columns that are flush right.
    """

    def row(cells: Sequence[str | Markup], *, title: bool = False) -> Markup:
        parts = []
        for place, cell in enumerate(cells):
            tag = "th" if title or place == 0 else "td"
            kind = Markup(' class="n"') if place in numeric else Markup("")
            scope = Markup(' scope="{}"').format("col" if title else "row") if tag == "th" else Markup("")
            parts.append(Markup("<{0}{1}{2}>{3}</{0}>").format(tag, scope, kind, cell))
        return Markup("<tr>{}</tr>").format(Markup("").join(parts))

    body = Markup("").join(row(cells) for cells in rows)
    return Markup("<table><thead>{}</thead><tbody>{}</tbody></table>").format(row(head, title=True), body)


def scrolled(inner: Markup) -> Markup:
    """Something that may be wider than a telephone."""
    return Markup('<div class="scroll" tabindex="0">{}</div>').format(inner)


def notes(texts: Sequence[str]) -> Markup:
    """A list; nothing where there are none."""
    items = Markup("").join(Markup("<li>{}</li>").format(clean(text)) for text in texts)
    return Markup("<ul>{}</ul>").format(items) if texts else Markup("")


def stylesheet() -> str:
    """The report's."""
    return files("unlearn_audit.report").joinpath("templates/report.css").read_text(encoding="utf-8")


def drawing_style() -> str:
    """Colours of a light page and its fonts, for a drawing that is a file of its own."""
    sheet = stylesheet()
    return sheet[sheet.index(":root") : sheet.index("}") + 1] + " text { font-family: system-ui, sans-serif; }"
