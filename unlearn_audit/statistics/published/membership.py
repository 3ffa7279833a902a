"""Measures of a set of scores: ROC areas in both orientations, and PrivLeak (2407.06460)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_TINY = 1e-10
_SMALLEST_AREA = 1e-12


def auc_memorised_high(forget: ArrayLike, holdout: ArrayLike) -> float:
    """Chance that a holdout score exceeds a forget score, ties half; scores have the sign of a loss.

    1 = the forget set is memorised, 0.5 = alike: open-unlearning's.
    """
    from sklearn.metrics import roc_auc_score

    scores, labels = _labelled(forget, holdout)
    return float(roc_auc_score(labels, scores))


def auc_memorised_low(forget: ArrayLike, holdout: ArrayLike) -> float:
    """The mirror image, MUSE's `forget_holdout`: 0 = the forget set is memorised."""
    from sklearn.metrics import roc_auc_score

    scores, labels = _labelled(forget, holdout)
    return float(roc_auc_score(labels, -scores))


def best_balanced_accuracy(forget: ArrayLike, holdout: ArrayLike) -> float:
    """Of any threshold on the negated scores, holdout as positives: MUSE's `acc`, in [0.5, 1]."""
    from sklearn.metrics import roc_curve

    scores, labels = _labelled(forget, holdout)
    false, true, _ = roc_curve(labels, -scores)
    return float(np.max(1 - (false + (1 - true)) / 2))


def privleak_of_muse(unlearned: float, retrained: float) -> float:
    """100 * (unlearned - retrained) / retrained, of `auc_memorised_low` on Min-40% scores, in [-100, inf).

    0 = like the retrained model, negative = members still recognisable, positive = over-unlearned.
    """
    return 100 * (unlearned - retrained) / retrained


def privleak_of_open_unlearning(unlearned: float, retrained: float) -> float:
    """The same from `auc_memorised_high`, which is turned round first; 1e-10 is added to the denominator.

    open-unlearning takes 0.5 for the retrained model where no log of one is given. We do not.
    """
    return 100 * ((1 - unlearned) - (1 - retrained)) / (1 - retrained + _TINY)


def relative_difference(unlearned: float, retrained: float) -> float:
    """The same without turning round: open-unlearning's `rel_diff`."""
    return 100 * (unlearned - retrained) / (retrained + _TINY)


def membership_score(unlearned: float, retrained: float) -> float | None:
    """s_MIA = 1 - |difference of areas| / retrained area, cut to [0, 1]; None where that area is 0 (depth-score).

    1 = like the retrained model.
    """
    if retrained <= _SMALLEST_AREA:
        return None
    return float(np.clip(1 - abs(unlearned - retrained) / retrained, 0.0, 1.0))


def _labelled(forget: ArrayLike, holdout: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    members, others = (np.asarray(one, dtype=np.float64) for one in (forget, holdout))
    return np.concatenate([members, others]), np.repeat(np.array([0, 1], dtype=np.int64), [len(members), len(others)])
