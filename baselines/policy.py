"""A trained team: it acts, without the trainer. Its file is data (safetensors with a JSON header), never code."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from coopgym.baselines.files import atomic, reason
from coopgym.baselines.learner import Config, Learner, Team, agent_of
from coopgym.baselines.networks import RecurrentAgent
from coopgym.baselines.shipped import policy_file
from coopgym.envs import environment
from coopgym.envs.core import Environment
from coopgym.envs.parameters import json_params, tupled

FILE = "policy.safetensors"
FORMAT = 1
HEADER = "coopgym"


class TrainedTeam(Team):
    """A team that was trained on `environment` by `algorithm`, greedy."""

    def __init__(self, agent: RecurrentAgent, environment: Environment, header: dict[str, Any]) -> None:
        super().__init__(agent)
        self.environment, self.header = environment, header
        self.algorithm: str = header["algorithm"]

    def check_fits(self, env: Environment) -> None:
        """Raises ValueError where the team's networks do not fit an environment."""
        own = self.environment
        for what in ("n_agents", "obs_size", "n_actions", "action_bounds"):
            if getattr(own, what) != getattr(env, what):
                raise ValueError(
                    f"the team was trained on {own!r} with {what} {getattr(own, what)}; "
                    f"{env!r} has {getattr(env, what)}"
                )

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        """obs: [E, N, O] float32, action_mask: [E, N, A]. Returns the greedy legal actions [E, N] int64.

        One game without the first axis, [N, O] and [N, A], will do too and gives [N]. Raises RuntimeError before reset
        and ValueError for other shapes.
        """
        if not hasattr(self, "memory"):
            raise RuntimeError("act was called before reset; call team.reset(num_envs) first")
        obs, action_mask = np.array(obs, np.float32), np.asarray(action_mask)  # a copy, as torch takes no read-only one
        if obs.ndim == 2:
            return self.act(obs[None], action_mask[None])[0]
        env, e = self.environment, self.num_envs
        for what, array, shape in (
            ("obs", obs, (e, env.n_agents, env.obs_size)),
            ("action_mask", action_mask, (e, env.n_agents, env.n_actions)),
        ):
            if array.shape != shape:
                raise ValueError(f"{what} has shape {array.shape}; it must be {shape}: environments, agents, features")
        return super().act(obs, action_mask)


def save_policy(path: Path, learner: Learner, env: Environment) -> None:
    """Writes the agents' networks and what is needed to use them."""
    header = {
        "format": FORMAT,
        "algorithm": learner.name,
        "config": asdict(learner.config),
        "environment": env.id,
        "params": json_params(env),
    }
    agent = {name: tensor.detach().cpu().contiguous() for name, tensor in learner.live["agent"].state_dict().items()}
    with atomic(path) as temporary:
        temporary.write_bytes(save(agent, metadata={HEADER: json.dumps(header, sort_keys=True)}))


def load_policy(path: str | os.PathLike[str]) -> TrainedTeam:
    """The trained team in a run's folder, in a policy file, or of a name such as qmix/spread_v1: one that ships.

    Raises FileNotFoundError where there is none, ValueError for a file that is damaged or not coopgym's.
    """
    file = _file_at(path)
    try:
        with safe_open(file, framework="pt") as stored:
            header = json.loads((stored.metadata() or {}).get(HEADER, "null"))
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, RecursionError, OSError) as error:
        raise ValueError(f"{file} is damaged or no policy file ({error}); train again or take another copy") from None
    if not isinstance(header, dict):
        raise ValueError(f"{file} was not written by coopgym: its header is missing; give the folder of a run")
    if header.get("format") != FORMAT:
        raise ValueError(f"{file} has format {header.get('format')}; this version reads format {FORMAT}")
    try:
        env = environment(header["environment"], **tupled(header["params"]))
        config = Config(**{name: header["config"][name] for name in ("hidden", "recurrent", "last_action")})
        with torch.device("meta"):  # takes no memory before it is known that the weights fit
            agent = agent_of(env, config)
        check_weights(agent, tensors)
        agent.to_empty(device="cpu").load_state_dict(tensors)
        return TrainedTeam(agent.requires_grad_(False), env, header)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{file} does not hold a team that fits its own header: {reason(error)}") from None


def _file_at(path: str | os.PathLike[str]) -> Path:
    place = Path(path)
    file = place / FILE if place.is_dir() else place
    if file.is_file():
        return file
    if not place.exists() and "/" in str(path):
        return policy_file(str(path))
    raise FileNotFoundError(f"there is no trained policy at {path}; give the folder of a run that has {FILE}")


def check_weights(agent: RecurrentAgent, tensors: dict[str, Tensor]) -> None:
    """Raises ValueError unless the tensors are the weights of such an agent, by names, shapes and types."""
    weights = agent.state_dict()
    for name in sorted({*weights, *tensors}):
        if name not in tensors:
            raise ValueError(f"{name} is missing")
        if name not in weights:
            raise ValueError(f"{name!r} is none of its weights")
        found, due = ((tuple(one.shape), one.dtype) for one in (tensors[name], weights[name]))
        if found != due:
            raise ValueError("{} has shape {} and type {}; it must have {} and {}".format(name, *found, *due))
