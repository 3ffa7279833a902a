"""The interface of a writer: a plug-in that makes one document of a finished audit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel

from unlearn_audit.errors import AuditError

if TYPE_CHECKING:
    import pandas as pd


class Needs(StrEnum):
    """What a document is made from."""

    RESULT = "result"
    OBSERVATIONS = "observations"
    PUBLISHED = "published"


def _no_observations() -> pd.DataFrame:
    raise AuditError("expected a run with observations; give the run directory: `unlearn-audit report RUN -f ...`")


def _nothing_published() -> BaseModel:
    raise AuditError("expected a run with published figures; run the audit with --metrics tofu (or another suite)")


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a writer may print. It contains no answer of a model.

    Attributes:
        result: what `result.json` holds, as its published schema describes it (`unlearn-audit schema result`).
        observations: reads all observations of the run, checked against their digests: the columns of
            `evidence.observations.COLUMNS`, with role, model, attack, seed and sham, the pseudonym of the subject and
            the relation. Raises AuditError where there are none.
        published: reads the figures of `run --metrics`: an `evidence.published.Metrics`. Raises AuditError where there
            are none.
    """

    result: BaseModel
    observations: Callable[[], pd.DataFrame] = _no_observations
    published: Callable[[], BaseModel] = _nothing_published

    def document(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        document: dict[str, Any] = self.result.model_dump(mode="json")
        return document


class Writer(ABC):
    """One format of a report, by an entry point of the group `unlearn_audit.writers`.

    A class is cheap to import: `render` imports heavy packages. The texts in a result come from models, plug-ins
    and users, and may hold anything: `api.kit.printable.clean` makes them printable, and escaping for the format is the
    writer's task. Equal material gives equal bytes.

    Attributes:
        file_name: what the file is called in a directory; its suffix says the format.
        binary: `render` gives bytes, which go into a file and never to a terminal; otherwise it gives text.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    file_name: ClassVar[str]
    needs: ClassVar[Needs] = Needs.RESULT
    binary: ClassVar[bool] = False

    @abstractmethod
    def render(self, material: Material) -> str | bytes:
        """The whole document."""
