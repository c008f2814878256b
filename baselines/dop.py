"""DOP: policies learn from a critic that is a weighted sum over agents, and the critic from old episodes too.

Source: Wang et al., "DOP: Off-Policy Multi-Agent Decomposed Policy Gradients", ICLR 2021, sections 3 and 4 (stochastic
policies); authors' code on GitHub, TonghanWang/DOP.

    Q_tot(s, u) = sum_i k_i(s) Q_i(s, o_i, u_i) + b(s),  k_i >= 0
    Q_pi(s) = E_{u ~ pi} Q_tot = sum_i k_i(s) sum_u pi_i(u | tau_i) Q_i(s, o_i, u) + b(s)      exact, as Q_tot is linear
    A_i = Q_i(u_i) - sum_u pi_i(u) Q_i(u)
    L_pi = - mean over steps and agents of (k_i A_i log pi_i(u_i) + c rms(k A) H(softmax_i)), latest episodes
    L_Q = mean over steps of (y - Q_tot)^2
    latest episodes:  y_t = r_t + gamma ((1 - lambda) Q_pi^-(s_{t+1}) + lambda y_{t+1})
    episodes from the replay, by tree backup:
        y_t = Q_tot^-_t + sum_{j < n} (gamma lambda_tb)^j c_{t+1} ... c_{t+j} delta_{t+j}
        delta_t = r_t + gamma Q_pi^-(s_{t+1}) - Q_tot^-_t,  c_t = product over agents of pi_i(u_{i,t})

Nothing follows a terminal step; k_i and A_i are constants in L_pi, and y is one in L_Q. c: `entropy_weight`.

Differences from the paper and from the authors' code
    - k_i are divided by their sum, as in the authors' code; the paper does not (`normalise_k=False`). On `spread_v1`,
      two seeds, the last four evaluations of 500 000 from 2 000 000 steps have the mean -49.9 and -48.8 with the
      division, -52.7 and -51.4 without. A small game says otherwise: where payoffs are a sum (`additive_ok`, 6000
      steps, a gradient step for each 16) the critic's error was 0.43 to 0.72 with it and 0.15 to 0.26 without, and 2 of
      3 seeds found the optimum with it, all without.
    - No b(s), as in the authors' code; the paper has it (`use_bias`). Q_i sees the state, so b adds no function unless
      all k_i are 0, and changed none of these results.
    - The policy mixed with uniform play, (1 - epsilon) softmax + epsilon / available, is the policy in every equation,
      as in the authors' code. Actions that are not available leave before the softmax, theirs after it: the same policy
      but for the share of epsilon.
    - Q_pi in place of the value of the stored next action in y of the latest episodes: the same on average, with less
      noise, and there is no stored action behind a time limit.
    - One mean over both kinds of episodes, as the authors' code; the paper weighs the mean of each by kappa.
    - One gradient step for all times at once, by one Adam for actor, critic and mixer, from 2e-3 down to 5e-4; the
      authors' code takes one step of RMSprop for each time, at 5e-4 for the actor and 1e-4 for the critic. At 5e-3, the
      pace of the learners of utilities, policies on `spread_v1` were certain (an entropy of 0.2 after 100 000 steps, of
      0.1 after 200 000) before the critic knew anything.
    - A bonus for the policy's entropy; the authors' code has none (`entropy_weight=0`). Adam moves small gradients as
      far as large ones, so policies grow certain on next to nothing. On `predator_prey_v1` (a gradient step of 8 and 4
      episodes for each 100 steps) the sampled team earned 30 of 40 after 80 000 steps without the bonus and 38 with it.
      The bonus is measured in what weighs log pi, since that depends on the game: 0.01 there at first, 0.14 on spread.
    - TD(lambda) with 0.6, as for the other learners here; 0.8 in the authors' code. On `spread_v1` the critic's error
      after 300 000 steps was 0.6 in place of 1.
    - Actors without memory unless it is asked for (`recurrent`), as for the other learners of policies here.
    - One last layer of the critic in place of two whose sum was taken: the same functions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from coopgym.baselines import learner
from coopgym.baselines.episodes import Episodes, lambda_returns, mean_over_steps, taken
from coopgym.baselines.learner import Exploration, Learner, Sizes
from coopgym.baselines.policy_gradient import Sampling, log_policy
from coopgym.baselines.replay import Replay


@dataclass(frozen=True)
class Config(learner.Config):
    recurrent: bool = False
    """Whether agents remember, by a GRU; on spread, where all is in sight, they need not."""
    learning_rate: float = 2e-3
    """Step size at the start."""
    epsilon_start: float = 0.5
    """Part of uniform play in the policy at the start."""
    epsilon_end: float = 0.05
    """Part of uniform play in the policy after the annealing."""
    batch_size: int = 32
    """Episodes from the replay in a gradient step."""
    latest: int = 16
    """Latest episodes in a gradient step: they alone move the policy."""
    backup_steps: int = 5
    """Steps that a tree backup reaches."""
    backup_lambda: float = 0.93
    """Weight of longer tree backups."""
    normalise_k: bool = True
    """Whether the agents' weights are divided by their sum, as in the authors' code; not in the paper."""
    use_bias: bool = False
    """Whether the value of the team has a part that no agent has, b(s), as in the paper; not in the authors' code."""
    entropy_weight: float = 0.1
    """Weight of the policy's entropy, in units of the root mean square of what weighs log pi. The authors: 0."""
    critic_width: int = 256
    """Units in the hidden layers of the agents' values."""
    mixer_width: int = 32
    """Products whose sum an agent's weight is."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.latest < 1 or self.backup_steps < 1:
            raise ValueError(f"latest is {self.latest}, backup_steps {self.backup_steps}; both must be 1 or more")
        if not 0 <= self.backup_lambda <= 1:
            raise ValueError(f"backup_lambda is {self.backup_lambda}; it must lie in [0, 1]")
        if not self.entropy_weight >= 0:
            raise ValueError(f"entropy_weight is {self.entropy_weight}; it must be 0 or more")


Fields = Config  # for annotations: within the learner, `Config` is the class's attribute


class AgentValues(nn.Module):
    """Q_i(s, o_i, .): one network for all agents, told the state, what the agent sees and its index."""

    def __init__(self, env: Sizes, width: int) -> None:
        super().__init__()
        self.n_agents, self.inputs = env.n_agents, (env.state_size, env.obs_size, env.n_agents)
        self.encode = nn.Linear(sum(self.inputs), width)
        self.value = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, env.n_actions))

    def forward(self, obs: Tensor, state: Tensor) -> Tensor:
        """obs: [B, T, N, O], state: [B, T, S]. Returns [B, T, N, A]."""
        from_state, from_obs, from_index = self.encode.weight.split(self.inputs, 1)
        x = F.linear(obs, from_obs, self.encode.bias) + F.linear(state, from_state).unsqueeze(-2) + from_index.t()
        return self.value(x)  # type: ignore[no-any-return]


class LinearMixer(nn.Module):
    """Q_tot = sum_i k_i(s) Q_i + b(s), where k_i is a sum of products of two absolute values from the state."""

    def __init__(self, n_agents: int, state_size: int, width: int, normalise_k: bool, use_bias: bool) -> None:
        super().__init__()
        self.n_agents, self.width, self.normalise_k = n_agents, width, normalise_k
        self.w1, self.w2 = nn.Linear(state_size, n_agents * width), nn.Linear(state_size, width)
        self.b = nn.Sequential(nn.Linear(state_size, width), nn.ReLU(), nn.Linear(width, 1)) if use_bias else None

    def k(self, state: Tensor) -> Tensor:
        """state: [B, T, S]. Returns the agents' weights [B, T, N], none of them negative."""
        w1 = self.w1(state).abs().unflatten(-1, (self.n_agents, self.width))  # [B, T, N, width]
        k = (w1 * self.w2(state).abs().unsqueeze(-2)).sum(-1)
        return k / k.sum(-1, keepdim=True) if self.normalise_k else k

    def forward(self, q: Tensor, state: Tensor) -> Tensor:
        """q: [B, T, N], state: [B, T, S]. Returns [B, T]."""
        q_tot = (self.k(state) * q).sum(-1)
        return q_tot if self.b is None else q_tot + self.b(state).squeeze(-1)


