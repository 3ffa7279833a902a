"""Lines of columns on a terminal, each cell cut in the middle, where both ends tell one from another."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.cells import cell_len, set_cell_size

WIDTH = 80


def line(cells: Sequence[str], widths: Sequence[int], right: Collection[int] = ()) -> str:
    """Cells with a blank between them.

    Args:
        cells: harmless texts.
        widths: of the columns, in cells of a terminal.
        right: places of columns that are flush right.
    """
    sized = [fitted(cell, width) for cell, width in zip(cells, widths, strict=True)]
    padded = [
        " " * (width - cell_len(cell)) + cell if place in right else cell + " " * (width - cell_len(cell))
        for place, (cell, width) in enumerate(zip(sized, widths, strict=True))
    ]
    return " ".join(padded).rstrip()


def fitted(text: str, width: int) -> str:
    """A text that has so much room."""
    if cell_len(text) <= width:
        return text
    head = (width - 3) // 3
    tail = text
    while cell_len(tail) > width - 3 - head:
        tail = tail[1:]
    return set_cell_size(text, head) + "..." + tail
