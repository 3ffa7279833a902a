"""One module a format of the report."""

__all__ = [
    "changes",
    "console",
    "every_eval_ever",
    "html",
    "json",
    "junit",
    "markdown",
    "model_card",
    "sarif",
    "tables",
]
