"""The mutants: each a way in which a verdict could be wrong, as one exact replacement, and the tests that must see it.

A text must occur exactly once in its file, so that the list cannot rot in silence:
`tests/verdict/test_mutants_script.py` says so in seconds. A change to a mutated line moves its mutant along; a new rule
gets a mutant of its own.
"""

from __future__ import annotations

from mutant_list.bounds import BOUNDS, P_VALUES, REACH
from mutant_list.comparisons import CONTROLS, STAND_INS
from mutant_list.decisions import COUNTING, DECISIONS
from mutant_list.gates import ERRORS, GATES, UTILITY_GATE
from mutant_list.lists import ARMS, LISTS
from mutant_list.mutant import Mutant
from mutant_list.people import HOLES, WHO
from mutant_list.policies import POLICIES

__all__ = ["MUTANTS", "Mutant"]

MUTANTS = (
    *(*CONTROLS, *STAND_INS, *GATES, *UTILITY_GATE, *ERRORS),
    *(*DECISIONS, *COUNTING, *BOUNDS, *P_VALUES, *REACH),
    *(*POLICIES, *WHO, *HOLES, *LISTS, *ARMS),
)
