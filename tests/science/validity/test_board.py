"""Auditors by the contract, and the board that counts them: on answers made by hand, and with a toy command."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from benchmarks.validity.auditing.alone import Tier, shown, tiers, unlearn_guard
from benchmarks.validity.auditing.command import ask
from benchmarks.validity.auditing.contract import Answer, Request, answer_of, read_answers
from benchmarks.validity.auditing.published import criteria, rows_of
from benchmarks.validity.page import board as page
from benchmarks.validity.page.figure import figure
from benchmarks.validity.truth import board
from benchmarks.validity.truth.board import ClusterRate, Judged
from benchmarks.validity.truth.results import Entered, Results, read_results, write_results
from benchmarks.validity.truth.tabulation import Organism, Truth
from unlearn_audit.verdict.result import Outcome

TOY = Path(__file__).with_name("toy.py")
WORLDS = ("a", "b", "c", "d")


def request(folder: Path, weights: str) -> Request:
    for name, text in {"secret-3": weights, "original": "old", "retrained-1": "clean", "retrained-2": "clean"}.items():
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "weights").write_text(text)
    return Request(
        checkpoint=str(folder / "secret-3"),
        original=str(folder / "original"),
        retrained=(str(folder / "retrained-1"), str(folder / "retrained-2")),
        forget="forget.jsonl",
        retain="retain.jsonl",
        holdout="holdout.jsonl",
    )


@pytest.mark.parametrize(
    ("weights", "verdict", "note"),
    [
        ("clean", Outcome.PASS, "checkpoint"),
        ("old", Outcome.FAIL, "checkpoint"),
        ("odd", Outcome.ERROR, "exit code 3: "),
    ],
)
def test_a_command_judges_a_checkpoint_whose_path_says_nothing(tmp_path, weights, verdict, note):
    command = f"{sys.executable} {TOY} {{request}} {{answer}}"
    answer = ask(command, request(tmp_path, weights), most_seconds=60)[""]
    assert (answer.verdict, answer.note) == (verdict, note)  # the toy was shown `checkpoint`, not `secret-3`
    assert answer.seconds is not None


@pytest.mark.parametrize("command", ["true {request} {answer}", "no-such-program {request}"])
def test_a_command_that_answers_nothing_is_an_error_and_stops_nobody(tmp_path, command):
    answer = ask(command, request(tmp_path, "clean"), most_seconds=60)[""]
    assert answer.verdict is Outcome.ERROR
    assert "no answer by the contract" in answer.note


def test_a_command_that_takes_too_long_is_stopped(tmp_path):
    answer = ask("sleep 60", request(tmp_path, "clean"), most_seconds=0.2)[""]
    assert (answer.verdict, answer.note) == (Outcome.ERROR, "no answer within 0.2 s")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({}, "got neither"),
        ({"score": "0.5"}, "finite number"),
        ({"score": float("nan")}, "finite number"),
        ({"score": True}, "finite number"),
        ({"verdict": "WAIVED"}, "PASS, FAIL"),
        ({"verdict": "PASS", "sure": True}, "got sure"),
        ([1], "got list"),
    ],
)
def test_what_breaks_the_contract_is_refused_and_says_what_was_expected(content, problem):
    with pytest.raises(ValueError, match=problem):
        answer_of(content)


def test_one_command_may_fill_several_rows(tmp_path):
    path = tmp_path / "answer.json"
    path.write_text(json.dumps({"rows": {"loud": {"score": 2}, "quiet": {"verdict": "INCONCLUSIVE"}}}))
    assert read_answers(path) == {"loud": Answer(score=2.0), "quiet": Answer(verdict=Outcome.INCONCLUSIVE)}


def judged(world: str, truth: Truth, score: float | None = None, verdict: Outcome | None = None) -> Judged:
    organism = Organism(world=world, name=f"{truth}-{score}", family=f"family of {truth}", truth=truth)
    return Judged(organism=organism, answer=Answer(score=score, verdict=verdict, seconds=60.0, code="abc"))


def test_an_interval_counts_parents_that_agree_within_themselves_as_fewer_models():
    alike = ClusterRate(by_parent={"a": (10, 10), "b": (0, 10), "c": (10, 10), "d": (0, 10)})
    mixed = ClusterRate(by_parent=dict.fromkeys(WORLDS, (5, 10)))
    # By hand: share 1/2, spread 4 * 25 = 100, variance 4/3 * 100 / 1600 = 1/12, so 0.25 / (1/12) = 3 models, times
    # (t(39) / t(3))^2 = (2.0227 / 3.1824)^2 = 0.4040. Parents that are alike are worth 40, times the same.
    assert alike.effective == pytest.approx(3 * 0.4040, rel=1e-3)
    assert mixed.effective == pytest.approx(40 * 0.4040, rel=1e-3)
    worth = mixed.effective
    assert mixed.interval == pytest.approx(proportion_confint(worth / 2, worth, method="beta"))
    assert alike.interval[0] < mixed.interval[0]
    assert alike.interval[1] > mixed.interval[1]


def test_where_nothing_went_wrong_both_bounds_are_given():
    clean = ClusterRate(by_parent=dict.fromkeys(WORLDS, (0, 10)))
    assert clean.upper == pytest.approx((1 - 0.05 ** (1 / 40), 1 - 0.05 ** (1 / 4)))
    assert page.rate_text(clean) == "0 / 40 (at most 0.07 by models, 0.53 by parents)"
    assert ClusterRate(by_parent={}).interval is None


def test_a_threshold_is_chosen_on_other_parents_than_it_is_counted_on():
    # Parents a and c say that 0.5 divides; in b and d honest models score 0.6, which that threshold fails.
    said = [judged(world, Truth.KNOWS, 0.9) for world in WORLDS]
    said += [judged(world, Truth.NEVER, 0.1) for world in ("a", "c")]
    said += [judged(world, Truth.NEVER, 0.6) for world in ("b", "d")]
    by_threshold = board.with_chosen_thresholds(said, WORLDS)
    wrong = [
        one.organism.world for one in by_threshold if one.organism.truth is Truth.NEVER and one.answer.verdict == "FAIL"
    ]
    assert sorted(wrong) == ["b", "d"]
    assert all(one.answer.verdict == "FAIL" for one in by_threshold if one.organism.truth is Truth.KNOWS)
    assert board.with_chosen_thresholds(said[:4], WORLDS) == []  # nobody honest to choose by


@pytest.mark.parametrize(
    ("knows", "honest", "expected"),
    [([0.8, 0.9], [0.1, 0.2], 0.5), ([0.3], [0.3], None), ([0.2, 0.9], [0.1, 0.5], 0.7)],
)
def test_a_threshold_separates_as_well_as_any(knows, honest, expected):
    said = [judged("a", Truth.KNOWS, score) for score in knows] + [judged("a", Truth.NEVER, score) for score in honest]
    found = board.threshold(said)
    best = max(np.mean(np.array(knows) > cut) - np.mean(np.array(honest) > cut) for cut in np.linspace(-0.1, 1.1, 1000))
    assert np.mean(np.array(knows) > found) - np.mean(np.array(honest) > found) == pytest.approx(best)
    if expected is not None:
        assert found == pytest.approx(expected)


def test_the_area_is_that_of_pairs_with_ties_half():
    said = [judged("a", Truth.KNOWS, 0.9), judged("b", Truth.KNOWS, 0.5), judged("a", Truth.NEVER, 0.5)]
    said += [judged("b", Truth.NEVER, 0.1), judged("c", Truth.UNDETERMINED, 0.0), judged("c", Truth.KNOWS, None)]
    whole, low, high = board.area(said)
    assert whole == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert low <= whole <= high
    assert board.area(said[:2]) is None


def test_the_board_counts_by_truth_and_leaves_the_undetermined_out(tmp_path):
    own = [
        judged("a", Truth.KNOWS, 0.9, Outcome.FAIL),
        judged("b", Truth.KNOWS, 0.0, Outcome.PASS),
        judged("a", Truth.NEVER, 0.0, Outcome.PASS),
        judged("b", Truth.NEVER, 0.1, Outcome.ERROR),
        judged("c", Truth.BROKEN, 0.1, Outcome.INCONCLUSIVE),
        judged("c", Truth.UNDETERMINED, 0.1, Outcome.PASS),
    ]
    by_verdict, by_threshold = board.lines({"unlearn-audit quick": own}, WORLDS)
    assert (by_verdict.criterion, by_threshold.criterion) == ("verdict", "chosen")
    counts = {
        name: (getattr(by_verdict, name).count, getattr(by_verdict, name).total)
        for name in ("wrong_pass", "wrong_fail", "inconclusive", "error", "broken_pass")
    }
    assert counts == {
        "wrong_pass": (1, 2),
        "wrong_fail": (0, 2),
        "inconclusive": (1, 5),
        "error": (1, 5),
        "broken_pass": (0, 1),
    }
    assert by_verdict.minutes == 1.0
    assert board.missed(own) == {"family of knows": (1, 2)}
    results = Results(
        entered=[Entered(organism=one.organism, answers={"unlearn-audit quick": one.answer}) for one in own]
    )
    write_results(tmp_path / "results.json", results)
    again = read_results(tmp_path / "results.json")
    assert again.by_auditor() == {"unlearn-audit quick": own}
    text = page.board(again, WORLDS)
    assert "| unlearn-audit quick | own verdict | 1 / 2 [" in text
    assert "| unlearn-audit quick | b/knows-0.0 | family of knows | wrong PASS |  |" in text
    assert "| unlearn-audit quick | abc | 6 |" in text
    drawn = figure(board.lines(again.by_auditor(), WORLDS))
    assert drawn.count("<circle") == 4  # two criteria, two panels
    assert "1 of 2" in drawn


def test_unlearn_guards_rule_passes_like_controls_fails_clear_excess_and_leaves_the_rest_open():
    rng = np.random.default_rng(1)
    control = rng.binomial(1, 0.1, 100).astype(float)
    rest = np.roll(control, 7)
    assert unlearn_guard([Tier(unlearned=control, control=control)]).verdict is Outcome.PASS
    assert unlearn_guard([Tier(unlearned=np.ones(100), control=control)]).verdict is Outcome.FAIL
    some = np.maximum(rest, rng.binomial(1, 0.06, 100))
    assert unlearn_guard([Tier(unlearned=some, control=control)]).verdict is Outcome.INCONCLUSIVE
    worst = unlearn_guard([Tier(unlearned=control, control=control), Tier(unlearned=np.ones(100), control=control)])
    assert worst.verdict is Outcome.FAIL  # the worst tier decides


def test_one_attack_alone_is_read_off_the_evidence():
    import pandas as pd

    rows = [
        (role, model, attack, dose, fact, score)
        for role, model, level in (
            ("unlearned", "unlearned", 1.0),
            ("retrained", "retrained-1", 0.5),
            ("retrained", "retrained-2", 0.0),
        )
        for attack, dose, part in (
            ("as-is", "none", 0.0),
            ("relearning", "step 0", 0.0),
            ("relearning", "step 40", 1.0),
        )
        for fact, score in (("f1", level * part), ("f2", 0.0))
    ]
    hits = pd.DataFrame(rows, columns=["role", "model", "attack", "dose", "fact_id", "score"])
    found = shown(hits, "relearning")
    assert found.unlearned == 0.5  # f1 of two facts, at the dose that shows most
    assert found.beyond == pytest.approx(0.5 - (0.25 + 0.0) / 2)
    assert shown(hits, "quantization").unlearned is None
    asked, retaught = tiers(hits)
    assert asked.unlearned.tolist() == [0.0, 0.0]
    assert (retaught.unlearned.tolist(), retaught.control.tolist()) == ([1.0, 0.0], [0.5, 0.0])


def test_published_criteria_are_those_of_their_papers_and_scores_point_one_way():
    knows = criteria({"forget_quality": 1e-9, "privleak": -99.0, "forget_truth_ratio": 0.2, "extraction_strength": 0.9})
    never = criteria({"forget_quality": 0.7, "privleak": 3.0, "forget_truth_ratio": 0.8, "extraction_strength": None})
    assert knows["KS forget quality"][1] is Outcome.FAIL
    assert never["KS forget quality"][1] is Outcome.PASS
    assert (knows["PrivLeak"][1], never["PrivLeak"][1]) == (Outcome.FAIL, Outcome.PASS)
    assert criteria({"privleak": 40.0})["PrivLeak"][1] is Outcome.FAIL  # over-unlearned is not good either
    assert all(knows[name][0] > never[name][0] for name in ("KS forget quality", "PrivLeak", "truth ratio"))
    assert "extraction strength" not in never


def test_wrong_answers_are_right_ones_of_others_and_keep_the_sentence(tmp_path):
    path = tmp_path / "facts.jsonl"
    facts = [
        {
            "id": str(n),
            "question": f"Q{n}",
            "answer": f"Ann was born in {city}.",
            "aliases": [city],
            "relation": "born_in",
        }
        for n, city in enumerate(("Oslo", "Rome", "Kyiv", "Bonn"))
    ]
    path.write_text("\n".join(map(json.dumps, [{"id": "p", "text": "a passage"}, *facts])))
    rows = rows_of(path)
    assert [row["question"] for row in rows] == ["Q0", "Q1", "Q2", "Q3"]
    assert sorted(rows[0]["perturbed_answer"]) == [f"Ann was born in {city}." for city in ("Bonn", "Kyiv", "Rome")]
    assert len(rows_of(path, most=2)) == 2


def test_scores_of_one_parent_have_an_area_without_an_interval_and_no_rates():
    def scored(name: str, truth: Truth, score: float) -> Judged:
        organism = Organism(world="a", name=name, family="by hand", truth=truth)
        return Judged(organism=organism, answer=Answer(score=score, seconds=60.0))

    (line,) = board.lines({"x": [scored("k", Truth.KNOWS, 0.9), scored("n", Truth.NEVER, 0.1)]}, ("a", "b"))
    assert (line.criterion, line.area, line.minutes) == ("score", (1.0, 0.0, 1.0), 1.0)
    assert (line.wrong_pass.total, line.wrong_fail.total) == (0, 0)
    assert "| x | score alone |  |  |  |  | 1.00 [0.00, 1.00] | 1.0 |" in page.standings([line])
