"""What a folder of runs says: runs grouped by game and by algorithm, with their statistics. Nothing here is a picture.

A run's score is the mean return of its last team over the episodes that scored it; only finished runs have one. Every
interval is a stratified bootstrap interval of 95 %, always from the same seed.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mode
from typing import NamedTuple

import numpy as np

from coopgym.baselines import ALGORITHMS, statistics
from coopgym.baselines.results import Result, differing, fields
from coopgym.baselines.statistics import Estimate
from coopgym.envs import environment
from coopgym.envs.core import Environment
from coopgym.envs.parameters import tupled
from coopgym.envs.specification import Anchor, specification

ENOUGH_SEEDS = 10  # fewer are provisional (Gorsane et al., NeurIPS 2022)
CURVE_REPLICATES = 2000  # of the bootstrap of a curve or a profile, whose points share their draws
OPTIMAL, RANDOM = "optimal", "random"


class Curve(NamedTuple):
    """The interquartile mean over runs at each of P evaluations, with the ends of its interval; one run has none."""

    steps: np.ndarray  # [P]
    mean: np.ndarray  # [P]
    low: np.ndarray  # [P]
    high: np.ndarray  # [P]


@dataclass(frozen=True)
class Group:
    """The runs of one algorithm, with the same fields, on one game: one for each seed."""

    label: str
    runs: Sequence[Result]  # by seed

    @property
    def finished(self) -> list[Result]:
        return [run for run in self.runs if run.scores is not None]

    @property
    def provisional(self) -> bool:
        return len(self.finished) < max(ENOUGH_SEEDS, len(self.runs))

    @cached_property
    def scores(self) -> np.ndarray:
        """[R], of the last teams of finished runs."""
        return np.array([run.scores["final"]["mean_team_return"] for run in self.finished])  # type: ignore[index]

    @cached_property
    def best_scores(self) -> np.ndarray:
        """[R], of the teams as they were at their best evaluation: the absolute metric."""
        return np.array([run.scores["absolute"]["mean_team_return"] for run in self.finished])  # type: ignore[index]

    @cached_property
    def score(self) -> Estimate:
        """The interquartile mean over finished runs, of which there must be one."""
        return self._iqm(self.scores)

    @cached_property
    def best_score(self) -> Estimate:
        return self._iqm(self.best_scores)

    def _iqm(self, scores: np.ndarray) -> Estimate:
        return statistics.estimate(statistics.iqm, scores[:, None], within=self.runs[0].attainable)

    @cached_property
    def curve(self) -> Curve | None:
        """Of the finished runs or, where there is none, of all, as far as each of them has come; None at the start."""
        runs = self.finished or [run for run in self.runs if evaluations(run)]
        points = min(map(evaluations, runs), default=0)
        if not points:
            return None
        steps = runs[0].curve["env_steps"][:points]
        returns = np.stack([run.curve["mean_team_return"][:points] for run in runs])[:, None]  # [R, 1, P]
        if len(runs) == 1:
            return Curve(steps, *[returns[0, 0]] * 3)
        return Curve(steps, *statistics.bootstrap(statistics.iqm, returns, replicates=CURVE_REPLICATES))


@dataclass(frozen=True)
class Task:
    """A game, and the groups of runs on it."""

    name: str
    environment: Environment
    groups: Sequence[Group]

    @cached_property
    def anchors(self) -> tuple[Anchor, ...]:
        """The returns of known teams; none for parameters that no preset names."""
        return specification(self.environment).anchors

    @property
    def random(self) -> Anchor | None:
        return next((anchor for anchor in self.anchors if anchor.name == RANDOM), None)

    @property
    def best_known(self) -> Anchor | None:
        """The optimal team or, where nobody knows it, the best of those with a name."""
        others = [anchor for anchor in self.anchors if anchor.name != RANDOM]
        optimal = [anchor for anchor in others if anchor.name == OPTIMAL]
        return max(optimal or others, key=lambda anchor: anchor.mean, default=None)

    @property
    def bounds(self) -> tuple[Anchor, Anchor] | None:
        """The random team and the best one known; None where they bound nothing."""
        low, high = self.random, self.best_known
        return (low, high) if low is not None and high is not None and low.mean < high.mean else None

    @property
    def scored(self) -> list[Group]:
        """The groups with a finished run, the highest first."""
        return sorted((group for group in self.groups if group.finished), key=lambda group: -group.score.value)


@dataclass(frozen=True)
class Whole:
    """Scores on several games at once: 0 is the random team, 1 the best one known."""

    tasks: Sequence[Task]
    scores: dict[str, np.ndarray]  # by label, [R, K]: the seeds that every game has
    left_out: Sequence[str]  # sentences: games and algorithms, and why

    @cached_property
    def iqms(self) -> dict[str, Estimate]:
        """By label, the highest first."""
        found = {label: statistics.estimate(statistics.iqm, scores) for label, scores in self.scores.items()}
        return dict(sorted(found.items(), key=lambda one: -one[1].value))

    @cached_property
    def gaps(self) -> dict[str, Estimate]:
        return {
            label: statistics.estimate(statistics.optimality_gap, scores, within=(0.0, math.inf))
            for label, scores in self.scores.items()
        }


@dataclass(frozen=True)
class Summary:
    tasks: Sequence[Task]
    labels: Sequence[str]  # of all groups, in the order in which they are shown
    lacking: Sequence[str]  # sentences on the runs that a sweep does not have yet
    repeated: Sequence[tuple[Result, Result]]  # runs that are left out, each with the one that has all in common

    @property
    def runs(self) -> list[Result]:
        return [run for task in self.tasks for group in task.groups for run in group.runs]

    @cached_property
    def whole(self) -> Whole:
        return _whole(self.tasks, self.labels)


def evaluations(run: Result) -> int:
    """How often a run was evaluated so far."""
    return len(run.curve.get("env_steps", ()))


def summarised(runs: Iterable[Result], lacking: Sequence[str] = ()) -> Summary:
    """Groups runs by game and algorithm. Of runs with all in common, the seed included, the first one counts."""
    once: dict[tuple[str, int], Result] = {}
    repeated = []
    for run in runs:
        first = once.setdefault((run.recipe, run.seed), run)
        if first is not run:
            repeated.append((run, first))
    counted = list(once.values())
    labels = _labels(counted)
    order = {name: place for place, name in enumerate(ALGORITHMS)}
    known = sorted(
        counted, key=lambda run: (order.get(run.algorithm, len(order)), labels[run.recipe], run.recipe, run.seed)
    )
    tasks = []
    for name in sorted({run.task for run in counted}):
        here = [run for run in known if run.task == name]
        groups = [Group(labels[recipe], list(of)) for recipe, of in itertools.groupby(here, lambda run: run.recipe)]
        tasks.append(Task(name, _environment(here[0]), groups))
    return Summary(tasks, list(dict.fromkeys(labels[run.recipe] for run in known)), lacking, repeated)


def _environment(run: Result) -> Environment:
    """What it was trained on, with its preset, under which its anchors are known."""
    return environment(run.config["environment"], run.config["preset"], **tupled(run.config["params"]))


def _labels(runs: Sequence[Result]) -> dict[str, str]:
    """By recipe, the algorithm's name, and its fields that were varied on some game where they are not as usual."""
    labels = {}
    for algorithm in {run.algorithm: None for run in runs}:
        own = [run for run in runs if run.algorithm == algorithm]
        games = [[fields(run) for run in own if run.task == task] for task in {run.task: None for run in own}]
        varied = dict.fromkeys(name for tables in games for name in differing(tables))
        usual = {name: mode([fields(run).get(name) for run in own]) for name in varied}
        for run in own:
            values = {name: fields(run).get(name) for name in varied}
            unusual = [f"{name}={value}" for name, value in values.items() if value != usual[name]]
            labels[run.recipe] = " ".join([algorithm, *unusual])
    return labels


