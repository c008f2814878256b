"""What every learner does in the same way: choose actions, take gradient steps, copy the target."""

import copy
import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from coopgym.baselines.episodes import Episodes
from coopgym.baselines.networks import RecurrentAgent
from coopgym.baselines.replay import Replay


class Sizes(Protocol):
    """What a learner must know of an environment."""

    n_agents: int

    @property
    def n_actions(self) -> int: ...
    @property
    def obs_size(self) -> int: ...
    @property
    def state_size(self) -> int: ...


NUMBERS: dict[Any, tuple[Any, str]] = {  # declared type -> what may be given, in words
    bool: (bool | np.bool_, "True or False"),
    int: (int | np.integer, "a whole number"),
    float: (int | float | np.integer | np.floating, "a number"),
}


def make_plain(fields: Any) -> None:
    """Makes the numbers in a frozen dataclass plain ones of their declared types, so that JSON can hold them.

    Raises TypeError where a value is none of its type.
    """
    for field in dataclasses.fields(fields):
        kind: Any = field.type
        if kind in NUMBERS:
            value, (accepted, words) = getattr(fields, field.name), NUMBERS[kind]
            if not isinstance(value, accepted) or (kind is not bool and isinstance(value, bool)):
                raise TypeError(f"{field.name} is {value!r}; it must be {words}")
            object.__setattr__(fields, field.name, kind(value))


@dataclass(frozen=True)
class Config:
    """The fields that all algorithms share."""

    gamma: float = 0.9
    """Discount of later rewards."""
    td_lambda: float = 0.6
    """Weight of longer returns in the targets: 0 is one-step Q-learning, as in the papers; PyMARL2 uses 0.6. Longer
    returns hold what the team lost by exploring: where that is punished, 0 learns better."""
    learning_rate: float = 5e-3
    """Step size at the start."""
    learning_rate_end: float = 5e-4
    """Step size at the end of the run; it changes linearly between the two."""
    max_grad_norm: float = 10.0
    """The gradient's norm is cut to this."""
    target_period: int = 100
    """Gradient steps between two copies of the live networks into the targets."""
    optimiser: Literal["adam", "rmsprop", "radam"] = "adam"
    """Who takes the gradient steps. RMSprop with alpha 0.99 and epsilon 1e-5, as in PyMARL."""
    hidden: int = 64
    """Width of the recurrent agent."""
    recurrent: bool = True
    """Whether agents remember, by a GRU; without it they act on what they see now."""
    last_action: bool = True
    """Whether agents are told their last action."""
    standardise_rewards: bool = False
    """Whether rewards are shifted and scaled by the mean and deviation of those sampled so far, as in EPyMARL. The
    values learnt are then no longer returns."""
    batch_size: int = 32
    """Episodes in a gradient step."""
    buffer_size: int = 2000
    """Episodes that the replay holds."""
    steps_per_update: int = 100
    """Environment steps for each gradient step."""
    epsilon_start: float = 1.0
    """Chance of a random action at the start."""
    epsilon_end: float = 0.05
    """Chance of a random action after the annealing."""
    epsilon_steps: int = 0
    """Environment steps over which the chance falls; 0 leaves it to epsilon_part."""
    epsilon_part: float = 0.5
    """The part of the run over which the chance falls, where epsilon_steps is 0."""

    def __post_init__(self) -> None:
        make_plain(self)
        if self.optimiser not in OPTIMISERS:
            raise ValueError(f"optimiser is {self.optimiser!r}; it must be one of {', '.join(OPTIMISERS)}")
        for name, low, high in (
            ("gamma", 0, 1),
            ("td_lambda", 0, 1),
            ("epsilon_start", 0, 1),
            ("epsilon_end", 0, 1),
            ("epsilon_steps", 0, np.inf),
            ("epsilon_part", 1e-9, 1),
            ("target_period", 1, np.inf),
            ("hidden", 1, np.inf),
            ("batch_size", 1, np.inf),
            ("buffer_size", self.batch_size, np.inf),
            ("steps_per_update", 1, np.inf),
            ("learning_rate", 0, np.inf),
            ("learning_rate_end", 0, np.inf),
            ("max_grad_norm", 0, np.inf),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}; it must lie in [{low}, {high}]")


