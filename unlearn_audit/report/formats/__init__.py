"""One module a format of the report."""

__all__ = [
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
