"""Who plays: what a team of agents must offer, the simplest one, and those that have a name."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from coopgym.envs.parameters import nearest

if TYPE_CHECKING:
    from coopgym.envs.core import Environment

RANDOM = "random"
HEURISTIC = "heuristic"  # stands for the first of a family's scripted teams, its best


@runtime_checkable
class Policy(Protocol):
    """Anything that can act for a team."""

    def reset(self, num_envs: int) -> None:
        """Forgets everything; num_envs games begin."""

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        """obs: [E, N, O] float32, action_mask: [E, N, A] int8. Returns actions [E, N], or [E, N, A] continuous ones."""


class RandomTeam:
    """Every agent takes a legal action at random, all equally likely.

    action_bounds: of an environment with continuous actions, whose components are then uniform and independent.
    """

    def __init__(self, seed: int | None = 0, action_bounds: tuple[float, float] | None = None) -> None:
        self.generator, self.action_bounds = np.random.default_rng(seed), action_bounds

    def reset(self, num_envs: int) -> None:
        pass

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        if self.action_bounds is not None:
            return self.generator.uniform(*self.action_bounds, action_mask.shape)
        ranks = self.generator.random(action_mask.shape)
        return np.asarray(np.where(action_mask, ranks, -1.0).argmax(-1))


def team_names(family: Any) -> list[str]:
    """The names of the teams that play an environment, or any game of a family, without any training."""
    presets = (None, *family.presets)
    games = [family(preset) for preset in presets] if isinstance(family, type) else [family]
    scripted = dict.fromkeys(name for game in games for name in game.scripted)
    return [RANDOM, *([HEURISTIC] if scripted else []), *scripted]


def checked_team_name(name: str, family: Any) -> bool:
    """Whether a word is a team's name in this family, or environment, rather than the place of a trained one.

    A word with a slash in it is a place, or the name of a team that ships: qmix/spread_v1.
    Raises FileNotFoundError, with the nearest names, where it is neither.
    """
    names = team_names(family)
    if name in names:
        return True
    if "/" in name or Path(name).exists():
        return False
    hint = nearest(name, names)
    if not hint.startswith("did you mean"):
        hint = (
            f"give the folder of a run, a trained team such as qmix/{family.id}, or a team that plays {family.id}: "
            f"{', '.join(names)}"
        )
    raise FileNotFoundError(f"there is no trained policy at {name}; {hint}")


def named_team(name: str, env: "Environment", seed: int | None = 0) -> Policy:
    """The team of this name for an environment. seed: of the random team.

    Raises FileNotFoundError, with the nearest names, for a team that does not play this environment.
    """
    if name == RANDOM:
        return RandomTeam(seed, env.action_bounds)
    checked_team_name(name, env)
    return env.scripted[next(iter(env.scripted)) if name == HEURISTIC else name](env)
