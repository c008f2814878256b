"""MAPPO: PPO for a team whose agents act on what they see, with one value of the state, known in training alone.

Source: Yu et al., "The Surprising Effectiveness of PPO in Cooperative Multi-Agent Games", NeurIPS 2022, section 3 and
appendix A; the surrogate of Schulman et al., "Proximal Policy Optimization Algorithms", 2017, equation 7.

    rho_i = pi(u_i | tau_i) / pi_old(u_i | tau_i)
    A = y - V_old(s),  y = r + gamma (1 - terminated) ((1 - lambda) V_old(s') + lambda y')
    L = mean over steps and agents of
        - min(rho_i A, clip(rho_i, 1 - epsilon, 1 + epsilon) A)
        - entropy_weight H(pi(. | tau_i)) + value_weight (y - V(s))^2

Differences from the paper and from the authors' code
    - V sees the state as the environment gives it and has no memory, as in EPyMARL; the authors offer recurrent critics
      and add to the state what each agent sees. The reward is the team's, so one value serves all agents.
    - Squared error, not clipped, in place of a clipped Huber loss on values that are scaled by running moments
      (`standardise_rewards` scales rewards instead). Adam with one step size for actor and critic, as theirs are equal.
    - y and the advantages are made once from the values as the round began. Advantages have mean 0 and deviation 1 over
      the steps of a gradient step.
    - At a time limit the value of the last state is added; only rules end a return. The authors' code treats the limit
      of a particle world as its end.
    - An actor without memory unless it is asked for (`recurrent`), and then whole episodes through it, in place of
      chunks of 10 steps: nothing is cut or stale.
    - No orthogonal first weights, no layer norm, no small last layer.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from coopgym.baselines import policy_gradient
from coopgym.baselines.episodes import Episodes, lambda_returns, mean_over_steps, taken
from coopgym.baselines.learner import Sizes
from coopgym.baselines.policy_gradient import OnPolicy, log_policy, normalised


@dataclass(frozen=True)
class Config(policy_gradient.Config):
    critic_width: int = 128
    """Units in the hidden layers of the critic."""


Fields = Config  # for annotations: within the learner, `Config` is the class's attribute


class StateValue(nn.Sequential):
    """V(s): two hidden layers."""

    def __init__(self, state_size: int, width: int) -> None:
        super().__init__(
            nn.Linear(state_size, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
        )


class MAPPO(OnPolicy):
    name = "mappo"
    paper = "Yu et al., NeurIPS 2022"
    Config = Config
    config: Fields

    def networks(self, env: Sizes) -> dict[str, nn.Module]:
        return {"critic": StateValue(env.state_size, self.config.critic_width)}

    def loss(self, ep: Episodes) -> tuple[Tensor, dict[str, Tensor]]:
        c = self.config
        log_pi = log_policy(self.live["agent"].unroll(ep)[0], ep.available)[:, :-1]  # [B, T, N, A]
        v = self.live["critic"](ep.state[:, :-1]).squeeze(-1)  # [B, T]

        with torch.no_grad():
            log_pi_old = log_policy(self.target["agent"].unroll(ep)[0], ep.available)[:, :-1]
            v_old = self.target["critic"](ep.state).squeeze(-1)  # [B, T + 1]
            y = lambda_returns(v_old[:, 1:], ep, c.gamma, c.td_lambda)
            advantage = normalised(y - v_old[:, :-1], ep).unsqueeze(-1)  # [B, T, 1], the same for every agent

        rho = (taken(log_pi, ep.action) - taken(log_pi_old, ep.action)).exp()  # [B, T, N]
        gain = torch.minimum(rho * advantage, rho.clamp(1 - c.clip, 1 + c.clip) * advantage)
        surrogate = -mean_over_steps(gain, ep)
        entropy = mean_over_steps(-(log_pi.exp() * log_pi).sum(-1), ep)
        value = mean_over_steps((y - v) ** 2, ep)
        loss = surrogate - c.entropy_weight * entropy + c.value_weight * value
        return loss, {"surrogate": surrogate, "entropy": entropy, "value": value, "v_mean": mean_over_steps(v, ep)}
