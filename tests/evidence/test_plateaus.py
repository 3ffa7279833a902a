"""Which trainings did not go as far as they had to, as the case tells the verdict."""

from __future__ import annotations

import pytest

from unlearn_audit.evidence.records import JobRecord, short_of_plateau


def job(**proof: dict[str, object]) -> JobRecord:
    known = {"key": "k", "attack": "relearning", "arm": "lora r16 fold0", "role": "unlearned", "model": "unlearned"}
    return JobRecord(**known, seed=0, status="done", seconds=1, observations=1, digest="d", proof=proof)


def dose(
    steps: int, *, plateau: bool, share: float = 0.5, since: int | None = None, **more: object
) -> dict[str, object]:
    return {"steps": steps, "plateau": plateau, "own_lessons_answered": share, "answered_since_step": since, **more}


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (dose(80, plateau=False), "after 80 steps the training answers 50% of its own lessons"),
        (
            dose(80, plateau=False, share=0.95, since=40),
            "after 80 steps the training answers 95% of its own lessons, nine tenths of them only since step 40",
        ),
        (dose(80, plateau=False, broke_down="loss nan"), "loss nan"),
    ],
)
def test_a_training_that_ended_before_its_plateau_is_listed_with_the_reason(last, why):
    (short,) = short_of_plateau([job(zero={"steps": 0}, b=last, a=dose(40, plateau=False))])
    assert (short.attack, short.arm, short.model, short.doses) == (
        "relearning",
        "lora r16 fold0",
        "unlearned",
        ("b", "a"),
    )
    assert short.why == why


def test_what_reached_it_and_what_does_not_train_is_not_listed():
    reached = job(a=dose(40, plateau=False, share=1.0, since=40), b=dose(160, plateau=True, share=1.0, since=40))
    assert short_of_plateau([reached, job(nf4={"layers": 8}), job(zero={"steps": 0})]) == ()
