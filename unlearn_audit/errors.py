"""All of our errors, with their exit codes; anything else is a bug.

A missing library is reported before any work is done, with the extra that installs it: `require`. What a library or
a plug-in raised is put into one line of ours by `cause_of`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec

LONGEST_CAUSE = 2_000
"""Characters of what others raised that we repeat; the traceback in `errors.log` has all of it."""

_COLORS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class AuditError(Exception):
    """An error that its reader can act on: what was expected, what came, what to try."""


class AttackError(AuditError):
    """An attack did not do what it claims (a backend that did not quantize): an ERROR, never a pass."""


class NotApplicableError(AttackError):
    """An attack, or a part of it, cannot exist for this kind of model: skipped with its reason.

    That holds if it is raised for every audited model; raised for some of them alone, it is an ERROR. It is raised
    before the attack did anything, for what the architecture lacks, not for what went wrong.
    """


class IntegrityError(AuditError):
    """Something differs from what was written or signed: exit code 5."""


class SpecError(AuditError):
    """The request itself is wrong: exit code 2."""


class Notice(UserWarning):
    """What a user should know and need not act on: one line on stderr."""


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
    "anyascii",
    "babel",
    "icu4py",
    "nltk",
    "num2words",
    "opencc",
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


def cause_of(error: BaseException) -> str:
    """All that an exception says, and all that it was raised from, as one printable line of bounded length.

    Libraries put the reason into the third line or into the exception below, so nothing is left out. The type is
    named unless the error is ours, whose message says enough.
    """
    told: list[str] = []
    for one in _chain(error):
        text = " ".join("".join(_printable(sign) for sign in _COLORS.sub("", str(one))).split())
        name = type(one).__name__
        line = (text if isinstance(one, AuditError) else f"{name}: {text}") if text else name
        if not any(line in known or (text and text in known) for known in told):
            told.append(line)
    whole = "; caused by ".join(told)
    return whole if len(whole) <= LONGEST_CAUSE else whole[: LONGEST_CAUSE - 3].rstrip() + "..."


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it was raised from, once each."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__


def _printable(sign: str) -> str:
    return sign if sign.isprintable() else " "
