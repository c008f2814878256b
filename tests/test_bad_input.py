"""Every kind of bad input: a clear error that names it, never a crash, never a silent clamp."""

import builtins
import math
import re
from typing import Any

import gymnasium
import numpy as np
import pettingzoo
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import coopgym
from coopgym.envs import environment, family
from coopgym.envs.parameters import parameters_of
from coopgym.extras import needing


@pytest.fixture
def env() -> Any:
    env = coopgym.make("predator_prey_v1", n_predators=2, n_prey=1)
    env.reset(seed=0)
    return env


@pytest.fixture
def envs() -> Any:
    envs = coopgym.make_vec("predator_prey_v1", 3, n_predators=2, n_prey=1, autoreset_mode="disabled")
    envs.reset(seed=0)
    return envs


@pytest.fixture
def joint() -> Any:
    joint = gymnasium.make("coopgym/predator_prey-v1", n_predators=2, n_prey=1).unwrapped
    joint.reset(seed=0)
    return joint


def says(*words: str) -> Any:
    """A pattern that finds all the words, in order."""
    return re.compile(".*".join(map(re.escape, words)), re.DOTALL)


# --- names and parameters ---


@pytest.mark.parametrize("make", [coopgym.make, coopgym.make_vec, coopgym.spec, coopgym.aec_env, environment])
def test_an_unknown_id_gets_the_nearest_ones(make):
    with pytest.raises(ValueError, match=says("predator_pray_v1", "did you mean predator_prey_v1")):
        make("predator_pray_v1")


@pytest.mark.parametrize("id", [None, 3, b"spread_v1", ["spread_v1"]])
def test_an_id_is_a_word(id):
    with pytest.raises(TypeError, match=says(repr(id), "id")):
        coopgym.make(id)


def test_an_id_without_a_version_gets_the_newest_with_a_warning():
    with pytest.warns(UserWarning, match=says("spread", "spread_v1", "version")):
        assert coopgym.spec("spread").id == "spread_v1"


@pytest.mark.parametrize("id", ["spread_v1", "spread-v1", "coopgym/spread-v1", "coopgym/spread_v1"])
def test_an_id_may_be_spelt_as_its_registries_do(id):
    assert coopgym.spec(id).id == "spread_v1"


def test_a_new_version_does_not_change_an_old_id():
    with pytest.raises(ValueError, match=says("spread_v99", "spread_v1")):
        coopgym.make("spread_v99")


def test_an_unknown_preset_gets_the_nearest_ones():
    with pytest.raises(ValueError, match=says("predator_prey_v1", "stag_p3", "did you mean stag_p")):
        coopgym.make("predator_prey_v1", "stag_p3")


@pytest.mark.parametrize("make", [coopgym.make, coopgym.make_vec, coopgym.spec, coopgym.aec_env, environment])
def test_an_unknown_parameter_gets_the_nearest_ones(make):
    with pytest.raises(TypeError, match=says("sigth", "did you mean sight")):
        make("predator_prey_v1", sigth=3)


def test_gymnasium_passes_our_words_on():
    with pytest.raises(TypeError, match=says("sigth", "did you mean sight")):
        gymnasium.make("coopgym/predator_prey-v1", sigth=3)
    with pytest.raises(ValueError, match=says("sight is 0", "1 to 100 cells")):
        gymnasium.make_vec("coopgym/predator_prey-v1", 2, sight=0)


