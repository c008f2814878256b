"""QPD: the team's value is taken apart along the path of an episode, and each agent learns its part of it.

Source: Yang et al., "Q-value Path Decomposition for Deep Multiagent Reinforcement Learning", ICML 2020, with the code
that its authors published (QPD-NeurIPS2019/QPD); integrated gradients: Sundararajan et al., "Axiomatic Attribution for
Deep Networks", ICML 2017.

A critic learns the value Q of x_t, all agents' observations and actions at step t, under the policy that played. Along
the path x_t, x_{t+1}, ..., x_{L-1}, 0 of an episode of L steps, straight from point to point, the change of Q is a sum
over the coordinates of x, and agent i's credit is the share of its own, its observation and its action:

    y       = r + gamma (1 - terminated) Q^-(x')
    p_k,j   = x_k + ((j + o) / K) (x_{k+1} - x_k),  j = 0, ..., K - 1: K points on the segment that begins at x_k
    a_i(k)  = (1/K) sum_j dQ/dx^i (p_k,j) . (x_k - x_{k+1})^i
    c_i(t)  = sum_{k >= t} a_i(k),  so that sum_i c_i(t) -> Q(x_t) - Q(0) = Q(x_t) for K -> infinity
    L       = (Q(x) - y)^2 + mean_i (Q_i(tau_i, u_i) - c_i)^2

Credits are constants: the critic learns from rewards alone, the agents from credits alone, and as the two share no
weights, one loss holds both. Nothing makes the agents' greedy actions the team's best ones: an agent's utility is the
mean of its credits over what the others did.

Differences from the paper and from the authors' code
    - What the critic sees: the agents' observations as they are. The authors give it observations without the limit of
      sight, which environments here do not make. Coordinates of a shared state would belong to no agent.
    - The critic is a sum over agents of their channels, as in the authors' code: its credits are f_i(x_i) - f_i(0)
      whatever the path, and are taken so. The authors add up gradients all the same; on `predator_prey_v1`, whose
      episodes have 200 steps, the error of 5 points in the middles was 0.4 after 200 000 steps (root mean square; Q was
      0.6), and after 100 000 the team earned 22 where it earned 31 without the error.
    - The paper speaks of a system level, and `joint_width=64` puts a layer over all agents behind the channels. Then
      the path matters, and what it adds to each agent's credit cancels only in the sum: on `spread_v1` after 300 000
      steps credits varied by 4.5 and the worth of an agent's own action by 0.5, and agents that learnt such credits of
      a critic that stood still did worse than random ones. After 400 000 of 2 000 000 steps the team earned -81 with
      the layer and -56 with the sum (random: -79). The layer helps in one-shot games, where QPD is VDN without it: with
      epsilon falling to 0.05, three seeds of `climbing` ended at payoffs 5, 6 and 5 with the sum and at 5, 11 and 5
      with the layer, all of `qtran3x3` at 0 and all of `qplex_hard3x3` at 6.
    - All agents' channels share their weights; the authors share them between units of one type.
    - The path ends in x = 0 for every episode, and Q(0) = 0 because f(0) is subtracted from the network f. In the
      authors' code it ends in the last observation with actions of doing nothing, to which a second gradient step gives
      the value 0 (x = 0 is a switch there).
    - A time limit is no end: after it, Q^- of the last observation and the agents' greedy actions is the value that
      follows. The authors take every end for a terminal one. The path stops at the last step that was made in both
      cases; its last segment, down to 0, shares out what is then still to come.
    - Gradients are taken in the middle of each part of a segment (o = 1/2, `path_offset`); the authors take its
      beginning (`path_offset=0`). The errors of all later segments add up, and an episode may have hundreds: on
      `predator_prey_v1`, after 30 000 steps, sum_i c_i missed Q, which is 0.3 on average, by 13 (root mean square) with
      5 points at the beginnings, by 0.9 with 2 in the middles and by 0.1 with 5.
    - Agents: the recurrent ones of all algorithms here, from the beginning of the episode, with their index and last
      action. The authors' LSTM sees a window of the last 12 observations (default) or 16 (script), without either.
    - The authors' code comes with two sets of hyper-parameters. In its defaults each coordinate of a gradient is cut to
      0.1 (`max_grad_value`), weights decay by 0.01 (`weight_penalty`), exploration is that of epsilon 0
      (`epsilon_start=0 epsilon_end=0`); in its script the norm is cut to 5 (`max_grad_norm`), nothing decays, and
      epsilon falls to 0 over 2 000 episodes. The defaults here follow the script.
    - The gradients of the critic and of the agents are cut each for itself, as in the authors' code; both learn with
      Adam, where the authors' agents learn with RMSprop. ELU in place of ReLU, as in `qtran.py`.
    - The critic learns what those who played earned, so the replay holds 200 episodes in place of 1000 (of 50 000 that
      the authors train on): on `predator_prey_v1` the team earned 30 after 200 000 steps with 200, and 17 with 2000,
      which there was all that had been played; on `spread_v1` two seeds ended at -35.7 and -33.6.
    - TD(lambda) returns in place of one-step targets (`td_lambda=0` gives the equations above).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from coopgym.baselines import learner
from coopgym.baselines.episodes import Episodes, best_available, lambda_returns, mean_over_steps, taken
from coopgym.baselines.learner import Learner, Sizes


@dataclass(frozen=True)
class Config(learner.Config):
    buffer_size: int = 200
    """Episodes that the replay holds: few, as the critic learns what those who played earned."""
    path_points: int = 5
    """Points on each segment of the path at which the gradient is taken, where the critic is not a sum over agents."""
    path_offset: float = 0.5
    """Where in its part of the segment such a point is: 0 the beginning, as in the authors' code, 0.5 the middle."""
    critic_width: int = 64
    """Units in the critic's layers for one agent."""
    joint_width: int = 0
    """Units in the critic's layer over all agents; 0 for none, as in the authors' code: it is then a sum over them."""
    max_grad_value: float = 0.0
    """Each coordinate of a gradient is cut to this; 0 for no limit."""
    weight_penalty: float = 0.0
    """Weight, in the loss, of half the sum of all squared weights."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, low, high in (
            ("path_points", 1, math.inf),
            ("path_offset", 0, 1),
            ("critic_width", 1, math.inf),
            ("joint_width", 0, math.inf),
            ("max_grad_value", 0, math.inf),
            ("weight_penalty", 0, math.inf),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}; it must lie in [{low}, {high}]")


Fields = Config  # for annotations: within the learner, `Config` is the class's attribute


class Critic(nn.Module):
    """Q(x), x = all agents' observations and actions (one-hot): a channel for each agent, all of the same weights."""

    def __init__(self, n_agents: int, obs_size: int, n_actions: int, width: int, joint_width: int) -> None:
        super().__init__()
        self.n_agents, self.n_actions = n_agents, n_actions
        self.embed = nn.Linear(obs_size + n_actions, width)
        self.channel = nn.Sequential(nn.ELU(), nn.Linear(width, width), nn.ELU())
        last = n_agents * width
        joint: list[nn.Module] = [nn.Linear(last, joint_width), nn.ELU()] if joint_width else []
        self.merge = nn.Sequential(*joint, nn.Linear(joint_width or last, 1, bias=False))

    def embedded(self, obs: Tensor, action: Tensor) -> Tensor:
        """obs: [..., N, O], action: [..., N]. Returns the first layer's image of x, [..., N, width]."""
        return self.embed(torch.cat((obs, F.one_hot(action, self.n_actions).to(obs.dtype)), -1))

    @property
    def nothing(self) -> Tensor:
        """The image of x = 0, [N, width]."""
        return self.embed.bias.expand(self.n_agents, -1)

    def value(self, z: Tensor) -> Tensor:
        """What the layers behind the first make of it, [..., N, width] -> [...]."""
        return self.merge(self.channel(z).flatten(-2)).squeeze(-1)

    def parts(self, z: Tensor) -> Tensor:
        """f_i of each agent, [..., N, width] -> [..., N], where the value is their sum."""
        weight: Tensor = self.merge[-1].weight  # type: ignore[assignment]
        return (self.channel(z) * weight.view(self.n_agents, -1)).sum(-1)

    def forward(self, obs: Tensor, action: Tensor) -> Tensor:
        """obs: [..., N, O], action: [..., N]. Returns Q(x), [...]."""
        return self.value(self.embedded(obs, action)) - self.value(self.nothing)


