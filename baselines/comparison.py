"""Is one algorithm better than another? Runs against runs, and what may honestly be said about them.

    print(coopgym.compare("runs/mine*", to=["qmix", "vdn"], out="comparison"))

Runs are grouped by algorithm and, where an algorithm was trained in several ways on one task, by these. Each group is
held against each group of `to`: by the chance that a run of ours is better than one of theirs on the same task
(Mann and Whitney's U), with the stratified bootstrap of `coopgym.baselines.statistics`.

A verdict is "better" where the whole 95 % interval of that chance lies above one half, "worse" where it lies below, and
else "cannot tell". Where all runs of one group are above all of the other, the bootstrap sees no spread at all, however
few there are; then chance alone must do the same in less than 5 % of all orders of the runs.

Returns of different games are never compared. Several tasks are put on one scale by fixed constants, the anchors: the
random team's return is 0, the optimum's 1 or, where nobody knows it, the best scripted team's.
"""

import glob
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coopgym.baselines import ALGORITHMS
from coopgym.baselines.reference import (
    HEADINGS,
    METRICS,
    bounds,
    grouped,
    reference_of,
    reference_runs,
    score_of,
    spelt,
    spelt_bounds,
    word_of_game,
)
from coopgym.baselines.results import Result, differing, fields, find_runs
from coopgym.baselines.statistics import SHARE, Estimate, estimate, improvement, iqm, luck, normalised
from coopgym.envs.core import Environment
from coopgym.envs.parameters import nearest
from coopgym.envs.specification import table
from coopgym.envs.teams import RANDOM

LEVEL = 0.05  # how often chance alone may give a verdict
SMALL = 0.05  # a chance of improvement no farther from one half is taken for none


@dataclass(frozen=True)
class Group:
    """Runs that count as one algorithm: by task, each seed once."""

    name: str
    algorithm: str
    runs: dict[str, list[Result]]  # by `Result.game`

    def scores(self, game: str, metric: str) -> np.ndarray:
        """[R], by seed."""
        return np.array([score_of(run, metric) for run in self.runs[game]])


@dataclass(frozen=True)
class Task:
    """A game that is compared on, and what is 0 and 1 on the scale of several tasks."""

    name: str
    environment: Environment
    random: float | None  # the random team's return
    best: float | None  # the optimum or, where nobody knows it, the best scripted team's return

    @property
    def on_scale(self) -> bool:
        return self.random is not None and self.best is not None and self.best > self.random


@dataclass(frozen=True)
class Verdict:
    """One group held against another, by one metric."""

    ours: str
    theirs: str
    metric: str
    chance: Estimate  # that a run of ours is better
    runs: tuple[int, int]  # of ours and of theirs, on each task
    word: str  # "better", "worse" or "cannot tell"
    reason: str

    def __str__(self) -> str:
        low, high = max(self.chance.low, 0.0), min(self.chance.high, 1.0)
        says = {
            "better": f"{self.ours} is better than {self.theirs}",
            "worse": f"{self.ours} is worse than {self.theirs}",
            "cannot tell": f"cannot tell {self.ours} from {self.theirs}",
        }[self.word]
        return f"{says}: P(improvement) {self.chance.value:.2f} [{low:.2f}, {high:.2f}]{self.reason}"


