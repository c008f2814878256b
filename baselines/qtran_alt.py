"""QTRAN-alt: QTRAN with a joint value for every action of each agent beside what the others did.

Source: Son et al., "QTRAN: Learning to Factorize with Transformation for Cooperative Multi-Agent Reinforcement
Learning", ICML 2019, Theorem 2 and the part on QTRAN-alt in section 4; the authors' code (`pqmix5`).

Q_i_jt(., u_-i) holds the joint value of each own action of agent i beside the others' actions u_-i: one pass gives A
values for every agent. With Q'_jt(u) = sum_i Q_i(tau_i, u_i), and ubar_i the greedy action of Q_i:

    y          = r + gamma (1 - terminated) mean_i Q_i_jt^-(ubar'_i, ubar'_-i)
    L_td       = mean_i (Q_i_jt(u_i, u_-i) - y)^2
    L_opt      = mean_i (Q'_jt(ubar) - Qhat_i_jt(ubar_i, ubar_-i) + V(s))^2
    D_i(a)     = Q_i(a) + sum_{j != i} Q_j(u_j) - Qhat_i_jt(a, u_-i) + V(s)
    L_nopt-min = mean_i (min_a D_i(a))^2,  a over the actions that agent i has
    L          = L_td + lambda_opt L_opt + lambda_nopt L_nopt-min

L_nopt-min takes the place of QTRAN-base's inequality D >= 0 and asks for more: beside any actions of the others, D is
zero for one of the agent's own. So the utilities of other than greedy actions are held from above too, and tell good
ones from bad ones. Qhat_jt, the joint value held fixed, and y are constants; the minimum's gradient goes through the
smallest entry alone.

Differences from the paper and from the authors' code
    - Recurrent agents; the joint value is fed their hidden states (not detached, so L_td also trains the agents'
      memory) and the state, as in QTRAN-base here. The authors' agents are feed-forward, observe everything and share
      no weights between agents.
    - Q_i_jt = B + F_i(., u_-i) - F_i(mean) + D_i(.) + sum_{j != i} D_j(u_j). F_i(mean) is the mean of F_i over the own
      actions, beside the mean action of the others; B, what the situation is worth, is a constant in V; and Qhat_jt is
      the target network's: all as in `qtran.py`, for the reasons given there. The authors' code has F_i alone, divides
      the sum of the others' encodings by N, has ReLU in place of ELU, and holds the conditions to the live joint value
      (`held="live"`). With F_i alone, and live, the team stood at -66 in place of -31 after 2 000 000 steps of
      `spread_v1`.
    - V is a network of the state and B, as in the paper; the authors' code has none, which is `use_v=False`.
    - y is made from the joint value of the greedy actions, as the paper's equation, and the mean over the agents that
      each estimate it; the live utilities choose ubar'. The authors' code takes ubar' from the target utilities and,
      instead of the mean, the highest value over all agents and all their own actions beside ubar'_-i, which is
      `max_bootstrap=True` (over the actions that an agent has). That looks one change of one agent further than the
      greedy team acts, and overestimates.
    - TD(lambda) returns in place of one-step targets (`td_lambda=0` gives the equations above).
    - Actions that an agent does not have are left out of the minimum. The authors' games have all actions always.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from coopgym.baselines import learner
from coopgym.baselines.episodes import Episodes, best_available, lambda_returns, mean_over_steps, taken
from coopgym.baselines.learner import Learner, Sizes
from coopgym.baselines.qtran import StateValue, perceptron


@dataclass(frozen=True)
class Config(learner.Config):
    lambda_opt: float = 1.0
    """Weight of the condition at the greedy actions."""
    lambda_nopt: float = 1.0
    """Weight of the condition on each agent's smallest difference."""
    joint_width: int = 64
    """Units in the hidden layers of the joint value and of V."""
    use_v: bool = True
    """Whether there is a V, as in the paper; the authors' code has none."""
    max_bootstrap: bool = False
    """Whether targets take the highest joint value one change away from the greedy actions, as the authors' code."""
    held: Literal["target", "live"] = "target"
    """Which joint value the conditions tie the utilities to: the target network's, or the live one's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.held not in ("target", "live"):
            raise ValueError(f"held is {self.held!r}; it must be target or live")


Fields = Config  # for annotations: within the learner, `Config` is the class's attribute


class CounterfactualJointValue(nn.Module):
    """Q_i_jt(., u_-i) of every agent i: what it would be worth to act otherwise, the others acting as they did.

    As `JointValue` of `qtran.py`, but for F_i, which has a value for each own action and does not see the one chosen.
    """

    def __init__(self, hidden: int, n_actions: int, state_size: int, width: int) -> None:
        super().__init__()
        self.encode, self.own, self.others = nn.Linear(hidden, width), nn.Linear(width, width), nn.Linear(width, width)
        self.scale, self.shift = nn.Embedding(n_actions, width), nn.Embedding(n_actions, width)
        self.situation = perceptron(state_size + width, width, 1)
        self.actions = perceptron(state_size + width, width, n_actions, bias=False)
        self.alone = nn.Linear(hidden, n_actions)

    def forward(self, h: Tensor, state: Tensor, *actions: Tensor) -> tuple[Tensor, ...]:
        """h: [B, T, N, H], state: [B, T, S], actions: each [B, T, N].

        Returns B [B, T], and then, for each of the actions, Q_i_jt(., u_-i) [B, T, N, A].
        """
        n = h.shape[-2]
        others = 1 - torch.eye(n, dtype=h.dtype, device=h.device)  # a product, so that the own action leaves no trace
        encoded = self.encode(h)  # [B, T, N, W]
        embedded = [(self.shift.weight.mean(0), self.scale.weight.mean(0))]
        embedded += [(self.shift(action), self.scale(action)) for action in actions]
        mean, *acting = (F.elu(torch.addcmul(shift, encoded, scale)) for shift, scale in embedded)
        own = self.own(mean)
        base = self.situation(torch.cat((state, own.sum(-2)), -1)).squeeze(-1)
        x = own + self.others(others @ torch.stack((mean, *acting)))  # [1 + K, B, T, N, W]
        x = torch.cat((state.unsqueeze(-2).expand(*x.shape[:-1], -1), x), -1)
        of_mean, *of_actions = self.actions(x)
        alone = self.alone(h)
        alone = alone - alone.mean(-1, keepdim=True)
        fixed = base[..., None, None] - of_mean.mean(-1, keepdim=True) + alone
        pairs = zip(of_actions, actions, strict=True)
        return base, *(fixed + one + others @ taken(alone, action).unsqueeze(-1) for one, action in pairs)


class QTRANAlt(Learner):
    name = "qtran_alt"
    paper = "Son et al., ICML 2019 (QTRAN-alt)"
    Config = Config
    config: Fields

    def networks(self, env: Sizes) -> dict[str, nn.Module]:
        c = self.config
        joint = CounterfactualJointValue(c.hidden, env.n_actions, env.state_size, c.joint_width)
        return {"joint": joint, **({"v": StateValue(env.state_size, c.joint_width)} if c.use_v else {})}

    def loss(self, ep: Episodes) -> tuple[Tensor, dict[str, Tensor]]:
        q, h = self.live["agent"].unroll(ep)  # [B, T + 1, N, A], [B, T + 1, N, H]
        greedy = best_available(q.detach(), ep.available)  # [B, T + 1, N]
        state, now = ep.state[:, :-1], greedy[:, :-1]

        _, q_joint = self.live["joint"](h[:, :-1], state, ep.action)  # [B, T, N, A]: row i is Q_i_jt(., u_-i)
        with torch.no_grad():
            _, h_target = self.target["agent"].unroll(ep)
            y = lambda_returns(self.next_value(h_target, ep, greedy), ep, self.config.gamma, self.config.td_lambda)
            networks, histories = (self.target, h_target) if self.config.held == "target" else (self.live, h)
            base, held, held_greedy = networks["joint"](histories[:, :-1], state, ep.action, now)
        v = (base + self.live["v"](state).squeeze(-1) if self.config.use_v else torch.zeros_like(base)).unsqueeze(-1)
        q_taken = taken(q[:, :-1], ep.action)  # [B, T, N]
        q_others = q_taken.sum(-1, keepdim=True) - q_taken
        q_sum_greedy = taken(q[:, :-1], now).sum(-1, keepdim=True)

        d = q[:, :-1] + (q_others + v).unsqueeze(-1) - held  # [B, T, N, A]
        smallest = taken(d, best_available(-d.detach(), ep.available[:, :-1]))

        td = mean_over_steps((taken(q_joint, ep.action) - y.unsqueeze(-1)) ** 2, ep)
        opt = mean_over_steps((q_sum_greedy - taken(held_greedy, now) + v) ** 2, ep)
        nopt = mean_over_steps(smallest**2, ep)
        loss = td + self.config.lambda_opt * opt + self.config.lambda_nopt * nopt
        q_mean = mean_over_steps(taken(q_joint, ep.action).mean(-1), ep)
        return loss, {"td": td, "opt": opt, "nopt": nopt, "q_mean": q_mean}

    def next_value(self, h_target: Tensor, ep: Episodes, greedy: Tensor) -> Tensor:
        """What the target networks expect after each step, [B, T], of the greedy actions [B, T + 1, N]."""
        _, q_joint = self.target["joint"](h_target[:, 1:], ep.state[:, 1:], greedy[:, 1:])
        if self.config.max_bootstrap:
            best = best_available(q_joint, ep.available[:, 1:])
            return taken(q_joint, best).amax(-1)
        return taken(q_joint, greedy[:, 1:]).mean(-1)
