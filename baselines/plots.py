"""Pictures of runs. They are drawn off-screen: neither a display nor pyplot's global state is touched."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coopgym.baselines.files import atomic

TEAM, RANDOM = (0 / 255, 114 / 255, 178 / 255), (110 / 255, 110 / 255, 110 / 255)
NORMAL_95 = 1.959964


def learning_curve(
    path: Path, rows: Sequence[Mapping[str, Any]], episodes: int, title: str, random_return: float | None = None
) -> None:
    """Draws the greedy team return of each evaluation over the environment steps, into a PNG file.

    rows: a run's evaluations, of so many episodes each; the band is the 95 % confidence interval of their mean.
    random_return: the mean of the random team, drawn as a level.
    """
    from matplotlib.figure import Figure

    steps = [row["env_steps"] for row in rows]
    means = [row["mean_team_return"] for row in rows]
    halves = [NORMAL_95 * row["std_team_return"] / math.sqrt(episodes) for row in rows]

    figure = Figure(figsize=(7, 4.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.fill_between(
        steps,
        [mean - half for mean, half in zip(means, halves, strict=True)],
        [mean + half for mean, half in zip(means, halves, strict=True)],
        color=TEAM,
        alpha=0.2,
        linewidth=0,
        label=f"95 % confidence of the mean of {episodes} episodes",
    )
    axes.plot(steps, means, color=TEAM, marker="o", markersize=3, label="trained team, greedy")
    if random_return is not None:
        axes.axhline(random_return, color=RANDOM, linestyle="--", label=f"random team: {random_return:.2f}")
    axes.set_title(title)
    axes.set_xlabel("training [environment steps]")
    axes.set_ylabel("team return [reward per episode]")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}".replace(",", " "))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png")
