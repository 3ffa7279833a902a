"""Everything that a plug-in may import: the interfaces, their shared vocabulary, and the kit they are built with.

Each interface is a module that can be read alone: `attack`, `probe`, `comparison`, `writer`, `preset`. Besides these
there are `model` (what attacks and probes are given), `facts`, `judge`, `terms`, `user_files` (the one way to read a
file that a user names), and `kit` (tools that our own plug-ins use). Importing this package loads no torch, so that
plug-ins can be listed quickly.

Scores follow one rule everywhere: in [0, 1], **higher = more of the knowledge shown**, or missing with a reason;
missing is never 0.
"""

from __future__ import annotations

from unlearn_audit.api.attack import Arm, Attack, AttackContext, Dose, OutOfReach, Plant, Planting
from unlearn_audit.api.comparison import (
    Compared,
    Comparison,
    ComparisonContext,
    Features,
    GroupEstimate,
    GroupReading,
    auc,
    detection_accuracy,
    mean_estimate,
    roc,
    share_above,
)
from unlearn_audit.api.facts import Fact, FactSet, Hop
from unlearn_audit.api.judge import Claim, Judge, JudgeKind
from unlearn_audit.api.kit import knowledge_graph
from unlearn_audit.api.kit.matching.words import words_of
from unlearn_audit.api.kit.screen import Screen
from unlearn_audit.api.model import AnswerScore, Generation, Model, Prompt, Rendered
from unlearn_audit.api.preset import FactPreset
from unlearn_audit.api.probe import Measure, Observation, Outlook, Probe, Reading
from unlearn_audit.api.terms import (
    Access,
    Json,
    Parameters,
    Profile,
    Role,
    ScoreKind,
    check_rising,
    derive_seed,
    shuffled,
)
from unlearn_audit.api.writer import Material, Needs, Writer
from unlearn_audit.errors import AttackError, AuditError, NotApplicableError, SpecError

__all__ = [
    "Access",
    "AnswerScore",
    "Arm",
    "Attack",
    "AttackContext",
    "AttackError",
    "AuditError",
    "Claim",
    "Compared",
    "Comparison",
    "ComparisonContext",
    "Dose",
    "Fact",
    "FactPreset",
    "FactSet",
    "Features",
    "Generation",
    "GroupEstimate",
    "GroupReading",
    "Hop",
    "Json",
    "Judge",
    "JudgeKind",
    "Material",
    "Measure",
    "Model",
    "Needs",
    "NotApplicableError",
    "Observation",
    "OutOfReach",
    "Outlook",
    "Parameters",
    "Plant",
    "Planting",
    "Probe",
    "Profile",
    "Prompt",
    "Reading",
    "Rendered",
    "Role",
    "ScoreKind",
    "Screen",
    "SpecError",
    "Writer",
    "auc",
    "check_rising",
    "derive_seed",
    "detection_accuracy",
    "knowledge_graph",
    "mean_estimate",
    "roc",
    "share_above",
    "shuffled",
    "words_of",
]
