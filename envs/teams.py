"""Who plays: what a team of agents must offer, the simplest one, and those that have a name."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from coopgym.envs.parameters import nearest
from coopgym.envs.rng import SEED_LIMIT, next_uniforms, streams

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

    Each episode has a stream of its own, so what the n-th one draws depends on the seed and n alone, however many are
    played at once. seed: None draws one. action_bounds: of an environment with continuous actions, whose components are
    then uniform and independent.
    """

    def __init__(self, seed: int | None = 0, action_bounds: tuple[float, float] | None = None) -> None:
        self.seed = int(np.random.default_rng().integers(SEED_LIMIT)) if seed is None else seed
        self.action_bounds = action_bounds
        self.begun = 0  # episodes
        self.rng = np.zeros(0, np.uint64)  # [E]

    def reset(self, num_envs: int) -> None:
        seeds = np.uint64(self.seed) + np.arange(self.begun, self.begun + num_envs, dtype=np.uint64)
        self.rng = streams(streams(seeds))  # not the games' own streams, which begin at streams(seeds)
        self.begun += num_envs

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        rows, *shape = action_mask.shape
        if rows != len(self.rng):
            self.reset(rows)
        draws = next_uniforms(self.rng, math.prod(shape)).reshape(action_mask.shape)
        if self.action_bounds is not None:
            low, high = self.action_bounds
            return low + (high - low) * draws
        return np.asarray(np.where(action_mask, draws, -1.0).argmax(-1))


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
