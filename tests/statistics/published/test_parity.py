"""Every formula gives what the authors' own functions gave for the same inputs.

The values stand in `values/`, a part of a larger set; each file names the repository, the commit and the function that
gave them. `UNLEARN_AUDIT_PARITY` names a folder with the whole set, which is then used in its place.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unlearn_audit.statistics.published import aggregates, letters, membership, memorization, muse, rwku, texts, truth

FOLDER = Path(os.environ.get("UNLEARN_AUDIT_PARITY", Path(__file__).parent / "values"))
Case = dict[str, Any]


def cases(*names: str, having: str = "expected") -> list[Any]:
    found = []
    for name in names:
        content = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        found += [pytest.param({"k": content.get("k"), **case}, id=case["id"]) for case in content["cases"]]
    return [one for one in found if having in one.values[0]]


def near(found: Any, expected: Any, tolerance: float = 1e-6) -> None:
    if expected is None:
        assert found is None
        return
    wanted = float(expected) if isinstance(expected, str) else expected
    assert found == pytest.approx(wanted, rel=tolerance, abs=tolerance, nan_ok=True)


def labelled(case: Case, way: str, *, drops: bool) -> list[int]:
    """Places of the labelled tokens: the answer's own, or all that their data code labels, maybe without the last."""
    roles = case["roles"]
    if "labelled" in case:
        places = [place for place, role in enumerate(roles) if role in case["labelled"]]
        return places[:-1] if drops else places
    if way == "aligned":
        return [place for place, role in enumerate(roles) if role == "answer"]
    places = [place for place, role in enumerate(roles) if role != "prompt"]
    return places[:-1] if drops else places


def ways(case: Case) -> Iterator[tuple[str, Any]]:
    """The two ways of labelling with what is expected of each; a single value is one of its own."""
    expected = case["expected"]
    if "value" in expected:
        yield "as_shipped", expected["value"]
    else:
        yield from expected.get("agg_value", expected).items()


def chosen(case: Case, way: str, key: str, *, drops: bool) -> list[Any]:
    return [case[key][place] for place in labelled(case, way, drops=drops)]


@pytest.mark.parametrize("case", cases("tofu_probability"))
def test_probability(case):
    for way, expected in ways(case):
        if "sequences" in case:
            each = [
                memorization.probability(chosen(one, way, "token_log_probs", drops=False)) for one in case["sequences"]
            ]
            near(np.mean(each), expected)
        else:
            log_probs = chosen(case, way, "token_log_probs", drops=False)
            near(memorization.probability(log_probs), expected["prob"])
            near(memorization.average_loss(log_probs), expected["avg_loss"])


@pytest.mark.parametrize("name", ["exact_memorization", "extraction_strength"])
def test_what_a_model_would_say_greedily(name):
    measure = getattr(memorization, name)
    for one in cases(name):
        (case,) = one.values
        for way, expected in ways(case):
            each = [
                measure(chosen(held, way, "token_ids", drops=True), chosen(held, way, "greedy_ids", drops=True))
                for held in case.get("sequences", [case])
            ]
            known = [value for value in each if value is not None]
            near(np.mean(known) if known else None, expected)


@pytest.mark.parametrize("case", cases("mia_loss", "mia_zlib", "mia_reference", "mia_min_k_20", "mia_min_k_40"))
def test_membership_scores_of_a_sequence(case):
    for way, expected in ways(case):
        if "reference_token_log_probs" in case:
            pair = [chosen(case, way, key, drops=False) for key in ("token_log_probs", "reference_token_log_probs")]
            near(memorization.against_reference(*pair), expected)
        elif "token_strings" in case:
            places = labelled(case, way, drops=False)
            special = case["special_token_ids"]
            text = "".join(case["token_strings"][place] for place in places if case["token_ids"][place] not in special)
            near(memorization.zlib_by_mean(chosen(case, way, "token_log_probs", drops=False), text), expected)
        elif case["k"] is not None:
            near(memorization.min_k(chosen(case, way, "token_log_probs", drops=True), case["k"]), expected)
        else:
            near(memorization.average_loss(chosen(case, way, "token_log_probs", drops=False)), expected)


