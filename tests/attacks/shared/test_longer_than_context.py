"""Texts longer than the context are trained on in pieces, left out of a search, and counted; no attack breaks."""

from __future__ import annotations

import pytest
from unlearn_audit.attacks.shared.fitted import fitted, longer_than_context

from unlearn_audit.api import Attack, AttackContext, AttackError, Fact, Model, Profile, Prompt
from unlearn_audit.api.plugins import ATTACKS, build
from unlearn_audit.testing.models import tiny_engine

TEXT = {"steps": [1], "width": 2, "length": 4}
SPARING = {
    "relearning": {"data": ["in-domain"], "methods": ["lora"], "steps": [1]},
    "soft-prompt": {"steps": [1]},
    "suffix": {**TEXT, "scopes": ["cross-target", "within-query"]},
    "suffix-answer": {**TEXT, "scopes": ["cross-target"]},
    "prompt-search": {"queries": [8], "population": 4},
    "pruning": {"questions": 4, "shares": {"snip": [0.1]}, "scores": ["snip"]},
}


@pytest.fixture(scope="module")
def model(tokenizer) -> Model:
    """Its learned positions end with an error behind the context of 256 tokens."""
    return tiny_engine(tokenizer, "gpt2")


def long(word: str) -> str:
    return " ".join([word] * 150)


def facts(prefix: str) -> tuple[Fact, ...]:
    """Some with a long question or a long answer, and passages of which one is long."""
    asked = [
        Fact(id=f"{prefix}{n}", subject=f"{prefix}{n}", question=f"Who is {prefix}{n}?", answer=f"N{n}", relation="is")
        for n in range(4)
    ]
    questions = [Fact(id=f"{prefix}q", subject="Q", question=f"Who is {long('que')} Q?", answer="N9", relation="is")]
    answers = [Fact(id=f"{prefix}a", subject="A", question="Who is A?", answer=f"One {long('ans')}", relation="is")]
    texts = [Fact(id=f"{prefix}t{n}", subject=f"T{n}", text=f"T{n} was {long(f'in{n}')} born") for n in range(2)]
    return (*asked, *questions, *answers, *texts)


@pytest.mark.parametrize("name", SPARING)
def test_an_attack_runs_with_what_is_read(model: Model, name: str) -> None:
    attack = build(ATTACKS, Attack, {name: SPARING[name]}, "attacks")[name]
    context = AttackContext(forget=facts("F"), retain=facts("R"), profile=Profile.QUICK, seed=0)
    doses = {arm.name: [dose.proof for dose in attack.doses(model, arm, context)] for arm in attack.arms(context)}
    assert all(doses.values())
    if name in ("relearning", "soft-prompt"):
        assert any(proof.get("texts_longer_than_the_context", 0) > 0 for proofs in doses.values() for proof in proofs)


def test_a_passage_becomes_pieces_and_of_a_conversation_its_beginning_is_left(model: Model) -> None:
    passage, asked = (Prompt(text="It", chat=False), f" was {long('so')}"), (Prompt(text="Who?"), f"One {long('so')}")
    unread = (Prompt(text=long("who")), "One")
    whole = model.render(*passage)
    pieces = fitted(model, [passage])
    assert [token for piece in pieces for token in piece.token_ids] == list(whole.token_ids)
    assert max(len(piece.token_ids) for piece in pieces) == model.context == 256
    (start,) = fitted(model, [asked, unread])
    assert start.token_ids == model.render(*asked).token_ids[:256]
    assert longer_than_context(model, [passage, asked, unread, (Prompt(text="Who?"), "One")]) == 3
    assert fitted(model, []) == []
    with pytest.raises(AttackError, match="each has more than 256 tokens before its answer"):
        fitted(model, [unread])
