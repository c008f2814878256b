"""QPLEX: any team value whose best joint action is made of the agents' best actions, and no other.

Source: Wang et al., "QPLEX: Duplex Dueling Multi-Agent Q-Learning", ICLR 2021, section 3; authors' code, QPLEX.

With V_i = max_u Q_i(tau_i, u) over the available actions, and A_i = Q_i(tau_i, u_i) - V_i, which is never above 0:

    V_i(s) = w_i(s) V_i + v_i(s),  A_i(s) = w_i(s) A_i,  w_i > 0                              transformation
    lambda_i(s, u) = sum_k |key_k(s)| sigmoid(agent_ki(s)) sigmoid(action_ki(s, u)) > 0       importance, K heads
    Q_tot = sum_i V_i(s) + sum_i lambda_i(s, u) A_i(s)                                        duelling
    L = mean over steps of (y - Q_tot)^2
    y = r + gamma (1 - terminated) Q_tot^-(s', ubar'),  ubar'_i the greedy action of Q_i

The same value is Q_tot = sum_i (w_i Q_i + v_i) + sum_i (lambda_i - 1) A_i(s). There the advantages are constants for
the gradient: lambda learns from the second sum, w and the agents from the first alone. So Q_tot can be any table, but
learning it is another matter: while a wrong action is greedy, the right one's advantage tends to zero from below as
lambda grows, and only the noise of sampled episodes carries all agents across together.

Differences from the paper and from the authors' code
    - w, v and lambda are given the state, as in the code; the paper's equations have the joint history.
    - lambda's factors have networks of their own for each head, as in the code, here 4 heads of 2 layers. The code has
      10 of 3 for matrix games and predator-prey (a gradient step costs twice as much) and 4 of 1 for StarCraft (from
      random play on the game of the QTRAN paper it stays at 0 in most runs, where 2 layers find the 8).
    - All heads are computed at once.
    - V_i is the maximum over the available actions, in the live network and in the target, as in the code.
    - `stop_gradient=False` lets the gradient of Q_tot through as it stands. The code has such a switch, which does
      nothing: its advantages and its maxima are constants always.
    - Double Q-learning, as in the code: the live network chooses ubar', the target values it against the target's own
      maxima, so that the target's A is at most 0 and not always 0.
    - Adam in place of RMSprop, and TD(lambda) returns in place of one-step targets (`td_lambda=0`), as PyMARL2.
"""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from coopgym.baselines import learner
from coopgym.baselines.episodes import Episodes, best_available, lambda_returns, mean_over_steps, taken
from coopgym.baselines.learner import Learner, Sizes