Fields = Config  # for annotations: within a learner, `Config` is the class's attribute


def agent_of(env: Sizes, config: Fields) -> RecurrentAgent:
    """The agents' network that a config asks for."""
    c = config
    return RecurrentAgent(env.n_agents, env.obs_size, env.n_actions, c.hidden, c.recurrent, c.last_action)


OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": functools.partial(torch.optim.Adam, fused=True),
    "rmsprop": functools.partial(torch.optim.RMSprop, alpha=0.99, eps=1e-5),
    "radam": torch.optim.RAdam,
}


class RunningMoments:
    """Mean and variance of all rewards that were sampled so far (Chan et al., "Updating formulae", 1979)."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0.0, 0.0, 0.0

    def standardised(self, ep: Episodes) -> Episodes:
        """The episodes with their rewards counted in, shifted by the mean and divided by the deviation."""
        count = float(ep.happened.sum())
        mean = float((ep.reward * ep.happened).sum()) / count
        squares = float(((ep.reward - mean) ** 2 * ep.happened).sum())
        total, apart = self.count + count, mean - self.mean
        self.squares += squares + apart**2 * self.count * count / total
        self.mean += apart * count / total
        self.count = total
        deviation = math.sqrt(self.squares / self.count + 1e-8)
        return ep._replace(reward=(ep.reward - self.mean) / deviation * ep.happened)


COUNTERS = ("updates", "env_steps", "owed", "progress")  # of a learner


class Learner:
    """Its live networks, a slow copy of them, and a loss. The loss and the networks are all that a subclass must write.

    name: as users call it; paper: who published it; Config: its fields, from which the command line is made.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    Config: ClassVar[type[Fields]] = Config

    def __init__(self, env: Sizes, config: Fields, seed: int = 0) -> None:
        self.config, self.updates, self.env_steps, self.owed = config, 0, 0, 0.0
        self.progress = 0.0  # the part of the run that is done, in [0, 1]
        self.generator = np.random.default_rng(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            agent = agent_of(env, config)
            self.live: Any = nn.ModuleDict({"agent": agent, **self.networks(env)})
        self.target: Any = copy.deepcopy(self.live).requires_grad_(False)
        self.optimiser = OPTIMISERS[config.optimiser](self.live.parameters(), lr=config.learning_rate)
        self.rewards = RunningMoments()

    def to(self, device: torch.device) -> None:
        """Moves the networks; what they then work on must be on the same device."""
        self.live.to(device)
        self.target.to(device)

    @property
    def epsilon(self) -> float:
        """The chance of a random action now."""
        c = self.config
        done = self.env_steps / c.epsilon_steps if c.epsilon_steps else self.progress / c.epsilon_part
        return c.epsilon_start + min(done, 1.0) * (c.epsilon_end - c.epsilon_start)

    def networks(self, env: Sizes) -> dict[str, nn.Module]:
        """What there is beside the agents, by name."""
        return {}

    def loss(self, ep: Episodes) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its terms for the log."""
        raise NotImplementedError

    def batch(self, replay: Replay) -> Episodes:
        """The episodes of one gradient step."""
        return replay.sample(self.config.batch_size)

    def learn(self, replay: Replay, new_steps: int) -> list[dict[str, Tensor]]:
        """The gradient steps owed after new_steps of all games, once the replay holds batch_size episodes."""
        self.owed += new_steps / self.config.steps_per_update
        terms = []
        while self.owed >= 1:
            self.owed -= 1
            terms.append(self.update(self.batch(replay)))
        return terms

    def update(self, ep: Episodes) -> dict[str, Tensor]:
        """One gradient step."""
        if self.config.standardise_rewards:
            ep = self.rewards.standardised(ep)
        loss, terms = self.loss(ep)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = self.cut_gradients()
        first, last = self.config.learning_rate, self.config.learning_rate_end
        self.optimiser.param_groups[0]["lr"] = first + self.progress * (last - first)
        self.optimiser.step()
        self.updates += 1
        if self.updates % self.config.target_period == 0:
            self.target.load_state_dict(self.live.state_dict())
        return {"loss": loss.detach(), "grad_norm": norm, **{name: term.detach() for name, term in terms.items()}}

    def cut_gradients(self) -> Tensor:
        """Cuts what a gradient step is made of to the length allowed; returns how long it was."""
        return nn.utils.clip_grad_norm_(self.live.parameters(), self.config.max_grad_norm)

    def behaviour(self) -> "Exploration":
        """The policy that collects episodes, with a memory of its own."""
        return Exploration(self)

    def snapshot(self) -> dict[str, Any]:
        """All that later gradient steps and actions depend on, for a checkpoint.

        Networks are in it, whatever `networks` returns. A learner that keeps more adds it here and takes it back in
        `restore`: numbers, text, None, arrays, tensors, and lists and dictionaries of these.
        """
        return {
            "live": self.live.state_dict(),
            "target": self.target.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.bit_generator.state,
            "rewards": vars(self.rewards),
            **{name: getattr(self, name) for name in COUNTERS},
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Goes back to a snapshot."""
        self.live.load_state_dict(snapshot["live"])
        self.target.load_state_dict(snapshot["target"])
        self.optimiser.load_state_dict(snapshot["optimiser"])
        self.generator.bit_generator.state = snapshot["generator"]
        vars(self.rewards).update(snapshot["rewards"])
        for name in COUNTERS:
            setattr(self, name, snapshot[name])


class Team:
    """The agents' networks as a policy: it remembers what each agent has seen and done, and acts greedily."""

    def __init__(self, agent: RecurrentAgent) -> None:
        self.agent = agent

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.agent.decode.weight.device

    def here(self, array: np.ndarray) -> Tensor:
        """The array as a tensor on the networks' device."""
        return torch.from_numpy(array).to(self.device)

    def reset(self, num_envs: int) -> None:
        """Forgets everything; num_envs games begin."""
        n = self.agent.n_agents
        self.num_envs = num_envs
        self.memory = torch.zeros(1, num_envs * n, self.agent.hidden, device=self.device)
        self.last_action = torch.full((num_envs, n), -1, device=self.device)

    @torch.inference_mode()
    def restart(self, rows: np.ndarray) -> None:
        """Forgets what happened in the marked rows ([E] bool): new episodes begin there."""
        begun = self.here(rows)
        self.memory.view(self.num_envs, self.agent.n_agents, -1)[begun] = 0
        self.last_action[begun] = -1

    @torch.inference_mode()
    def utilities(self, obs: np.ndarray) -> Tensor:
        """obs: [E, N, O]. Moves the memory on and returns the utilities [E, N, A]."""
        q, _, self.memory = self.agent(self.here(obs).unsqueeze(1), self.last_action.unsqueeze(1), self.memory)
        return q.squeeze(1)

    def snapshot(self) -> dict[str, Any]:
        """What it remembers, for a checkpoint; a subclass that remembers more adds it."""
        return {"memory": self.memory, "last_action": self.last_action}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Goes back to a snapshot, after a reset for as many games."""
        self.memory, self.last_action = (snapshot[name].to(self.device) for name in ("memory", "last_action"))

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        """obs: [E, N, O] float32, action_mask: [E, N, A]. Returns the greedy legal actions [E, N] int64."""
        q = self.utilities(obs).cpu().numpy()
        action = np.where(action_mask, q, -np.inf).argmax(-1)
        self.last_action = self.here(action)
        return action


class Exploration(Team):
    """Epsilon-greedy: each agent, by itself, now and then takes a legal action at random."""

    def __init__(self, learner: Learner) -> None:
        super().__init__(learner.live["agent"])  # type: ignore[arg-type]
        self.learner = learner

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        random = self.learner.generator
        action = super().act(obs, action_mask)
        explore = random.random(action.shape) < self.learner.epsilon
        action = np.where(explore, random_legal(action_mask, random), action)
        self.last_action = self.here(action)
        return action


def random_legal(action_mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A legal action for each agent, all equally likely. action_mask: [E, N, A]; returns [E, N] int64."""
    ranks = random.random(action_mask.shape)
    return np.where(action_mask, ranks, -1.0).argmax(-1)
