"""An episode of each trained team, as the data that `player.js` plays.

The team of a group is that of its median run, and all teams of a game play the same one: the first of the games that
scored them.
"""

import base64
from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple

from coopgym.baselines.policy import FILE, load_policy
from coopgym.baselines.report.summary import Group, Task, evaluations
from coopgym.baselines.results import Result
from coopgym.baselines.train import FINAL_SEED
from coopgym.envs.rendering import FINE, number
from coopgym.envs.sketching import SIDE, Command, Reel, drawn_episode


class Played(NamedTuple):
    """An episode that a group's team has played."""

    group: Group
    run: Result
    steps: int
    team_return: float
    ending: str


class Film(NamedTuple):
    """The episodes on one game, and what the player needs to know of them."""

    episodes: Sequence[Played]
    data: dict[str, Any]  # as JSON can hold it


def median_run(group: Group) -> Result | None:
    """The run whose score is the median, the lower one of two; of unfinished runs, by their last evaluation."""
    with_team = [run for run in group.runs if evaluations(run) and (run.path / FILE).is_file()]
    finished = [run for run in with_team if run.scores is not None]
    ranked = sorted(finished or with_team, key=_standing)
    return ranked[(len(ranked) - 1) // 2] if ranked else None


def _standing(run: Result) -> float:
    if run.scores is not None:
        return float(run.scores["final"]["mean_team_return"])
    return float(run.curve["mean_team_return"][-1])


def film(task: Task) -> Film:
    """Lets the team of each group play. Raises ValueError for a damaged one, ImportError without pygame."""
    reel, played, episodes = Reel(), [], []
    for group in task.groups:
        run = median_run(group)
        if run is None:
            continue
        try:
            team = load_policy(run.path)
        except FileNotFoundError:  # a sweep under way has just finished the run, and moved it
            continue
        drawn = drawn_episode(task.environment, team, FINAL_SEED)
        ending = "the game is over" if drawn.terminated else "time is up"
        played.append(Played(group, run, len(drawn.actions), drawn.returns[-1], ending))
        episodes.append(
            {
                "frames": reel.packed(drawn.drawings),
                "actions": drawn.actions,
                "rewards": [number(reward) for reward in drawn.rewards],
                "returns": [number(total) for total in drawn.returns],
                "ending": ending,
            }
        )
    data = {
        "side": SIDE * FINE,
        "commands": reel.commands,
        "actionNames": task.environment.action_names,
        "episodes": episodes,
    }
    return Film(played, data)


def sprites(films: Sequence[Film]) -> dict[str, str]:
    """The sprites that the films show, by name, as the addresses of their own data."""
    commands: list[Command] = [command for film in films for command in film.data["commands"]]
    names = sorted({command[4] for command in commands if command[0] == "image"})
    folder = resources.files("coopgym.assets") / "sprites"
    return {
        name: "data:image/png;base64," + base64.b64encode((folder / f"{name}.png").read_bytes()).decode()
        for name in names
    }
