"""Which texts a model reads whole: those longer than its context are left out of a comparison, and said."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from unlearn_audit.api import Model, Prompt, Rendered

UNREAD = "all of these texts are longer than what one of the models reads"


def read_by(model: Model, asked: Sequence[Prompt | Rendered]) -> npt.NDArray[np.bool_]:
    """Whether the model reads each, (texts,)."""
    return np.array([model.unread(one) is None for one in asked], dtype=np.bool_)


def spread(values: npt.NDArray[np.float64], read: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Values of what is read at its places among all texts, along the first axis; NaN at the others."""
    found = np.full((len(read), *values.shape[1:]), np.nan)
    found[read] = values
    return found