@pytest.mark.parametrize(
    ("id", "params", "error", "words"),
    [
        ("predator_prey_v1", {"sight": 0}, ValueError, ("sight is 0", "1 to 100 cells")),
        ("predator_prey_v1", {"sight": 2.5}, TypeError, ("sight is 2.5", "whole number")),
        ("predator_prey_v1", {"sight": True}, TypeError, ("sight is True", "whole number")),
        ("predator_prey_v1", {"sight": "2"}, TypeError, ("sight is '2'", "whole number")),
        ("predator_prey_v1", {"sight": None}, TypeError, ("sight is None", "whole number")),
        ("predator_prey_v1", {"penalty": math.nan}, ValueError, ("penalty is nan",)),
        ("predator_prey_v1", {"penalty": -math.inf}, ValueError, ("penalty is -inf",)),
        ("predator_prey_v1", {"penalty": 1.0}, ValueError, ("penalty is 1.0",)),
        ("predator_prey_v1", {"toroidal": 1}, TypeError, ("toroidal is 1", "True or False")),
        ("predator_prey_v1", {"size": 3, "n_predators": 5, "n_prey": 5}, ValueError, ("5 prey", "size 3")),
        ("predator_prey_v1", {"horizon": 0}, ValueError, ("horizon is 0", "steps")),
        ("predator_prey_v1", {"max_cycles": 0}, ValueError, ("horizon is 0", "steps")),
        ("predator_prey_v1", {"max_cycles": 5, "horizon": 5}, TypeError, ("horizon and max_cycles",)),
        ("spread_v1", {"reward_mode": "all"}, ValueError, ("reward_mode is 'all'", "team_sum, team_mean, per_agent")),
        ("spread_v1", {"reward_mode": ["team_sum"]}, ValueError, ("reward_mode is ['team_sum']",)),
        ("matrix_game_v1", {"payoff": "high"}, TypeError, ("payoff",)),
        ("matrix_game_v1", {"payoff": [[1, 2], [3]]}, TypeError, ("payoff",)),
        ("matrix_game_v1", {"payoff": [[1, math.inf], [3, 4]]}, ValueError, ("payoff", "finite")),
        ("matrix_game_v1", {"payoff": 3}, ValueError, ("payoff",)),
        ("matrix_game_v1", {"observe_state": True}, ValueError, ("observe_state is True", "all, first, none")),
        ("matrix_game_v1", {"payoff_seed": -2}, ValueError, ("payoff_seed is -2",)),
        ("matrix_game_v1", {"payoff_seed": 0.5}, TypeError, ("payoff_seed is 0.5", "whole number")),
        ("matrix_game_v1", {"noise": math.inf}, ValueError, ("noise is inf", "0 to 1e+06 reward")),
        ("gaussian_squeeze_v1", {"domains": "three"}, ValueError, ("domains is 'three'", "single, multi")),
        ("gaussian_squeeze_v1", {"obs": "none"}, ValueError, ("obs is 'none'", "full, own")),
        ("gaussian_squeeze_v1", {"n_actions": 1}, ValueError, ("n_actions is 1", "2 to 1000 actions")),
        ("matrix_game_v1", {"transition": [[7] * 3] * 3}, ValueError, ("transition", "7")),
        ("matrix_game_v1", {"transition": [[0.5] * 3] * 3}, TypeError, ("transition", "whole numbers")),
    ],
)
def test_an_impossible_parameter_is_named(id, params, error, words):
    with pytest.raises(error, match=says(*words)):
        environment(id, **params)


def one_of(info: Any) -> st.SearchStrategy[Any]:
    """Values that a parameter might be given, good and bad."""
    odd = st.sampled_from([None, True, "x", -1, 0, math.nan, math.inf, 2.5, [], 10**30])
    if info.choices:
        return st.sampled_from(info.choices) | odd
    if info.type is int:
        return st.integers(-2, 12) | odd
    if info.type is float:
        return st.floats(-20, 20) | odd
    if info.type is bool:
        return st.booleans() | odd
    return st.lists(st.lists(st.integers(-3, 3) | odd, max_size=3), max_size=3) | odd


def makes_a_game_or_is_refused_by_name(id: str, data: st.DataObject) -> None:
    infos = parameters_of(family(id).Params)
    names = data.draw(st.lists(st.sampled_from(sorted(infos)), unique=True, max_size=4))
    params = {name: data.draw(one_of(infos[name]), label=name) for name in names}
    try:
        env = environment(id, **params)
    except (TypeError, ValueError) as error:
        assert any(name in str(error) for name in infos), error
    else:
        assert env.n_agents >= 1 and env.n_actions >= 2 and env.obs_size >= 1 and env.state_size >= 1


QUICK = settings(deadline=2000, derandomize=True, suppress_health_check=[HealthCheck.too_slow])  # no game takes 2 s


@pytest.mark.parametrize("id", coopgym.ids())
@settings(QUICK, max_examples=200)
@given(data=st.data())
def test_any_parameters_make_a_game_or_are_refused_by_name(id, data):
    makes_a_game_or_is_refused_by_name(id, data)


