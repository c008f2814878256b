"""The figures of the page: a chart each, with what it shows in words and, to unfold, in numbers."""

from collections.abc import Iterable, Sequence

import numpy as np

from coopgym.baselines.report import charts
from coopgym.baselines.report.charts import Line, Mark, Row, Thin
from coopgym.baselines.report.markup import details, figure, table
from coopgym.baselines.report.summary import Group, Task, evaluations, improvements, profile
from coopgym.baselines.report.words import decimal, interval, task_places
from coopgym.baselines.statistics import Estimate

MOST_ROWS = 20  # of a table that tells a curve
LEVELS = 101  # of a profile

Series = dict[str, int]  # the number of each label, which gives its colour and its dash
Scores = dict[str, np.ndarray]  # by label, the highest first: [R, K]


def task_scores(task: Task, series: Series) -> str:
    """The groups between the teams that bound them."""
    places = task_places(task)
    rows = [_row(group.label, series, group.score, places, group.scores.tolist()) for group in task.scored]
    for anchor in sorted(task.anchors, key=lambda anchor: -anchor.mean):
        known = Estimate(anchor.mean, anchor.low, anchor.high)
        rows.append(_row(anchor.name, {}, known, places))
    note = "Dot and bar: interquartile mean, 95 % interval. Rings: single runs. Diamonds: teams without training."
    chart = charts.row_chart(f"Scores on {task.name}, as in the table above", rows, "team return")
    return figure("Scores", note, chart)


def whole_scores(iqms: dict[str, Estimate], series: Series) -> str:
    """Normalised scores over all games."""
    rows = [_row(label, series, score, 2) for label, score in iqms.items()]
    note = "Interquartile mean over all runs of all games: 0 is the random team, 1 the best team known."
    return figure("Scores", note, charts.row_chart("Normalised scores", rows, "normalised score", (0.0, 1.0), 1.0))


def _row(label: str, series: Series, estimate: Estimate, places: int, points: Sequence[float] = ()) -> Row:
    words = decimal(estimate.value, places)
    return Row(label, series.get(label), estimate.value, estimate.low, estimate.high, words, points)


def task_curves(task: Task, series: Series) -> str:
    """How the groups learnt, between the random team and the best one known."""
    lines = [Line(group.label, series[group.label], *group.curve) for group in task.groups if group.curve is not None]
    if not lines:
        return figure("Learning curves", "No run has been evaluated yet.", "")
    thin = [Thin(series[group.label], *path) for group in task.groups for path in _beside(group)]
    marks = [Mark(anchor.name, anchor.mean) for anchor in (task.random, task.best_known) if anchor is not None]
    note = "Greedy team's return: interquartile mean over runs with its 95 % interval."
    note += " Thin: single runs that are not finished." if thin else ""
    title = f"Learning curves on {task.name}, with their numbers below"
    chart = charts.line_chart(title, lines, thin, marks, "training [environment steps]", "team return")
    return figure("Learning curves", note, _legend(lines) + chart + _numbers(lines, "steps", 0, task_places(task)))


def _beside(group: Group) -> list[tuple[np.ndarray, np.ndarray]]:
    """The unfinished runs of a group with finished ones; of a group without, what each has beyond the others."""
    if group.finished:
        first, paths = 0, [run for run in group.runs if run.scores is None and evaluations(run)]
    else:
        first = len(group.curve.steps) - 1 if group.curve is not None else 0
        paths = [run for run in group.runs if evaluations(run) > first + 1]
    return [(run.curve["env_steps"][first:], run.curve["mean_team_return"][first:]) for run in paths]


def profiles(scores: Scores, series: Series, bounds: tuple[float, float], x_name: str, places: int) -> str:
    """For each level, how many of the runs are above it. bounds: of the levels."""
    levels = np.linspace(*bounds, LEVELS)
    labels = sorted(scores, key=series.__getitem__)
    lines = [Line(label, series[label], levels, *profile(scores[label], levels)) for label in labels]
    note = "The share of runs above each level, with its 95 % interval. Whoever is above all along is better."
    chart = charts.line_chart(
        "Performance profiles, with their numbers below", lines, [], [], x_name, "share of runs above", (0.0, 1.0)
    )
    return figure("Performance profiles", note, _legend(lines) + chart + _numbers(lines, "level", places, 2))


def improvement(scores: Scores, series: Series) -> str:
    """How likely the first is to beat each other and, in a table, everyone everyone."""
    if len(scores) < 2:
        return ""
    leader, *others = scores
    chances = improvements(scores)
    rows = [_row(f"beats {other}", {}, chances[leader, other], 2) for other in others]
    rows = [row._replace(k=series[other]) for row, other in zip(rows, others, strict=True)]
    note = f"The chance that a run of {leader} earns more than one of another, with its 95 % interval; 0.5 is a tie."
    chart = charts.row_chart("Probabilities of improvement, with all pairs below", rows, "probability", (0.0, 1.0), 0.5)
    labels = list(scores)
    pairs = [(one, other) for k, one in enumerate(labels) for other in labels[k + 1 :]]
    cells = [(f"{one} beats {other}", interval(chances[one, other], 2)) for one, other in pairs]
    numbers = table("Probabilities of improvement", ("pair", "probability [95 %]"), cells)
    return figure("Probability of improvement", note, chart + details("All pairs in numbers", numbers))


def _legend(lines: Iterable[Line]) -> str:
    return f'<ul class="legend">{"".join(charts.key(line.label, line.k) for line in lines)}</ul>'


def _numbers(lines: Sequence[Line], x_name: str, x_places: int, y_places: int) -> str:
    """Lines as a table, at some of their points."""
    longest = max((line.x for line in lines), key=len)
    shown = np.unique(np.linspace(0, len(longest) - 1, MOST_ROWS).round().astype(int))
    rows = []
    for point in longest[shown].tolist():
        values = [_at(line, point, y_places) for line in lines]
        rows.append([decimal(point, x_places), *values])
    inside = table(f"Numbers by {x_name}", (x_name, *(line.label for line in lines)), rows)
    return details("In numbers", inside)


def _at(line: Line, point: float, places: int) -> str:
    """A line's value at a point, with its interval where it has one; nothing where it has no such point."""
    found = np.flatnonzero(line.x == point)
    if not found.size:
        return ""
    value, low, high = (float(ends[found[0]]) for ends in (line.y, line.low, line.high))
    return interval(Estimate(value, low, high), places) if low < high else decimal(value, places)
