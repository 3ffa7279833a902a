"""One module a format of the report."""

__all__ = [
    "console",
    "every_eval_ever",
    "figure",
    "html",
    "inspect_log",
    "json",
    "junit",
    "markdown",
    "model_card",
    "notebook",
    "sarif",
    "tables",
]