@pytest.mark.slow
@pytest.mark.parametrize("id", coopgym.ids())
@settings(QUICK, max_examples=1000)
@given(data=st.data())
def test_a_thousand_parameters_make_a_game_or_are_refused_by_name(id, data):
    makes_a_game_or_is_refused_by_name(id, data)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"illegal_action": "ignore"}, ("illegal_action is 'ignore'", "noop, raise")),
        ({"render_mode": "rgb"}, ("render_mode is 'rgb'", "ansi")),
    ],
)
@pytest.mark.parametrize("make", [coopgym.make, coopgym.make_vec])
def test_an_unknown_option_of_the_face_is_refused(make, options, words):
    with pytest.raises(ValueError, match=says(*words)):
        make("matrix_game_v1", **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_envs": 0}, ("num_envs is 0",)),
        ({"num_envs": -3}, ("num_envs is -3",)),
        ({"num_threads": 0}, ("num_threads is 0",)),
        ({"autoreset_mode": "later"}, ("autoreset_mode is 'later'", "same_step")),
        ({"autoreset_mode": None}, ("autoreset_mode is None", "same_step")),
        ({"render_mode": "human"}, ("render_mode is 'human'", "rgb_array")),
    ],
)
def test_a_batch_that_cannot_be_is_refused(options, words):
    with pytest.raises(ValueError, match=says(*words)):
        coopgym.make_vec("matrix_game_v1", **options)


@pytest.mark.parametrize("num_envs", [2.0, "3", None, True])
def test_the_number_of_games_is_a_whole_number(num_envs):
    with pytest.raises(TypeError, match=says("num_envs", "whole number")):
        coopgym.make_vec("matrix_game_v1", num_envs)


def test_one_agent_for_all_has_no_rewards_for_each():
    with pytest.raises(ValueError, match=says("reward_mode", "per_agent")):
        gymnasium.make("coopgym/spread-v1", reward_mode="per_agent")


# --- actions ---


@pytest.mark.parametrize(
    ("actions", "error", "words"),
    [
        ({}, ValueError, ("no action for predator_0, predator_1",)),
        ({"predator_0": 0}, ValueError, ("no action for predator_1",)),
        ({"predator_0": 0, "predator_2": 0}, ValueError, ("no action for predator_1", "unknown agents 'predator_2'")),
        ({"predator_0": 0, "predator_1": 0, "prey_0": 0}, ValueError, ("unknown agents 'prey_0'",)),
        ({"predator_0": 0, "predator_1": 6}, ValueError, ("predator_1 is 6", "[0, 5]")),
        ({"predator_0": -1, "predator_1": 0}, ValueError, ("predator_0 is -1", "[0, 5]")),
        ({"predator_0": 10**30, "predator_1": 0}, ValueError, ("predator_0 is 1000", "[0, 5]")),
        ({"predator_0": 1.0, "predator_1": 0}, TypeError, ("predator_0 is 1.0", "whole number")),
        ({"predator_0": np.float32(1), "predator_1": 0}, TypeError, ("predator_0 is", "whole number")),
        ({"predator_0": math.nan, "predator_1": 0}, TypeError, ("predator_0 is nan", "whole number")),
        ({"predator_0": None, "predator_1": 0}, TypeError, ("predator_0 is None", "whole number")),
        ({"predator_0": "1", "predator_1": 0}, TypeError, ("predator_0 is '1'", "whole number")),
        ({"predator_0": np.zeros(2, int), "predator_1": 0}, TypeError, ("predator_0 is array", "whole number")),
        ([0, 0], TypeError, ("list", "dictionary")),
        (None, TypeError, ("NoneType", "dictionary")),
        (3, TypeError, ("int", "dictionary")),
    ],
)
def test_wrong_actions_are_refused_and_change_nothing(env, actions, error, words):
    before = env.snapshot()
    with pytest.raises(error, match=says(*words)):
        env.step(actions)
    after = env.snapshot()
    assert env.agents and all(np.array_equal(before.arrays[name], after.arrays[name]) for name in before.arrays)


@pytest.mark.parametrize("one", [1, np.int8(1), np.uint64(1), np.array(1)])
def test_any_whole_number_will_do(env, one):
    same = coopgym.make("predator_prey_v1", n_predators=2, n_prey=1)
    same.reset(seed=0)
    answer, expected = env.step(dict.fromkeys(env.agents, one)), same.step(dict.fromkeys(same.agents, 1))
    assert np.array_equal(answer[0]["predator_0"], expected[0]["predator_0"])


def test_a_single_agent_is_a_team_too():
    env = coopgym.make("spread_v1", n_agents=1)
    env.reset(seed=0)
    assert env.step({"agent_0": 2})[0].keys() == {"agent_0"}
    with pytest.raises(ValueError, match="agent_0"):
        env.step({})


