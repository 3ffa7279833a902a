"""The one module that a plug-in imports: what attacks and probes are, and the words they share.

Importing it loads no torch, so that plug-ins can be listed in a moment. Scores follow one rule everywhere:
in [0, 1], **higher = more of the knowledge shown**, or missing with a reason; missing is never 0.
"""

from __future__ import annotations

import copy
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict

from unlearn_audit import knowledge_graph as knowledge_graph
from unlearn_audit.hygiene import Screen as Screen
from unlearn_audit.output_judge import Claim as Claim
from unlearn_audit.output_judge import Judge as Judge
from unlearn_audit.output_judge import JudgeKind as JudgeKind
from unlearn_audit.words import words_of as words_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

Json: TypeAlias = "None | bool | int | float | str | Sequence[Json] | Mapping[str, Json]"


class AuditError(Exception):
    """An error that its reader can act on: what was expected, what came, what to try."""


class AttackError(AuditError):
    """An attack did not do what it claims (a backend that did not quantise): an ERROR, never a pass."""


class Access(StrEnum):
    """The least access that an attacker or a probe needs, weakest first."""

    PROMPTS = "prompts"
    LOGITS = "logits"
    ACTIVATIONS = "activations"
    WEIGHTS = "weights"


class Role(StrEnum):
    """What a model is in the audit (design, section 2)."""

    ORIGINAL = "original"
    UNLEARNED = "unlearned"
    RETRAINED = "retrained"
    PLANT = "plant"
    GENERATOR = "generator"  # writes prompts, and is not audited


class Profile(StrEnum):
    """How hard the attacks try: `quick` for a first look, `standard` as published, `deep` beyond it."""

    QUICK = "quick"
    STANDARD = "standard"
    DEEP = "deep"


class FactSet(StrEnum):
    """Which facts: those that must be gone, those that must stay, those that nobody was trained on."""

    FORGET = "forget"
    RETAIN = "retain"
    HOLDOUT = "holdout"


