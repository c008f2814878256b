"""What learners of policies share: probabilities from logits, play by chance, gradient steps on fresh episodes.

The network `agent` gives logits in the place of utilities. Its greedy team takes the likeliest actions.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from coopgym.baselines import learner
from coopgym.baselines.episodes import Episodes, mean_over_steps
from coopgym.baselines.learner import Exploration, Learner
from coopgym.baselines.replay import Replay

NEVER = -1e10  # the logit of an action that is not available; finite, since 0 times infinity is no number


def log_policy(logits: Tensor, available: Tensor) -> Tensor:
    """The log-probabilities [..., A] of a softmax over the available actions; NEVER, or less, for the others."""
    return logits.masked_fill(~available, NEVER).log_softmax(-1)


def normalised(x: Tensor, episodes: Episodes) -> Tensor:
    """x [B, T] or [B, T, N] with mean 0 and deviation 1 over the steps that happened."""
    apart = x - mean_over_steps(x, episodes)
    return apart / (mean_over_steps(apart**2, episodes).sqrt() + 1e-8)


class Sampling(Exploration):
    """Each agent draws its action from its policy, and now and then (epsilon) a legal one, all equally likely."""

    def utilities(self, obs: np.ndarray) -> Tensor:
        """obs: [E, N, O]. The logits and Gumbel noise [E, N, A]: the best legal one is a draw from the policy."""
        logits = super().utilities(obs)
        return logits + self.here(self.learner.generator.gumbel(size=logits.shape))


@dataclass(frozen=True)
class Config(learner.Config):
    """The fields of learners that use an episode in one round of gradient steps and never again."""

    td_lambda: float = 0.95
    """Lambda of the generalised advantage estimate: 0 trusts the critic, 1 the return."""
    recurrent: bool = False
    """Whether agents remember, by a GRU; on spread, where all is in sight, MAPPO learns far more slowly with it."""
    learning_rate: float = 2e-3
    """Step size at the start."""
    learning_rate_end: float = 2e-3
    """Step size at the end of the run; it changes linearly between the two."""
    batch_size: int = 128
    """Fresh episodes that begin a round of gradient steps; all that ended since the last round are used."""
    epochs: int = 8
    """Times that a round goes through its episodes."""
    minibatches: int = 8
    """Gradient steps of an epoch, each on its part of the episodes; no more than there are episodes."""
    clip: float = 0.2
    """How far the probability of an action may move, as a part of what it was, before it counts no more."""
    entropy_weight: float = 0.01
    """Weight of the policy's entropy."""
    value_weight: float = 0.5
    """Weight of the critic's loss."""
    # What follows is decided by the policy itself and by the rounds: constants, not fields.
    epsilon_start: ClassVar[float] = 0.0  # type: ignore[misc]
    epsilon_end: ClassVar[float] = 0.0  # type: ignore[misc]
    epsilon_steps: ClassVar[int] = 0  # type: ignore[misc]
    epsilon_part: ClassVar[float] = 1.0  # type: ignore[misc]
    steps_per_update: ClassVar[float] = math.inf  # type: ignore[misc]
    target_period: ClassVar[float] = math.inf  # type: ignore[misc]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, low, high in (
            ("epochs", 1, math.inf),
            ("minibatches", 1, math.inf),
            ("clip", 0, math.inf),
            ("entropy_weight", 0, math.inf),
            ("value_weight", 0, math.inf),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie in [{low}, {high}]")


Fields = Config  # for annotations: within the learner, `Config` is the class's attribute


class OnPolicy(Learner):
    """A learner whose targets are its networks as they were when the round began: what has played the episodes.

    So the old probabilities and values need no place in the replay: the loss computes them from the target. An episode
    that was under way when the last round ended counts as played by the policy that ended it.
    """

    Config = Config
    config: Fields

    def learn(self, replay: Replay, new_steps: int) -> list[dict[str, Tensor]]:
        """A round of gradient steps on the finished episodes, which leave the replay."""
        ep, c = replay.take(), self.config
        self.target.load_state_dict(self.live.state_dict())
        terms = []
        for _ in range(c.epochs):
            order = self.generator.permutation(len(ep.reward))
            for rows in np.array_split(order, min(c.minibatches, len(order))):
                terms.append(self.update(Episodes(*(x[rows] for x in ep))))
        return terms

    def behaviour(self) -> Exploration:
        """Play by the policy itself."""
        return Sampling(self)
