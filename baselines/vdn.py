"""VDN: the value of the team is the sum of the agents' values.

Source: Sunehag et al., "Value-Decomposition Networks For Cooperative Multi-Agent Learning", AAMAS 2018, equation 2.

    Q_tot = sum_i Q_i(tau_i, u_i)
    L = mean over steps of (y - Q_tot)^2
    y = r + gamma (1 - terminated) sum_i max_u Q_i^-(tau'_i, u)

Differences from the paper
    - A GRU of 64 units in place of an LSTM of 32 with duelling heads, no communication channels: the agent network of
      PyMARL, which all later work uses.
    - Double Q-learning: the live network chooses the next actions, the target values them.
    - TD(lambda) returns in place of one-step targets (`td_lambda=0` gives the equations above). They hold what the team
      earned as it explored, not what its greedy actions would have earned, which is more where exploring is punished.
      On `predator_prey_v1` with a penalty of -2 (`stag_p-2`), explored for 1 000 000 steps, the team earned 27.9 where
      it earned 36.8 by one-step targets, and on `qtran_code_5x5_p0.5` 1.2 where it earned 26.9.
"""

import torch
from torch import Tensor

from coopgym.baselines.episodes import Episodes, best_available, lambda_returns, mean_over_steps, taken
from coopgym.baselines.learner import Config, Learner


class VDN(Learner):
    name = "vdn"
    paper = "Sunehag et al., AAMAS 2018"
    Config = Config

    def loss(self, ep: Episodes) -> tuple[Tensor, dict[str, Tensor]]:
        q, _ = self.live["agent"].unroll(ep)  # [B, T + 1, N, A]
        q_tot = taken(q[:, :-1], ep.action).sum(-1)

        with torch.no_grad():
            q_target, _ = self.target["agent"].unroll(ep)
            next_q_tot = taken(q_target, best_available(q, ep.available))[:, 1:].sum(-1)
            y = lambda_returns(next_q_tot, ep, self.config.gamma, self.config.td_lambda)

        return mean_over_steps((y - q_tot) ** 2, ep), {"q_mean": mean_over_steps(q_tot, ep)}