def tree_backup(
    q: Tensor, next_value: Tensor, c: Tensor, ep: Episodes, gamma: float, backup_lambda: float, steps: int
) -> Tensor:
    """The tree backup of each step, [B, T].

    q: the value of what was done, next_value: that of the policy after each step, c: the chance that the policy does
    what was done; all [B, T]. Section 3.2 of the paper, after Precup et al., ICML 2000.
    """
    term = (ep.reward + gamma * (1 - ep.terminated) * next_value - q) * ep.happened  # delta
    y = q
    for _ in range(steps):
        y = y + term
        term = gamma * backup_lambda * F.pad((c * term)[:, 1:], (0, 1))  # at t: what t + 1 had, weighed
    return y


class DOP(Learner):
    name = "dop"
    paper = "Wang et al., ICLR 2021 (stochastic policies)"
    Config = Config
    config: Fields

    def networks(self, env: Sizes) -> dict[str, nn.Module]:
        c = self.config
        return {
            "critic": AgentValues(env, c.critic_width),
            "mixer": LinearMixer(env.n_agents, env.state_size, c.mixer_width, c.normalise_k, c.use_bias),
        }

    def behaviour(self) -> Exploration:
        """Play by the policy itself."""
        return Sampling(self)

    def batch(self, replay: Replay) -> Episodes:
        """The latest episodes, and behind them others from the replay."""
        return replay.sample(self.config.batch_size, self.config.latest)

    def policy(self, ep: Episodes) -> tuple[Tensor, Tensor]:
        """The probabilities of all actions, and the logarithms of those without uniform play; both [B, T + 1, N, A]."""
        log_softmax = log_policy(self.live["agent"].unroll(ep)[0], ep.available)
        uniform = ep.available / ep.available.sum(-1, keepdim=True).clamp(min=1)
        return (1 - self.epsilon) * log_softmax.exp() + self.epsilon * uniform, log_softmax

    def loss(self, ep: Episodes) -> tuple[Tensor, dict[str, Tensor]]:
        """The first `latest` episodes are the latest, what follows comes from the replay."""
        c, state = self.config, ep.state[:, :-1]
        latest = Episodes(*(x[: c.latest] for x in ep))
        pi, log_softmax = self.policy(ep)
        q = self.live["critic"](ep.obs[:, :-1], state)  # [B, T, N, A]
        q_tot = self.live["mixer"](taken(q, ep.action), state)

        with torch.no_grad():
            q_target = self.target["critic"](ep.obs, ep.state)  # [B, T + 1, N, A]
            q_pi = self.target["mixer"]((pi * q_target).sum(-1), ep.state)  # [B, T + 1]
            q_tot_target = self.target["mixer"](taken(q_target[:, :-1], ep.action), state)
            chance = taken(pi[:, :-1], ep.action).prod(-1)
            y = lambda_returns(q_pi[:, 1:], ep, c.gamma, c.td_lambda)
            backup = tree_backup(q_tot_target, q_pi[:, 1:], chance, ep, c.gamma, c.backup_lambda, c.backup_steps)
            y[c.latest :] = backup[c.latest :]
            k = self.live["mixer"].k(state)
            advantage = taken(q, ep.action) - (pi[:, :-1] * q).sum(-1)  # [B, T, N]
            gain = (k * advantage)[: c.latest]
            size = mean_over_steps(gain**2, latest).sqrt()

        log_pi = taken(pi[:, :-1], ep.action).clamp(min=1e-30).log()[: c.latest]
        policy = -mean_over_steps(gain * log_pi, latest)
        entropy = mean_over_steps(-(log_softmax.exp() * log_softmax).sum(-1)[: c.latest, :-1], latest)
        critic = mean_over_steps((y - q_tot) ** 2, ep)
        loss = policy - c.entropy_weight * size * entropy + critic
        return loss, {"policy": policy, "entropy": entropy, "critic": critic, "q_mean": mean_over_steps(q_tot, ep)}
