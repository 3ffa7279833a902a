"""Keys of the evidence: a digest of all that it depends on, so that equal jobs are shared and stale ones never met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from unlearn_audit.api import Arm, Attack, Json, Probe, Role
from unlearn_audit.api.comparison import Comparison
from unlearn_audit.evidence.digests import sha256_json
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import PlannedModel
from unlearn_audit.plan.provenance import provenance


class JobKeys:
    """The keys of a draft plan.

    Attributes:
        prepared: attack -> where the store keeps what it prepared on the original.
        written: probe -> where it keeps what the generator wrote for it.
        made_by_probes: probe -> where it keeps what it prepared on the original.
    """

    def __init__(self, draft: LivePlan) -> None:
        self._draft = draft
        self.prepared: dict[str, str] = {}
        self.written: dict[str, str] = {}
        self.made_by_probes: dict[str, str] = {}

    def has_made(self, probe: str) -> bool:
        """Whether something is made for a probe once, for all roles."""
        return probe in self.written or probe in self.made_by_probes

    def of_job(
        self,
        title: str,
        name: str,
        model: PlannedModel,
        probes: Sequence[str],
        *,
        arm: Arm | None = None,
        seed: int = 0,
        made: Mapping[str, Json] | None = None,
    ) -> str:
        """Digest of all that the job's evidence depends on."""
        draft = self._draft
        content = {
            "model": model.checkpoint.digest,
            "attack": [
                name,
                draft.attacks[name].parameters.model_dump(mode="json"),
                code_of("attack", name, draft.attacks[name]),
            ],
            "arm": [title, dict(arm.settings) if arm else None],
            "probes": {
                probe: [
                    draft.probes[probe].parameters.model_dump(mode="json"),
                    code_of("probe", probe, draft.probes[probe]),
                ]
                for probe in probes
            },
            "seed": [draft.plan.spec.seed, seed],
            "profile": draft.plan.spec.profile,
            "prepared": self.prepared.get(name),
            "adapter": draft.plan.audits_adapter,
            "placebo": bool(draft.placebo),
            **self._others(draft.attacks[name]),
            **draft.plan.judge.key,
            **(made or {}),
            **self._made(probes),
            **self._common(),
        }
        return sha256_json(content)[:32]

    def _others(self, attack: Attack[Any]) -> dict[str, Json]:
        """The models besides the audited one that an attack works with; nothing where it works with none."""
        plan, found = self._draft.plan, dict[str, Json]()
        if attack.with_original and (original := plan.model(Role.ORIGINAL)) is not None:
            found["with_original"] = original.checkpoint.digest
        if attack.with_base and plan.base is not None:
            found["with_base"] = plan.base.digest
        return found

    def _made(self, probes: Sequence[str]) -> dict[str, Json]:
        """The keys of what is made for these probes; nothing where nothing is."""
        steps: Sequence[Mapping[str, str]] = (self.written, self.made_by_probes)
        keys: list[Json] = [
            [name, *(keys.get(name) for keys in steps)] for name in probes if any(name in k for k in steps)
        ]
        return {"made": keys} if keys else {}

    def add_preparations(self, probes: Mapping[str, Probe[Any]]) -> None:
        """Under which keys the store keeps what is made for probes: by the generator, on the original."""
        original, generator = self._draft.plan.model(Role.ORIGINAL), self._draft.plan.generator
        for name, probe in probes.items():
            if type(probe).write is not Probe.write and generator is not None:
                self.written[name] = self._of_preparation("write", name, probe, generator.digest)
            if type(probe).prepare is not Probe.prepare and original is not None:
                self.made_by_probes[name] = self._of_preparation("prepare", name, probe, original.checkpoint.digest)

    def _of_preparation(self, step: str, name: str, probe: Probe[Any], model: str) -> str:
        draft = self._draft
        content = {
            "step": [step, self.written.get(name)],
            "model": model,
            "probe": [name, probe.parameters.model_dump(mode="json"), code_of("probe", name, probe)],
            "seed": draft.plan.spec.seed,
            **self._common(),
        }
        return sha256_json(content)[:32]

    def of_features(self, name: str, comparison: Comparison[Any], model: PlannedModel) -> str:
        """Digest of all that the features depend on; a comparison that crosses depends on every model."""
        draft = self._draft
        others = draft.plan.models if comparison.crosses else ()
        content = {
            "comparison": [
                name,
                comparison.parameters.model_dump(mode="json"),
                code_of("comparison", name, comparison),
            ],
            "models": [model.checkpoint.digest, *sorted([other.name, other.checkpoint.digest] for other in others)],
            "seed": draft.plan.spec.seed,
            "profile": draft.plan.spec.profile,
            **self._common(),
        }
        return sha256_json(content)[:32]

    def _common(self) -> dict[str, Json]:
        """What everything depends on: the facts, how models are loaded, and the code of what computes."""
        draft = self._draft
        return {
            "facts": {kind: facts.digest() for kind, facts in draft.facts.items()},
            "options": self._options(),
            "versions": dict(draft.plan.versions),
            "engine": draft.plan.engine,
        }

    def _options(self) -> dict[str, Json]:
        """How models are loaded, as far as their numbers depend on it: a template by its text, a device by its kind."""
        models = self._draft.plan.spec.models
        options: dict[str, Json] = models.model_dump(mode="json", exclude={"base", "download", "allow_pickle"})
        if self._draft.plan.template is not None:
            options["chat_template"] = self._draft.plan.template
        if models.device == "auto" and (kind := default_device()) != "cpu":
            options["device"] = kind  # `auto` is other numbers on another machine
        return options


def code_of(kind: str, name: str, plugin: object) -> list[Json]:
    """What evidence depends on of a plug-in's code."""
    found = provenance(kind, name, type(plugin))
    return [found.distribution, found.version, found.source, dict(found.libraries)]


@cache
def default_device() -> str:
    """The kind of device that `auto` takes here."""
    from unlearn_audit.models.loading import choose_device

    return choose_device("auto").type