@dataclass(frozen=True)
class Comparison:
    """Groups of runs on the tasks that they share. It prints as tables with a verdict in words."""

    tasks: dict[str, Task]  # by `Result.game`
    ours: list[Group]
    theirs: list[Group]
    verdicts: list[Verdict]
    warnings: list[str]

    @property
    def groups(self) -> list[Group]:
        return [*self.ours, *self.theirs]

    @property
    def together(self) -> list[str]:
        """The games that all groups play and whose returns can be put on one scale."""
        return [game for game, task in self.tasks.items() if task.on_scale and all(game in g.runs for g in self.groups)]

    def scale_scores(self, group: Group, metric: str) -> np.ndarray:
        """Scores [R, K] on the tasks that all play, with random at 0 and the best known team at 1."""
        tasks = [self.tasks[game] for game in self.together]
        scores = rectangle(group, self.together, metric)
        return normalised(scores, [task.random or 0.0 for task in tasks], [task.best or 0.0 for task in tasks])

    def __str__(self) -> str:
        parts = [self._task_table(game) for game in self.tasks]
        if len(self.together) > 1:
            parts.append(self._scale_table())
        parts.append("\n".join(self._verdict_lines()))
        if self.warnings:
            parts.append("\n".join(["Mind:", *(f"- {warning}" for warning in self.warnings)]))
        return "\n\n".join(parts)

    def _task_table(self, game: str) -> str:
        task, rows = self.tasks[game], []
        for group in self.groups:
            if game in group.runs:
                runs = group.runs[game]
                rows.append(
                    (
                        group.name,
                        *(
                            spelt(estimate(iqm, group.scores(game, metric)[:, None], within=runs[0].attainable))
                            for metric in METRICS
                        ),
                        str(len(runs)),
                        grouped(float(np.median([steps_of(run) for run in runs]))),
                        f"{1000 * float(np.median([ratio_of(run) for run in runs])):.3g}",
                    )
                )
        known = spelt_bounds(task.environment)
        title = f"{task.name}, team return, with 95 % intervals{f'; {known}' if known else ''}"
        return f"{title}\n{table(('runs of', *HEADINGS, 'seeds', 'env steps', 'updates / 1000 steps'), rows)}"

    def _scale_table(self) -> str:
        rows = [
            (group.name, *(spelt(estimate(iqm, self.scale_scores(group, metric))) for metric in METRICS))
            for group in self.groups
        ]
        names = ", ".join(self.tasks[game].name for game in self.together)
        title = f"all of {names}; random is 0, the best known team 1"
        return f"{title}\n{table(('runs of', *HEADINGS), rows)}"

    def _verdict_lines(self) -> list[str]:
        lines = []
        for metric, meaning in METRICS.items():
            lines.append(f"By the {metric} score ({meaning}):")
            lines += [f"- {verdict}" for verdict in self.verdicts if verdict.metric == metric]
        return lines


def compare_runs(places: Iterable[str | Path], to: Sequence[str | Path]) -> Comparison:
    """Holds the runs in some places against others.

    places: folders of runs, folders that hold such, or patterns such as runs/mine*; to: likewise, or names of
    algorithms, which stand for their reference runs. Raises FileNotFoundError for places without runs, ValueError where
    no run is finished and where the two sides have no game in common.
    """
    warnings: list[str] = []
    if not to:
        raise ValueError("compare needs something to compare to; give algorithms such as qmix, or folders of runs")
    ours = grouped_runs(finished(find_runs(folders(places)), warnings), warnings)
    games = {game: runs[0] for group in ours for game, runs in group.runs.items()}
    theirs = [
        group for place in dict.fromkeys(to) for group in opponents(place, games, [one.name for one in ours], warnings)
    ]
    for group in theirs:
        check_overlap(ours, group)
    common = [game for game in games if any(game in group.runs for group in theirs)]
    for group in [*ours, *theirs]:
        for game in [game for game in group.runs if game not in common]:
            warnings.append(f"{group.runs[game][0].task} is left out: {group.name} alone has played it")
            del group.runs[game]
    ours = [group for group in ours if group.runs]
    tasks = {game: task_of(ours, game) for game in common}
    verdicts = [
        verdict for metric in METRICS for our in ours for their in theirs for verdict in verdicts_on(our, their, metric)
    ]
    for group in ours:
        warnings += differences(group, theirs, tasks)
    for group in [*ours, *theirs]:
        warnings += uneven(group)
    return Comparison(tasks, ours, theirs, verdicts, list(dict.fromkeys(warnings)))


# Which runs.


def folders(places: Iterable[str | Path]) -> list[Path]:
    """The folders that places name; patterns that the shell has left as they are, are expanded.

    Raises FileNotFoundError for a place that is none.
    """
    found: list[Path] = []
    for place in places:
        matches = [place] if Path(place).exists() else sorted(glob.glob(str(place)))
        if not matches:
            raise FileNotFoundError(f"there is nothing at {place}; give folders of runs, or a pattern such as runs/*")
        found += [Path(match) for match in matches if Path(match).is_dir()]  # logs may lie beside runs
    if not found:
        raise FileNotFoundError(f"{' and '.join(map(str, places))} names no folder; give folders of runs")
    return found


def finished(runs: Sequence[Result], warnings: list[str]) -> list[Result]:
    done = [run for run in runs if run.scores is not None]
    if not done:
        where = runs[0].path if len(runs) == 1 else f"{runs[0].path.parent} and the like"
        raise ValueError(f"no run is finished in {where}; scores.json is written at a run's end")
    warnings += [f"{run.path} is not finished and left out" for run in runs if run.scores is None]
    return done


