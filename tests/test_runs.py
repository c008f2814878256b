"""What a run leaves behind: its folder, a team that acts, and nothing half-written."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from coopgym.baselines.files import atomic, write_text
from coopgym.baselines.learner import Team
from coopgym.baselines.policy import load_policy
from coopgym.baselines.rollout import evaluate, evaluate_policy
from coopgym.baselines.run import Run
from coopgym.baselines.train import train
from coopgym.envs import environment
from coopgym.envs.core import Batch

SMALL = {"env_steps": 600, "evaluate_every": 200, "evaluation_episodes": 8, "num_envs": 4, "batch_size": 4, "hidden": 8}


def small_run(out: Path | None, seed: int = 0, **fields: object) -> Run:
    env = environment("predator_prey_v1", size=4, n_predators=2, n_prey=1, horizon=20)
    return train("qmix", env, seed=seed, out=out, **{**SMALL, "steps_per_update": 20, **fields})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return small_run(tmp_path_factory.mktemp("runs") / "run")


def test_the_folder_says_everything_that_went_in(run: Run) -> None:
    config = json.loads((run.path / "config.json").read_text())
    assert config["algorithm"] == "qmix"
    assert config["algorithm_config"]["mixer_width"] == 32
    assert config["algorithm_config"]["hidden"] == 8
    assert config["environment"] == "predator_prey_v1"
    assert config["params"]["size"] == 4
    assert config["seed"] == 0
    assert "team reward" in config["return_definition"]
    assert config["versions"]["torch"]


def test_the_table_has_a_row_for_each_evaluation(run: Run) -> None:
    lines = (run.path / "metrics.csv").read_text().splitlines()
    columns = lines[0].split(",")
    assert columns[:7] == [
        "env_steps",
        "updates",
        "episodes",
        "wall_seconds",
        "mean_team_return",
        "std_team_return",
        "epsilon",
    ]
    assert "loss" in columns
    assert [int(line.split(",")[0]) for line in lines[1:]] == [200, 400, 600]
    assert run.rows[-1]["updates"] > 0


def test_a_loaded_team_acts_as_the_learner_does(run: Run) -> None:
    team, own = load_policy(run.path), Team(run.learner.live["agent"])
    batch = Batch(run.environment, 5, 3)
    out = batch.reset()
    team.reset(5)
    own.reset(5)
    seen = set()
    for _ in range(15):
        actions = team.act(out.obs, out.action_mask)
        np.testing.assert_array_equal(actions, own.act(out.obs, out.action_mask))
        assert np.take_along_axis(out.action_mask, actions[:, :, None], 2).all()
        seen.add(out.obs.tobytes())
        out = batch.step(actions)
    assert len(seen) > 5


def test_one_game_needs_no_axis_of_games(run: Run) -> None:
    team = load_policy(run.path / "policy.safetensors")
    out = Batch(run.environment, 1, 0).reset()
    team.reset(1)
    assert team.act(out.obs[0], out.action_mask[0]).shape == (2,)


def test_a_team_says_what_it_was_given_wrong(run: Run) -> None:
    team = load_policy(run.path)
    out = Batch(run.environment, 2, 0).reset()
    with pytest.raises(RuntimeError, match=r"call team\.reset"):
        team.act(out.obs, out.action_mask)
    team.reset(3)
    with pytest.raises(ValueError, match=r"obs has shape \(2, .*it must be \(3, "):
        team.act(out.obs, out.action_mask)
    with pytest.raises(ValueError, match="n_agents 2"):
        evaluate(run.path, "spread_v1", episodes=1)


def test_the_same_seed_leaves_the_same_bytes(run: Run, tmp_path: Path) -> None:
    small_run(tmp_path / "again")
    small_run(tmp_path / "other", seed=1)

    def table(path: Path) -> str:
        rows = [line.split(",") for line in (path / "metrics.csv").read_text().splitlines()]
        clock = rows[0].index("wall_seconds")
        return "\n".join(",".join(row[:clock] + row[clock + 1 :]) for row in rows)

    assert table(run.path) == table(tmp_path / "again") != table(tmp_path / "other")
    policies = [
        (path / "policy.safetensors").read_bytes() for path in (run.path, tmp_path / "again", tmp_path / "other")
    ]
    assert policies[0] == policies[1] != policies[2]


def test_a_folder_in_use_is_not_taken(run: Run) -> None:
    with pytest.raises(FileExistsError, match="choose another folder"):
        small_run(run.path)


def test_wrong_fields_are_named() -> None:
    with pytest.raises(TypeError, match="no field 'gama'; did you mean gamma"):
        train("vdn", "matrix_game_v1", gama=0.9)
    with pytest.raises(ValueError, match="gamma is 2"):
        train("vdn", "matrix_game_v1", gamma=2)
    with pytest.raises(ValueError, match="no algorithm 'qmx'; did you mean qmix"):
        train("qmx", "matrix_game_v1")
    with pytest.raises(ValueError, match="per_agent"):
        train("vdn", environment("spread_v1", reward_mode="per_agent"))


def test_the_caller_hears_of_each_evaluation() -> None:
    heard = []
    small_run(None, on_evaluation=lambda run: heard.append(run.rows[-1]["env_steps"]))
    assert heard == [200, 400, 600]


def test_files_that_are_no_policy_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no trained policy"):
        load_policy(tmp_path)
    file = tmp_path / "policy.safetensors"
    good = (run.path / "policy.safetensors").read_bytes()

    class Trap:
        def __reduce__(self) -> object:
            return os.mkdir, (str(tmp_path / "sprung"),)

    cases = {
        "empty": b"",
        "pickle": pickle.dumps(Trap()),
        "cut short": good[: len(good) // 2],
        "huge header": (2**62).to_bytes(8, "little") + good[8:],
        "not ours": None,
    }
    for name, content in cases.items():
        if content is None:
            save_file({"a": np.zeros(3)}, file)
        else:
            file.write_bytes(content)
        with pytest.raises(ValueError, match=re.escape(str(file))) as caught:
            load_policy(file)
        assert len(str(caught.value).splitlines()) == 1, name
    assert not (tmp_path / "sprung").exists()


def test_no_flipped_byte_of_the_header_crashes_the_reader(run: Run, tmp_path: Path) -> None:
    good = (run.path / "policy.safetensors").read_bytes()
    size = 8 + int.from_bytes(good[:8], "little")
    file = tmp_path / "policy.safetensors"
    random, refused = np.random.default_rng(0), 0
    for _ in range(300):
        bad = bytearray(good)
        bad[random.integers(size)] ^= 1 << random.integers(8)
        file.write_bytes(bad)
        try:
            load_policy(file)
        except ValueError as error:
            refused += str(file) in str(error)
    assert refused > 100


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "good")
    with pytest.raises(OSError, match="full"), atomic(path) as temporary:
        temporary.write_text("half")
        raise OSError("the disk is full")
    assert path.read_text() == "good"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("delay", [0.02, 0.1, 0.3])
def test_a_killed_run_leaves_files_that_can_be_read(tmp_path: Path, delay: float) -> None:
    code = (
        "from coopgym.baselines.train import train; print('go', flush=True); "
        f"train('vdn', 'matrix_game_v1', out={str(tmp_path / 'run')!r}, env_steps=10**6, evaluate_every=40, num_envs=4,"
        "evaluation_episodes=1, hidden=4, batch_size=4, epsilon_steps=100)"
    )
    folders = [str(Path(__file__).parent.parent), *sys.path]
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    )
    until = time.monotonic() + 60
    while not (tmp_path / "run" / "policy.safetensors").exists() and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert json.loads((tmp_path / "run" / "config.json").read_text())["algorithm"] == "vdn"
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert len(rows) > 1
    assert rows[-1].count(",") == rows[0].count(",")
    assert load_policy(tmp_path / "run").algorithm == "vdn"


def test_nothing_in_the_package_reads_code_from_files() -> None:
    import coopgym

    home = Path(coopgym.__file__).parent
    root = home if (home / "envs").is_dir() else home.parent
    sources = [path for folder in (home, root / "envs", root / "baselines") for path in sorted(folder.rglob("*.py"))]
    assert len(sources) > 25
    forbidden = re.compile(
        r"^\s*(import|from) (pickle|cloudpickle|dill|yaml)\b|torch\.load\(|[^.\w](eval|exec)\(", re.M
    )
    found = {path.name: forbidden.findall(path.read_text(encoding="utf-8")) for path in sources}
    assert not {name: hits for name, hits in found.items() if hits}


class Chaser:
    """Always the first legal action but the last, so that games differ only by their seeds."""

    def reset(self, num_envs: int) -> None:
        self.games = num_envs

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        return action_mask.argmax(-1)


def test_an_evaluation_together_is_that_of_its_games_one_by_one() -> None:
    env = environment("predator_prey_v1", size=4, n_predators=4, n_prey=2, horizon=30, penalty=-1.0)
    together = evaluate_policy(Chaser(), env, 40, 5)
    one_by_one = [evaluate_policy(Chaser(), env, 1, 5 + k) for k in range(40)]
    np.testing.assert_array_equal(together.returns, [one.returns[0] for one in one_by_one])
    np.testing.assert_array_equal(together.lengths, [one.lengths[0] for one in one_by_one])
    spread = evaluate_policy(Chaser(), environment("spread_v1"), 40, 5)
    assert len(set(spread.returns)) == 40


def test_anything_that_acts_can_be_scored(run: Run) -> None:
    random = evaluate("random", "predator_prey_v1", episodes=500, seed=1)
    assert abs(random.mean - 4.8) < 4 * (5 / 500**0.5 + 5 / 60**0.5)  # the authors' class in 60 episodes: 4.8, sd 5
    assert evaluate("random", "predator_prey_v1", episodes=500, seed=1).returns.tolist() == random.returns.tolist()
    constant = evaluate(lambda obs, mask: np.zeros(obs.shape[:2], int), "matrix_game_v1", episodes=3)
    assert constant.returns.tolist() == [8.0, 8.0, 8.0]
    assert evaluate(run.path, episodes=6).episodes == 6
    with pytest.raises(ValueError, match="needs an environment's id"):
        evaluate("random")
    with pytest.raises(ValueError, match="episodes is 0"):
        evaluate("random", "matrix_game_v1", episodes=0)
