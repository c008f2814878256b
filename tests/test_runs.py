"""Runs: what their folders hold and survive, the same bytes from the same seed, trained teams and their scores."""

import ast
import csv
import errno
import json
import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import coopgym
from coopgym.baselines import ALGORITHMS, files, rollout
from coopgym.baselines.files import atomic, write_text
from coopgym.baselines.learner import Team
from coopgym.baselines.policy import FILE, HEADER, load_policy, save_policy
from coopgym.baselines.rollout import evaluate, evaluate_policy
from coopgym.baselines.run import BEST, SCORES, Run
from coopgym.baselines.train import EVALUATION_SEED, FINAL_SEED, train
from coopgym.envs import environment
from coopgym.envs.core import Batch, Environment
from coopgym.envs.teams import RandomTeam
from tests.test_losses import offered

TINY = {  # everything that a tiny run depends on
    "env_steps": 600,
    "num_envs": 4,
    "evaluate_every": 200,
    "evaluation_episodes": 6,
    "threads": 1,
    "gamma": 0.9,
    "td_lambda": 0.5,
    "hidden": 4,
    "learning_rate": 0.01,
    "learning_rate_end": 0.001,
    "target_period": 10,
    "batch_size": 8,
    "buffer_size": 32,
    "steps_per_update": 16,
    "epsilon_start": 1.0,
    "epsilon_end": 0.1,
    "epsilon_steps": 400,
}


