"""QMIX: the value of the team never decreases when the value of any agent grows.

Source: Rashid et al., "QMIX: Monotonic Value Function Factorisation for Deep Multi-Agent Reinforcement Learning",
ICML 2018, section 4 and equation 6; authors' code in PyMARL.

    Q_tot = f_s(Q_1(tau_1, u_1), ..., Q_N(tau_N, u_N)),  dQ_tot / dQ_i >= 0
    L = mean over steps of (y - Q_tot)^2
    y = r + gamma (1 - terminated) f^-_{s'}(max_u Q_1^-(tau'_1, u), ..., max_u Q_N^-(tau'_N, u))

Differences from the paper and from the authors' code
    - Hypernetworks of two layers for both weights, as PyMARL's later default; the paper has one linear layer.
    - Double Q-learning: the live network chooses the next actions, the target values them (as the authors' code).
    - Adam in place of RMSprop, and TD(lambda) returns in place of one-step targets (`td_lambda=0`), as PyMARL2.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from coopgym.baselines import learner
from coopgym.baselines.episodes import Episodes, best_available, lambda_returns, mean_over_steps, taken
from coopgym.baselines.learner import Learner, Sizes


@dataclass(frozen=True)
class Config(learner.Config):
    mixer_width: int = 32
    """Units in the mixer's hidden layer."""
    hyper_width: int = 64
    """Units in the hidden layer of the networks that give the mixer its weights."""
    hyper_scale: float = 1.0
    """Factor on the first values of the last layers of those networks."""


Fields = Config  # for annotations: within the learner, `Config` is the class's attribute


class MonotonicMixer(nn.Module):
    """Section 4: a network of two layers whose weights come from the state and are not negative; biases are free."""

    def __init__(self, n_agents: int, state_size: int, width: int, hyper_width: int, scale: float = 1.0) -> None:
        super().__init__()
        self.n_agents, self.width = n_agents, width

        def from_state(size: int, hidden: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(state_size, hidden), nn.ReLU(), nn.Linear(hidden, size))

        self.w1, self.w2 = from_state(n_agents * width, hyper_width), from_state(width, hyper_width)
        self.b1, self.b2 = nn.Linear(state_size, width), from_state(1, width)
        last: Any
        for last in (self.w1[-1], self.w2[-1], self.b1, self.b2[-1]):
            last.weight.data.mul_(scale)

    def forward(self, q: Tensor, state: Tensor) -> Tensor:
        """q: [B, T, N], state: [B, T, S]. Returns [B, T]."""
        state = state.contiguous()  # else each layer multiplies it episode by episode
        w1 = self.w1(state).abs().unflatten(-1, (self.n_agents, self.width))  # [B, T, N, width]
        hidden = F.elu((q.unsqueeze(-1) * w1).sum(-2) + self.b1(state))
        return (hidden * self.w2(state).abs()).sum(-1) + self.b2(state).squeeze(-1)


class QMIX(Learner):
    name = "qmix"
    paper = "Rashid et al., ICML 2018"
    Config = Config
    config: Fields

    def networks(self, env: Sizes) -> dict[str, nn.Module]:
        c = self.config
        return {"mixer": MonotonicMixer(env.n_agents, env.state_size, c.mixer_width, c.hyper_width, c.hyper_scale)}

    def loss(self, ep: Episodes) -> tuple[Tensor, dict[str, Tensor]]:
        q, _ = self.live["agent"].unroll(ep)  # [B, T + 1, N, A]
        q_tot = self.live["mixer"](taken(q[:, :-1], ep.action), ep.state[:, :-1])

        with torch.no_grad():
            q_target, _ = self.target["agent"].unroll(ep)
            best = taken(q_target, best_available(q, ep.available))
            next_q_tot = self.target["mixer"](best[:, 1:], ep.state[:, 1:])
            y = lambda_returns(next_q_tot, ep, self.config.gamma, self.config.td_lambda)

        return mean_over_steps((y - q_tot) ** 2, ep), {"q_mean": mean_over_steps(q_tot, ep)}
