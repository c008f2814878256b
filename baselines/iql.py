"""IQL: each agent learns a value of its own, as if the others were part of the world.

Source: Tan, "Multi-Agent Reinforcement Learning: Independent vs. Cooperative Agents", ICML 1993, with the networks of
Tampuu et al. (2017) and Foerster et al. (2017).

    L = mean over steps and agents of (y_i - Q_i(tau_i, u_i))^2
    y_i = r + gamma (1 - terminated) max_u Q_i^-(tau'_i, u)

Differences from the source
    - One network with shared weights, told the agent's index, as PyMARL does.
    - Double Q-learning: the live network chooses the next action, the target values it.
    - TD(lambda) returns in place of one-step targets (`td_lambda=0` gives the equation above).
"""

import torch
from torch import Tensor

from coopgym.baselines.episodes import Episodes, best_available, lambda_returns, mean_over_steps, taken
from coopgym.baselines.learner import Config, Learner


class IQL(Learner):
    name = "iql"
    paper = "Tan, ICML 1993"
    Config = Config

    def loss(self, ep: Episodes) -> tuple[Tensor, dict[str, Tensor]]:
        q, _ = self.live["agent"].unroll(ep)  # [B, T + 1, N, A]
        q_taken = taken(q[:, :-1], ep.action)  # [B, T, N]

        with torch.no_grad():
            q_target, _ = self.target["agent"].unroll(ep)
            next_q = taken(q_target, best_available(q, ep.available))[:, 1:]
            y = lambda_returns(next_q, ep, self.config.gamma, self.config.td_lambda)

        return mean_over_steps((y - q_taken) ** 2, ep), {"q_mean": mean_over_steps(q_taken, ep)}