def two_step() -> Environment:
    return environment("matrix_game_v1", preset="two_step")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nobody changes."""
    return train("qmix", two_step(), out=tmp_path_factory.mktemp("runs") / "tiny", seed=3, mixer_width=8, **TINY)


@pytest.fixture
def policy_file(run: Run, tmp_path: Path) -> Path:
    """A copy of its policy that a test may damage."""
    copy = tmp_path / FILE
    copy.write_bytes((run.path / FILE).read_bytes())
    return copy


def metrics(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process, which imports what this one imports."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(coopgym.__file__).parent.parent), *sys.path])},
        stdout=subprocess.PIPE,
        text=True,
    )


# What a run's folder holds.


def test_the_folder_holds_five_files_and_no_other(run: Run) -> None:
    assert {path.name for path in run.path.iterdir()} == {"config.json", "metrics.csv", FILE, BEST, SCORES}


def test_a_finished_run_scores_its_last_team_and_its_best(tmp_path: Path) -> None:
    fields = {**TINY, "env_steps": 1000, "evaluate_every": 100, "learning_rate_end": 3.0}  # too high: it forgets
    run = train("vdn", environment("matrix_game_v1", "climbing"), out=tmp_path / "run", seed=3, **fields)
    means = [row["mean_team_return"] for row in run.rows]
    assert means[-1] < max(means), "the last team must not be the best one here"
    scores = json.loads((tmp_path / "run" / SCORES).read_text(encoding="utf-8"))
    for name, file, mean in (("final", FILE, means[-1]), ("absolute", BEST, max(means))):
        episodes = 10 * TINY["evaluation_episodes"]
        again = evaluate(tmp_path / "run" / file, episodes=episodes, seed=FINAL_SEED)
        assert scores[name]["team_returns"] == again.returns.tolist() and scores[name]["episodes"] == episodes
        assert scores[name]["mean_team_return"] == mean  # neither the game nor its greedy teams are random


def test_config_holds_everything_that_the_run_depended_on(run: Run) -> None:
    config = json.loads((run.path / "config.json").read_text(encoding="utf-8"))
    assert config == json.loads(json.dumps(run.config))
    assert (config["algorithm"], config["environment"], config["preset"]) == ("qmix", "matrix_game_v1", "two_step")
    flat = {**config, **config["algorithm_config"]}
    assert {name: flat[name] for name in TINY} == TINY
    assert (flat["seed"], flat["mixer_width"]) == (3, 8)
    assert config["params"]["payoff"] == [[[0, 0], [0, 0]], [[7, 7], [7, 7]], [[0, 1], [1, 8]]]
    assert set(config["params"]) == set(two_step().params._fields)
    assert config["return_definition"] == Environment.return_definition
    assert config["coopgym"] == coopgym.__version__
    assert config["versions"]["numpy"] == np.__version__
    assert config["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert set(config["versions"]) >= {"python", "numpy", "numba", "gymnasium", "pettingzoo", "torch", "safetensors"}


def test_metrics_hold_one_row_for_each_evaluation(run: Run) -> None:
    rows = metrics(run.path)
    assert [row["env_steps"] for row in rows] == ["200", "400", "600"]
    first = ["env_steps", "updates", "episodes", "wall_seconds", "mean_team_return", "std_team_return", "epsilon"]
    assert list(rows[0])[:7] == first
    assert set(rows[0]) >= {"loss", "grad_norm", "q_mean"}
    assert all(np.isfinite([float(value) for value in row.values()]).all() for row in rows)
    assert [float(row["epsilon"]) for row in rows] == pytest.approx([0.55, 0.1, 0.1])
    assert [int(row["episodes"]) for row in rows] == [100, 200, 300]  # of two steps each
    # A batch of eight episodes is there after 16 steps: four games of two steps, twice. Then 16 steps pay one update.
    assert [int(row["updates"]) for row in rows] == [(steps - 16 + 4) // 16 for steps in (200, 400, 600)]
    assert [{name: float(value) for name, value in row.items()} for row in rows] == run.rows


def test_all_files_are_readable_by_whom_the_folders_owner_allows(run: Run) -> None:
    assert len({path.stat().st_mode for path in run.path.iterdir()}) == 1


def test_the_scores_are_those_of_the_greedy_team(run: Run) -> None:
    score = evaluate_policy(Team(run.learner.live["agent"]), two_step(), 6, EVALUATION_SEED)
    assert (score.mean, score.std) == (run.rows[-1]["mean_team_return"], run.rows[-1]["std_team_return"])


def test_a_run_without_a_folder_is_kept_in_memory() -> None:
    run = train("vdn", two_step(), **{**TINY, "env_steps": 40, "evaluate_every": 40})
    assert run.path is None
    assert len(run.rows) == 1
    with pytest.raises(ValueError, match="give `out` a folder"):
        run.policy()


def test_evaluations_before_the_first_update_leave_the_losses_empty(tmp_path: Path) -> None:
    train("vdn", two_step(), out=tmp_path, **{**TINY, "env_steps": 60, "evaluate_every": 8})
    rows = metrics(tmp_path)
    assert rows[0]["loss"] == ""
    assert float(rows[-1]["loss"]) > 0


def test_the_caller_hears_of_every_evaluation_with_the_files_written(tmp_path: Path) -> None:
    heard = []

    def listen(run: Run) -> None:
        heard.append((run.rows[-1]["env_steps"], len(metrics(tmp_path)), load_policy(tmp_path).algorithm))

    train("iql", two_step(), out=tmp_path, on_evaluation=listen, **TINY)
    assert heard == [(200, 1, "iql"), (400, 2, "iql"), (600, 3, "iql")]


def test_tensorboard_events_are_written_if_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    train("vdn", two_step(), out=tmp_path, tensorboard=True, **{**TINY, "env_steps": 40, "evaluate_every": 40})
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1
    with pytest.raises(ValueError, match="give `out`"):
        train("vdn", two_step(), tensorboard=True, **TINY)


def test_training_leaves_the_number_of_threads_and_torchs_random_numbers_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    train("vdn", two_step(), **{**TINY, "env_steps": 40, "threads": 2})
    assert torch.equal(torch.rand(2), expected)
    assert torch.get_num_threads() == 1


# The same seed.


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(name: str, tmp_path: Path) -> None:
    for folder, seed in (("one", 5), ("again", 5), ("other", 6)):
        train(name, two_step(), out=tmp_path / folder, seed=seed, **offered(name, **TINY))
    policies = [(tmp_path / folder / FILE).read_bytes() for folder in ("one", "again", "other")]
    assert policies[0] == policies[1]
    assert policies[0] != policies[2]

    def table(folder: str) -> list[dict[str, str]]:
        return [{k: v for k, v in row.items() if k != "wall_seconds"} for row in metrics(tmp_path / folder)]

    assert table("one") == table("again")
    assert table("one") != table("other")
    assert (tmp_path / "one/config.json").read_bytes() == (tmp_path / "again/config.json").read_bytes()


# The trained team.


def played(team: Team, env: Environment, seed: int) -> list[list[list[int]]]:
    """The joint actions of two episodes of three games."""
    batch = Batch(env, 3, seed)
    out, actions = batch.reset(), []
    team.reset(3)
    for _ in range(2 * env.horizon):
        actions.append(team.act(out.obs, out.action_mask).tolist())
        out = batch.step(np.array(actions[-1]))
        team.restart(out.terminated | out.truncated)
    return actions


def test_the_loaded_team_acts_as_the_learner_does_greedily(tmp_path: Path) -> None:
    """In a game with memory and masks: agents of two and of three actions, who see the last joint action."""
    payoff = np.random.default_rng(0).normal(size=(2, 3))
    env = environment("matrix_game_v1", payoff=payoff, horizon=5, observe_last_actions=True)
    learner, seen = train("vdn", env, **{**TINY, "env_steps": 40}).learner, set()
    for seed in range(5):
        random = np.random.default_rng(seed)
        for parameter in learner.live["agent"].parameters():
            parameter.data.copy_(torch.from_numpy(random.normal(size=parameter.shape)))
        save_policy(tmp_path / FILE, learner, env)
        actions = played(Team(learner.live["agent"]), env, seed)
        assert played(load_policy(tmp_path), env, seed) == actions
        seen |= {str(one) for one in actions}
    assert len(seen) > 3


def test_the_team_knows_its_algorithm_and_its_environment(run: Run) -> None:
    for team in (load_policy(run.path), load_policy(str(run.path / FILE)), run.policy(), coopgym.load_policy(run.path)):
        assert team.algorithm == "qmix"
        assert np.array_equal(team.environment.payoff, two_step().payoff)
        assert team.environment.horizon == 2
        assert not any(parameter.requires_grad for parameter in team.agent.parameters())


@pytest.mark.parametrize("params", [{}, {"sight": 0.5}, {"sight": float("inf"), "n_agents": 2}], ids=str)
def test_the_environment_comes_back_with_its_parameters(params: dict[str, float], tmp_path: Path) -> None:
    env = environment("spread_v1", horizon=5, **params)
    run = train("vdn", env, out=tmp_path, **{**TINY, "env_steps": 20, "evaluation_episodes": 1})
    assert repr(run.policy().environment) == repr(env)
    json.loads((tmp_path / "config.json").read_text(), parse_constant=pytest.fail)  # Infinity is no JSON


def test_a_single_game_needs_no_axis_of_games(run: Run) -> None:
    team, batch = load_policy(run.path), Batch(two_step(), 1, 0)
    out = batch.reset()
    team.reset(1)
    alone = team.act(out.obs[0], out.action_mask[0])
    team.reset(1)
    assert alone.shape == (2,)
    assert alone.tolist() == team.act(out.obs, out.action_mask)[0].tolist()


def test_observations_may_be_read_only_reversed_or_of_another_type(run: Run) -> None:
    team, rng = load_policy(run.path), np.random.default_rng(0)
    obs, mask = rng.random((3, 2, 4), np.float32), np.ones((3, 2, 2), np.int8)
    frozen = obs.copy()
    frozen.setflags(write=False)
    answers = []
    for one in (obs, frozen, obs.astype(np.float64), obs[::-1].copy()[::-1], obs.tolist()):
        team.reset(3)
        answers.append([team.act(one, mask).tolist() for _ in range(2)])
    assert all(answer == answers[0] for answer in answers)


def test_acting_before_reset_or_in_the_wrong_shape_is_an_error(run: Run) -> None:
    team, obs, mask = load_policy(run.path), np.zeros((3, 2, 4), np.float32), np.ones((3, 2, 2), np.int8)
    with pytest.raises(RuntimeError, match=r"call team\.reset"):
        team.act(obs, mask)
    team.reset(3)
    for wrong, shapes in (
        ((obs[:2], mask[:2]), r"obs has shape \(2, 2, 4\); it must be \(3, 2, 4\)"),
        ((obs[..., :3], mask), r"\(3, 2, 3\); it must be \(3, 2, 4\)"),
        ((obs, mask[..., :1]), r"action_mask has shape \(3, 2, 1\); it must be \(3, 2, 2\)"),
        ((obs[0], mask[0]), r"\(1, 2, 4\); it must be \(3, 2, 4\)"),
        ((obs[0, 0], mask), r"obs has shape \(4,\)"),
    ):
        with pytest.raises(ValueError, match=shapes):
            team.act(*wrong)
    assert team.act(obs, mask).shape == (3, 2)


# Files that are missing, damaged, foreign or hostile.


def test_a_missing_policy_is_said_to_be_missing(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing", tmp_path / FILE):
        with pytest.raises(FileNotFoundError, match=r"there is no trained policy at .*; give the folder of a run"):
            load_policy(path)


def one_sentence(error: pytest.ExceptionInfo[ValueError], file: Path) -> bool:
    """Whether an error names the file and spares the user everything else."""
    text, value = str(error.value), error.value
    alone = value.__cause__ is None and (value.__context__ is None or value.__suppress_context__)
    return text.startswith(str(file)) and len(text) - len(str(file)) < 300 and alone


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut in the header": lambda content: content[:50],
    "cut in the data": lambda content: content[:-1],
    "longer": lambda content: content + b"\0",
    "huge header": lambda content: (2**40).to_bytes(8, "little") + content[8:],
    "header beyond all memory": lambda content: (2**64 - 1).to_bytes(8, "little") + content[8:],
    "header to the end": lambda content: len(content).to_bytes(8, "little") + content[8:],
    "no JSON": lambda content: content[:8] + b"x" + content[9:],
    "text": lambda content: b"epoch,loss\n1,2\n" * 50,
    "zip": lambda content: b"PK\x03\x04" + content,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_is_said_to_be_damaged(damage: Callable[[bytes], bytes], policy_file: Path) -> None:
    policy_file.write_bytes(damage(policy_file.read_bytes()))
    with pytest.raises(ValueError, match=r"is damaged or no policy file .*; train again or take another copy") as error:
        load_policy(policy_file)
    assert one_sentence(error, policy_file)


def test_a_foreign_file_is_said_to_be_foreign(tmp_path: Path) -> None:
    for metadata in (None, {"format": "pt"}, {HEADER: "null"}, {HEADER: "[1, 2]"}, {HEADER: '"text"'}):
        save_file({"weight": torch.zeros(2)}, tmp_path / FILE, metadata)
        with pytest.raises(ValueError, match="was not written by coopgym") as error:
            load_policy(tmp_path)
        assert one_sentence(error, tmp_path / FILE)


def changed(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Rewrites a policy file with its header changed in place, or replaced by the text that `change` returns."""
    with safe_open(file, "pt") as stored:
        header = json.loads(stored.metadata()[HEADER])
    text = change(header)
    save_file(load_file(file), file, {HEADER: text if isinstance(text, str) else json.dumps(header)})