@pytest.mark.parametrize("case", cases("mia_min_k_plus_plus_20", "mia_min_k_plus_plus_40"))
def test_min_k_plus_plus(case):
    for way, expected in ways(case):
        log_probs, rows = (chosen(case, way, key, drops=True) for key in ("token_log_probs", "vocab_log_probs"))
        # Their function goes through float32.
        near(memorization.min_k_plus_plus(log_probs, rows, case["k"]), expected, 1e-5)


@pytest.mark.parametrize("case", cases("mia_gradnorm"))
def test_gradient_norm(case):
    tensors = list(case["gradients"].values())
    for name, order in (("p1", 1.0), ("p2", 2.0), ("pinf", math.inf)):
        near(memorization.gradient_norm(tensors, order), case["expected"][name], 1e-5)


@pytest.mark.parametrize("case", cases("truth_ratio", having="correct_mean_log_prob"))
def test_truth_ratio(case):
    pairs = list(zip(case["correct_mean_log_prob"], case["wrong_mean_log_probs"], strict=True))
    ratios = [truth.truth_ratio_geometric(right, wrong) for right, wrong in pairs]
    ours = case["expected"]["open_unlearning"]
    near(ratios, ours["wrong_over_correct"])
    near(truth.mean_unlearned(ratios), ours["aggregated_closer_to_1_better"])
    near(truth.mean_useful(ratios), ours["aggregated_true_better"])
    shares = [truth.truth_share(right, wrong) for right, wrong in pairs]
    near(shares, ours["correct_over_sum"])
    near(np.mean(shares), ours["aggregated_prob_mean"])
    bare = [truth.truth_ratio_geometric(right, wrong, tiny=0.0) for right, wrong in pairs]
    printed = [truth.truth_ratio_arithmetic(right, wrong) for right, wrong in pairs]
    for name, expected in case["expected"]["tofu"].items():
        ratio = printed if "arithmetic" in name else bare
        if "aggregated forget" in name:
            near(truth.mean_unlearned(ratio, tiny=0.0), expected)
        elif "aggregated other" in name:
            near(truth.mean_useful(ratio), expected)
        else:
            near(ratio, expected)


@pytest.mark.parametrize("case", cases("truth_ratio", having="correct"))
def test_truth_ratio_from_tokens(case):
    for way, expected in ways(case):

        def mean(held: Case, way: str = way) -> float:
            return float(np.mean(chosen(held, way, "token_log_probs", drops=False)))

        pair = mean(case["correct"]), [mean(one) for one in case["wrong"]]
        near(truth.truth_ratio_geometric(*pair), expected["closer_to_1_better"])
        near(truth.truth_share(*pair), expected["prob_mean"])


@pytest.mark.parametrize("case", cases("forget_quality"))
def test_forget_quality(case):
    found = truth.forget_quality(case["unlearned_truth_ratios"], case["retrained_truth_ratios"])
    for name, expected in case["expected"].items():
        if "log10" in name and expected is not None:
            near(math.log10(found) if found else -math.inf, expected)
        elif "p_value" in name:
            assert found == pytest.approx(expected, rel=1e-6, abs=1e-300)


@pytest.mark.parametrize("case", cases("probability_with_options"))
def test_probability_among_options(case):
    each = [truth.probability_among(*pair) for pair in zip(case["correct_probs"], case["wrong_probs"], strict=True)]
    near(each, case["expected"]["per_fact"])
    near(np.mean(each), case["expected"]["agg_value"])


@pytest.mark.parametrize("case", cases("model_utility", having="components"))
def test_model_utility(case):
    near(truth.model_utility(case["components"]), case["expected"]["open_unlearning"])
    near(truth.model_utility(case["components"], tiny=1e-12), case["expected"]["uds_repository (adds 1e-12 to each)"])


FILES = {
    "Retain": "eval_log.json",
    "Real Authors": "eval_real_author_wo_options.json",
    "Real World": "eval_real_world_wo_options.json",
}


