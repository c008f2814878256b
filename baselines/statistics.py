"""Honest statistics of a few runs: robust means, their uncertainty, and how likely one algorithm beats another.

Source: Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS 2021, whose
package rliable computes the same; Gorsane et al., "Towards a Standardised Performance Evaluation Protocol for
Cooperative MARL", NeurIPS 2022; Wilson, "Probable inference", JASA 1927.

Scores are arrays [R, K]: R runs (seeds) of one algorithm on each of K tasks, more being better; curves [R, K, P] have P
points. Several tasks are only comparable once `normalised`.

Differences from rliable
    - Random draws come from a seed that the caller gives, and the seed is honoured.
    - A replicate draws one run fewer than there are (Hesterberg, "What teachers should know about the bootstrap", The
      American Statistician 2015): as many would make the intervals too narrow, by a twentieth with ten runs.
    - Percentile intervals are widened by Student's t over the normal deviate, as a few runs do not show how far apart
      more would lie: without it, an interval of three runs holds the truth three times in four. With it, one of two to
      four runs of a single task still holds it only in about 91 of 100 studies, from five runs on in 95.
    - Runs are resampled in each task by itself, for every statistic, probabilities of improvement included.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

REPLICATES = 10_000
LEVEL = 0.95
SHARE = (0.0, 1.0)  # what a share or a chance lies within
CHUNK = 2_000_000  # numbers that are resampled at the same time, at most

Statistic = Callable[..., np.ndarray]  # [..., R, K], or two of them -> [...]


@dataclass(frozen=True)
class Estimate:
    """A figure with its confidence interval."""

    value: float
    low: float
    high: float
    level: float = LEVEL

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


def normalised(scores: np.ndarray, low: float | Sequence[float], high: float | Sequence[float]) -> np.ndarray:
    """Scores [R, K, ...] with `low` of each task at 0 and `high` at 1. Raises ValueError where the two are equal."""
    nought, one = (np.asarray(bound, float).reshape(-1, *[1] * (np.ndim(scores) - 2)) for bound in (low, high))
    if (nought == one).any():
        raise ValueError("a task whose lowest and highest score are equal cannot be normalised")
    return np.asarray((scores - nought) / (one - nought))


def mean(scores: np.ndarray) -> np.ndarray:
    """The mean over runs and tasks. scores: [..., R, K]; returns [...]."""
    return np.asarray(scores.mean((-2, -1)))


def median(scores: np.ndarray) -> np.ndarray:
    """The median over tasks of the means over runs. scores: [..., R, K]; returns [...]."""
    return np.asarray(np.median(scores.mean(-2), -1))


def iqm(scores: np.ndarray) -> np.ndarray:
    """The interquartile mean: of the middle half of all runs of all tasks. scores: [..., R, K]; returns [...].

    A quarter of the numbers, rounded down, is left out at each end.
    """
    pooled = np.sort(scores.reshape(*scores.shape[:-2], -1), -1)
    cut = pooled.shape[-1] // 4
    return np.asarray(pooled[..., cut : pooled.shape[-1] - cut].mean(-1))


def optimality_gap(scores: np.ndarray, goal: float = 1.0) -> np.ndarray:
    """By how much runs fall short of a goal, on average; what lies above it counts as reached. scores: [..., R, K]."""
    return np.asarray(np.maximum(goal - scores, 0.0).mean((-2, -1)))


def improvement(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The chance that a run of ours is better than one of theirs on the same task, ties counting half.

    ours: [..., R, K], theirs: [..., R', K]; returns [...]. It is Mann and Whitney's U over R R', averaged over tasks.
    """
    ahead = ours[..., :, None, :] - theirs[..., None, :, :]
    return np.asarray((np.sign(ahead) / 2 + 0.5).mean((-3, -2, -1)))


def luck(ours: np.ndarray, theirs: np.ndarray, seed: int = 0, orders: int = 10_000) -> float:
    """How often chance alone takes the chance of improvement as far from one half, to either side: a p-value.

    ours: [R, K], theirs: [R', K]. A permutation test: within each task, any R of the R + R' runs may as well be ours.
    All orders count where there is one task and they are not more than `orders`; else so many are drawn.
    """
    random, runs, tasks = np.random.default_rng(seed), len(ours), ours.shape[1]
    exact = tasks == 1 and math.comb(runs + len(theirs), runs) <= orders
    chances = np.zeros(())
    for k in range(tasks):
        scores = np.concatenate([ours[:, k], theirs[:, k]])
        ranks = (np.sign(scores[:, None] - scores) / 2 + 0.5).sum(1) + 0.5  # from 1 on, the mean of equal ones
        if exact:
            sums = np.array([sum(chosen) for chosen in itertools.combinations(ranks.tolist(), runs)])
        else:
            sums = ranks[random.random((orders, len(ranks))).argsort(1)[:, :runs]].sum(1)
        chances = chances + (sums - runs * (runs + 1) / 2) / (runs * len(theirs)) / tasks
    as_far = int((np.abs(chances - 0.5) >= abs(float(improvement(ours, theirs)) - 0.5) - 1e-9).sum())
    return as_far / len(chances) if exact else (as_far + 1) / (len(chances) + 1)