def path_credits(
    value: Callable[[Tensor], Tensor], x: Tensor, end: Tensor, happened: Tensor, points: int, offset: float = 0.0
) -> Tensor:
    """Integrated gradients of `value` from x_t through all later x of the episode to `end`, for each agent: [B, T, N].

    value: [B, T, N, X] -> [B, T]; x: [B, T, N, X]; end: [N, X]; happened: [B, T].
    """
    goes_on = F.pad(happened[:, 1:], (0, 1)).bool()[..., None, None]
    step = torch.where(goes_on, x.roll(-1, 1), end) - x  # of the segment that begins at t
    credit = torch.zeros_like(x[..., 0])
    for j in range(points):
        point = (x + (j + offset) / points * step).requires_grad_()
        (slope,) = torch.autograd.grad(value(point).sum(), point)
        credit -= (slope * step).sum(-1) / points
    return (credit * happened.unsqueeze(-1)).flip(1).cumsum(1).flip(1)  # the sum over this and all later segments


class QPD(Learner):
    name = "qpd"
    paper = "Yang et al., ICML 2020"
    Config = Config
    config: Fields

    def __init__(self, env: Sizes, config: Fields, seed: int = 0) -> None:
        super().__init__(env, config, seed)
        self.optimiser.param_groups[0]["weight_decay"] = config.weight_penalty

    def networks(self, env: Sizes) -> dict[str, nn.Module]:
        c = self.config
        return {"critic": Critic(env.n_agents, env.obs_size, env.n_actions, c.critic_width, c.joint_width)}

    def loss(self, ep: Episodes) -> tuple[Tensor, dict[str, Tensor]]:
        q, _ = self.live["agent"].unroll(ep)  # [B, T + 1, N, A]
        c, critic = self.config, self.live["critic"]

        q_tot = critic(ep.obs[:, :-1], ep.action)  # [B, T]
        with torch.no_grad():
            next_q_tot = self.target["critic"](ep.obs[:, 1:], self.next_action(q, ep))
            y = lambda_returns(next_q_tot, ep, c.gamma, c.td_lambda)
        credit = self.credits(ep)  # [B, T, N]

        critic_loss = mean_over_steps((q_tot - y) ** 2, ep)
        actor_loss = mean_over_steps((taken(q[:, :-1], ep.action) - credit) ** 2, ep)
        gap = mean_over_steps((credit.sum(-1) - q_tot.detach()) ** 2, ep)
        terms = {"td": critic_loss, "actor": actor_loss, "q_mean": mean_over_steps(q_tot, ep), "gap": gap}
        return critic_loss + actor_loss, terms

    def credits(self, ep: Episodes) -> Tensor:
        """c_i of each step, [B, T, N], constants; where the critic is a sum over agents the integral is known."""
        c, critic = self.config, self.live["critic"]
        with torch.no_grad():
            x, end = critic.embedded(ep.obs[:, :-1], ep.action), critic.nothing
            if not c.joint_width:
                return critic.parts(x) - critic.parts(end)  # type: ignore[no-any-return]
        return path_credits(critic.value, x, end, ep.happened, c.path_points, c.path_offset)

    def cut_gradients(self) -> Tensor:
        """Those of the agents and those of the critic, each for itself; returns the norm of the agents'."""
        c = self.config
        if c.max_grad_value > 0:
            nn.utils.clip_grad_value_(self.live.parameters(), c.max_grad_value)
        nn.utils.clip_grad_norm_(self.live["critic"].parameters(), c.max_grad_norm)
        return nn.utils.clip_grad_norm_(self.live["agent"].parameters(), c.max_grad_norm)

    def next_action(self, q: Tensor, ep: Episodes) -> Tensor:
        """What was done after each step, [B, T, N], and after the last one what the agents would do."""
        goes_on = F.pad(ep.happened[:, 1:], (0, 1)).bool().unsqueeze(-1)
        return torch.where(goes_on, ep.action.roll(-1, 1), best_available(q.detach(), ep.available)[:, 1:])
