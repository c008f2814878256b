"""The sections on single games, and on all of them together."""

from collections.abc import Sequence
from html import escape

import numpy as np

from coopgym.baselines.report import figures
from coopgym.baselines.report.episodes import Film, Played
from coopgym.baselines.report.figures import Series
from coopgym.baselines.report.markup import Cell, details, listing, paragraph, section, table
from coopgym.baselines.report.summary import Group, Summary, Task, evaluations
from coopgym.baselines.report.words import (
    PROVISIONAL,
    caveats,
    count,
    counted,
    decimal,
    duration,
    interval,
    task_places,
    verdict,
    whole_verdict,
)
from coopgym.baselines.statistics import Estimate
from coopgym.envs.specification import docstring, plain

SPEEDS = (1, 2, 5, 10, 20, 50)  # steps in a second
USUAL_SPEED = 5
SCORE_COLUMNS = (
    *("team", "last team: IQM [95 %]", "best team: IQM [95 %]"),
    *("runs done", "steps each", "updates", "time each"),
)


def game_section(anchor: str, place: int, task: Task, film: Film, series: Series) -> str:
    """All on one game. place: of its film among all."""
    caveat = caveats(task.groups)
    scores = {group.label: group.scores[:, None] for group in task.scored}
    charts = [figures.task_curves(task, series)]
    if scores:
        charts.append(figures.profiles(scores, series, _bounds(task), "team return", task_places(task)))
        charts = [figures.task_scores(task, series), figures.improvement(scores, series), *charts]
    parts = [
        paragraph(docstring(type(task.environment)).split("\n", 1)[0], "about"),
        paragraph(" ".join(verdict(task))),
        paragraph(caveat, "caveat"),
        _scores(task),
        f'<div class="charts">{"".join(charts)}</div>',
        _players(task, place, film),
        _parameters(task),
    ]
    return section(anchor, task.name, PROVISIONAL * bool(caveat), "".join(parts))


def _bounds(task: Task) -> tuple[float, float]:
    """How far the levels of a profile reach: over all scores, the random team and the best one known."""
    returns = [anchor.mean for anchor in (task.random, task.best_known) if anchor is not None]
    returns += [score for group in task.scored for score in group.scores.tolist()]
    return min(returns), max(returns)


def _scores(task: Task) -> str:
    """The scores, and those of the teams that bound them."""
    places = task_places(task)
    groups = [*task.scored, *(group for group in task.groups if not group.finished)]
    rows: list[Sequence[Cell | str]] = [_score_row(group, places) for group in groups]
    for anchor in sorted(task.anchors, key=lambda anchor: -anchor.mean):
        known = Estimate(anchor.mean, anchor.low, anchor.high)
        words = interval(known, places) if anchor.episodes else decimal(anchor.mean, places)
        cells = [f"{anchor.name} (not trained)", words, *[""] * (len(SCORE_COLUMNS) - 2)]
        rows.append([Cell(cell, "bound") for cell in cells])
    return table(f"Scores on {task.name}", SCORE_COLUMNS, rows)


def _score_row(group: Group, places: int) -> Sequence[Cell | str]:
    done = bool(group.finished)
    return [
        Cell(group.label, badge=PROVISIONAL * group.provisional),
        interval(group.score, places) if done else "not finished",
        interval(group.best_score, places) if done else "",
        f"{len(group.finished)} of {len(group.runs)}",
        count(group.runs[0].config["env_steps"]),
        count(_typical(group, "updates")),
        duration(_typical(group, "wall_seconds")),
    ]


def _typical(group: Group, column: str) -> float:
    """What the runs have come to, in the median."""
    return float(np.median([run.curve[column][-1] for run in group.runs if evaluations(run)] or [0.0]))


def _players(task: Task, place: int, film: Film) -> str:
    """The episodes, each with what starts, stops and moves it."""
    if not film.episodes:
        return ""
    note = (
        "All teams play the same game, the first of those that scored them; of each algorithm, the run with the median "
        "score. The slider moves with the arrow keys."
    )
    together = f'<button type="button" class="all" data-game="{place}">Play all</button>'
    heading = f"<h3>Watch the teams play</h3>{paragraph(note, 'small faint')}{together * (len(film.episodes) > 1)}"
    players = "".join(_player(task, place, k, played) for k, played in enumerate(film.episodes))
    return f'{heading}<div class="players">{players}</div>'


def _player(task: Task, place: int, k: int, played: Played) -> str:
    label, run = escape(played.group.label), played.run
    state = "" if run.scores is not None else ", not finished"
    ends = f"return {decimal(played.team_return, task_places(task))} after {counted(played.steps, 'step')}"
    speeds = "".join(
        f'<option value="{speed}"{" selected" * (speed == USUAL_SPEED)}>{speed}/s</option>' for speed in SPEEDS
    )
    alt = f"The team of {label} plays {escape(task.name)}: {ends}. What happens at each step is told below the picture."
    return (
        f'<figure class="player" data-game="{place}" data-episode="{k}">'
        f"<figcaption><h3>{label}</h3><p>seed {run.seed}{state}: {ends}</p></figcaption>"
        f'<canvas role="img" aria-label="{alt}"></canvas>'
        f'<div class="controls"><button type="button">Play</button>'
        f'<input type="range" min="0" max="{played.steps}" value="0" aria-label="Step of the episode of {label}">'
        f'<select aria-label="Steps in a second, {label}">{speeds}</select></div>'
        f'<p class="now"></p></figure>'
    )


def _parameters(task: Task) -> str:
    """The game's parameters; what differs from the default stands out."""
    env = task.environment
    defaults = env.Params._field_defaults  # type: ignore[attr-defined]
    rows = []
    for name, value in env.params._asdict().items():  # type: ignore[attr-defined]
        changed = plain(value) != plain(defaults[name])
        default = short(plain(defaults[name])) if changed else ""
        rows.append([name, Cell(short(plain(value)), "wrap differs" if changed else "wrap"), Cell(default, "wrap")])
    inside = table(f"Parameters of {task.name}", ("parameter", "value", "default, where it is another"), rows)
    return details("Parameters of this game", paragraph(f"Return: {env.return_definition}.", "small") + inside)


def short(value: object) -> str:
    """A value as a table shows it; of a long one, its beginning."""
    text = {True: "yes", False: "no", None: "none"}[value] if isinstance(value, bool | None) else str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def whole_section(anchor: str, summary: Summary, series: Series) -> str:
    """All games together; nothing where fewer than two can be compared."""
    whole = summary.whole
    if len(whole.tasks) < 2 or not whole.scores:
        return ""
    scores = {label: whole.scores[label] for label in whole.iqms}
    pooled = np.concatenate([of.ravel() for of in scores.values()])
    bounds = min(0.0, float(pooled.min())), max(1.0, float(pooled.max()))
    caveat = caveats([group for task in whole.tasks for group in task.groups])
    rows = [(label, interval(score, 2), interval(whole.gaps[label], 2)) for label, score in whole.iqms.items()]
    header = ("team", "interquartile mean [95 %]", "optimality gap [95 %]")
    charts = [
        figures.whole_scores(whole.iqms, series),
        figures.improvement(scores, series),
        figures.profiles(scores, series, bounds, "normalised score", 2),
    ]
    parts = [
        paragraph(" ".join(whole_verdict(whole))),
        paragraph(caveat, "caveat"),
        listing(whole.left_out, "small faint") if whole.left_out else "",
        table("Normalised scores over all games", header, rows),
        f'<div class="charts">{"".join(charts)}</div>',
    ]
    return section(anchor, "All games together", PROVISIONAL * bool(caveat), "".join(parts))