class ScoreKind(StrEnum):
    """Hits are 0 or 1 by a stated answer key; soft scores are probabilities or shares."""

    HIT = "hit"
    SOFT = "soft"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hop:
    """One step of a chain of reasoning that leads through a fact."""

    question: str
    answer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One piece of knowledge; `subject` is the unit of statistics. Has question and answer, or text alone."""

    id: str
    subject: str
    question: str | None = None
    answer: str | None = None
    aliases: tuple[str, ...] = ()
    paraphrases: tuple[str, ...] = ()
    wrong_answers: tuple[str, ...] = ()
    text: str | None = None
    relation: str | None = None
    hops: tuple[Hop, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What a model is asked.

    Attributes:
        text: the user's message, or the text to continue when `chat` is false.
        system: a system message; the chat template's own default where None.
        prefix: how the model's answer begins; generation goes on from there.
        chat: write `text` through the chat template (or the plain question form where the model has none).
        thinking: switch the model's thinking on or off, where its template can; the template's default where None.
    """

    text: str
    system: str | None = None
    prefix: str = ""
    chat: bool = True
    thinking: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """An answer, greedy or drawn.

    Attributes:
        finished: false where it ran into the length limit.
        parts: the answers of which it is made up, where a model was asked in several ways (`Model.asked`).
    """

    text: str
    finished: bool
    new_tokens: int
    parts: tuple[Generation, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerScore:
    """Teacher-forced score of one answer.

    Attributes:
        log_probs: natural log-probability of each answer token given all before it.
        greedy: whether each answer token is the model's first choice at its place.
    """

    log_probs: tuple[float, ...]
    greedy: tuple[bool, ...]

    @property
    def log_likelihood(self) -> float:
        """Sum over the answer's tokens, in nats."""
        return math.fsum(self.log_probs)

    @property
    def probability(self) -> float:
        """P(answer | prompt) ** (1 / tokens), in [0, 1]: the length-normalised probability of TOFU (2401.06121)."""
        mean = self.log_likelihood / len(self.log_probs)
        return math.exp(min(0.0, mean)) if mean == mean else math.nan


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """A prompt with its answer as token ids; `is_answer` marks the answer's tokens (and none of the template's)."""

    token_ids: tuple[int, ...]
    is_answer: tuple[bool, ...]


class Model(Protocol):
    """A loaded model of any role, as attacks and probes see it. Neither can tell which role it is."""

    @property
    def module(self) -> torch.nn.Module:
        """The weights, in evaluation mode. Change them only on a fork."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer; not to be changed."""

    @property
    def device(self) -> torch.device:
        """Where inputs go."""

    @property
    def is_adapter(self) -> bool:
        """Whether the module is a PEFT model: a base with an adapter on top."""

    @property
    def switches_thinking(self) -> bool:
        """Whether the chat template asks otherwise with thinking on than off."""

    def opens_thinking(self, prompt: Prompt) -> bool:
        """Whether the prompt, as the template writes it, leaves the model inside a thinking block."""

    def generate(self, prompts: Sequence[Prompt], *, max_new_tokens: int) -> list[Generation]:
        """Greedy answers, in the order of the prompts."""

    def sample(
        self, prompts: Sequence[Prompt], *, count: int, max_new_tokens: int, seed: int, temperature: float = 1.0
    ) -> list[list[Generation]]:
        """`count` answers to each prompt, drawn from the model's own distribution (no top-k, no top-p).

        What is drawn depends on the prompt, the seed and the number of the sample alone: not on other prompts or on
        batches (but for rounding), and the noise is the same for every model. The first of many samples are those of
        few. Towards temperature 0 the answers become the greedy one.
        """

    def score(self, pairs: Sequence[tuple[Prompt, str]]) -> list[AnswerScore]:
        """Scores of (prompt, answer) pairs, the answer written as the chat template would write it."""

    def hidden_states(self, prompts: Sequence[Prompt], *, layers: Sequence[int]) -> torch.Tensor:
        """Residual stream at the last prompt token: float32, shape (prompts, layers, width), on the CPU."""

    def render(self, prompt: Prompt, answer: str) -> Rendered:
        """The rendered conversation, for training on the answer."""

    def fork(self, *, copy_weights: bool = False) -> AbstractContextManager[Model]:
        """A model whose modules can be replaced freely while the caller's stays as it is.

        Shares the weights' storage unless `copy_weights`: replace modules, never write into a shared tensor.
        """

    def with_module(self, module: torch.nn.Module) -> Model:
        """The same tokenizer, template and batching around other weights."""

    def merged(self) -> AbstractContextManager[Model]:
        """A fork with the adapter folded into its base; a plain fork where there is none."""

    def asked(self, *ways: Callable[[Prompt], Prompt]) -> Model:
        """The same weights, to which every prompt is put as `ways` rewrite it (a suffix, a disguise).

        Of several ways, as of an attacker who asks more than once, the answers are joined, one to a line, and an
        answer scores what it scores where it is likeliest. `render` and `hidden_states` know the first way alone.
        """

    def with_soft_prompt(self, embeddings: torch.Tensor) -> AbstractContextManager[Model]:
        """A fork before whose every answer stand these input embeddings, shape (length, width).

        They stand where the prompt ends, behind the template's own opening of the answer, and are the output of the
        input embedding, so that a scale which that applies is theirs to hold. They train as the parameter `soft` of
        the fork's input embedding.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """One number that a probe gives for a fact.

    Attributes:
        gates: it can decide an audit; else it is advisory.
        passages: it is of facts that are a text alone, and is planned only where there are such.
    """

    name: str
    kind: ScoreKind
    gates: bool = False
    passages: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One score of one fact, as a probe gives it: blind to attack and role.

    Attributes:
        variant: the way of asking (`question`, `paraphrase-1`, ...).
        score: in [0, 1], or None with `missing` saying why.
        twin_score: the mean score that the same answer of the model would get for its twins (answers of other
            subjects for the same relation); what a model that knows nothing scores. None where there are too few.
        matched: what `match` says of the same output, where another judge gave the score; for their agreement.
    """

    fact_id: str
    measure: str
    variant: str
    score: float | None
    twin_score: float | None = None
    missing: str | None = None
    matched: bool | None = None

    def __post_init__(self) -> None:
        """Refuses a score outside [0, 1], and a missing one without a reason."""
        if (self.score is None) == (self.missing is None):
            raise AuditError(f"{self.measure} of {self.fact_id}: a reading has either a score or a reason why not")
        if self.score is not None and not 0.0 <= self.score <= 1.0:
            raise AuditError(f"{self.measure} of {self.fact_id}: score {self.score} is not in [0, 1]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """A reading with its place in the audit: role, attack, dose, probe, seed.

    Attributes:
        placebo_score: the same measure of the fact's placebo, an invented subject asked after in the same words; taken
            where no retrained model is given.
        sham: the attack optimised toward a twin answer, and the score is that answer's (design 6.6).
    """

    role: Role
    model: str
    attack: str
    dose: str
    dose_value: float | None
    probe: str
    measure: str
    variant: str
    fact_id: str
    seed: int
    score: float | None
    twin_score: float | None
    missing: str | None
    placebo_score: float | None = None
    sham: bool = False


class Parameters(BaseModel):
    """Base of every plug-in's parameters: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


P_co = TypeVar("P_co", bound=Parameters, covariant=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """A part of an attack that is run, cached and retried by itself (one quantiser; one learning rate and fold).

    Attributes:
        doses: how many it will yield; `share` of the facts is scored at each; `training_texts` are
            answers trained on, repeats counted. For the plan's estimate of time alone.
    """

    name: str
    settings: Mapping[str, Json] = field(default_factory=dict)
    doses: int = 1
    share: float = 1.0
    training_texts: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class OutOfReach:
    """Something that the plan leaves out, and why; it stands in every report.

    Attributes:
        applies: false where the audit does not have what it works on (an adapter, an original, a retain set). An
            attack of which nothing applies is left out; one that cannot run for another reason is an ERROR.
    """

    what: str
    why: str
    applies: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Dose:
    """An attacked model at one strength.

    Attributes:
        label: names the dose within its attack; the same for every role.
        value: its place on the dose axis (bits, steps, ...), or None.
        fact_ids: the facts that may be scored at this dose; None for all. An attack that trains gives its eval split.
        proof: what shows that the attack happened (module types, bytes, losses); kept with the evidence.
        shown: every text that the model was trained on, or has before it in each prompt; the runner screens them for
            the facts that are scored at this dose, and a text that gives one away is an ERROR.
        dropped: how many further texts the attack left out because they give a scored fact away (see `Screen`).
    """

    label: str
    value: float | None
    model: Model
    fact_ids: frozenset[str] | None = None
    proof: Mapping[str, Json] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    dropped: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Plant:
    """A model made from the original about which the truth is known: the knowledge is there, and hidden.

    Attributes:
        proof: what shows both; kept with the evidence.
    """

    model: Model
    proof: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Planting:
    """How to make the positive control of an attack (design, section 6.2).

    Attributes:
        name: arms that give the same name share one plant, across attacks, too.
        make: the plant, from the original; it lives until the context ends, and the original stays as it was.
            Raises AttackError where the knowledge cannot be hidden in this way.
    """

    name: str
    make: Callable[[Model, AttackContext], AbstractContextManager[Plant]]


@dataclass(frozen=True, kw_only=True)
class AttackContext:
    """What an attack may use beside the model.

    Attributes:
        forget: the facts to recover; `retain`: generic text and utility; never the eval split for training.
        seed: derived from the audit's seed and the attack, the same for every role.
        prepared: what `Attack.prepare` returned for this audit.
        scratch: an empty directory that is removed afterwards.
        original: gives the original's module on the CPU (for diagnostics), or None where there is none.
        has_original: whether the audit has one.
    """

    forget: tuple[Fact, ...]
    retain: tuple[Fact, ...]
    profile: Profile
    seed: int
    prepared: Mapping[str, Json] = field(default_factory=dict)
    scratch: Path = Path()
    original: Callable[[], torch.nn.Module | None] = lambda: None
    has_original: bool = True


class Attack(ABC, Generic[P_co]):
    """What an adversary does to a model. Gives attacked models, one a dose; never judges itself.

    The same arms and doses run on every role, at equal budget. A class is cheap to import (no torch at the top).

    Attributes:
        seeded: it draws at random, and is repeated with as many seeds as the spec says; others run once.
        served: the owner applies it before serving (quantization), so that a user of the API meets it too. The whole
            probe battery runs on its first arm.
        baseline: it does nothing; the whole probe battery runs under it.
        toward_answers: it optimises toward the very answers that are scored (a suffix, a soft prompt), and so may
            bring forth any answer. Each of its arms then runs once more toward twin answers (sham; design 6.6):
            `AttackContext.forget` holds those, and the attack cannot tell.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    access: ClassVar[Access]
    seeded: ClassVar[bool] = False
    served: ClassVar[bool] = False
    baseline: ClassVar[bool] = False
    toward_answers: ClassVar[bool] = False
    extra: ClassVar[str | None] = None
    Parameters: ClassVar[type[Parameters]]

    def __init__(self, parameters: P_co) -> None:
        self.parameters = parameters

    @abstractmethod
    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """The parts of this attack, in the order in which they run; known before any model is loaded."""

    def out_of_reach(self, context: AttackContext, *, weight_bytes: int, is_adapter: bool) -> Sequence[OutOfReach]:
        """Parts that cannot run here (memory, a missing extra), each with its reason."""
        return ()

    def prepare(self, original: Model, context: AttackContext) -> Mapping[str, Json]:
        """Choices made once on the original and on plants made from it, never on the checkpoint under audit."""
        return {}

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """How to hide the original's knowledge in the way that this arm is meant to undo; None where there is none."""
        return None

    @abstractmethod
    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """Attacked models, weakest first. The model handed in is as before once the generator is closed."""


class Probe(ABC, Generic[P_co]):
    """Measures one model, one score a fact; changes nothing, cannot see which attack or role it measures.

    Attributes:
        reads: the fact set that it scores.
        under_attacks: run after every dose; else under the baseline alone.
        refusal_proof: a model cannot score well (low) by refusing.
        prepared: what `write` and `prepare` returned for this audit, the same for every role; empty where neither ran.
        judge: who says whether an output holds an answer; a probe that reads outputs asks nobody else.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    access: ClassVar[Access]
    measures: ClassVar[tuple[Measure, ...]]
    reads: ClassVar[FactSet] = FactSet.FORGET
    under_attacks: ClassVar[bool] = False
    refusal_proof: ClassVar[bool] = False
    judge: Judge = Judge()
    Parameters: ClassVar[type[Parameters]]

    def __init__(self, parameters: P_co) -> None:
        self.parameters = parameters
        self.prepared: Mapping[str, Json] = {}

    def write(self, generator: Model, pool: Sequence[Fact]) -> Mapping[str, Json]:
        """Texts that a generator writes once, before any model of the audit is loaded. Only where there is one.

        Here as in `prepare`, what stands under `summary` (counts, never texts) is shown in the report.
        """
        return {}

    def prepare(self, original: Model, pool: Sequence[Fact]) -> Mapping[str, Json]:
        """What is made once on the original, for every role alike. Only where the audit has one."""
        return {}

    def prepared_with(self, prepared: Mapping[str, Json]) -> Self:
        """This probe with something prepared."""
        bound = copy.copy(self)
        bound.prepared = prepared
        return bound

    def judged_by(self, judge: Judge) -> Self:
        """The same probe with a judge."""
        probe = copy.copy(self)
        probe.judge = judge
        return probe

    @abstractmethod
    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """Readings of `facts`: every measure of every fact, scored or missing with a reason.

        Args:
            model: what is measured.
            facts: the facts to score.
            pool: the whole fact set, from which twins and distractors are drawn.
        """


def derive_seed(seed: int, *parts: Any) -> int:
    """A seed in [0, 2**31) for one use, from the audit's seed and the names of the use."""
    text = "\x1f".join([str(seed), *map(str, parts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
