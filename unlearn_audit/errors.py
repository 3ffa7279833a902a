"""All of our errors, with their exit codes; anything else is a bug.

A missing library is reported before any work is done, with the extra that installs it: `require`.
"""

from __future__ import annotations

from importlib.util import find_spec


class AuditError(Exception):
    """An error that its reader can act on: what was expected, what came, what to try."""


class AttackError(AuditError):
    """An attack did not do what it claims (a backend that did not quantize): an ERROR, never a pass."""


class NotApplicableError(AttackError):
    """An attack, or a part of it, cannot exist for this kind of model: skipped with its reason, never an ERROR.

    Raised before the attack did anything, for what the architecture lacks, not for what went wrong.
    """


class IntegrityError(AuditError):
    """Something differs from what was written or signed: exit code 5."""


class SpecError(AuditError):
    """The request itself is wrong: exit code 2."""


RUN = (
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "gguf",
    "huggingface_hub",
    "networkx",
    "peft",
    "psutil",
    "rapidfuzz",
    "rouge_score",
    "safetensors",
    "scipy",
    "sklearn",
)
"""Import names of what an audit needs, the best known first: the first that is missing is named. Without bitsandbytes,
which is not built for every machine; its attack says so itself."""


class MissingExtraError(SpecError):
    """What was asked for needs a library that is not installed: exit code 2."""

    def __init__(self, what: str, library: str, extra: str) -> None:
        super().__init__(f"{what} needs {library}, which is not installed: pip install 'unlearn-audit[{extra}]'")


def missing(modules: tuple[str, ...] = RUN) -> list[str]:
    """Those of some top-level modules that are not installed; imports none."""
    return [module for module in modules if find_spec(module) is None]


def require(what: str, modules: tuple[str, ...] = RUN, *, extra: str = "run") -> None:
    """Refuses what cannot be done with what is installed.

    Args:
        what: what needs it, as the reader knows it: `run` in backquotes, a format, a kind of file.
        modules: top-level modules.
        extra: the extra that brings them.

    Raises:
        MissingExtraError: naming the first that is missing, and the command that installs it.
    """
    absent = missing(modules)
    if absent:
        raise MissingExtraError(what, absent[0], extra)