def test_a_figure_that_is_not_a_number_is_kept_or_left_out_as_theirs_do():
    assert math.isnan(truth.model_utility([0.5, math.nan, 0.0]))  # scipy's hmean
    assert truth.model_utility([0.5, 0.0]) == 0.0
    near(aggregates.harmonic_mean_with_tiny([0.5, math.nan, None, 1.0]), 2 / 3)
    assert math.isnan(aggregates.harmonic_mean_with_tiny([None]))
    assert aggregates.harmonic_mean([0.5, math.nan]) is None
    assert membership.membership_score(0.5, 1e-13) is None


@pytest.mark.parametrize("case", cases("model_utility", having="tofu_result_files"))
def test_model_utility_from_tofus_logs(case):
    for name, expected in case["expected"].items():
        arithmetic = "arithmetic" in name
        parts = [
            part
            for kind, file in FILES.items()
            for part in utility_parts(case["tofu_result_files"][file], kind, arithmetic=arithmetic)
        ]
        near(truth.model_utility(parts), expected["Model Utility"])


def utility_parts(log: Case, kind: str, *, arithmetic: bool) -> list[float]:
    rows = sorted(log["avg_gt_loss"], key=int)
    probabilities = [math.exp(-log["avg_gt_loss"][row]) for row in rows]
    wrong = [[-loss for loss in log["average_perturb_loss"][row]] for row in rows]
    if kind != "Retain":
        probabilities = [
            truth.probability_among(right, np.exp(others)) for right, others in zip(probabilities, wrong, strict=True)
        ]
    right_of = log["avg_paraphrased_loss"] if "avg_paraphrased_loss" in log else log["avg_gt_loss"]
    measure = truth.truth_ratio_arithmetic if arithmetic else truth.truth_ratio_geometric
    ratios = [measure(-right_of[row], others) for row, others in zip(rows, wrong, strict=True)]
    rouge = [log["rougeL_recall"][row] for row in rows]
    return [float(np.mean(probabilities)), float(np.mean(rouge)), truth.mean_useful(ratios)]


@pytest.mark.parametrize("case", cases("mia_auc", "muse_auc"))
def test_areas(case):
    scores = case["forget_scores"], case["holdout_scores"]
    if "auc" in case["expected"]:
        near(membership.auc_memorised_high(*scores), case["expected"]["auc"])
    else:
        near(membership.auc_memorised_low(*scores), case["expected"]["forget_holdout auc"])
        near(membership.best_balanced_accuracy(*scores), case["expected"]["best balanced accuracy"])


@pytest.mark.parametrize("case", cases("privleak"))
def test_privleak(case):
    if "muse_privleak" in case["expected"]:
        muse_aucs = case["muse_auc_unlearned (forget_holdout_Min-40%)"], case["muse_auc_retrained"]
        near(membership.privleak_of_muse(*muse_aucs), case["expected"]["muse_privleak"])
        return
    retrained = case.get("ref_value") if case["auc_retrained"] is None else case["auc_retrained"]
    pair = case["auc_unlearned"], retrained
    near(membership.privleak_of_open_unlearning(*pair), case["expected"]["privleak"])
    near(membership.relative_difference(*pair), case["expected"]["rel_diff"])


@pytest.mark.parametrize("case", cases("rouge_l_recall", "muse_rouge"))
def test_rouge_score(case):
    if "pairs" in case:
        found = [texts.rouge_without_stemmer(pair["truth"], pair["output"]) for pair in case["pairs"]]
        near(np.mean([one.rouge_l_f1 for one in found]), case["expected"]["mean_rougeL"])
        near(np.mean([one.rouge_l_recall for one in found]), case["expected"]["mean_rougeL_recall"])
        near(np.mean([one.rouge1_f1 for one in found]), case["expected"]["mean_rouge1"])
        return
    seen = case.get("as_seen_by_the_scorer", case)
    stemmed = case["id"].startswith("rouge_l_recall")
    score = texts.rouge_with_stemmer if stemmed else texts.rouge_without_stemmer
    found = score(seen["truth"], seen["output"])
    fields = {
        "rougeL_recall": found.rouge_l_recall,
        "rougeL_f1": found.rouge_l_f1,
        "rougeL": found.rouge_l_f1,
        "rouge1": found.rouge1_f1,
        "rouge1_recall": found.rouge1_recall,
    }
    for name, expected in case["expected"].items():
        near(fields[name], expected)


