"""A team value without restrictions: learned beside one that is restricted, to tell it what is worth learning.

Source: Rashid et al., "Weighted QMIX: Expanding Monotonic Value Function Factorisation for Deep Multi-Agent
Reinforcement Learning", NeurIPS 2020, figure 1 and appendix; authors' code, wqmix.
"""

import torch
from torch import Tensor, nn

from coopgym.baselines.learner import Config, Sizes, agent_of


class CentralMixer(nn.Module):
    """Any function of the state and of one number for each agent; what depends on the state alone is added."""

    def __init__(self, n_agents: int, state_size: int, width: int) -> None:
        super().__init__()
        self.joint = nn.Sequential(
            nn.Linear(state_size + n_agents, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, 1),
        )
        self.v = nn.Sequential(nn.Linear(state_size, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, q: Tensor, state: Tensor) -> Tensor:
        """q: [B, T, N], state: [B, T, S]. Returns [B, T]."""
        return (self.joint(torch.cat((state, q), -1)) + self.v(state)).squeeze(-1)


def central_networks(env: Sizes, config: Config, width: int) -> dict[str, nn.Module]:
    """Agents that are used in training only, and a mixer of their values."""
    return {
        "central_agent": agent_of(env, config),
        "central": CentralMixer(env.n_agents, env.state_size, width),
    }
