"""Pictures of comparisons, as PNG and SVG: an algorithm has the same colour and mark in all of them.

The colours are told apart by all common kinds of sight (after Okabe and Ito, and Paul Tol); the marks are in grey. Our
groups are drawn with full lines, what they are compared to with dashed ones.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coopgym.baselines.comparison import Comparison, Group
from coopgym.baselines.contest import Contest
from coopgym.baselines.files import atomic
from coopgym.baselines.reference import METRICS, bounds, grouped, runs_on, task_name
from coopgym.baselines.results import Result
from coopgym.baselines.statistics import SHARE, Estimate, bootstrap, iqm, mean_estimate, profile
from coopgym.envs.core import Environment
from coopgym.envs.specification import Anchor
from coopgym.extras import needing

LOOKS = {  # algorithm -> colour, mark
    "iql": ("#777777", "*"),
    "vdn": ("#0072B2", "o"),
    "qmix": ("#D55E00", "s"),
    "qtran": ("#009E73", "^"),
    "qtran_alt": ("#117733", "v"),
    "qpd": ("#56B4E9", "P"),
    "qplex": ("#CC79A7", "D"),
    "ow_qmix": ("#E69F00", "<"),
    "cw_qmix": ("#882255", ">"),
    "dop": ("#332288", "X"),
    "ippo": ("#999933", "h"),
    "mappo": ("#44AA99", "p"),
}
OTHERS = (("#000000", "o"), ("#000000", "s"), ("#000000", "^"), ("#000000", "D"))  # algorithms of the user's own
LINES = ((0, ()), (0, (1, 1)), (0, (6, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)))  # of groups of one algorithm
DASHED = (0, (5, 2))
ANCHOR = "#555555"
CIRCLE: dict[str, Any] = {"s": 22, "facecolors": "none"}
REPLICATES = 2000  # for each point of a curve
LEVELS = 201  # of a performance profile
DPI = 150


def draw(comparison: Comparison | Contest, folder: str | Path) -> list[Path]:
    """Draws all pictures of a comparison into a folder, which is made; returns their files."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(comparison, Contest):
        return save(contest_figure(comparison), folder / "comparison")
    return [
        *save(efficiency_figure(comparison), folder / "sample_efficiency"),
        *save(profile_figure(comparison), folder / "performance_profile"),
    ]


def save(figure: Any, path: Path) -> list[Path]:
    """Writes a figure as path.png and path.svg."""
    files = []
    for kind in ("png", "svg"):
        file = path.with_name(f"{path.name}.{kind}")
        with atomic(file) as temporary:
            figure.savefig(temporary, format=kind, dpi=DPI)
        files.append(file)
    return files


def empty_figure(width: float, height: float) -> Any:
    """A figure of so many inches that needs no display."""
    return needing("baselines", "matplotlib.figure").Figure(figsize=(width, height), layout="constrained")


def draw_reference(env: Environment, folder: str | Path) -> list[Path]:
    """Draws what the baselines reached on a task over the steps of training; the folder is made. Returns the files.

    Raises ValueError for a task without reference runs.
    """
    figure = reference_figure([env])
    Path(folder).mkdir(parents=True, exist_ok=True)
    return save(figure, Path(folder) / "learning_curves")


def looks(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """By a group's name, how its lines are drawn."""
    unknown = list(dict.fromkeys(group.algorithm for group in comparison.groups if group.algorithm not in LOOKS))
    chosen = {}
    for group in comparison.groups:
        colour, mark = LOOKS.get(group.algorithm) or OTHERS[unknown.index(group.algorithm) % len(OTHERS)]
        ours = group in comparison.ours
        same = [one.name for one in comparison.ours if one.algorithm == group.algorithm]
        line = LINES[same.index(group.name) % len(LINES)] if ours else DASHED
        fill = {} if ours else {"markerfacecolor": "white"}
        chosen[group.name] = style_of(colour, mark) | {"linestyle": line} | fill
    return chosen


def style_of(colour: str, mark: str) -> dict[str, Any]:
    return {"color": colour, "marker": mark, "linewidth": 1.8, "markersize": 5.5}


# Over the steps of training.


def efficiency_figure(comparison: Comparison) -> Any:
    """The interquartile mean of the greedy return over the environment steps, a panel for each task."""
    styles = looks(comparison)
    tasks = []
    for game, task in comparison.tasks.items():
        groups = [group for group in comparison.groups if game in group.runs]
        curves = [(group.runs[game], styles[group.name], label_of(group, game)) for group in groups]
        tasks.append((task.name, task.environment, curves))
    return curves_figure("Sample efficiency", tasks)


def reference_figure(tasks: Sequence[Environment]) -> Any:
    """The same of all runs of the reference on some tasks. Raises ValueError for a task without any."""
    curves = [[(runs, style_of(*LOOKS[name]), name) for name, runs in runs_on(env).items()] for env in tasks]
    names = [task_name(env.id, env.preset) for env in tasks]
    return curves_figure("The reference", list(zip(names, tasks, curves, strict=True)))


Curves = Sequence[tuple[Sequence[Result], dict[str, Any], str]]  # the runs of a line, its style, its label


def curves_figure(title: str, tasks: Sequence[tuple[str, Environment, Curves]]) -> Any:
    """A panel for each task: its name, its game, its lines."""
    columns = min(len(tasks), 3)
    rows = math.ceil(len(tasks) / columns)
    figure = empty_figure(max(7.0, 4.6 * columns), 3.6 * rows + 0.8)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(tasks) :]:
        panel.set_visible(False)
    for panel, (name, env, curves) in zip(panels, tasks, strict=False):
        for runs, style, label in curves:
            draw_curve(panel, runs, style, label)
        draw_levels(panel, bounds(env))
        last = max(runs[0].curve["env_steps"][-1] for runs, _, _ in curves)
        drawn = np.concatenate([settled(line, last) for line in panel.lines])
        room = 0.1 * max(np.ptp(drawn), 1e-6)  # not for intervals: those of two or three runs would leave lines none
        panel.set_ylim(drawn.min() - room, drawn.max() + room)
        panel.set_title(name, fontsize=11)
        panel.set_xlabel("training [environment steps]")
        panel.set_ylabel("team return [reward per episode]")
        panel.set_xlim(left=0)
        panel.locator_params(axis="x", nbins=5)
        panel.xaxis.set_major_formatter(lambda value, _: short(value))
        tidy(panel)
    figure.suptitle(f"{title}: IQM over seeds of the greedy return, with its 95 % interval", fontsize=11)
    legend(figure, panels)
    return figure


