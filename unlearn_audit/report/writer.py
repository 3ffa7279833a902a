"""What a writer is: a plug-in that makes one document of a finished audit. All that a third party's writer imports."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from unlearn_audit.api import AuditError
from unlearn_audit.result import Result

if TYPE_CHECKING:
    import pandas as pd


class Needs(StrEnum):
    """What a document is made from."""

    RESULT = "result"
    OBSERVATIONS = "observations"


def _no_observations() -> pd.DataFrame:
    raise AuditError("the observations are not at hand; give the run directory: `unlearn-audit report RUN -f ...`")


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a writer may print. There is no answer of a model in it.

    Attributes:
        result: what `result.json` holds.
        observations: reads all observations of the run, checked against their digests: the columns of
            `evidence.COLUMNS`, with role, model, attack, seed and sham. Raises AuditError where there are none.
    """

    result: Result
    observations: Callable[[], pd.DataFrame] = _no_observations


class Writer(ABC):
    """One format of a report, by an entry point of the group `unlearn_audit.writers`.

    A class is cheap to import: what is heavy is imported by `render`. The texts in a result come from models, plug-ins
    and users, and may hold anything: `report.text.clean` makes them printable, and the escaping of the format is the
    writer's own. Equal material gives equal bytes.

    Attributes:
        file_name: what the file is called in a directory; its suffix says the format.
        binary: `render` gives bytes, which go into a file and never to a terminal; else it gives text.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    file_name: ClassVar[str]
    needs: ClassVar[Needs] = Needs.RESULT
    binary: ClassVar[bool] = False

    @abstractmethod
    def render(self, material: Material) -> str | bytes:
        """The whole document."""