def improvements(groups: dict[str, np.ndarray]) -> dict[tuple[str, str], Estimate]:
    """For each ordered pair of labels, the chance that a run of the first beats one of the other. groups: [R, K]."""
    return {
        (ours, theirs): statistics.estimate(
            statistics.improvement, groups[ours], groups[theirs], within=statistics.SHARE
        )
        for ours, theirs in itertools.permutations(groups, 2)
    }


def profile(scores: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The share of runs above each level, with its interval: three arrays [L]. scores: [R, K], levels: [L]."""

    def share(scores: np.ndarray) -> np.ndarray:
        return statistics.profile(scores, levels)

    if len(scores) < 2:
        return (share(scores),) * 3
    return statistics.bootstrap(share, scores, replicates=CURVE_REPLICATES, within=statistics.SHARE)


def _whole(tasks: Sequence[Task], labels: Sequence[str]) -> Whole:
    left_out = [f"{task.name} is left out: no teams bound its returns." for task in tasks if task.bounds is None]
    bounded = [task for task in tasks if task.bounds is not None]
    left_out += [f"{task.name} is left out: none of its runs is finished." for task in bounded if not task.scored]
    bounded = [task for task in bounded if task.scored]
    scores = {}
    for label in labels if bounded else ():
        columns = [next((g.scores for g in task.scored if g.label == label), np.zeros(0)) for task in bounded]
        seeds = min(map(len, columns))
        if seeds == 0:
            left_out.append(f"{label} is left out: it has no finished run on some of the games.")
            continue
        low, high = zip(*(task.bounds for task in bounded if task.bounds is not None), strict=True)
        table = np.stack([column[:seeds] for column in columns], 1)
        scores[label] = statistics.normalised(table, [one.mean for one in low], [one.mean for one in high])
        if max(map(len, columns)) > seeds:
            left_out.append(f"Of {label}, {seeds} of the runs on each game count: no more are finished on all of them.")
    return Whole(bounded, scores, left_out)