HOSTILE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another format": lambda h: h.update(format=2),
    "no format": lambda h: h.__delitem__("format"),
    "no algorithm": lambda h: h.__delitem__("algorithm"),
    "no environment": lambda h: h.__delitem__("environment"),
    "no params": lambda h: h.__delitem__("params"),
    "no config": lambda h: h.__delitem__("config"),
    "unknown environment": lambda h: h.update(environment="../../etc/passwd"),
    "environment of another kind": lambda h: h.update(environment=["matrix_game_v1"]),
    "params of another kind": lambda h: h.update(params=[1, 2]),
    "unknown parameter": lambda h: h["params"].update(__class__="os.system"),
    "parameter out of range": lambda h: h["params"].update(horizon=-3),
    "the id twice": lambda h: h["params"].update(id="spread_v1"),
    "config of another kind": lambda h: h.update(config="hidden"),
    "hidden no number": lambda h: h["config"].update(hidden="four"),
    "hidden none": lambda h: h["config"].update(hidden=None),
    "hidden negative": lambda h: h["config"].update(hidden=-4),
    "hidden zero": lambda h: h["config"].update(hidden=0),
    "hidden other": lambda h: h["config"].update(hidden=5),
    "hidden huge": lambda h: h["config"].update(hidden=20_000),
    "hidden beyond memory": lambda h: h["config"].update(hidden=10**9),
    "hidden beyond numbers": lambda h: h["config"].update(hidden=10**30),
    "hidden infinite": lambda h: h["config"].update(hidden=float("inf")),
    "another environment": lambda h: h.update(environment="spread_v1", params={}),
    "deep nesting": lambda h: "[" * 200_000,
    "deep parameter": lambda h: json.dumps(h).replace('"payoff": ', '"payoff": ' + "[" * 900 + "]" * 900 + ', "x": '),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_header_is_an_error_and_takes_no_memory(
    change: Callable[[dict[str, Any]], Any], policy_file: Path
) -> None:
    changed(policy_file, change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError) as error:
        load_policy(policy_file)
    assert one_sentence(error, policy_file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_weights_of_other_names_shapes_or_types_are_an_error(policy_file: Path, tmp_path: Path) -> None:
    tensors = load_file(policy_file)
    with safe_open(policy_file, "pt") as stored:
        metadata = stored.metadata()
    before = sorted(tmp_path.parent.rglob("*"))
    for others in (
        {name: tensor for name, tensor in tensors.items() if name != "decode.bias"},
        {**tensors, "../../escaped": torch.zeros(1)},
        {**tensors, "decode.bias": torch.zeros(3)},
        {**tensors, "decode.bias": tensors["decode.bias"].double()},
        {**tensors, "decode.bias": tensors["decode.bias"].half()},
        {**tensors, "decode.bias": torch.zeros(2, dtype=torch.int32)},
        {},
    ):
        save_file(others, policy_file, metadata)
        with pytest.raises(ValueError, match="does not hold a team that fits its own header") as error:
            load_policy(policy_file)
        assert one_sentence(error, policy_file)
    assert sorted(tmp_path.parent.rglob("*")) == before  # nothing was written anywhere


class Bomb:
    """Its pickle writes a file when it is read."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> Any:
        return Path.touch, (self.sentinel,)


def test_a_pickle_under_the_policys_name_is_refused_and_not_run(tmp_path: Path) -> None:
    sentinel = tmp_path / "it ran"
    pickle.loads(pickle.dumps(Bomb(sentinel)))
    assert sentinel.exists()  # the bomb works
    sentinel.unlink()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / FILE).write_bytes(pickle.dumps(Bomb(sentinel), protocol))
        with pytest.raises(ValueError, match="damaged or no policy file"):
            load_policy(tmp_path)
    torch.save({"agent": Bomb(sentinel)}, tmp_path / FILE)
    with pytest.raises(ValueError, match="damaged or no policy file"):
        load_policy(tmp_path)
    assert not sentinel.exists()


def flip_bytes(file: Path, times: int) -> int:
    """Loads the file with a few bytes changed, so many times; returns how often that was an error."""
    content, rng, refused = file.read_bytes(), np.random.default_rng(0), 0
    header = 8 + int.from_bytes(content[:8], "little")
    for k in range(times):
        damaged = bytearray(content)
        end = header if k % 4 else len(content)  # mostly in the header, where most is at stake
        for place in rng.integers(0, end, rng.integers(1, 4)):
            damaged[place] = rng.integers(0, 256)
        file.write_bytes(damaged)
        try:
            load_policy(file)
        except ValueError as error:
            refused += 1
            assert str(error).startswith(str(file))
    return refused


def test_changed_bytes_are_refused_or_give_a_team(policy_file: Path) -> None:
    assert 100 < flip_bytes(policy_file, 300) < 300  # weights can change without a trace


@pytest.mark.slow
def test_ten_thousand_changed_files_are_refused_or_give_a_team(policy_file: Path) -> None:
    assert 4000 < flip_bytes(policy_file, 10_000) < 10_000


def test_the_package_has_no_way_to_run_what_a_file_says() -> None:
    """No pickle and its kin, no eval and exec, no loader that would unpickle."""
    modules = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    calls = {"eval", "exec", "compile", "__import__", "torch.load", "yaml.load", "numpy.load", "np.load"}
    home = Path(coopgym.__file__).parent
    folders = [home] if (home / "envs").is_dir() else [home, home.parent / "envs", home.parent / "baselines"]
    sources = [path for folder in folders for path in folder.rglob("*.py")]
    assert len(sources) > 25
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert modules.isdisjoint(one.name.split(".")[0] for one in node.names), path
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in modules, path
            elif isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in calls, f"{path}:{node.lineno}"


# Writing without half-written files.


def test_atomic_replaces_the_file_at_the_end_and_leaves_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    with atomic(file) as temporary:
        temporary.write_text("new")
        assert file.read_text() == "old"
        assert temporary.parent == tmp_path  # on the same disk, where replacing is one step
    assert file.read_text() == "new"
    write_text(file, "grüße\n")
    assert file.read_bytes() == "grüße\n".encode()
    assert list(tmp_path.iterdir()) == [file]


def test_an_exception_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    for error in (KeyError, KeyboardInterrupt):
        with pytest.raises(error), atomic(file) as temporary:
            temporary.write_text("half")
            raise error
        assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_write_error_leaves_the_old_file(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("old")

    def fail(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, call, fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        write_text(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_disk_that_takes_half_a_file_leaves_the_old_one(policy_file: Path) -> None:
    """With a real limit: no file of this process may grow beyond 100 bytes."""
    script = f"""
import resource, signal
from pathlib import Path
from coopgym.baselines.files import write_text
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    write_text(Path({str(policy_file)!r}), "x" * 100_000)
except OSError as error:
    print(error.strerror)
"""
    assert python(script).communicate()[0].strip() == os.strerror(errno.EFBIG)
    assert list(policy_file.parent.iterdir()) == [policy_file]
    assert load_policy(policy_file).algorithm == "qmix"


# Mistakes in the call.


def test_a_folder_that_holds_a_run_is_not_overwritten(run: Run) -> None:
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    with pytest.raises(FileExistsError, match="holds a run already; choose another folder"):
        train("vdn", two_step(), out=run.path, **TINY)
    assert {path.name: path.read_bytes() for path in run.path.iterdir()} == before


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({"algorithm": "qmx"}, ValueError, "no algorithm 'qmx'; did you mean qmix"),
        ({"env": "matrix_gam_v1"}, ValueError, "did you mean matrix_game_v1"),
        ({"gama": 0.9}, TypeError, "no field 'gama'; did you mean gamma"),
        ({"mixer_width": 4}, TypeError, "no field 'mixer_width'"),  # of QMIX, not of VDN
        ({"gamma": 1.5}, ValueError, r"gamma is 1.5; it must lie in \[0, 1\]"),
        ({"gamma": float("nan")}, ValueError, "gamma is nan"),
        ({"td_lambda": -0.1}, ValueError, "td_lambda is -0.1"),
        ({"epsilon_end": 2}, ValueError, "epsilon_end is 2"),
        ({"hidden": 0}, ValueError, "hidden is 0"),
        ({"target_period": 0}, ValueError, "target_period is 0"),
        ({"buffer_size": 7}, ValueError, r"buffer_size is 7; it must lie in \[8, inf\]"),  # a batch has 8
        ({"env_steps": 0}, ValueError, "env_steps is 0; it must be 1 or more"),
        ({"num_envs": -1}, ValueError, "num_envs is -1"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"seed": 1.5}, TypeError, r"seed is 1\.5; it must be a whole number"),
        ({"gamma": "high"}, TypeError, "gamma is 'high'; it must be a number"),
        ({"gamma": True}, TypeError, "gamma is True; it must be a number"),
        ({"hidden": 4.5}, TypeError, r"hidden is 4\.5; it must be a whole number"),
        ({"batch_size": "8"}, TypeError, "batch_size is '8'; it must be a whole number"),
        ({"env_steps": 1e6}, TypeError, r"env_steps is 1000000\.0; it must be a whole number"),
        ({"tensorboard": "no"}, TypeError, "tensorboard is 'no'; it must be True or False"),
    ],
    ids=str,
)
def test_a_bad_field_is_named_before_anything_is_written(
    call: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    options = {"algorithm": "vdn", "env": two_step(), "out": tmp_path / "run", **TINY, **call}
    with pytest.raises(error, match=message):
        train(**options)
    assert not (tmp_path / "run").exists()


def test_individual_rewards_are_no_team_reward() -> None:
    with pytest.raises(ValueError, match=r"reward_mode is 'per_agent'; .* take team_sum"):
        train("vdn", environment("spread_v1", reward_mode="per_agent"), **TINY)


def test_numbers_of_numpy_will_do_as_fields(tmp_path: Path) -> None:
    fields = {**TINY, "gamma": np.float32(0.5), "hidden": np.int64(4), "env_steps": np.int32(40), "learning_rate": 1}
    train("vdn", two_step(), out=tmp_path, **fields)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["env_steps"], config["algorithm_config"]["gamma"], config["algorithm_config"]["hidden"]) == (
        40,
        0.5,
        4,
    )


# Scores.


def test_scores_of_a_batch_are_those_of_the_games_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    env = environment("predator_prey_v1", size=4, n_predators=3, n_prey=1, penalty=-0.3, horizon=30)
    likes = np.sin(np.outer(np.arange(1, env.obs_size + 1), np.arange(1, env.n_actions + 1)))

    def scripted(obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        """The legal action that a fixed mixture of the observation likes best, or the last one: to catch."""
        liked = obs @ likes
        liked[..., -1] = 1e9
        return np.where(action_mask, liked, -np.inf).argmax(-1)

    returns, lengths = [], []
    for seed in range(100, 120):
        batch = Batch(env, 1, seed, autoreset="disabled")
        out, total, steps = batch.reset(), 0.0, 0
        while not out.ended[0]:
            out = batch.step(scripted(out.obs, out.action_mask))
            total, steps = total + out.reward[0], steps + 1
        returns.append(total)
        lengths.append(steps)
    assert len(set(returns)) > 2
    assert len(set(lengths)) > 2
    for rows in (256, 7, 1):
        monkeypatch.setattr(rollout, "ROWS", rows)
        score = evaluate(scripted, env, episodes=20, seed=100)
        assert score.returns.tolist() == returns
        assert score.lengths.tolist() == lengths
    assert evaluate(scripted, env, episodes=1, seed=107).returns.tolist() == [returns[7]]


@pytest.mark.parametrize("params", [{}, {"continuous_actions": True}], ids=["discrete", "continuous"])
def test_the_random_team_plays_an_episode_the_same_however_many_are_played_at_once(params, monkeypatch) -> None:
    env = environment("spread_v1", **params)
    scores = []
    for rows in (256, 7, 1):
        monkeypatch.setattr(rollout, "ROWS", rows)
        scores.append(evaluate("random", env, episodes=20, seed=100).returns.tolist())
    assert scores[0] == scores[1] == scores[2]
    assert len(set(scores[0])) == 20
    assert evaluate("random", env, episodes=1, seed=107).returns.tolist() == [scores[0][7]]


def test_every_episode_counts_once_however_long_it_is() -> None:
    """Where both agents play A the game ends with 1 after one step, else with 0 after ten."""
    env = environment("matrix_game_v1", payoff=[[1, 0], [0, 0]], transition=[[-1, 0], [0, 0]], horizon=10)

    class Half:
        def reset(self, num_envs: int) -> None:
            self.action = np.tile(np.arange(num_envs)[:, None] % 2, (1, 2))

        def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
            return self.action

    score = evaluate(Half(), env, episodes=40)
    assert score.returns.tolist() == [1.0, 0.0] * 20
    assert score.lengths.tolist() == [1, 10] * 20
    assert (score.episodes, score.mean) == (40, 0.5)
    assert score.std == pytest.approx((40 / 39) ** 0.5 / 2)
    half = 2.022691 * score.std / 40**0.5  # Student's quantile for 39 degrees of freedom
    assert score.interval == pytest.approx((0.5 - half, 0.5 + half))
    assert score.to_dict()["mean_length"] == 5.5
    assert json.loads(json.dumps(score.to_dict()))["team_returns"] == [1.0, 0.0] * 20


def test_every_policy_meets_the_same_games() -> None:
    starts: dict[str, list[Any]] = {"A": [], "B": []}

    def always(name: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        def act(obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
            starts[name].append(obs.copy())
            return np.full(obs.shape[:2], ord(name) - ord("A"))

        return act

    for name in starts:
        evaluate(always(name), "matrix_game_v1", preset="additive_ok", episodes=300, seed=9)
    assert len(starts["A"]) == len(starts["B"]) == 2  # 256 games and the rest
    assert all(np.array_equal(a, b) for a, b in zip(starts["A"], starts["B"], strict=True))
    first_states = np.concatenate(starts["A"])[:, 0, 0]
    assert 100 < first_states.sum() < 200  # both starts occur


def test_the_random_team_earns_the_mean_of_the_payoffs() -> None:
    score = evaluate("random", "matrix_game_v1", preset="qtran3x3", episodes=10_000, seed=1)
    payoff = [8, -12, -12, -12, 0, 0, -12, 0, 0]
    assert abs(score.mean - np.mean(payoff)) < 4.5 * score.std / 100
    assert score.std == pytest.approx(np.std(payoff), rel=0.05)
    again = evaluate("random", "matrix_game_v1", preset="qtran3x3", episodes=10_000, seed=1)
    assert again.returns.tolist() == score.returns.tolist()


def test_a_trained_team_is_scored_by_its_folder_or_itself_on_its_own_or_another_game(run: Run) -> None:
    expected = evaluate(load_policy(run.path), episodes=6, seed=EVALUATION_SEED)
    assert expected.mean == run.rows[-1]["mean_team_return"]
    for policy in (run.path, str(run.path), run.policy(), Team(run.learner.live["agent"])):
        score = evaluate(policy, two_step(), episodes=6, seed=EVALUATION_SEED)
        assert score.returns.tolist() == expected.returns.tolist()
    assert evaluate(run.path, payoff=np.ones((3, 2, 2)), episodes=3).returns.tolist() == [2.0] * 3
    assert evaluate(RandomTeam(0), two_step(), episodes=3).episodes == 3
    always_a = evaluate(lambda obs, mask: np.zeros(obs.shape[:2], int), "matrix_game_v1", episodes=3)
    assert always_a.returns.tolist() == [8.0] * 3


def test_a_team_that_does_not_fit_the_game_is_an_error(run: Run) -> None:
    for id, params, what in (
        ("matrix_game_v1", {"preset": "climbing"}, "obs_size 4; .* has 2"),
        ("spread_v1", {}, "n_agents 2; .* has 3"),
    ):
        with pytest.raises(ValueError, match=what):
            evaluate(run.path, id, **params)
    with pytest.raises(ValueError, match="needs an environment's id"):
        evaluate("random")
    for episodes in ("3", 4.0, True):
        with pytest.raises(TypeError, match=f"episodes is {episodes!r}; it must be a whole number"):
            coopgym.evaluate("random", "matrix_game_v1", episodes=episodes)
    with pytest.raises(TypeError, match="seed is None; it must be a whole number"):
        coopgym.evaluate("best", "matrix_game_v1", seed=None)
    with pytest.raises(ValueError, match="episodes is 0; it must be 1 or more"):
        evaluate("random", "spread_v1", episodes=0)
    with pytest.raises(FileNotFoundError, match="no trained policy"):
        evaluate("radnom", "spread_v1")
    with pytest.raises(ValueError, match=r"actions have shape \(4, 2\); it must be \(4, 3\)"):
        evaluate(lambda obs, mask: np.zeros((4, 2), int), "spread_v1", episodes=4)