def profile(scores: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """For each level, the share of runs above it. scores: [..., R, K], levels: [L]; returns [..., L]."""
    return np.asarray((scores[..., None] > levels).mean((-3, -2)))


def bootstrap(
    statistic: Statistic,
    *groups: np.ndarray,
    seed: int = 0,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    within: tuple[float, float] = (-math.inf, math.inf),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A statistic of groups of scores [R, K, ...] and the ends of its widened percentile interval: (value, low, high).

    Stratified: in every replicate the runs of each task are drawn anew, with replacement, within that task. The
    statistic takes groups with leading axes, [..., R, K]; of curves, [R, K, P], every point is taken by itself, with
    the same draws. within: what the statistic cannot leave. Raises ValueError for fewer than two runs, which say
    nothing about their spread.
    """
    if any(group.shape[0] < 2 for group in groups):
        raise ValueError("an interval needs two runs of each algorithm, at least; train another seed")
    random = np.random.default_rng(seed)
    freedom = sum((group.shape[0] - 1) * group.shape[1] for group in groups)
    groups = tuple(_points_first(np.asarray(group, float)) for group in groups)
    value = statistic(*groups)
    rows = max(1, CHUNK // sum(group.size for group in groups))
    drawn = []
    for first in range(0, replicates, rows):
        count = min(rows, replicates - first)
        drawn.append(statistic(*(_resampled(group, count, random) for group in groups)))
    ends = np.quantile(np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2], axis=0)
    wider = student_quantile((1 + level) / 2, freedom) / NormalDist().inv_cdf((1 + level) / 2)
    low, high = np.clip(value + wider * (ends - value), *within)
    return value, low, high


def _points_first(scores: np.ndarray) -> np.ndarray:
    """[R, K] as it is, [R, K, P] as [P, R, K]."""
    return np.moveaxis(scores, 2, 0) if scores.ndim == 3 else scores


def _resampled(scores: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """So many replicates of scores [..., R, K], as [count, ..., R - 1, K]."""
    runs, tasks = scores.shape[-2:]
    draws = random.integers(runs, size=(count, runs - 1, tasks))
    return np.moveaxis(scores[..., draws, np.arange(tasks)], -3, 0)


def estimate(statistic: Statistic, *groups: np.ndarray, level: float = LEVEL, **options: Any) -> Estimate:
    """A statistic of scores [R, K] with its stratified bootstrap interval; a single run has none but itself.

    options: those of `bootstrap`.
    """
    if any(group.shape[0] < 2 for group in groups):
        alone = statistic(*(np.asarray(group, float) for group in groups))
        return Estimate(float(alone), -math.inf, math.inf, level)
    value, low, high = bootstrap(statistic, *groups, level=level, **options)
    return Estimate(float(value), float(low), float(high), level)


def wilson(successes: int, trials: int, level: float = LEVEL) -> Estimate:
    """A rate of success with Wilson's score interval. Raises ValueError unless 0 <= successes <= trials, trials > 0."""
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} successes in {trials} trials; they must lie in [0, trials], trials above 0")
    z = NormalDist().inv_cdf((1 + level) / 2)
    rate, share = successes / trials, z * z / trials
    middle = (rate + share / 2) / (1 + share)
    half = z / (1 + share) * math.sqrt(rate * (1 - rate) / trials + share / (4 * trials))
    return Estimate(rate, max(0.0, middle - half), min(1.0, middle + half), level)


def mean_estimate(values: np.ndarray, level: float = LEVEL) -> Estimate:
    """The mean of independent values [n] with Student's interval; a single value has none but itself."""
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return Estimate(mean, -math.inf, math.inf, level)
    half = student_quantile((1 + level) / 2, count - 1) * float(values.std(ddof=1)) / math.sqrt(count)
    return Estimate(mean, mean - half, mean + half, level)


def prediction(scores: np.ndarray, level: float = LEVEL) -> Estimate:
    """The mean of normally distributed scores [R] and the interval in which one more of them falls.

    Raises ValueError for fewer than two scores.
    """
    if len(scores) < 2:
        raise ValueError("a prediction needs two scores, at least; train another seed")
    mean, count = float(scores.mean()), len(scores)
    half = student_quantile((1 + level) / 2, count - 1) * float(scores.std(ddof=1)) * math.sqrt(1 + 1 / count)
    return Estimate(mean, mean - half, mean + half, level)


@functools.cache
def student_quantile(share: float, freedom: int) -> float:
    """The value below which so large a share of Student's distribution lies.

    With t = sqrt(freedom) tan(angle), the angle's density is proportional to cos(angle) ** (freedom - 1).
    """
    angle = np.linspace(-np.pi / 2, np.pi / 2, 400_001)
    density = np.cos(angle) ** (freedom - 1)
    below = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return math.sqrt(freedom) * math.tan(float(np.interp(share * below[-1], below, angle)))