@pytest.mark.parametrize("case", cases("rwku_rouge"))
def test_rouge_of_rwku(case):
    if "error" in case["expected"]:
        with pytest.raises(ValueError, match="full stops only"):
            texts.rouge_l_of_rouge(case["answer"], case["output"])
        return
    pairs = [(pair["answer"], pair["output"]) for pair in case.get("pairs", [case])]
    found = np.mean([texts.rouge_l_of_rouge(*pair) for pair in pairs], axis=0)
    near(list(found), [case["expected"][name] for name in ("r", "p", "f")])


@pytest.mark.parametrize(
    ("truth", "output", "expected"),
    [  # of the package `rouge` 1.0.1
        ("Oslo. ", "Oslo.", (0.5, 1.0)),
        ("It is Oslo. . Norway", "Oslo. . Norway", (3 / 5, 1.0)),
        (". .", "c", (0.0, 0.0)),
        ("Oslo", "  \n", (0.0, 0.0)),
    ],
)
def test_blanks_between_full_stops_are_a_word_of_the_package_rouge(truth, output, expected):
    near(list(texts.rouge_l_of_rouge(truth, output)[:2]), list(expected))


@pytest.mark.parametrize("case", cases("muse_verbmem"))
def test_verbmem(case):
    if case["max_new_tokens"] == muse.NEW_TOKENS_OF_VERBMEM:
        short = muse.verbmem_truth(case["gt"], encode_words(case["gt"]), lambda ids: decode_words(case["gt"], ids))
        assert short == case["expected"]["gt_short"]
    found = texts.rouge_without_stemmer(case["expected"]["gt_short"], case["raw_output"])
    near(found.rouge_l_f1, case["expected"]["rougeL"])
    near(found.rouge_l_recall, case["expected"]["rougeL_recall"])


def encode_words(text: str):
    return lambda given: list(range(len(given.split())))


def decode_words(text: str, ids) -> str:
    return " ".join(text.split()[: len(ids)])


@pytest.mark.parametrize("case", cases("muse_knowmem"))
def test_knowmem(case):
    examples = [(one["question"], one["answer"]) for one in case["icl"]]
    assert muse.knowmem_prompt(case["question"], examples) == case["expected"]["prompt"]
    answer = muse.knowmem_answer(case["raw_output"])
    assert answer == case["expected"]["output_after_cut"]
    found = texts.rouge_without_stemmer(case["answer"], answer)
    near(found.rouge_l_f1, case["expected"]["rougeL"])
    near(found.rouge_l_recall, case["expected"]["rougeL_recall"])


@pytest.mark.parametrize("case", cases("muse_privleak_scores"))
def test_scores_of_muse(case):
    log_probs, lower = case["token_log_probs"][1:], case["lower_token_log_probs"][1:]
    for name, expected in case["expected"].items():
        if name == "PPL":
            near(memorization.average_loss(log_probs), expected)
        elif name == "PPL/lower":
            near(memorization.average_loss(log_probs) / memorization.average_loss(lower), expected)
        elif name == "PPL/zlib":
            near(memorization.zlib_by_mean(log_probs, case["text"]), expected)
        else:
            near(memorization.min_k_without_minimum(log_probs, int(name[4:-1]) / 100), expected)


@pytest.mark.parametrize("case", cases("rwku_mia", having="text"))
def test_scores_of_rwku(case):
    found = rwku.membership_scores(
        case["token_log_probs"][1:], case["vocab_log_probs"][1:], case["text"], shares=(0.2, 0.4, 1.0)
    )
    for name, expected in case["expected"]["scores"].items():
        near(found[name], expected)


@pytest.mark.parametrize("case", cases("rwku_utility"))
def test_utility_of_rwku(case):
    expected = case["expected"]
    if "tokens" in case:
        near(rwku.fluency(case["tokens"]), expected["entropy"])
    elif "sum_log_prob" in case:
        for name, measure in (("mc1", rwku.mc1), ("mc2", rwku.mc2)):
            target = case[f"{name}_targets"]
            near(measure(case["sum_log_prob"], target["choices"], target["labels"]), expected[name])
    else:
        rows = case.get("list", [case])
        near(np.mean([rwku.exact_match(row["prediction"], row["answers"]) for row in rows]), expected["em"])
        near(np.mean([rwku.token_f1(row["prediction"], row["answers"]) for row in rows]), expected["f1"])