WRONG_ARRAYS = [
    (np.zeros((3, 2)), TypeError, ("float64", "whole numbers")),
    (np.full((3, 2), math.nan), TypeError, ("float64", "whole numbers")),
    (np.zeros((3, 2), bool), TypeError, ("bool", "whole numbers")),
    (np.zeros((3, 2), object), TypeError, ("object", "whole numbers")),
    (np.zeros((2, 2), int), ValueError, ("(2, 2)", "(3, 2)", "environments, agents")),
    (np.zeros(3, int), ValueError, ("(3,)", "(3, 2)")),
    (0, ValueError, ("()", "(3, 2)")),
    ([[0, 0], [0, 6], [0, 0]], ValueError, ("predator_1 in environment 1 is 6", "[0, 5]")),
    ([[0, 0], [0, 0], [-1, 0]], ValueError, ("predator_0 in environment 2 is -1", "[0, 5]")),
    (np.full((3, 2), 2**64 - 1, np.uint64), ValueError, ("predator_0 in environment 0 is",)),
]


@pytest.mark.parametrize(("actions", "error", "words"), WRONG_ARRAYS)
def test_wrong_arrays_of_actions_are_refused_and_change_nothing(envs, actions, error, words):
    before = envs.snapshot()
    with pytest.raises(error, match=says(*words)):
        envs.step(actions)
    after = envs.snapshot()
    assert all(np.array_equal(before.arrays[name], after.arrays[name]) for name in before.arrays)


@pytest.mark.parametrize(
    ("action", "error", "words"),
    [
        (np.zeros(2), TypeError, ("float64", "whole numbers")),
        (np.zeros(3, int), ValueError, ("(3,)", "(2,)", "agents")),
        ([0, 6], ValueError, ("predator_1 is 6", "[0, 5]")),
    ],
)
def test_a_wrong_joint_action_is_refused(joint, action, error, words):
    with pytest.raises(error, match=says(*words)):
        joint.step(action)


def test_an_illegal_action_is_refused_where_that_is_asked_for():
    options = {"size": 5, "n_predators": 2, "n_prey": 1, "illegal_action": "raise"}
    env, envs = coopgym.make("predator_prey_v1", **options), coopgym.make_vec("predator_prey_v1", 4, **options)
    _, infos = env.reset(seed=0)
    catch = env.environment.action_names.index("catch")
    mask = np.array([infos[agent]["action_mask"] for agent in env.agents])
    assert not mask[:, catch].all()
    with pytest.raises(ValueError, match=says("the action 5 of predator_", "illegal now; legal are [")):
        env.step(dict.fromkeys(env.agents, catch))
    env.step({agent: int(np.flatnonzero(row)[0]) for agent, row in zip(env.agents, mask, strict=True)})
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=says("the action 5 of predator_", "in environment ", "illegal now")):
        envs.step(np.full((4, 2), catch))


# --- the order of calls ---


def unstarted() -> list[tuple[str, Any]]:
    id = "matrix_game_v1"
    env, envs = coopgym.make(id, render_mode="ansi"), coopgym.make_vec(id, 2, render_mode="ansi")
    joint = gymnasium.make("coopgym/matrix_game-v1", render_mode="ansi").unwrapped
    return [
        ("step", lambda: env.step({"agent_0": 0, "agent_1": 0})),
        ("step", lambda: envs.step(np.zeros((2, 2), int))),
        ("has not begun", lambda: joint.step([0, 0])),
        *(("state", one.state) for one in (env, envs, joint)),
        *(("action_masks", one.action_masks) for one in (env, envs, joint)),
        *(("render", one.render) for one in (env, envs, joint)),
        *(("snapshot", one.snapshot) for one in (env, envs, joint)),
    ]


@pytest.mark.parametrize("k", range(len(unstarted())))
def test_nothing_comes_before_reset(k):
    name, call = unstarted()[k]
    with pytest.raises(RuntimeError, match=says(name, "call reset first")):
        call()


@pytest.mark.parametrize("actions", [{}, {"agent_0": 0, "agent_1": 0}])
def test_no_step_comes_after_the_end(actions):
    env = coopgym.make("matrix_game_v1")
    env.reset()
    env.step({"agent_0": 0, "agent_1": 0})
    assert env.agents == []
    with pytest.raises(RuntimeError, match=says("the episode is over", "call reset first")):
        env.step(actions)
    env.reset()
    env.step({"agent_0": 0, "agent_1": 0})


def test_no_joint_step_comes_after_the_end():
    joint = gymnasium.make("coopgym/matrix_game-v1").unwrapped
    joint.reset()
    joint.step([0, 0])
    with pytest.raises(RuntimeError, match=says("the episode is over", "call reset first")):
        joint.step([0, 0])


def test_the_first_reset_starts_every_row():
    envs = coopgym.make_vec("matrix_game_v1", 2)
    with pytest.raises(RuntimeError, match=says("first reset", "reset_mask")):
        envs.reset(options={"reset_mask": np.array([True, False])})


