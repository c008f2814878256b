"""Learners work on another device than the processor: tensors without numbers (torch's device meta) tell, or a GPU."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from coopgym.baselines import ALGORITHMS, algorithm
from coopgym.baselines.episodes import Episodes
from coopgym.baselines.learner import Team
from coopgym.baselines.policy_gradient import Sampling
from coopgym.baselines.replay import Replay
from coopgym.baselines.train import Settings, train
from coopgym.envs import environment
from coopgym.envs.core import Batch


class OneDevice(TorchDispatchMode):
    """Refuses operations on tensors of several devices, as a GPU does; numbers may come from anywhere."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor) and one.dim()]
        assert len({one.device.type for one in tensors}) < 2, f"{func} works on several devices"
        return func(*args, **(kwargs or {}))


HAS_GPU = torch.cuda.is_available()


def episodes(env: Any, count: int) -> Episodes:
    """Whole episodes of a random team."""
    batch, random = Batch(env, count, seed=0), np.random.default_rng(0)
    replay = Replay(batch, count, seed=0)
    batch.reset()
    replay.begin(batch, np.ones(count, np.bool_))
    while len(replay) < count:
        batch.step(random.integers(env.n_actions, size=(count, env.n_agents)))
        replay.add(batch)
    return replay.sample(count)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_loss_leaves_nothing_behind_on_the_processor(name):
    env = environment("spread_v1", horizon=4)
    learner = algorithm(name)(env, algorithm(name).Config(hidden=8))
    learner.to(torch.device("meta"))
    data = Episodes(*(one.to("meta") for one in episodes(env, 4)))
    with OneDevice():
        loss, terms = learner.loss(data)
        loss.backward()
    assert {one.device.type for one in (loss, *terms.values())} == {"meta"}
    assert {p.grad.device.type for p in learner.live.parameters() if p.grad is not None} == {"meta"}


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7"])
def test_a_gpu_that_is_not_there_is_refused(device):
    with pytest.raises(ValueError, match=f"device is '{device}', but torch sees 0 GPUs; leave it cpu"):
        Settings(device=device)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "", "cpu:"])
def test_a_device_is_named_as_torch_does(device):
    if device == "cpu:":
        assert Settings(device="cpu").device == "cpu"
        return
    with pytest.raises(ValueError, match="it must be cpu, cuda, or cuda:N"):
        Settings(device=device)


def test_a_team_acts_where_its_networks_are(monkeypatch):
    """Every array that a team looks at goes through `here`."""
    env = environment("matrix_game_v1")
    learner = algorithm("ippo")(env, algorithm("ippo").Config(hidden=8))
    moved = []
    monkeypatch.setattr(Team, "here", lambda team, array: moved.append(array.shape) or torch.from_numpy(array))
    team = Sampling(learner)
    team.reset(3)
    obs = np.zeros((3, env.n_agents, env.obs_size), np.float32)
    team.act(obs, np.ones((3, env.n_agents, env.n_actions), np.int8))
    team.restart(np.array([True, False, False]))
    shapes = {(3, env.n_agents, env.obs_size), (3, env.n_agents, env.n_actions), (3, env.n_agents), (3,)}
    assert set(moved) == shapes


@pytest.mark.skipif(not HAS_GPU, reason="there is no GPU")
@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_learns_on_a_gpu(name, tmp_path):
    fields = {"env_steps": 800, "evaluate_every": 400, "evaluation_episodes": 2, "batch_size": 4, "device": "cuda"}
    run = train(name, environment("spread_v1", horizon=5), out=tmp_path / "run", **fields)
    assert run.learner.updates > 0 and all(np.isfinite(row["mean_team_return"]) for row in run.rows)
    assert {one.device.type for one in run.learner.live.parameters()} == {"cuda"}
    team = run.policy()
    assert team.device.type == "cpu"
