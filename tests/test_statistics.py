"""Statistics against rliable's figures, cases with a known answer, and the coverage that an interval promises."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from coopgym.baselines.statistics import (
    SHARE,
    Estimate,
    bootstrap,
    estimate,
    improvement,
    iqm,
    luck,
    mean,
    mean_estimate,
    median,
    normalised,
    optimality_gap,
    prediction,
    profile,
    student_quantile,
    wilson,
)


def scores(a: float, runs: int, tasks: int) -> np.ndarray:
    """Scores without a pattern, the same for ever."""
    r, k = np.meshgrid(np.arange(runs), np.arange(tasks), indexing="ij")
    return np.round(np.sin(a * (r + 1) * (k + 2)) * 0.3 + 0.5 + 0.05 * k, 3)


X, Y = scores(1.7, 7, 5), scores(2.3, 6, 5)

# rliable 1.2.0 on the same scores
RLIABLE = {
    mean: (0.6165714285714285, 0.6249),
    median: (0.6754285714285714, 0.6468333333333335),
    iqm: (0.6372631578947369, 0.6321875),
    optimality_gap: (0.38342857142857145, 0.3751000000000001),
}


@pytest.mark.parametrize("statistic", RLIABLE)
def test_figures_are_those_of_rliable(statistic):
    assert (float(statistic(X)), float(statistic(Y))) == pytest.approx(RLIABLE[statistic], abs=1e-12)
    assert float(improvement(X, Y)) == pytest.approx(0.47619047619047616, abs=1e-12)


def test_an_interval_is_that_of_rliable_corrected_for_few_runs():
    found = estimate(iqm, X, replicates=50_000)
    wider = math.sqrt(7 / 6) * student_quantile(0.975, 30) / 1.959964  # a run fewer in each draw; 5 tasks of 7 runs
    for ours, theirs in ((found.low, 0.53057895), (found.high, 0.73857895)):
        assert ours == pytest.approx(found.value + wider * (theirs - found.value), abs=0.01)


def test_profiles_are_those_of_rliable():
    assert profile(X, np.linspace(0, 1, 6)).tolist() == pytest.approx([1, 1, 26 / 35, 21 / 35, 10 / 35, 0])


def test_the_interquartile_mean_leaves_a_quarter_out_at_each_end():
    assert iqm(np.array([[-1e9, 1], [2, 1e9]])) == 1.5
    assert iqm(np.array([[1.0], [2], [6]])) == 3  # a quarter of three is none


def test_an_improvement_counts_ties_half():
    assert improvement(np.array([[1.0], [2.0]]), np.array([[1.0], [3.0]])) == pytest.approx((0.5 + 0 + 1 + 0) / 4)
    assert improvement(np.ones((3, 2)), np.ones((4, 2))) == 0.5
    assert improvement(np.array([[2.0, 0.0]]), np.array([[1.0, 1.0]])) == 0.5  # ahead on one task, behind on the other


def test_what_lies_above_the_goal_counts_as_reached():
    assert optimality_gap(np.array([[0.25, 5.0]])) == 0.375
    assert optimality_gap(np.array([[0.25, 5.0]]), goal=8) == pytest.approx((7.75 + 3) / 2)


def test_scores_are_normalised_task_by_task():
    raw = np.array([[0.0, -80.0], [40.0, -20.0]])
    assert normalised(raw, [0, -80], [40, -20]).tolist() == [[0, 0], [1, 1]]
    assert normalised(raw[:, :, None] * np.ones(3), [0, -80], [40, -20]).shape == (2, 2, 3)
    with pytest.raises(ValueError, match="cannot be normalised"):
        normalised(raw, [0, 5], [1, 5])


def test_runs_are_drawn_within_their_task():
    far_apart = np.array([[0.0, 100.0], [1.0, 101.0], [2.0, 102.0]])
    seen = []

    def keep(replicates):
        seen.append(replicates)
        return mean(replicates)

    bootstrap(keep, far_apart, replicates=500)
    drawn = seen[1]
    assert drawn.shape == (500, 2, 2)
    assert set(drawn[..., 0].ravel()) == {0, 1, 2} and set(drawn[..., 1].ravel()) == {100, 101, 102}
    assert not np.array_equal(drawn[..., 0] + 100, drawn[..., 1])  # each task by itself


def test_curves_have_an_interval_at_every_point():
    curves = np.stack([X, X + 1, 2 * X], axis=2)
    value, low, high = bootstrap(iqm, curves, replicates=400, seed=3)
    assert value == pytest.approx([float(iqm(X)), float(iqm(X)) + 1, 2 * float(iqm(X))])
    assert low[1] == pytest.approx(low[0] + 1) and high[2] == pytest.approx(2 * high[0])  # the same draws


def test_the_seed_decides_the_draws():
    assert estimate(iqm, X, seed=1) == estimate(iqm, X, seed=1)
    assert estimate(iqm, X, seed=1) != estimate(iqm, X, seed=2)


def test_a_single_run_has_no_interval():
    assert estimate(mean, X[:1]) == Estimate(float(X[0].mean()), -np.inf, np.inf)
    with pytest.raises(ValueError, match="an interval needs two runs"):
        bootstrap(mean, X[:1])


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 10, 0.0, 0.27753), (10, 10, 0.72247, 1.0), (9, 10, 0.59585, 0.98212), (1, 30, 0.00591, 0.16670)],
)
def test_wilsons_interval_is_that_of_the_tables(successes, trials, low, high):
    found = wilson(successes, trials)
    assert (found.value, found.low, found.high) == pytest.approx((successes / trials, low, high), abs=1e-5)


def test_impossible_counts_are_refused():
    for successes, trials in ((-1, 3), (4, 3), (0, 0)):
        with pytest.raises(ValueError, match="must lie in"):
            wilson(successes, trials)


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (9, 2.26216), (30, 2.04227), (1000, 1.96234)]
)
def test_students_quantiles_are_those_of_the_tables(freedom, quantile):
    assert student_quantile(0.975, freedom) == pytest.approx(quantile, rel=1e-5)
    assert student_quantile(0.025, freedom) == pytest.approx(-quantile, rel=1e-5)
    assert student_quantile(0.5, freedom) == pytest.approx(0, abs=1e-4)


def test_a_prediction_holds_the_next_score_as_often_as_it_says():
    random, held = np.random.default_rng(0), 0
    for _ in range(2000):
        *known, following = random.normal(-28, 2, 6)
        found = prediction(np.array(known))
        held += found.low <= following <= found.high
    assert 0.935 <= held / 2000 <= 0.965


def test_the_interval_of_a_mean_is_students() -> None:
    found = mean_estimate(np.array([1.0, 2.0, 4.0]))
    half = 4.302653 * np.std([1, 2, 4], ddof=1) / 3**0.5
    assert (found.value, found.low, found.high) == pytest.approx((7 / 3, 7 / 3 - half, 7 / 3 + half), rel=1e-6)
    alone = mean_estimate(np.array([5.0]))
    assert (alone.value, alone.low, alone.high) == (5.0, -np.inf, np.inf)


def test_two_teams_that_are_the_same_are_told_apart_as_seldom_as_promised() -> None:
    """Of two to ten episodes, whose differences are normal."""
    draws = np.random.default_rng(0).normal(size=(4000, 10))
    for episodes in (2, 3, 10):
        found = [mean_estimate(row[:episodes]) for row in draws]
        assert np.mean([one.low > 0 or one.high < 0 for one in found]) == pytest.approx(0.05, abs=0.012)


def test_one_score_predicts_nothing():
    with pytest.raises(ValueError, match="a prediction needs two scores"):
        prediction(np.array([1.0]))


@pytest.mark.parametrize("statistic", [mean, iqm])
@pytest.mark.parametrize("runs", [5, 10])
def test_an_interval_covers_the_truth_as_often_as_it_says(statistic, runs):
    """Runs of 5 tasks: the interval holds the true mean in 95 % of 2,000 studies, give or take."""
    random, covered = np.random.default_rng(0), 0
    for study in range(2000):
        found = estimate(statistic, random.normal(0.5, 0.2, (runs, 5)), seed=study, replicates=1000)
        covered += found.low <= 0.5 <= found.high
    assert 0.935 <= covered / 2000 <= 0.965


def test_an_interval_of_the_chance_of_improvement_covers_it_too():
    """Runs a standard deviation apart: the chance is that of N(1, 2) to be above 0."""
    random, covered = np.random.default_rng(0), 0
    for study in range(2000):
        ours, theirs = random.normal(1, 1, (10, 1)), random.normal(0, 1, (10, 1))
        found = estimate(improvement, ours, theirs, seed=study, replicates=1000, within=SHARE)
        covered += found.low <= NormalDist().cdf(math.sqrt(0.5)) <= found.high
    assert 0.935 <= covered / 2000 <= 0.965


def test_an_interval_of_three_runs_is_wide():
    """What three runs show of their spread is little: the bootstrap alone would hold the truth 3 times in 4."""
    random, covered = np.random.default_rng(0), 0
    for study in range(1000):
        found = estimate(iqm, random.normal(0.5, 0.2, (3, 1)), seed=study, replicates=1000)
        covered += found.low <= 0.5 <= found.high
    assert 0.9 <= covered / 1000 <= 0.965


def test_an_interval_stays_within_what_is_possible():
    ours, theirs = np.array([[1.0], [2.0], [5.0]]), np.array([[0.0], [1.5], [3.0]])
    found = estimate(improvement, ours, theirs, within=SHARE)
    assert found.value == pytest.approx(6 / 9) and (found.low, found.high) == (0, 1)
    assert estimate(improvement, ours, theirs).high > 1


def test_luck_is_the_p_value_of_mann_and_whitneys_test_where_all_orders_can_be_counted() -> None:
    ours, theirs = np.array([[8.0], [9.0], [10.0]]), np.arange(4.0)[:, None]
    assert luck(ours, theirs) == luck(theirs, ours) == 2 / 35  # all of one above all of the other, of 35 orders
    assert luck(np.array([[1.0], [4.0]]), np.array([[2.0], [3.0]])) == 1.0  # as many ahead as behind
    assert luck(np.ones((3, 1)), np.ones((5, 1))) == 1.0


def test_drawn_orders_say_the_same_as_all_of_them() -> None:
    random = np.random.default_rng(1)
    ours, theirs = random.normal(1, 1, (5, 1)), random.normal(0, 1, (6, 1))
    assert luck(ours, theirs, orders=461) == pytest.approx(luck(ours, theirs, orders=462), abs=0.08)  # of 462
    assert luck(ours, theirs, orders=40_000) == luck(ours, theirs)
    both = [np.repeat(group, 2, 1) for group in (ours, theirs)]
    assert luck(*both) < luck(ours, theirs)  # two tasks that say the same
