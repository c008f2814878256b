"""QTRAN-base: an unrestricted joint value, and utilities tied to it so that both have the same greedy actions.

Source: Son et al., "QTRAN: Learning to Factorize with Transformation for Cooperative Multi-Agent Reinforcement
Learning", ICML 2019, Theorem 1 and section 4.

With Q'_jt(u) = sum_i Q_i(tau_i, u_i), and ubar_i the greedy action of Q_i:

    y      = r + gamma (1 - terminated) Q_jt^-(tau', ubar')
    L_td   = (Q_jt(tau, u) - y)^2
    L_opt  = (Q'_jt(ubar) - Qhat_jt(tau, ubar) + V(s))^2              condition (4a): equal at the greedy actions
    L_nopt = min(Q'_jt(u) - Qhat_jt(tau, u) + V(s), 0)^2              condition (4b): no smaller anywhere
    L      = L_td + lambda_opt L_opt + lambda_nopt L_nopt

Qhat_jt, the joint value held fixed, and y are constants: the two conditions shape only the utilities and V.

Differences from the paper and from others' code
    - Recurrent agents; Q_jt is fed their hidden states (not detached, so L_td also trains the agents' memory), summed
      over agents after an encoder that sees each agent's action, and the state. The authors' code has feed-forward
      agents that observe everything, and takes the mean.
    - Q_jt = B + A(u) - A(mean action), and V = B + a network of the state, where B, what the situation is worth, is a
      constant in V: so it cancels in both conditions, which compare what actions add. With two networks that learn the
      situation's worth apart, as in the authors' code and PyMARL's, their errors outweigh what actions add, and decide
      which of the inequalities are broken: after 300 000 steps of `spread_v1` the team stood at -64 in place of -54.
    - A(u) = F(u) + sum_i D_i(u_i): what each action adds by itself, read from its agent's history alone, is learnt long
      before what only all of them together add. Without D the team stood at -44 in place of -40 after 500 000 steps of
      `spread_v1`. Theirs have F alone.
    - In F an action scales and shifts what is known of the agent's history; PyMARL's encoder adds the two. That hides
      how one depends on the other: after 60 000 steps of the authors' own game, `qtran_code_5x5_p0.5`, the team stood
      at -7 in place of -2. ELU, as the authors' code, in place of PyMARL's ReLU: with ReLU, learning the mean payoff
      first can leave every unit on or off for all actions; what is left is a sum over agents, and stays one.
    - The theorem asks for (4b) at every joint action; the paper's loss, like the default here, checks it at the one
      that was played. `drawn_actions` adds some drawn at random, all of equal weight: once the team explores little,
      what was played says little of the others. After 1.5 million steps of `qtran_code_5x5_p1.5` (one seed, `LONG_HUNT`
      in `reference.py`) the team stood at -1.2 with four, at -3.5 without.
    - Q_jt need not be so made. `joint_reads="state"` makes it one network of the state and all actions side by side, as
      PyMARL's `coma_critic`, with B = 0, so that V is a network of its own, as in the paper. Where the state says all,
      it learns sooner what hangs on all actions at once. Fitted by 10 000 gradient steps to the values that value
      iteration finds for `qtran_code_5x5_p1` with a discount of 0.99, its greedy play earns 23.7, that of the values
      themselves 24.8, and that of the one above 6.9. Trained with it, with four drawn actions, and with much play for
      each gradient step, the team earns 24.4 there, where VDN and QMIX keep away.
    - `joint_reads="observations"` shares one encoder of what an agent sees and does among all of them, which pays where
      they are more: of the variance of the rewards of random play in `qtran_code_7x7_p1` it explains 34 % after 4 000
      gradient steps, where the network of the state explains 12 and the default 24. Trained like the last, but with
      this, the team earns 14.7 in `qtran_code_7x7_p0.5`, where VDN and QMIX keep away.
    - Qhat_jt is Q_jt^-, which stands still between two copies; theirs is the live Q_jt without its gradient
      (`held="live"`), which moves at each gradient step. Utilities that follow it have its noise beside their own, and
      they choose what is played and valued: five seeds of `spread_v1` ended at -30 in place of -27, and three of
      `predator_prey_v1`, where a penalty of -2 makes trying alone a trap (`stag_p-2`), at 0 in place of 36.
    - The paper's V is a network of its own. The authors' code has none (`use_v=False`) and bootstraps from the sum of
      the utilities in place of Q_jt (`bootstrap="sum"`), so that their values are returns too.
    - lambda_nopt is 1 as in the paper's code; PyMARL's port has 0.1.
    - Double Q-learning: the live utilities choose ubar', the target joint network values it (as PyMARL).
    - TD(lambda) returns in place of one-step targets (`td_lambda=0` gives the equations above).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from coopgym.baselines import learner
from coopgym.baselines.episodes import Episodes, best_available, lambda_returns, mean_over_steps, taken
from coopgym.baselines.learner import Learner, Sizes


@dataclass(frozen=True)
class Config(learner.Config):
    lambda_opt: float = 1.0
    """Weight of condition (4a)."""
    lambda_nopt: float = 1.0
    """Weight of condition (4b)."""
    joint_width: int = 64
    """Units in the hidden layers of the joint value and of V."""
    joint_reads: Literal["histories", "observations", "state"] = "histories"
    """What the joint value reads beside the state and all actions: each agent's memory; what each sees, by one encoder
    for all, where agents see who they are; or nothing more, where the state says all. The last two fit sooner what
    hangs on all actions at once."""
    use_v: bool = True
    """Whether there is a V, or the utilities alone must add up to the joint value."""
    bootstrap: Literal["joint", "sum"] = "joint"
    """What values the state after a step: the joint value, or the sum of the utilities and V."""
    drawn_actions: int = 0
    """Joint actions drawn from the legal ones at each step, at which condition (4b) is checked beside the one taken."""
    held: Literal["target", "live"] = "target"
    """Which joint value the conditions tie the utilities to: the target network's, or the live one's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, choices in (
            ("joint_reads", ("histories", "observations", "state")),
            ("bootstrap", ("joint", "sum")),
            ("held", ("target", "live")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be {' or '.join(choices)}")
        for name, low in (("lambda_opt", 0), ("lambda_nopt", 0), ("joint_width", 1), ("drawn_actions", 0)):
            if not getattr(self, name) >= low:  # nor is NaN
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {low}")


Fields = Config  # for annotations: within the learner, `Config` is the class's attribute


def perceptron(inputs: int, width: int, outputs: int, bias: bool = True) -> nn.Sequential:
    """Two hidden layers with ELU; bias: whether the last layer has one."""
    first, second, last = nn.Linear(inputs, width), nn.Linear(width, width), nn.Linear(width, outputs, bias=bias)
    return nn.Sequential(first, nn.ELU(), second, nn.ELU(), last)


class JointValue(nn.Module):
    """Q_jt: any function of the state and of all agents' histories and actions.

    It is B(s, h) + A(s, h, u) - A(s, h, m), m being the mean of all actions: what the situation is worth, and what the
    actions add to it. A is F, any function of all of them, plus sum_i D(h_i, u_i), what each adds by itself. In F, an
    agent's action scales and shifts what is known of its history; its mean action has the mean of their embeddings.
    """

    def __init__(self, hidden: int, n_actions: int, state_size: int, width: int) -> None:
        super().__init__()
        self.encode, self.merge = nn.Linear(hidden, width), nn.Linear(width, width)
        self.scale, self.shift = nn.Embedding(n_actions, width), nn.Embedding(n_actions, width)
        self.situation = perceptron(state_size + width, width, 1)
        self.actions = perceptron(state_size + width, width, 1, bias=False)
        self.alone = nn.Linear(hidden, n_actions)

    def forward(self, h: Tensor, state: Tensor, *actions: Tensor) -> tuple[Tensor, ...]:
        """h: [B, T, N, H], state: [B, T, S], actions: K of them, each [B, T, N].

        Returns B [B, T], and then, for each of the actions, Q_jt [B, T].
        """
        encoded = self.encode(h)  # [B, T, N, W]
        embedded = [(self.shift.weight.mean(0), self.scale.weight.mean(0))]
        embedded += [(self.shift(action), self.scale(action)) for action in actions]
        together = [F.elu(torch.addcmul(shift, encoded, scale)).sum(-2) for shift, scale in embedded]
        x = self.merge(torch.stack(together))  # [1 + K, B, T, W]
        x = torch.cat((state.expand(len(x), *state.shape), x), -1)
        base = self.situation(x[0]).squeeze(-1)
        of_mean, *of_actions = self.actions(x).squeeze(-1)
        alone = self.alone(h)
        alone = alone - alone.mean(-1, keepdim=True)  # [B, T, N, A]
        pairs = zip(of_actions, actions, strict=True)
        return base, *(base + one - of_mean + taken(alone, action).sum(-1) for one, action in pairs)


class ObservationJointValue(nn.Module):
    """Q_jt: a network of the state and of what each agent sees and does, encoded and summed.

    One encoder serves all agents and is not told which of them it reads, so they must see who they are, by a number or
    by where they stand: agents that see the same may swap their actions, and the value stays.
    """

    def __init__(self, obs_size: int, n_actions: int, state_size: int, width: int) -> None:
        super().__init__()
        self.first, second = nn.Linear(obs_size + n_actions, width), nn.Linear(width, width)
        self.encode = nn.Sequential(nn.ReLU(), second, nn.ReLU())
        third, fourth, last = nn.Linear(width + state_size, width), nn.Linear(width, width), nn.Linear(width, 1)
        self.rest = nn.Sequential(third, nn.ReLU(), fourth, nn.ReLU(), last)

    def forward(self, obs: Tensor, state: Tensor, *actions: Tensor) -> tuple[Tensor, ...]:
        """obs: [B, T, N, O]; the others, and what comes back, as in `JointValue`, with B = 0."""
        from_obs, from_actions = self.first.weight.split((obs.shape[-1], self.first.in_features - obs.shape[-1]), 1)
        table = from_actions.t()  # [A, W]; looked up instead of multiplied
        seen = F.linear(obs, from_obs, self.first.bias)
        x = torch.stack([seen + F.embedding(action, table) for action in actions])
        together = self.encode(x).sum(-2)  # [K, B, T, W]
        values = self.rest(torch.cat((together, state.expand(len(x), *state.shape)), -1)).squeeze(-1)
        return torch.zeros_like(values[0]), *values  # V is a network of its own


class StateJointValue(nn.Module):
    """Q_jt: a network of the state and of all agents' actions, one-hot."""

    def __init__(self, n_agents: int, n_actions: int, state_size: int, width: int) -> None:
        super().__init__()
        self.n_agents, self.n_actions = n_agents, n_actions
        self.first = nn.Linear(state_size + n_agents * n_actions, width)
        second, third, last = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, 1)
        self.rest = nn.Sequential(nn.ReLU(), second, nn.ReLU(), third, nn.ReLU(), last)

    def forward(self, h: Tensor, state: Tensor, *actions: Tensor) -> tuple[Tensor, ...]:
        """As `JointValue`, with B = 0; h, the histories, is not read."""
        rows = self.n_agents * self.n_actions
        from_state, from_actions = self.first.weight.split((state.shape[-1], rows), 1)
        table = from_actions.t()  # [N A, W]; looked up instead of multiplied
        place = torch.arange(0, rows, self.n_actions, device=state.device)
        of_actions = [F.embedding(action + place, table).sum(-2) for action in actions]
        x = torch.stack(of_actions) + F.linear(state, from_state, self.first.bias)  # [K, B, T, W]
        values = self.rest(x).squeeze(-1)
        return torch.zeros_like(values[0]), *values  # V is a network of its own


class StateValue(nn.Sequential):
    """V: what the utilities cannot express, a function of the state."""

    def __init__(self, state_size: int, width: int) -> None:
        super().__init__(
            nn.Linear(state_size, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
        )


class QTRAN(Learner):
    name = "qtran"
    paper = "Son et al., ICML 2019 (QTRAN-base)"
    Config = Config
    config: Fields

    def networks(self, env: Sizes) -> dict[str, nn.Module]:
        c = self.config
        joint: nn.Module
        if c.joint_reads == "histories":
            joint = JointValue(c.hidden, env.n_actions, env.state_size, c.joint_width)
        elif c.joint_reads == "observations":
            joint = ObservationJointValue(env.obs_size, env.n_actions, env.state_size, c.joint_width)
        else:
            joint = StateJointValue(env.n_agents, env.n_actions, env.state_size, c.joint_width)
        return {"joint": joint, **({"v": StateValue(env.state_size, c.joint_width)} if c.use_v else {})}

    def v(self, networks: nn.ModuleDict, base: Tensor, state: Tensor) -> Tensor | float:
        """V of states [B, T, S] with the joint value's base [B, T]: [B, T], or 0 where there is none."""
        return base + networks["v"](state).squeeze(-1) if self.config.use_v else 0.0

    def read(self, ep: Episodes, h: Tensor) -> Tensor:
        """What the joint value reads of each agent: [B, T + 1, N, O], or its history [B, T + 1, N, H]."""
        return ep.obs if self.config.joint_reads == "observations" else h

    def draw_actions(self, ep: Episodes) -> Tensor:
        """Draws joint actions [B, T, N], each legal one as likely as any other."""
        available = ep.available[:, :-1]
        ranks = torch.from_numpy(self.generator.random(available.shape, np.float32)).to(available.device)
        return torch.where(available, ranks, -1.0).argmax(-1)

    def loss(self, ep: Episodes) -> tuple[Tensor, dict[str, Tensor]]:
        q, h = self.live["agent"].unroll(ep)  # [B, T + 1, N, A], [B, T + 1, N, H]
        greedy = best_available(q.detach(), ep.available)  # [B, T + 1, N]
        read = self.read(ep, h)
        state, next_state = ep.state[:, :-1].contiguous(), ep.state[:, 1:].contiguous()  # several networks read them

        _, q_joint = self.live["joint"](read[:, :-1], state, ep.action)
        with torch.no_grad():
            unread = self.config.joint_reads != "histories" and self.config.bootstrap == "joint"
            q_target, h_target = (q, h) if unread else self.target["agent"].unroll(ep)
            read_target = self.read(ep, h_target)
            next_base, next_value = self.target["joint"](read_target[:, 1:], next_state, greedy[:, 1:])
            if self.config.bootstrap == "sum":
                next_value = taken(q_target, greedy)[:, 1:].sum(-1) + self.v(self.target, next_base, next_state)
            y = lambda_returns(next_value, ep, self.config.gamma, self.config.td_lambda)
            networks, held_read = (self.target, read_target) if self.config.held == "target" else (self.live, read)
            checked = (ep.action, *(self.draw_actions(ep) for _ in range(self.config.drawn_actions)))
            base, held_greedy, *at_checked = networks["joint"](held_read[:, :-1], state, greedy[:, :-1], *checked)
            held = torch.stack(at_checked)  # [1 + drawn_actions, B, T]
        v = self.v(self.live, base, state)
        q_sum = torch.stack([taken(q[:, :-1], action).sum(-1) for action in checked])
        q_sum_greedy = taken(q[:, :-1], greedy[:, :-1]).sum(-1)

        td = mean_over_steps((q_joint - y) ** 2, ep)
        opt = mean_over_steps((q_sum_greedy - held_greedy + v) ** 2, ep)
        nopt = mean_over_steps(((q_sum - held + v).clamp(max=0) ** 2).mean(0), ep)
        loss = td + self.config.lambda_opt * opt + self.config.lambda_nopt * nopt
        return loss, {"td": td, "opt": opt, "nopt": nopt, "q_mean": mean_over_steps(q_joint, ep)}