@pytest.mark.parametrize("case", cases("unlearning_depth_score"))
def test_depth_score(case):
    rows = zip(
        case["full_log_prob"], case["retrained_patched_log_probs"], case["unlearned_patched_log_probs"], strict=True
    )
    each = [aggregates.depth_score(*row, threshold=case["threshold"]) for row in rows]
    for found, expected in zip(each, case["expected"]["uds_per_fact"], strict=True):
        near(found, expected)
    near(aggregates.mean_depth_score(each), case["expected"]["uds"])


@pytest.mark.parametrize("case", cases("aggregated_scores"))
def test_aggregated_scores(case):
    expected = case["expected"]
    if "s_mia" in expected:
        near(membership.membership_score(case["auc_model"], case["auc_retrained"]), expected["s_mia"])
    elif "values" in case:
        near(aggregates.harmonic_mean(case["values"]), expected["memorization.harmonic_mean (None where a value is 0)"])
        near(aggregates.harmonic_mean_with_tiny(case["values"]), expected["privacy_eval._harmonic_mean (adds 1e-12)"])
    else:
        given, published = case["inputs"], expected["published"]
        mean = aggregates.harmonic_mean_with_tiny
        mem = mean([given[f"one_minus_{name}"] for name in ("es", "em", "paraprob", "truth")])
        privacy_mia = mean([given[f"s_{name}"] for name in ("loss", "zlib", "mink", "minkpp")])
        privacy = mean([privacy_mia, given["uds"]])
        utility = mean([given["model_utility"], given["fluency"]])
        near(
            [mem, privacy_mia, privacy, utility, mean([mem, privacy, given["utility_rel"]])],
            [published[name] for name in ("mem", "privacy_mia", "privacy", "utility", "overall")],
        )


@pytest.mark.parametrize("case", cases("meta_evaluation", having="relearning"))
def test_robustness_of_measures(case):
    found = aggregates.robustness(case["relearning"], case["quantization"])
    assert found == pytest.approx(case["expected"]["published robustness (4 digits)"], abs=2e-4)


@pytest.mark.parametrize("case", cases("letter_accuracy"))
def test_letters(case):
    expected = case["expected"]
    if "acc_by_task" in case:
        means = [float(np.mean(values)) for values in case["acc_by_task"]]
        errors = [letters.standard_error(values) for values in case["acc_by_task"]]
        sizes = [len(values) for values in case["acc_by_task"]]
        near(means, expected["acc"])
        near(errors, expected["acc_stderr"])
        near(letters.group_mean(means, sizes), expected["group_acc_weighted_by_size"])
        near(letters.group_mean(means, sizes, weighted=False), expected["group_acc_unweighted"])
        near(letters.group_standard_error(errors, sizes), expected["group_acc_stderr"])
    elif "doc" in case:
        doc = case["doc"]
        assert letters.letter_prompt(doc["question"], doc["choices"]) == expected["prompt"]
        assert list(letters.CONTINUATIONS) == expected["continuations"]
        near(letters.is_right(case["letter_log_probs"], doc["answer"]), expected["acc"])
    else:
        found = letters.accuracy_of_texts(case["log_probs"], case["choices"], case["answer"])
        near([found[name] for name in found], [expected[name] for name in found])


HARNESS = json.loads((Path(__file__).parent / "harness.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", HARNESS, ids=lambda case: case["id"])
def test_choices_as_the_harness_has_them(case):
    expected, sums = case["expected"], case["log_probs"]
    found = letters.accuracy_of_texts(sums, case["choices"], case["answer"])
    near([found[name] for name in found], [expected[name] for name in found])
    named = [f"{place} {choice}" for place, choice in enumerate(case["choices"])]
    by_choice = dict(zip(named, sums, strict=True))
    near(rwku.mc2(by_choice, named, case["labels"]), expected["mc2"])
    tied = sums[0] == max(sums[1:])  # wrong in RWKU's own code
    near(rwku.mc1(by_choice, named, [1] + [0] * (len(sums) - 1)), 0.0 if tied else expected["mc1"])
