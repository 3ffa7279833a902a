"""Bounds, p-values, and what the plan promises."""

from __future__ import annotations

from mutant_list.mutant import Mutant, in_mutants, in_statistics, in_verdict

CONTRASTS = "unlearn_audit/verdict/findings/contrasts.py"
STATISTICS = "unlearn_audit/statistics/bounds.py"
POWER = "unlearn_audit/verdict/reach.py"

BOUNDS = (
    Mutant(
        name="wald-interval",
        wrong="a normal interval around the mean, of width 0 at 0 of n",
        file=STATISTICS,
        old="    return _held(",
        new="    reach = 1.6449 * columns.std(axis=0) / math.sqrt(len(columns))\n"
        "    lower, upper = columns.mean(axis=0) - reach, columns.mean(axis=0) + reach\n"
        "    return _held(",
        tests=in_statistics("zero_of_n_gives_the_exact_binomial_bound"),
    ),
    Mutant(
        name="upper-without-its-end",
        wrong="a bootstrap in place of the upper bound: what was not seen cannot be",
        file=STATISTICS,
        old="above = inner + high_ends[block, None] * last",
        new="above = inner / (1.0 - last)",
        tests=in_statistics("zero_of_n_gives_the_exact_binomial_bound"),
    ),
    Mutant(
        name="lower-without-its-end",
        wrong="a bootstrap in place of the lower bound",
        file=STATISTICS,
        old="below = inner + low_ends[block, None] * last",
        new="below = inner / (1.0 - last)",
        tests=in_statistics("n_of_n_gives_the_exact_binomial_bound"),
    ),
    Mutant(
        name="last-weight-at-its-mean",
        wrong="the weight of the unseen is its mean, where it may be larger",
        file=STATISTICS,
        old="last = -np.expm1(np.log1p(-np.arange(1, draws + 1) / (draws + 1)) / size)",
        new="last = np.full(draws, 1.0 / (size + 1))",
        tests=in_statistics("zero_of_n_gives_the_exact_binomial_bound"),
    ),
    Mutant(
        name="weights-too-even",
        wrong="weights that vary less than Dirichlet's, and bounds too narrow for it",
        file=STATISTICS,
        old="exponentials = rng.standard_exponential((draws, size))",
        new="exponentials = 1.0 + rng.standard_exponential((draws, size))",
        tests=in_statistics("agrees_with_the_definition_carried_out_slowly"),
    ),
    Mutant(
        name="alpha-two-sided",
        wrong="each bound takes half of alpha: wider than it says, and PASS out of reach",
        file=STATISTICS,
        old="rank = math.floor(alpha * (draws + 1) + TOLERANCE)",
        new="rank = math.floor(alpha / 2 * (draws + 1) + TOLERANCE)",
        tests=in_statistics("zero_of_n_gives_the_exact_binomial_bound"),
    ),
    Mutant(
        name="alpha-doubled",
        wrong="each bound errs twice as often as it says",
        file=STATISTICS,
        old="rank = math.floor(alpha * (draws + 1) + TOLERANCE)",
        new="rank = math.floor(2 * alpha * (draws + 1) + TOLERANCE)",
        tests=in_statistics("both_bounds_cover_the_mean"),
    ),
    Mutant(
        name="too-few-draws-prove",
        wrong="with fewer draws than 1 / alpha the largest draw is the bound",
        file=STATISTICS,
        old="rank = math.floor(alpha * (draws + 1) + TOLERANCE)",
        new="rank = max(1, math.floor(alpha * (draws + 1) + TOLERANCE))",
        tests=in_statistics("too_few_draws_for_an_alpha_prove_nothing"),
    ),
    Mutant(
        name="order-of-subjects-matters",
        wrong="the order in which subjects come moves a bound",
        file=STATISTICS,
        old="return np.sort(np.clip(columns, low_ends, high_ends), axis=0), low_ends, high_ends",
        new="return np.clip(columns, low_ends, high_ends), low_ends, high_ends",
        tests=in_statistics("the_order_of_subjects_cannot_move_a_bound"),
    ),
    Mutant(
        name="nan-in-a-mean",
        wrong="a NaN is taken for a value in the range",
        file=STATISTICS,
        old="    if not inside.all():\n",
        new="    inside |= np.isnan(columns)\n    if not inside.all():\n",
        tests=in_statistics("what_is_no_value_in_the_range_is_refused"),
    ),
)


