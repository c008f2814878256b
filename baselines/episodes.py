"""Whole episodes, as the learners see them, and the few helpers that every loss uses."""

from typing import NamedTuple

import torch
from torch import Tensor


class Episodes(NamedTuple):
    """B episodes, padded to T steps. Step t leads from obs[:, t] to obs[:, t + 1]."""

    obs: Tensor  # [B, T + 1, N, O] float32
    state: Tensor  # [B, T + 1, S] float32
    available: Tensor  # [B, T + 1, N, A] bool
    action: Tensor  # [B, T, N] int64
    reward: Tensor  # [B, T] float32, shared by the team
    terminated: Tensor  # [B, T] float32, 1 where the rules ended the episode; 0 at a time limit
    happened: Tensor  # [B, T] float32, 1 for a real step and 0 for padding


def taken(q: Tensor, action: Tensor) -> Tensor:
    """q [..., A] at action [...]: shape [...]."""
    return q.gather(-1, action.unsqueeze(-1)).squeeze(-1)


def best_available(q: Tensor, available: Tensor) -> Tensor:
    """The available action of the highest q [..., A]: shape [...]."""
    return q.masked_fill(~available, -torch.inf).argmax(-1)


def mean_over_steps(x: Tensor, episodes: Episodes) -> Tensor:
    """The mean of x [B, T] or [B, T, N] over the steps that happened."""
    happened = episodes.happened.view(episodes.happened.shape + (1,) * (x.dim() - 2)).expand_as(x)
    return (x * happened).sum() / happened.sum()


def lambda_returns(next_value: Tensor, episodes: Episodes, gamma: float, td_lambda: float) -> Tensor:
    """The TD(lambda) return of each step, [B, T] or [B, T, N] as next_value, the value after each step.

    G_t = r_t + gamma (1 - terminated_t) ((1 - lambda) next_value_t + lambda G_{t+1}), begun anew from next_value at the
    last step of each episode: with td_lambda = 0 the one-step target, with 1 the discounted return (Sutton and Barto,
    "Reinforcement Learning", 2nd edition, section 12.1).
    """
    per_step = (1,) * (next_value.dim() - 2)
    reward = episodes.reward.view(episodes.reward.shape + per_step)
    goes_on = gamma * (1 - episodes.terminated.view(reward.shape))
    if td_lambda == 0:
        return reward + goes_on * next_value
    followed = torch.zeros_like(episodes.happened)  # 1 where another step of the same episode follows
    followed[:, :-1] = episodes.happened[:, 1:]
    weight = td_lambda * followed.view(reward.shape)
    fixed = reward + goes_on * (1 - weight) * next_value
    factor = goes_on * weight
    g = next_value[:, -1]
    returns = []
    for t in reversed(range(next_value.shape[1])):
        g = fixed[:, t] + factor[:, t] * g
        returns.append(g)
    return torch.stack(returns[::-1], 1)
