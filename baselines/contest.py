"""Is one policy better than a trained one? Teams on the same episodes, and what may honestly be said about them.

    print(coopgym.compare(my_policy, "predator_prey_v1", to=["qmix", "vdn"], out="comparison"))

All teams play the episodes on which the reference's runs are scored at their end. So the difference between two teams
is known episode by episode, and what an episode is worth by luck alone goes out; and the policy's mean can be put among
the final scores of an algorithm's seeds.

One policy is one run, whatever has made it: its episodes say which of two teams plays better, and nothing about which
way of training is better. For that, `coopgym.baselines.comparison` holds runs of several seeds against each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coopgym.baselines import ALGORITHMS
from coopgym.baselines.reference import (
    Reference,
    reference_of,
    reference_runs,
    spelt,
    spelt_bounds,
    task_name,
    word_of_game,
)
from coopgym.baselines.results import game_of
from coopgym.baselines.rollout import Evaluation, evaluate
from coopgym.baselines.shipped import policies, policy_name
from coopgym.baselines.statistics import Estimate, mean_estimate
from coopgym.baselines.train import FINAL_SEED
from coopgym.envs import environment
from coopgym.envs.core import Environment
from coopgym.envs.specification import table

EPISODES = 320  # as many as score the reference's runs


@dataclass(frozen=True)
class Opponent:
    """Who the policy is held against: a team, the seeds of an algorithm's reference, or both."""

    name: str
    team: str | None  # what has played; None where only the seeds' scores are known
    score: Evaluation | None
    difference: Estimate | None  # of the policy's mean return less the team's, over the episodes, with its 95 % CI
    reference: Reference | None

    @property
    def word(self) -> str:
        """Whether the policy is "better" than the team, "worse", or whether one "cannot tell"."""
        if self.difference is None or self.difference.low <= 0 <= self.difference.high:
            return "cannot tell"
        return "better" if self.difference.low > 0 else "worse"


@dataclass(frozen=True)
class Contest:
    """A policy and its opponents on one game. It prints as a table with a verdict in words."""

    environment: Environment
    name: str
    score: Evaluation
    opponents: list[Opponent]
    warnings: list[str]

    def __str__(self) -> str:
        scores = [(self.name, self.score), *((one.team or "", one.score) for one in self.opponents)]
        rows = [
            (name, spelt(mean_estimate(score.returns)), f"{score.std:.3g}" if score.episodes > 1 else "")
            for name, score in scores
            if score is not None
        ]
        known = spelt_bounds(self.environment)
        title = f"{task_name(self.environment.id, self.environment.preset)}, team return{f'; {known}' if known else ''}"
        first, last = self.score.seed, self.score.seed + self.score.episodes - 1
        lines = [
            title,
            f"{self.score.episodes} episodes, seeds {first} to {last}, the same for all"
            if last > first
            else f"one episode, seed {first}, the same for all",
            table(("team", "mean [95 % CI]", "deviation of an episode"), rows),
            "",
            *(f"- {line}" for one in self.opponents for line in self._lines(one)),
            "",
            f"{self.name} is one policy: this says which of two teams plays better, not which way of training is.",
            "For that, train several seeds and compare their runs: coopgym compare runs/mine* --to qmix",
        ]
        if self.warnings:
            lines += ["", "Mind:", *(f"- {warning}" for warning in self.warnings)]
        return "\n".join(lines)

    @property
    def beside_the_reference(self) -> bool:
        """Whether the episodes are those of the reference's final scores; others may be easier or harder."""
        return (self.score.seed, self.score.episodes) == (FINAL_SEED, EPISODES)

    def _lines(self, one: Opponent) -> list[str]:
        lines = []
        if one.difference is not None:
            says = f"cannot tell {self.name} from" if one.word == "cannot tell" else f"{self.name} is {one.word} than"
            lines.append(f"{says} {one.team}: the difference is {spelt(one.difference)} an episode")
        if one.reference is not None and not self.beside_the_reference:
            lines.append(
                f"the reference's scores of {one.name} are of other episodes ({EPISODES} from seed {FINAL_SEED}): "
                "leave out episodes and seed for its place among them"
            )
        elif one.reference is not None:
            r = one.reference
            below = int((r.final < self.score.mean).sum())
            provisional = f"; provisional: {r.provisional}" if r.provisional else ""
            lines.append(
                f"{self.name} earns more than {below} of {len(r.seeds)} seeds of {one.name}, "
                f"final scores {r.final.min():.4g} to {r.final.max():.4g}, IQM {spelt(r.iqm())}{provisional}"
            )
        return lines


def compare_policy(
    policy: Any,
    id: str | Environment,
    to: Sequence[Any],
    preset: str | None = None,
    episodes: int = EPISODES,
    seed: int = FINAL_SEED,
    **params: Any,
) -> Contest:
    """Plays a policy and its opponents on the same episodes.

    policy: a function of (obs [E, N, O], action_mask [E, N, A]) that returns actions [E, N], or anything else that
    `coopgym.evaluate` takes; to: names of algorithms, which stand for the teams that ship and for the seeds of the
    reference, or anything that `coopgym.evaluate` takes. Raises ValueError for an algorithm of which nothing is known
    on this game.
    """
    env = environment(id, preset, **params)
    if not to:
        raise ValueError("compare needs something to compare to; give algorithms such as qmix, or other teams")
    score, warnings = evaluate(policy, env, episodes, seed), []
    opponents = []
    for one in to:
        if not isinstance(one, str) or one not in ALGORITHMS:
            opponents.append(held_against(score, env, name_of(one), one))
            continue
        runs, team = reference_runs(env).get(one), policy_name(one, env)
        if runs is None and team is None:
            raise ValueError(f"there are neither reference runs of {one} on {env!r} nor a team; {_known_on(env)}")
        if runs is not None and {run.golden for run in runs} != {word_of_game(game_of(env))}:
            warnings.append(f"the rules of {runs[0].task} have changed since the reference was made")
        opponents.append(held_against(score, env, one, team, reference_of(runs) if runs else None))
    return Contest(env, name_of(policy), score, opponents, list(dict.fromkeys(warnings)))


def held_against(
    score: Evaluation, env: Environment, name: str, team: Any, reference: Reference | None = None
) -> Opponent:
    """An opponent that has played the policy's episodes, unless there is no team to play them."""
    if team is None:
        return Opponent(name, None, None, None, reference)
    theirs = evaluate(team, env, score.episodes, score.seed)
    return Opponent(name, name_of(team), theirs, mean_estimate(score.returns - theirs.returns), reference)


def name_of(policy: Any) -> str:
    """What a policy is called in tables."""
    if isinstance(policy, str | Path):
        return str(policy)
    return getattr(policy, "__name__", type(policy).__name__)


def _known_on(env: Environment) -> str:
    known = list(reference_runs(env))
    if known:
        return f"there are some of {', '.join(known)}"
    tasks = sorted({name.split("/", 1)[1] for name in policies()})
    return f"there are some on {', '.join(tasks)}"