@pytest.mark.parametrize("make", [coopgym.make, coopgym.make_vec, lambda id: gymnasium.make("coopgym/matrix_game-v1")])
def test_closing_twice_is_no_mistake(make):
    env = make("matrix_game_v1")
    env.close()
    env.close()


# --- seeds, masks, snapshots ---

WRONG_SEEDS = [(-1, ValueError), (2**63, ValueError), (1.5, TypeError), ("1", TypeError), (True, TypeError)]


@pytest.mark.parametrize(("seed", "error"), WRONG_SEEDS)
def test_a_wrong_seed_is_refused(env, envs, joint, seed, error):
    for one in (env, envs, joint):
        with pytest.raises(error, match=says("seed is", str(seed))):
            one.reset(seed=seed)


@pytest.mark.parametrize("seed", [[1, 2, 3], np.array([1])])
def test_a_single_game_has_a_single_seed(env, joint, seed):
    for one in (env, joint):
        with pytest.raises(TypeError, match="seed is"):
            one.reset(seed=seed)


@pytest.mark.parametrize(
    ("seed", "error", "words"),
    [
        ([1, 2], ValueError, ("2 seeds for 3 environments",)),
        ([1, 2, -3], ValueError, ("seed is -3",)),
        ([1, 2, 0.5], TypeError, ("seed is 0.5",)),
        (2**63 - 2, ValueError, ("seed is 9223372036854775808",)),
    ],
)
def test_wrong_seeds_of_a_batch_are_refused(envs, seed, error, words):
    with pytest.raises(error, match=says(*words)):
        envs.reset(seed=seed)


@pytest.mark.parametrize(
    ("mask", "error", "words"),
    [
        (np.array([True, False]), ValueError, ("reset_mask", "(2,)", "(3,)")),
        (np.array([[True, False, True]]), ValueError, ("reset_mask", "(1, 3)", "(3,)")),
        (np.zeros(3, bool), ValueError, ("reset_mask marks no row",)),
        (np.array([1, 0, 1]), TypeError, ("reset_mask", "int64", "bool")),
        ("all", TypeError, ("reset_mask", "bool")),
        (None, TypeError, ("reset_mask", "bool")),
    ],
)
def test_a_wrong_reset_mask_is_refused(envs, mask, error, words):
    with pytest.raises(error, match=says(*words)):
        envs.reset(options={"reset_mask": mask})


def test_foreign_snapshots_are_refused(env, envs):
    other = coopgym.make("predator_prey_v1", n_predators=2, n_prey=2)
    other.reset()
    with pytest.raises(ValueError, match=says("snapshot is of PredatorPrey(", "this is PredatorPrey(")):
        env.restore(other.snapshot())
    with pytest.raises(ValueError, match=says("3 rows", "1 rows")):
        env.restore(envs.snapshot())
    with pytest.raises(ValueError, match=says("3 rows", "one row")):
        envs.restore(envs.snapshot(), row=1)
    for row in (3, -1):
        with pytest.raises(ValueError, match=says(f"row is {row}", "[0, 2]")):
            envs.snapshot(row)
    with pytest.raises(TypeError, match=says("dict", "snapshot()")):
        envs.restore({})


def test_options_that_nobody_knows_are_ignored(env, envs, joint):
    for one in (env, envs, joint):
        one.reset(seed=0, options={"unknown": object()})
        one.reset(options={})


# --- what is not installed ---


@pytest.mark.parametrize(
    ("call", "missing"),
    [
        (lambda: coopgym.load_policy("nowhere"), "torch"),
        (lambda: coopgym.train("qmix", "matrix_game_v1"), "torch"),
    ],
)
def test_a_missing_extra_is_named(call, missing, monkeypatch):
    import sys

    monkeypatch.setattr(coopgym, "baselines", coopgym.baselines)  # what is imported anew must not stay
    for name in [name for name in sys.modules if name.startswith("coopgym.baselines")]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] in ("torch", "safetensors"):
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=says(missing, 'pip install "coopgym[baselines]"')) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_mistake_of_our_own_is_not_taken_for_a_missing_extra():
    with pytest.raises(ModuleNotFoundError, match=r"coopgym\.nothing"):
        needing("baselines", "coopgym.nothing")


def test_an_old_pettingzoo_has_no_registry_and_that_is_no_mistake(monkeypatch):
    from coopgym.envs.registries import announce

    monkeypatch.delattr(pettingzoo, "register", raising=False)
    announce("not_there_v1")
    assert "coopgym/not_there-v1" in gymnasium.registry
    del gymnasium.registry["coopgym/not_there-v1"]