P_VALUES = (
    Mutant(
        name="p-value-of-zero",
        wrong="a p-value of exactly 0, which no number of draws can show",
        file=STATISTICS,
        old="(counts + 1.0) / (draws + 1.0)",
        new="counts / draws",
        tests=in_statistics("a_p_value_is_never_zero_and_a_tie_counts_for_the_hypothesis"),
    ),
    Mutant(
        name="ties-count-against",
        wrong="a mean exactly at the limit is evidence that it is above",
        file=STATISTICS,
        old="* last <= threshold + TOLERANCE, axis=1)",
        new="* last < threshold - TOLERANCE, axis=1)",
        tests=in_mutants("values_that_can_be_no_lower_than_the_limit_are_no_evidence_against_it"),
    ),
    Mutant(
        name="picking-is-free",
        wrong="the worst of a few cells is tested as if it were the only one",
        file=STATISTICS,
        old="    return min(1.0, len(cells) * smallest)\n",
        new="    return min(1.0, smallest)\n",
        tests=in_statistics("few_cells_pay_a_p_value_each"),
    ),
    Mutant(
        name="one-control-fails",
        wrong="an excess over one control of several is a leak",
        file=STATISTICS,
        old="smallest = min(smallest, float(p_values.max(axis=1).min()))",
        new="smallest = min(smallest, float(p_values.min()))",
        tests=in_statistics("the_smallest_p_value_of_cells_with_subjects_of_their_own"),
    ),
    Mutant(
        name="one-control-fails-in-many-cells",
        wrong="an excess over one control of several is a leak, where a finding has many cells",
        file=STATISTICS,
        old="return float(gaffke_p_value(testing, lo, hi, 0.0, draws, seed).max())",
        new="return float(gaffke_p_value(testing, lo, hi, 0.0, draws, seed).min())",
        tests=in_statistics("an_excess_over_one_control_of_two_is_no_leak"),
    ),
    Mutant(
        name="tested-where-picked",
        wrong="the worst of many cells is picked on the half on which it is tested",
        file=STATISTICS,
        old="    testing = cells[worst].values[~picking[worst]]\n",
        new="    testing = cells[worst].values[picking[worst]]\n",
        tests=in_statistics("picking_the_worst_of_many_cells_does_not_inflate_the_error"),
    ),
    Mutant(
        name="better-half-counts-once",
        wrong="the better of two halves counts, and is not paid for",
        file=STATISTICS,
        old="    return min(1.0, 2.0 * min(one, other))\n",
        new="    return min(one, other)\n",
        tests=in_statistics("two_cells_by_hand"),
    ),
    Mutant(
        name="halves-by-order",
        wrong="which half a subject is in depends on the order of the evidence",
        file=STATISTICS,
        old="    ranked = sorted(set(subjects), key=lambda name: (hashlib.sha256(name.encode()).digest(), name))\n",
        new="    ranked = list(dict.fromkeys(subjects))\n",
        tests=in_statistics("halves_depend_on_names_and_on_nothing_else"),
    ),
    Mutant(
        name="false-discovery-rate",
        wrong="the share of wrong FAILs is held, and not the chance of one",
        file=STATISTICS,
        old="        left -= weights[place]\n",
        new="        left = math.fsum(weights) / (1 + sum(one > 0.0 for one in adjusted))\n",
        tests=in_statistics("holm_by_hand"),
    ),
)


REACH = (
    Mutant(
        name="plan-promises-too-much",
        wrong="the plan names a number of subjects that cannot pass",
        file=POWER,
        old="    return math.ceil(value - TOLERANCE)\n",
        new="    return math.floor(value)\n",
        tests=("tests/verdict/test_reach.py::test_from_that_number_on_the_bound_passes_and_below_it_does_not",),
    ),
    Mutant(
        name="plan-is-silent",
        wrong="the plan does not say that there are too few subjects to pass",
        file=POWER,
        old="    if subjects < needed and",
        new="    if subjects < 0 and",
        tests=("tests/verdict/test_reach.py::test_what_stands_in_the_way_of_any_pass_is_said_before_the_run",),
    ),
    Mutant(
        name="missing-utility-passes",
        wrong="a missing answer on the retain set counts as right for PASS",
        file=CONTRASTS,
        old="least, most = contrast.least(cell)[:, None], contrast.most(cell)[:, None]",
        new="least, most = contrast.most(cell)[:, None], contrast.least(cell)[:, None]",
        tests=in_verdict("missing_utility_scores_do_not_pass"),
    ),
)