@dataclass(frozen=True)
class Config(learner.Config):
    hyper_width: int = 64
    """Units in the hidden layer of the networks w and v."""
    heads: int = 4
    """Heads K whose sum is the importance of an agent's advantage; the authors have 10, and 4 for StarCraft."""
    importance_layers: int = 2
    """Layers of each head's networks; the authors have 3, and 1 for StarCraft."""
    importance_width: int = 64
    """Units in the hidden layers of each head's networks, where there are any."""
    stop_gradient: bool = True
    """Whether advantages are constants for the gradient where the importances multiply them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("hyper_width", "heads", "importance_layers", "importance_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")


Fields = Config  # for annotations: within the learner, `Config` is the class's attribute

ABOVE_ZERO = 1e-10  # keeps w and |key| positive, as in the authors' code


class Heads(nn.Module):
    """K perceptrons with ReLU and weights of their own, all computed at once."""

    def __init__(self, heads: int, widths: list[int]) -> None:
        """widths: of the input, the hidden layers and the output."""
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for inputs, outputs in itertools.pairwise(widths):
            bound = 1 / math.sqrt(inputs)  # as nn.Linear begins
            self.weights.append(nn.Parameter(torch.empty(heads, inputs, outputs).uniform_(-bound, bound)))
            self.biases.append(nn.Parameter(torch.empty(heads, 1, outputs).uniform_(-bound, bound)))

    def forward(self, x: Tensor) -> Tensor:
        """x: [B, T, I]. Returns [K, B, T, outputs]."""
        shape = x.shape[:-1]
        x = x.reshape(-1, x.shape[-1]).expand(len(self.weights[0]), -1, -1)  # [K, B T, I]
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, F.relu(x) if layer else x, weight)
        return x.unflatten(1, shape)


class Importance(nn.Module):
    """lambda: how much the advantage of each agent counts beside the joint action, always positive."""

    def __init__(self, n_agents: int, n_actions: int, state_size: int, heads: int, hidden: list[int]) -> None:
        super().__init__()
        self.n_actions = n_actions
        self.key = Heads(heads, [state_size, *hidden, 1])
        self.agent = Heads(heads, [state_size, *hidden, n_agents])
        self.action = Heads(heads, [state_size + n_agents * n_actions, *hidden, n_agents])

    def forward(self, action: Tensor, state: Tensor) -> Tensor:
        """action: [B, T, N], state: [B, T, S]. Returns [B, T, N]."""
        joint = F.one_hot(action, self.n_actions).flatten(-2).to(state.dtype)  # [B, T, N A]
        key = self.key(state).abs() + ABOVE_ZERO  # [K, B, T, 1]
        agent, chosen = self.agent(state), self.action(torch.cat((state, joint), -1))  # [K, B, T, N]
        return (key * agent.sigmoid() * chosen.sigmoid()).sum(0)


class DuellingMixer(nn.Module):
    """Section 3: the value of the greedy joint action, and what another one loses against it."""

    def __init__(self, env: Sizes, config: Config) -> None:
        super().__init__()
        n, s, self.stop_gradient = env.n_agents, env.state_size, config.stop_gradient

        def from_state() -> nn.Sequential:
            return nn.Sequential(nn.Linear(s, config.hyper_width), nn.ReLU(), nn.Linear(config.hyper_width, n))

        self.w, self.v = from_state(), from_state()
        hidden = [config.importance_width] * (config.importance_layers - 1)
        self.importance = Importance(n, env.n_actions, s, config.heads, hidden)

    def forward(self, q: Tensor, best: Tensor, action: Tensor, state: Tensor) -> Tensor:
        """q, best: [B, T, N], the utilities of the actions [B, T, N] and the highest ones; state: [B, T, S].

        Returns Q_tot [B, T].
        """
        w = self.w(state).abs() + ABOVE_ZERO
        advantage = w * (q - best)
        if self.stop_gradient:
            advantage = advantage.detach()
        return (w * q + self.v(state) + (self.importance(action, state) - 1) * advantage).sum(-1)


class QPLEX(Learner):
    name = "qplex"
    paper = "Wang et al., ICLR 2021"
    Config = Config
    config: Fields

    def networks(self, env: Sizes) -> dict[str, nn.Module]:
        return {"duelling": DuellingMixer(env, self.config)}

    def loss(self, ep: Episodes) -> tuple[Tensor, dict[str, Tensor]]:
        q, _ = self.live["agent"].unroll(ep)  # [B, T + 1, N, A]
        greedy = best_available(q.detach(), ep.available)  # [B, T + 1, N]
        q_taken, best = taken(q[:, :-1], ep.action), taken(q[:, :-1], greedy[:, :-1])
        q_tot = self.live["duelling"](q_taken, best, ep.action, ep.state[:, :-1])

        with torch.no_grad():
            q_target, _ = self.target["agent"].unroll(ep)
            q_greedy, best = taken(q_target, greedy), taken(q_target, best_available(q_target, ep.available))
            next_q_tot = self.target["duelling"](q_greedy[:, 1:], best[:, 1:], greedy[:, 1:], ep.state[:, 1:])
            y = lambda_returns(next_q_tot, ep, self.config.gamma, self.config.td_lambda)

        return mean_over_steps((y - q_tot) ** 2, ep), {"q_mean": mean_over_steps(q_tot, ep)}
