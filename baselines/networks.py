"""Networks that several learners share."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from coopgym.baselines.episodes import Episodes
from coopgym.baselines.recurrence import GRU


class Memoryless(nn.Linear):
    """A linear layer with ReLU in the place of a GRU: what an agent has seen before is lost."""

    def forward(self, x: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """x: [T, R, I]. Returns [T, R, H] twice over: what was seen, and of the last step as [1, R, H]."""
        h = F.relu(super().forward(x))
        return h, h[-1:]


class RecurrentAgent(nn.Module):
    """Linear, ReLU, GRU, linear; one set of weights for all agents.

    Its input is the observation, the agent's last action (one-hot, zeros at the start) and its index (one-hot), as in
    PyMARL's agents (Samvelyan et al., 2019). The one-hot parts are looked up in the weights instead of multiplied.
    recurrent: whether there is a GRU, or a linear layer in its place; last_action: whether agents are told theirs.
    """

    def __init__(
        self,
        n_agents: int,
        obs_size: int,
        n_actions: int,
        hidden: int,
        recurrent: bool = True,
        last_action: bool = True,
    ) -> None:
        super().__init__()
        self.n_agents, self.obs_size, self.n_actions, self.hidden = n_agents, obs_size, n_actions, hidden
        self.last_action = last_action
        self.encode = nn.Linear(obs_size + n_actions * last_action + n_agents, hidden)
        self.memory = GRU(hidden, hidden) if recurrent else Memoryless(hidden, hidden)
        self.decode = nn.Linear(hidden, n_actions)

    def forward(self, obs: Tensor, last_action: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """obs: [B, T, N, O]; last_action: [B, T, N], -1 for none; memory: [1, B * N, H], or None at the start.

        Returns the utilities [B, T, N, A], the hidden states behind them [B, T, N, H], and the memory.
        """
        b, t, n, _ = obs.shape
        sizes = (self.obs_size, self.n_actions * self.last_action, self.n_agents)
        from_obs, from_action, from_index = self.encode.weight.split(sizes, 1)
        known = from_index.t() + self.encode.bias  # [N, H], what does not depend on what is seen
        index = torch.arange(n, device=obs.device)
        if self.last_action:
            none = from_action.new_zeros(1, self.hidden)
            known = (known.unsqueeze(1) + torch.cat((none, from_action.t()))).flatten(0, 1)  # [N (A + 1), H]
            index = index * (self.n_actions + 1) + last_action.transpose(0, 1) + 1
        seen = obs.transpose(0, 1).reshape(-1, self.obs_size)  # [T B N, O]
        x = F.embedding(index.expand(t, b, n).flatten(), known).addmm_(seen, from_obs.t())
        h, memory = self.memory(F.relu(x, inplace=True).view(t, b * n, self.hidden), memory)
        q = self.decode(h).view(t, b, n, self.n_actions).transpose(0, 1)
        return q, h.view(t, b, n, self.hidden).transpose(0, 1), memory

    def unroll(self, episodes: Episodes) -> tuple[Tensor, Tensor]:
        """The utilities [B, T + 1, N, A] and hidden states [B, T + 1, N, H] of whole episodes."""
        last_action = F.pad(episodes.action, (0, 0, 1, 0), value=-1)
        q, h, _ = self(episodes.obs, last_action)
        return q, h
