"""Published sets of hyper-parameters, and the fields that only they use."""

import numpy as np
import pytest
import torch

from coopgym.baselines import ALGORITHMS, algorithm
from coopgym.baselines.hyperparameters import SETS, published
from coopgym.baselines.learner import RunningMoments, agent_of
from coopgym.baselines.policy import load_policy
from coopgym.baselines.rollout import evaluate_policy
from coopgym.baselines.train import train
from coopgym.cli import main
from coopgym.envs import environment
from tests.test_losses import episodes

SHORT = {"env_steps": 400, "evaluate_every": 200, "evaluation_episodes": 2, "batch_size": 4, "buffer_size": 8}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("learner", ALGORITHMS)
def test_every_algorithm_learns_with_every_set(name, learner):
    run = train(learner, environment("matrix_game_v1", "two_step"), hyperparameters=name, **SHORT)
    assert run.rows[-1]["updates"] > 0 and np.isfinite(run.rows[-1]["loss"])
    assert run.learner.config.gamma == SETS[name][1]["gamma"]
    assert run.learner.config.batch_size == 4  # single fields come before the set


def test_sets_count_updates_in_episodes():
    spread = environment("spread_v1")
    fields = published("pymarl2", algorithm("qmix").Config, spread)
    assert fields["steps_per_update"] == 8 * 25 and fields["num_envs"] == 8
    assert published("jaxmarl-mpe", algorithm("qmix").Config, spread)["hyper_width"] == 128
    assert "hyper_width" not in published("jaxmarl-mpe", algorithm("vdn").Config, spread)


def test_an_unknown_set_is_named_with_the_nearest(capsys):
    with pytest.raises(ValueError, match="no hyper-parameters 'pymarl3'; did you mean pymarl"):
        train("vdn", "spread_v1", hyperparameters="pymarl3")
    assert main(["train", "vdn", "spread_v1", "--hyperparameters", "mine"]) == 2
    assert "no hyper-parameters 'mine'" in capsys.readouterr().err


def test_the_command_line_takes_a_set_and_single_fields_on_top(capsys):
    assert main(["train", "qmix", "spread_v1", "--hyperparameters", "jaxmarl-mpe", "--gamma", "0.8", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "default: radam" in shown and "default: 128" in shown and "default: 200" in shown


def test_rewards_are_standardised_by_all_that_were_sampled():
    moments, seen = RunningMoments(), []
    for seed in range(3):
        ep = episodes(seed=seed)
        seen.append(ep.reward[ep.happened == 1])
        done = moments.standardised(ep)
    every = torch.cat(seen)
    expected = (ep.reward - every.mean()) / every.std(unbiased=False) * ep.happened
    assert torch.allclose(done.reward, expected, atol=1e-6)
    assert every.std() > 0.1


def test_an_agent_without_memory_acts_on_what_it_sees_now():
    env = environment("spread_v1")
    config = algorithm("vdn").Config(recurrent=False, last_action=False, hidden=8)
    agent = agent_of(env, config)
    obs = torch.randn(2, 4, env.n_agents, env.obs_size)
    action = torch.randint(env.n_actions, (2, 4, env.n_agents))
    q, _, _ = agent(obs, action)
    changed = obs.clone()
    changed[:, :3] += 1
    other, _, _ = agent(changed, (action + 1) % env.n_actions)
    assert torch.equal(q[:, 3], other[:, 3]) and not torch.equal(q[:, 2], other[:, 2])


def test_a_team_without_memory_is_kept_as_it_is(tmp_path):
    env = environment("matrix_game_v1", "two_step")
    run = train("qmix", env, hyperparameters="epymarl", out=tmp_path / "run", **SHORT)
    team = load_policy(tmp_path / "run")
    team.reset(1)
    obs = np.zeros((1, 2, env.obs_size), np.float32)
    kept = team.utilities(obs)
    assert torch.equal(
        kept, run.learner.live["agent"](torch.from_numpy(obs)[:, None], torch.full((1, 1, 2), -1))[0][:, 0]
    )
    assert evaluate_policy(team, env, 3, 0).episodes == 3


@pytest.mark.parametrize("optimiser", ["adam", "rmsprop", "radam"])
def test_every_optimiser_moves_the_networks(optimiser):
    run = train("vdn", environment("matrix_game_v1", "climbing"), optimiser=optimiser, **SHORT)
    assert type(run.learner.optimiser).__name__.lower() == optimiser
    fresh = algorithm("vdn")(run.environment, run.learner.config, 0).live.state_dict()
    assert any(not torch.equal(value, fresh[name]) for name, value in run.learner.live.state_dict().items())


def test_an_unknown_optimiser_is_refused():
    with pytest.raises(ValueError, match="optimiser is 'sgd'; it must be one of adam, rmsprop, radam"):
        algorithm("vdn").Config(optimiser="sgd")
