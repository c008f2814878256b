"""IPPO: each agent learns its policy by PPO, with a value of its own, as if the others were part of the world.

Source: de Witt et al., "Is Independent Learning All You Need in the StarCraft Multi-Agent Challenge?", 2020; Schulman
et al., "Proximal Policy Optimization Algorithms", 2017, equations 7 and 9; the advantage of Schulman et al.,
"High-Dimensional Continuous Control Using Generalized Advantage Estimation", ICLR 2016.

    rho_i = pi(u_i | tau_i) / pi_old(u_i | tau_i)
    A_i = y_i - V_old(tau_i),  y_i = r + gamma (1 - terminated) ((1 - lambda) V_old(tau'_i) + lambda y'_i)
    L = mean over steps and agents of
        - min(rho_i A_i, clip(rho_i, 1 - epsilon, 1 + epsilon) A_i)
        - entropy_weight H(pi(. | tau_i)) + value_weight (y_i - V(tau_i))^2

Differences from the papers and from others' code
    - One network with shared weights, told the agent's index and last action, as in EPyMARL and PyMARL2.
    - The advantage is the TD(lambda) return less the value, which is GAE written as one sum. Advantages have mean 0 and
      deviation 1 over the agents' steps of a gradient step, as in most code.
    - y and the advantages are made once from the values as the round began, and do not move with the critic in later
      epochs; EPyMARL keeps a slow target critic and takes 5-step returns.
    - At a time limit the value of the last observation is added; only rules end a return.
    - No memory unless it is asked for (`recurrent`), and then whole episodes through the networks, in place of chunks
      of 10 steps: nothing is cut or stale.
    - The value's loss is not clipped, as de Witt et al. do: Andrychowicz et al. (2021) found that it does not help.
    - The critic has memory where the actor has it. It is told the agent's index, but not its last action, and shares no
      weights with the actor.
"""

import torch
from torch import Tensor, nn

from coopgym.baselines.episodes import Episodes, lambda_returns, mean_over_steps, taken
from coopgym.baselines.learner import Sizes
from coopgym.baselines.networks import RecurrentAgent
from coopgym.baselines.policy_gradient import OnPolicy, log_policy, normalised


class IPPO(OnPolicy):
    name = "ippo"
    paper = "de Witt et al., 2020"

    def networks(self, env: Sizes) -> dict[str, nn.Module]:
        c = self.config
        return {"critic": RecurrentAgent(env.n_agents, env.obs_size, 1, c.hidden, c.recurrent, last_action=False)}

    def loss(self, ep: Episodes) -> tuple[Tensor, dict[str, Tensor]]:
        c = self.config
        log_pi = log_policy(self.live["agent"].unroll(ep)[0], ep.available)[:, :-1]  # [B, T, N, A]
        v = self.live["critic"].unroll(ep)[0][:, :-1, :, 0]  # [B, T, N]

        with torch.no_grad():
            log_pi_old = log_policy(self.target["agent"].unroll(ep)[0], ep.available)[:, :-1]
            v_old = self.target["critic"].unroll(ep)[0][..., 0]  # [B, T + 1, N]
            y = lambda_returns(v_old[:, 1:], ep, c.gamma, c.td_lambda)
            advantage = normalised(y - v_old[:, :-1], ep)

        rho = (taken(log_pi, ep.action) - taken(log_pi_old, ep.action)).exp()
        gain = torch.minimum(rho * advantage, rho.clamp(1 - c.clip, 1 + c.clip) * advantage)
        surrogate = -mean_over_steps(gain, ep)
        entropy = mean_over_steps(-(log_pi.exp() * log_pi).sum(-1), ep)
        value = mean_over_steps((y - v) ** 2, ep)
        loss = surrogate - c.entropy_weight * entropy + c.value_weight * value
        return loss, {"surrogate": surrogate, "entropy": entropy, "value": value, "v_mean": mean_over_steps(v, ep)}
