"""Several audited checkpoints in one table and one figure: on a terminal, and as HTML, Markdown, CSV, JSON, SVG."""

__all__ = ["documents", "terminal"]
