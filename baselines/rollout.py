"""Plays episodes: to fill a replay, and to score a policy without bias."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from coopgym.baselines.statistics import mean_estimate
from coopgym.envs.core import Batch, Environment, checked_count, checked_seed
from coopgym.envs.teams import HEURISTIC, RANDOM, Policy, checked_team_name, named_team

ROWS = 256  # evaluation episodes played at the same time, at most


class FunctionTeam:
    """A plain function of (obs [E, N, O], action_mask [E, N, A]) as a policy without memory."""

    def __init__(self, function: Callable[[np.ndarray, np.ndarray], Any]) -> None:
        self.function = function

    def reset(self, num_envs: int) -> None:
        pass

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        return np.asarray(self.function(obs, action_mask))


@dataclass(frozen=True)
class Evaluation:
    """The team returns of some episodes, one for each seed from `seed` on."""

    environment: str
    seed: int
    returns: np.ndarray  # [episodes] float64
    lengths: np.ndarray  # [episodes] int32, steps

    @property
    def episodes(self) -> int:
        return len(self.returns)

    @property
    def mean(self) -> float:
        return float(self.returns.mean())

    @property
    def std(self) -> float:
        """Standard deviation over episodes (n - 1 in the denominator), 0 for a single one."""
        return float(self.returns.std(ddof=1)) if self.episodes > 1 else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the mean, by Student's distribution; endless for a single episode."""
        one = mean_estimate(self.returns)
        return one.low, one.high

    def to_dict(self) -> dict[str, Any]:
        return {
            "environment": self.environment,
            "seed": self.seed,
            "episodes": self.episodes,
            "mean_team_return": self.mean,
            "std_team_return": self.std,
            "interval_95": list(self.interval) if self.episodes > 1 else None,
            "mean_length": float(self.lengths.mean()),
            "team_returns": self.returns.tolist(),
        }

    def __str__(self) -> str:
        low, high = self.interval
        if self.episodes == 1:
            return f"{self.mean:.2f} (1 episode)"
        return f"{self.mean:.2f} (95 % CI {low:.2f} to {high:.2f}, {self.episodes} episodes)"


def evaluate_policy(policy: Policy, env: Environment, episodes: int, seed: int) -> Evaluation:
    """Plays one episode from each of the seeds seed, seed + 1, ... and counts every one of them.

    Each episode has a row of its own, so that short episodes do not crowd out long ones.
    """
    episodes, seed = checked_count("episodes", episodes), checked_seed(seed)
    returns, lengths = np.zeros(episodes), np.zeros(episodes, np.int32)
    for first in range(0, episodes, ROWS):
        rows = min(ROWS, episodes - first)
        batch = Batch(env, rows, seed + first)
        out = batch.reset()
        policy.reset(rows)
        running = np.ones(rows, np.bool_)
        while running.any():
            out = batch.step(policy.act(out.obs, out.action_mask))
            ended = running & (out.terminated | out.truncated)
            returns[first : first + rows][ended] = out.team_return[ended]
            lengths[first : first + rows][ended] = out.steps[ended]
            running &= ~ended
    return Evaluation(repr(env), seed, returns, lengths)


def as_policy(policy: Any, seed: int = 0, env: Environment | None = None) -> Policy:
    """The policy behind a team's name in env ("random", "heuristic", ...), a run's folder, a function, or itself.

    Raises FileNotFoundError, with the nearest names, for one that is neither a team nor a folder, TypeError for what is
    none of all that.
    """
    if isinstance(policy, Policy):
        return policy
    if isinstance(policy, str) and env is not None and checked_team_name(policy, env):
        return named_team(policy, env, seed)
    if callable(policy):
        return FunctionTeam(policy)
    if not isinstance(policy, str | os.PathLike):
        raise TypeError(
            f"the policy is {policy!r}; give a team's name, a run's folder, a function of (obs, action_mask), or an "
            "object with reset and act"
        )

    from coopgym.baselines.policy import load_policy

    return load_policy(policy)


def evaluate(
    policy: Any, id: str | Environment | None = None, episodes: int = 320, seed: int = 0, **params: Any
) -> Evaluation:
    """Scores a policy: a team's name, a run's folder, a function of (obs, action_mask), or what has reset and act.

    Names are "random", those of the environment's scripted teams, and "heuristic" for the best of these. id and params
    name the environment; a trained team brings its own where they are left out. Each episode has its own seed, from
    `seed` on, the same for every policy.
    """
    from coopgym.envs import environment

    env = None if id is None else id if isinstance(id, Environment) else environment(id, **params)
    if env is None and isinstance(policy, str) and policy in (RANDOM, HEURISTIC):
        raise ValueError(f"a {policy} team needs an environment's id, such as: evaluate({policy!r}, 'spread_v1')")
    team = as_policy(policy, seed, env)
    if env is None:
        own = getattr(team, "environment", None)
        if own is None:
            raise ValueError("evaluate needs an environment's id for a policy that does not bring its own")
        env = own.with_params(**params) if params else own
    check_fits = getattr(team, "check_fits", None)
    if check_fits is not None:
        check_fits(env)
    return evaluate_policy(team, env, episodes, seed)
