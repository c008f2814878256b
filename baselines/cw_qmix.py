"""CW-QMIX: QMIX that cares for the joint actions that may be the best, and little for all others.

Source: Rashid et al., "Weighted QMIX: Expanding Monotonic Value Function Factorisation for Deep Multi-Agent
Reinforcement Learning", NeurIPS 2020, the central weighting; authors' code, wqmix.

Beside QMIX's monotonic Q_tot, a central value Q* without restrictions is learned. With ubar_i the greedy action of Q_i:

    y = r + gamma (1 - terminated) Q*^-(tau', ubar', s')                      one target for both
    w = 1 if y > Q*^-(tau, ubar, s) or u = ubar, else alpha                   a constant
    L = mean over steps of w (y - Q_tot)^2 + (y - Q*)^2

Differences from the paper and from the authors' code
    - The comparison takes the target Q*^-, as the code; the paper writes Q*. u = ubar asks for every agent's greedy
      action among the available ones of the live Q_i, as in the code.
    - The agents' and the mixer's target copies are used nowhere (nor are they in the code): Q*^- alone makes y.
    - alpha is 0.1, the code's default and the paper's for predator-prey; for StarCraft the paper has 0.75. Where nobody
      is punished for trying alone more is better: on `spread_v1` the evaluations from 460 000 to 500 000 steps (of
      2 000 000, seed 3) have the mean -59.4 with 0.1 and -53.5 with 0.75; five seeds of QMIX -49 to -55.
    - The central agents have the width of the others, `hidden`, as in the code, and see what those see.
    - Adam in place of RMSprop, and TD(lambda) returns in place of one-step targets (`td_lambda=0`), as PyMARL2.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from coopgym.baselines import qmix
from coopgym.baselines.central import central_networks
from coopgym.baselines.episodes import Episodes, best_available, lambda_returns, mean_over_steps, taken
from coopgym.baselines.learner import Learner, Sizes
from coopgym.baselines.qmix import MonotonicMixer


@dataclass(frozen=True)
class Config(qmix.Config):
    alpha: float = 0.1
    """Weight of joint actions that cannot be better than the greedy one; 1 weighs all alike."""
    central_width: int = 256
    """Units in the hidden layers of the central mixer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}; it must lie in [0, 1]")
        if self.central_width < 1:
            raise ValueError(f"central_width is {self.central_width}; it must be 1 or more")


Fields = Config  # for annotations: within the learner, `Config` is the class's attribute


class CWQMIX(Learner):
    name = "cw_qmix"
    paper = "Rashid et al., NeurIPS 2020 (central weighting)"
    Config = Config
    config: Fields

    def networks(self, env: Sizes) -> dict[str, nn.Module]:
        c = self.config
        mixer = MonotonicMixer(env.n_agents, env.state_size, c.mixer_width, c.hyper_width)
        return {"mixer": mixer, **central_networks(env, c, c.central_width)}

    def loss(self, ep: Episodes) -> tuple[Tensor, dict[str, Tensor]]:
        state = ep.state[:, :-1]
        q, _ = self.live["agent"].unroll(ep)  # [B, T + 1, N, A]
        q_tot = self.live["mixer"](taken(q[:, :-1], ep.action), state)
        q_central, _ = self.live["central_agent"].unroll(ep)
        q_star = self.live["central"](taken(q_central[:, :-1], ep.action), state)

        with torch.no_grad():
            q_target, _ = self.target["central_agent"].unroll(ep)
            greedy = best_available(q, ep.available)  # [B, T + 1, N]
            q_star_greedy = self.target["central"](taken(q_target, greedy), ep.state)  # [B, T + 1]
            y = lambda_returns(q_star_greedy[:, 1:], ep, self.config.gamma, self.config.td_lambda)
            is_greedy = (ep.action == greedy[:, :-1]).all(-1)
            w = torch.where(is_greedy | (y > q_star_greedy[:, :-1]), torch.ones_like(y), self.config.alpha)

        weighted = mean_over_steps(w * (y - q_tot) ** 2, ep)
        central = mean_over_steps((y - q_star) ** 2, ep)
        terms = {"weighted": weighted, "central": central, "w": mean_over_steps(w, ep)}
        return weighted + central, {**terms, "q_mean": mean_over_steps(q_tot, ep)}