def grouped_runs(runs: Sequence[Result], warnings: list[str], taken: Sequence[str] = (), of: str = "") -> list[Group]:
    """The runs by algorithm and, where it was trained in several ways on one task, by these.

    taken: names that other groups have; of: the place to add to a name that is taken.
    """
    groups = []
    for name in dict.fromkeys(run.algorithm for run in runs):
        own = [run for run in runs if run.algorithm == name]
        several = len({(run.game, way_of(run)) for run in own}) > len({run.game for run in own})
        ways: dict[str, list[Result]] = {}
        for run in own:
            ways.setdefault(way_of(run) if several else "", []).append(run)
        labels = labels_of([one[0] for one in ways.values()])
        for label, members in zip(labels, ways.values(), strict=True):
            title = f"{name}{label}"
            title = f"{title} of {of}" if title in taken else title
            groups.append(Group(title, name, by_game(members, title, warnings)))
    return groups


def by_game(runs: Sequence[Result], name: str, warnings: list[str]) -> dict[str, list[Result]]:
    """The runs by game, in the order of their seeds, each seed once."""
    found: dict[str, list[Result]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        others = found.setdefault(run.game, [])
        if any(one.seed == run.seed for one in others):
            warnings.append(f"{run.path} is left out: {name} has seed {run.seed} of {run.task} already")
        else:
            others.append(run)
    return found


def way_of(run: Result) -> str:
    return json.dumps(fields(run), sort_keys=True)


def labels_of(runs: Sequence[Result]) -> list[str]:
    """What tells ways of training apart: the fields that differ or, where these are many, the recipe's word."""
    names = differing([fields(run) for run in runs])
    if len(names) > 3:
        return [f" {run.recipe[:6]}" for run in runs]
    return [" ".join(["", *(f"{name}={fields(run).get(name)}" for name in names)]) for run in runs]


def opponents(place: str | Path, games: Mapping[str, Result], taken: Sequence[str], warnings: list[str]) -> list[Group]:
    """The groups behind an algorithm's name or a place. Raises ValueError for what is neither.

    games: a run of ours on each; taken: the names of our groups.
    """
    if str(place) not in ALGORITHMS:
        if not Path(place).exists() and not glob.glob(str(place)):
            raise ValueError(f"{place} is neither an algorithm nor a folder of runs; {nearest(str(place), ALGORITHMS)}")
        return grouped_runs(finished(find_runs(folders([place])), warnings), warnings, taken, str(place))
    found = {game: reference_runs(run.environment).get(str(place), []) for game, run in games.items()}
    runs: dict[str, list[Result]] = {game: [*runs] for game, runs in found.items() if runs}
    if not runs:
        played = ", ".join(run.task for run in games.values())
        raise ValueError(
            f"there are no reference runs of {place} on {played}; `coopgym reference ID` shows what there is"
        )
    for game in runs:
        if {run.golden for run in found[game]} != {word_of_game(game)}:
            warnings.append(f"the rules of {runs[game][0].task} have changed since the reference was made")
    why = {runs[game][0].task: reference_of(found[game]).provisional for game in runs}
    kind = "provisional reference" if any(why.values()) else "reference"
    warnings += [f"{task}: the reference of {place} is provisional, {reason}" for task, reason in why.items() if reason]
    return [Group(f"{place} ({kind})", str(place), runs)]


def check_overlap(ours: Sequence[Group], theirs: Group) -> None:
    """Raises ValueError where a group has played none of our games, with what tells them apart."""
    if any(set(group.runs) & set(theirs.runs) for group in ours):
        return
    mine, other = (next(iter(group.runs.values()))[0] for group in (ours[0], theirs))
    raise ValueError(
        f"{ours[0].name} and {theirs.name} have no game in common: {difference_of_games(mine, other)}; "
        "returns of different games say nothing about who is better"
    )


def difference_of_games(mine: Result, other: Result) -> str:
    if mine.environment.id != other.environment.id:
        return f"{mine.task} and {other.task}"
    a, b = mine.config["params"], other.config["params"]
    names = [name for name in a if a[name] != b.get(name)]
    return f"{mine.environment.id} with " + ", ".join(f"{name} {a[name]} and {b.get(name)}" for name in names)


def task_of(groups: Sequence[Group], game: str) -> Task:
    run = next(group.runs[game][0] for group in groups if game in group.runs)
    known = {anchor.name: anchor.mean for anchor in bounds(run.environment)}
    random = known.pop(RANDOM, None)
    best = known["optimal"] if "optimal" in known else max(known.values(), default=None)
    return Task(run.task, run.environment, random, best)


# What may be said.


def rectangle(group: Group, games: Sequence[str], metric: str) -> np.ndarray:
    """Scores [R, K] of a group's first runs on each of these games, as many as there are on all of them.

    Runs of different games have nothing in common but a number, so their seeds need not be the same.
    """
    fewest = min(len(group.runs[game]) for game in games)
    return np.array([[score_of(run, metric) for run in group.runs[game][:fewest]] for game in games]).T


def verdicts_on(ours: Group, theirs: Group, metric: str) -> list[Verdict]:
    """The verdict on all games that two groups share; none where they share none."""
    games = [game for game in ours.runs if game in theirs.runs]
    if not games:
        return []
    mine, other = rectangle(ours, games, metric), rectangle(theirs, games, metric)
    return [judged(ours.name, theirs.name, metric, mine, other)]


def judged(ours: str, theirs: str, metric: str, mine: np.ndarray, other: np.ndarray) -> Verdict:
    """The verdict on scores [R, K] and [R', K] of the same K tasks."""
    chance, runs = estimate(improvement, mine, other, within=SHARE), (len(mine), len(other))
    by_luck = min(1.0, 2 / math.comb(sum(runs), runs[0]) ** mine.shape[1])  # all of one above all of the other
    word, reason = "cannot tell", ""
    if by_luck >= LEVEL:
        needed = fewest_runs(len(other), mine.shape[1])
        reason = (
            f"; {runs[0]} against {runs[1]} runs are too few for any verdict, as chance alone puts all of one above "
            f"all of the other {100 * by_luck:.0f} times in 100; train {needed} seeds, at least"
        )
    elif not chance.low <= 0.5 <= chance.high:
        by_luck = luck(mine, other)
        if by_luck < LEVEL:
            word = "better" if chance.value > 0.5 else "worse"
        else:
            reason = f"; chance alone takes so few runs as far apart {100 * by_luck:.0f} times in 100"
    elif chance.low == chance.high:
        reason = "; as many runs are ahead as behind, or all are equal"
    else:
        reason = f"; {seeds_needed(chance.value, mine.shape[1])}"
    return Verdict(ours, theirs, metric, chance, runs, word, reason)


def fewest_runs(others: int, tasks: int) -> int:
    """Runs of ours with which chance alone puts all above all of the others in less than 5 % of orders."""
    return next(n for n in range(1, 1000) if 2 / math.comb(n + others, n) ** tasks < LEVEL)


def seeds_needed(chance: float, tasks: int) -> str:
    """How many seeds of each would show a chance, by the normal approximation of U: its variance is 1 / (6 n K)."""
    apart = max(abs(chance - 0.5), SMALL)
    needed = max(4, math.ceil(1.959964**2 / (6 * tasks * apart**2)))
    if apart == SMALL:
        return f"to show a difference as small as this, if there is one, takes more than {needed} seeds of each"
    return f"if the difference is what it seems, about {needed} seeds of each would show it"


# What makes a comparison unfair.


def steps_of(run: Result) -> float:
    return float(run.curve["env_steps"][-1])


def ratio_of(run: Result) -> float:
    """Gradient steps for each environment step."""
    return float(run.curve["updates"][-1]) / steps_of(run)


def aspects(runs: Sequence[Result]) -> dict[str, str]:
    """What runs of a group on a task should have in common with those that they are compared to."""
    assert all(run.scores is not None for run in runs)
    scores = [run.scores["final"] for run in runs if run.scores is not None]
    texts = {
        "environment steps of training": [grouped(steps_of(run)) for run in runs],
        "gradient steps for each 1000 environment steps": [f"{1000 * ratio_of(run):.2g}" for run in runs],
        "version of coopgym": [str(run.config.get("coopgym")) for run in runs],
        "return": [str(run.config.get("return_definition")) for run in runs],
        "episodes of a score": [f"{score['episodes']} from seed {score['seed']}" for score in scores],
    }
    return {aspect: ", ".join(sorted({*found})) for aspect, found in texts.items()}


def differences(ours: Group, theirs: Sequence[Group], tasks: Mapping[str, Task]) -> list[str]:
    """In words, in what a group differs from those that it is compared to, beside the algorithm."""
    said = []
    for game, task in tasks.items():
        others = {group.name: aspects(group.runs[game]) for group in theirs if game in group.runs}
        for aspect, mine in aspects(ours.runs[game]).items() if game in ours.runs else ():
            unlike: dict[str, list[str]] = {}
            for name, one in others.items():
                if one[aspect] != mine:
                    unlike.setdefault(one[aspect], []).append(name)
            if unlike:
                told = "; ".join(f"{' and '.join(names)} {value}" for value, names in unlike.items())
                said.append(f"{task.name}, {aspect}: {ours.name} {mine}; {told}")
    return said


def uneven(group: Group) -> list[str]:
    if len({len(runs) for runs in group.runs.values()}) == 1:
        return []
    fewest = min(len(runs) for runs in group.runs.values())
    return [f"{group.name} has more seeds on some tasks; where tasks go together, the first {fewest} of each count"]