def settled(line: Any, last: float) -> np.ndarray:
    """The heights of a line but for those of the first tenth of training, where teams may be far worse than later."""
    x, y = (np.asarray(values, float) for values in line.get_data())
    return y[(x >= 0.1 * last) | (len(x) < 3)]


def draw_curve(panel: Any, runs: Sequence[Result], style: dict[str, Any], label: str) -> None:
    steps, returns = on_one_grid(runs)
    often = max(1, len(steps) // 10)
    if len(runs) > 1:
        middle, low, high = bootstrap(iqm, returns[:, None, :], replicates=REPLICATES)
        panel.fill_between(steps, low, high, color=style["color"], alpha=0.15, linewidth=0)
    else:
        middle = returns[0]
    panel.plot(steps, middle, label=label, markevery=(often // 2, often), **style)


def on_one_grid(runs: Sequence[Result]) -> tuple[np.ndarray, np.ndarray]:
    """Environment steps [P] and returns [R, P] of runs, as far as all go: at the evaluations of the coarsest one."""
    coarsest = min(runs, key=lambda run: len(run.curve["env_steps"])).curve["env_steps"]
    last = min(run.curve["env_steps"][-1] for run in runs)
    steps = coarsest[coarsest <= last]
    curves = [np.interp(steps, run.curve["env_steps"], run.curve["mean_team_return"]) for run in runs]
    return steps, np.array(curves)


def draw_levels(panel: Any, known: Sequence[Anchor]) -> None:
    """The random team and the best known one as levels, with their names where curves seldom are."""
    box = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5}
    look = {"transform": panel.get_yaxis_transform(), "va": "bottom", "fontsize": 8, "color": ANCHOR, "bbox": box}
    for (one, line), (x, side) in zip(extremes(known), ((0.99, "right"), (0.01, "left")), strict=False):
        panel.axhline(one.mean, color=ANCHOR, linestyle=line, linewidth=1.1, zorder=1)
        panel.text(x, one.mean, f"{one.name} {one.mean:.4g}", ha=side, **look)


def extremes(known: Sequence[Anchor]) -> list[tuple[Anchor, str]]:
    """The random team and the best known one, each with its kind of line."""
    return list(zip([*known[:1], *sorted(known[1:], key=value_of)[-1:]], (":", "-."), strict=False))


def value_of(anchor: Anchor) -> tuple[bool, float]:
    """By which the optimum comes last and, where nobody knows it, the best team."""
    return anchor.name == "optimal", anchor.mean


# Over scores.


def profile_figure(comparison: Comparison) -> Any:
    """The share of runs that score more than a level, by both metrics: of all tasks together, or of each by itself."""
    together = comparison.together if len(comparison.together) > 1 else []
    rows = {"": ""} if together else {game: task.name for game, task in comparison.tasks.items()}
    figure, styles = empty_figure(10.5, 3.7 * len(rows) + 0.8), looks(comparison)
    panels = figure.subplots(len(rows), len(METRICS), squeeze=False)
    for line, (game, name) in zip(panels, rows.items(), strict=True):
        for panel, (metric, meaning) in zip(line, METRICS.items(), strict=True):
            groups = [group for group in comparison.groups if together or game in group.runs]
            scores = {
                group.name: comparison.scale_scores(group, metric) if together else group.scores(game, metric)[:, None]
                for group in groups
            }
            levels = levels_of([*scores.values()])
            for group in groups:
                label = group.name if together else label_of(group, game)
                draw_profile(panel, levels, scores[group.name], styles[group.name], label)
            panel.set_title(f"{metric} score: {meaning}", fontsize=10)
            unit = "score [random 0, best known team 1]" if together else f"team return [reward per episode], {name}"
            panel.set_xlabel(unit)
            panel.set_ylabel("runs that score more [share]")
            panel.set_ylim(-0.03, 1.03)
            tidy(panel)
    names = ", ".join(comparison.tasks[game].name for game in together)
    figure.suptitle(f"Performance profile{f' over {names}' if names else ''}, with its 95 % interval", fontsize=11)
    legend(figure, panels.ravel())
    return figure


def levels_of(scores: Sequence[np.ndarray]) -> np.ndarray:
    """Levels from somewhat below all scores to somewhat above."""
    low, high = min(one.min() for one in scores), max(one.max() for one in scores)
    margin = 0.05 * (high - low) or 0.5
    return np.linspace(low - margin, high + margin, LEVELS)


def draw_profile(panel: Any, levels: np.ndarray, scores: np.ndarray, style: dict[str, Any], label: str) -> None:
    share = profile(scores, levels)
    if len(scores) > 1:
        _, low, high = bootstrap(lambda drawn: profile(drawn, levels), scores, replicates=REPLICATES, within=SHARE)
        panel.fill_between(levels, low, high, color=style["color"], alpha=0.15, linewidth=0, step="post")
    marked = np.searchsorted(levels, np.quantile(scores, [0.1, 0.3, 0.5, 0.7, 0.9]))  # where something happens
    panel.plot(levels, share, label=label, drawstyle="steps-post", markevery=sorted({*marked.tolist()}), **style)


# Of one policy.


def contest_figure(contest: Contest) -> Any:
    """What each team earns, with the reference's seeds, and by how much the policy is ahead of each."""
    figure = empty_figure(11, 1.9 + 0.62 * (len(contest.opponents) + 1))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    rows = [(contest.name, contest.score), *((one.name, one.score) for one in contest.opponents)]
    for row, (name, score) in enumerate(rows):
        if score is not None:
            draw_interval(left, row, name, mean_estimate(score.returns))
    for row, one in enumerate(contest.opponents, 1):
        if one.reference is not None and contest.beside_the_reference:
            final = one.reference.final
            left.scatter(final, np.full(len(final), row + 0.27), edgecolors=look_of(one.name)[0], **CIRCLE)
        if one.difference is not None:
            draw_interval(right, row, one.name, one.difference)
    for anchor, line in extremes(bounds(contest.environment)):
        text = f"{anchor.name}: {anchor.mean:.4g}{' on other episodes' if anchor.episodes else ''}"
        left.axvline(anchor.mean, color=ANCHOR, linestyle=line, linewidth=1.1, label=text, zorder=1)
    known = [one.reference for one in contest.opponents if one.reference is not None and contest.beside_the_reference]
    if known:
        provisional = ", provisional" if any(one.provisional for one in known) else ""
        text = f"final scores of the reference's seeds{provisional}"
        left.scatter([], [], edgecolors=ANCHOR, label=text, **CIRCLE)
    right.axvline(0, color=ANCHOR, linewidth=1.1)
    names = [name for name, _ in rows]
    left.set_yticks(range(len(names)), names)
    right.set_yticks(range(1, len(names)), [f"less {name}" for name in names[1:]])
    for panel, top in ((left, -0.6), (right, 0.4)):
        panel.set_ylim(len(names) - 0.4, top)
        tidy(panel)
    left.set_xlabel("team return [reward per episode]")
    right.set_xlabel(f"{contest.name} less the other [reward per episode]")
    left.set_title("Mean return of the teams that play, with its 95 % interval", fontsize=10)
    right.set_title("Mean difference, with its 95 % interval", fontsize=10)
    title = f"{contest.name} on {task_name(contest.environment.id, contest.environment.preset)}"
    figure.suptitle(f"{title}: {contest.score.episodes} episodes, the same for all teams", fontsize=11)
    legend(figure, [left])
    return figure


def draw_interval(panel: Any, row: float, name: str, one: Estimate) -> None:
    colour, mark = look_of(name)
    ends = [[one.value - one.low], [one.high - one.value]]
    panel.errorbar(one.value, row, xerr=ends, color=colour, marker=mark, markersize=8, capsize=4, linewidth=1.8)


def look_of(name: str) -> tuple[str, str]:
    return LOOKS.get(name, OTHERS[0])


# Of all.


def label_of(group: Group, game: str) -> str:
    count = len(group.runs[game])
    return f"{group.name}, {count} {'seed' if count == 1 else 'seeds'}"


def short(value: float) -> str:
    """A number of steps: 1.5M, 20k."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return grouped(value)


def tidy(panel: Any) -> None:
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)


def legend(figure: Any, panels: Sequence[Any]) -> None:
    """One legend below all panels; what several panels have in common stands there once."""
    known: dict[str, Any] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            known.setdefault(label, handle)
    size = 9  # points; a letter is little more than half as wide
    widest = 50 + 0.58 * size * max(map(len, known), default=0)
    columns = int(np.clip(72 * figure.get_figwidth() // widest, 1, 6))
    figure.legend(known.values(), known.keys(), loc="outside lower center", ncols=columns, frameon=False, fontsize=size)
