"""Runs that are stopped, killed or robbed of their disk go on as if nothing had happened, or say what they lack."""

import contextlib
import csv
import errno
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import coopgym
from coopgym.baselines import ALGORITHMS, algorithm, checkpoint
from coopgym.baselines.checkpoint import FOLDER, Checkpoints, opened, packed, unpacked
from coopgym.baselines.files import claimed
from coopgym.baselines.policy import FILE
from coopgym.baselines.resume import resume
from coopgym.baselines.rollout import evaluate
from coopgym.baselines.run import BEST, SCORES
from coopgym.baselines.stopping import Stopped, Stopper
from coopgym.baselines.train import Settings, Training, train
from coopgym.baselines.vdn import VDN
from coopgym.cli import main
from coopgym.envs import environment
from coopgym.envs.core import Environment
from tests.test_losses import offered

TINY = {
    "env_steps": 300,
    "num_envs": 3,
    "evaluate_every": 70,
    "evaluation_episodes": 3,
    "hidden": 4,
    "target_period": 5,
    "batch_size": 4,
    "buffer_size": 12,
    "steps_per_update": 17,
    "checkpoint_seconds": 1000,
    "standardise_rewards": True,
}


def hunt() -> Environment:
    """Random starts and prey, masks that change, episodes that the rules end early."""
    return environment("predator_prey_v1", size=4, n_predators=2, n_prey=1, capture_size=1, horizon=9)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def rows_of(folder: Path) -> list[dict[str, float]]:
    """metrics.csv, but for what is empty."""
    if not (folder / "metrics.csv").exists():
        return []
    with open(folder / "metrics.csv", newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def contents(folder: Path) -> dict[str, Any]:
    """All files of a run; of metrics.csv all but the clock."""
    files: dict[str, Any] = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    files["metrics.csv"] = [{**row, "wall_seconds": None} for row in rows_of(folder)]
    return files


class Killed(BaseException):
    """Ends a process as SIGKILL does: nobody answers it."""


@contextlib.contextmanager
def before_step(number: int, act: Callable[[Training], object]) -> Iterator[None]:
    """Within it, something is done before a run makes its step of this number, the first being 0."""
    step = Training.step

    def watched(training: Training) -> None:
        if training.env_steps == number * training.settings.num_envs:
            act(training)
        step(training)

    Training.step = watched  # type: ignore[method-assign]
    try:
        yield
    finally:
        Training.step = step  # type: ignore[method-assign]


def kill(training: Training) -> None:
    raise Killed


def terminate(training: Training) -> None:
    signal.raise_signal(signal.SIGTERM)


def stopped_run(folder: Path, after: int = 50, algorithm: Any = "vdn", env: Any = None, **fields: Any) -> Path:
    """The folder of a run that was stopped by a signal in the step after so many."""
    with before_step(after, terminate), pytest.raises(Stopped):
        train(algorithm, env or hunt(), out=folder, **{**TINY, **fields})
    return folder


def whole_run(folder: Path, algorithm: Any = "vdn", env: Any = None, **fields: Any) -> dict[str, Any]:
    """What a run leaves that nobody stops."""
    train(algorithm, env or hunt(), out=folder, **{**TINY, **fields})
    return contents(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return whole_run(tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def two_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped twice; nobody changes it."""
    folder = stopped_run(tmp_path_factory.mktemp("stopped") / "run", 40)
    with before_step(62, terminate), pytest.raises(Stopped):
        resume(folder)
    return folder


@pytest.fixture
def stopped(two_checkpoints: Path, tmp_path: Path) -> Path:
    """A copy of that run, in which no file is linked to another."""
    return Path(shutil.copytree(two_checkpoints, tmp_path / "stopped"))


# As if nothing had happened.


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_a_run_that_is_stopped_twice_ends_as_if_it_had_never_been(name: str, tmp_path: Path) -> None:
    fields = offered(name, **TINY) | ({"epochs": 1} if hasattr(algorithm(name).Config, "epochs") else {})
    train(name, hunt(), out=tmp_path / "whole", seed=4, **fields)

    def stop(training: Training) -> None:
        assert training.batch.arrays.t.any(), "an episode must be under way"
        signal.raise_signal(signal.SIGTERM)

    with before_step(31, stop), pytest.raises(Stopped):
        train(name, hunt(), out=tmp_path / "parts", seed=4, **fields)
    with before_step(73, stop), pytest.raises(Stopped):
        resume(tmp_path / "parts")
    assert [path.name for path in Checkpoints(tmp_path / "parts").paths()] == ["222", "96"]
    run = resume(tmp_path / "parts")
    assert run.learner.updates > 10
    parts = contents(tmp_path / "parts")
    assert parts == contents(tmp_path / "whole")
    assert set(parts) == {"config.json", "metrics.csv", FILE, BEST, SCORES}
    assert [row["env_steps"] for row in parts["metrics.csv"]] == [72, 141, 210, 282, 300]
    assert not (tmp_path / "parts" / FOLDER).exists()


def test_what_a_killed_run_has_done_since_its_checkpoint_is_done_again(whole: dict[str, Any], tmp_path: Path) -> None:
    with before_step(60, Training.keep), before_step(90, kill), pytest.raises(Killed):
        train("vdn", hunt(), out=tmp_path / "run", **TINY)
    assert len(rows_of(tmp_path / "run")) == 3
    later = (tmp_path / "run" / FILE).read_bytes()
    seen = []

    def look(training: Training) -> None:
        seen.append((len(rows_of(tmp_path / "run")), (tmp_path / "run" / FILE).read_bytes()))

    with before_step(60, look):
        resume(tmp_path / "run")
    [(rows, policy)] = seen
    assert rows == 2 and policy != later, "files must be those of the checkpoint"
    assert contents(tmp_path / "run") == whole


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(whole: dict[str, Any], tmp_path: Path) -> None:
    with before_step(60, kill), pytest.raises(Killed):
        train("vdn", hunt(), out=tmp_path, **TINY)
    assert not (tmp_path / FOLDER).exists()
    assert (tmp_path / FILE).exists()
    resume(tmp_path)
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("moment", ["evaluate", "finish"])
def test_a_signal_ends_evaluations_too_and_they_are_made_again(
    moment: str, whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, games = getattr(Training, moment), []

    def interrupted(training: Training) -> None:
        signal.raise_signal(signal.SIGINT)
        games.append(training.env_steps)
        original(training)

    monkeypatch.setattr(Training, moment, interrupted)
    with pytest.raises(Stopped):
        train("vdn", hunt(), out=tmp_path, **TINY)
    monkeypatch.undo()
    assert games == [72 if moment == "evaluate" else 300]
    assert [path.name for path in Checkpoints(tmp_path).paths()] == [str(games[0])]
    resume(tmp_path)
    assert contents(tmp_path) == whole


def test_the_clock_goes_on_from_where_it_stood(tmp_path: Path) -> None:
    def wait(training: Training) -> None:
        training.started -= 500

    with before_step(10, wait):
        stopped_run(tmp_path / "run", 30)
    first, *others = (row["wall_seconds"] for row in resume(tmp_path / "run").rows)
    assert 500 < first < min(others) <= max(others) < 600


ODD_GAMES = {
    "a table of NumPy": ("matrix_game_v1", {"payoff": np.array([[1.5, 0.1], [0.0, 1 / 3]]), "horizon": 4}),
    "a preset": ("matrix_game_v1", {"preset": "two_step"}),
    "noise": ("matrix_game_v1", {"preset": "climbing", "noise": 0.3, "horizon": 5}),
    "infinite sight": ("spread_v1", {"sight": float("inf"), "n_agents": 2, "horizon": 7}),
    "ended by the rules": ("switch_v1", {"horizon": 11}),
}


@pytest.mark.parametrize("game", ODD_GAMES.values(), ids=ODD_GAMES.keys())
def test_the_game_comes_back_as_it_was(game: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    id, params = game
    env = environment(id, **params)
    expected = whole_run(tmp_path / "whole", env=env, env_steps=120)
    resume(stopped_run(tmp_path / "run", 29, env=env, env_steps=120))
    assert contents(tmp_path / "run") == expected


def test_a_run_with_tensorboard_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    resume(stopped_run(tmp_path, tensorboard=True))
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 2


def test_the_caller_hears_of_the_evaluations_that_are_left(stopped: Path) -> None:
    heard: list[int] = []
    run = coopgym.resume(stopped, on_evaluation=lambda run: heard.append(run.rows[-1]["env_steps"]))
    assert heard == [210, 282, 300]
    assert len(run.rows) == 5


# Algorithms of a user.

OWN = '''
"""VDN with dropout, and a number that it keeps beside its networks."""

import torch
from torch import nn

from coopgym.baselines.vdn import VDN


class Wavering(VDN):
    name = "wavering"

    def __init__(self, env, config, seed=0):
        super().__init__(env, config, seed)
        self.trace, self.seen = torch.zeros(3), [(1, 2)]

    def networks(self, env):
        return {"judge": nn.Linear(env.state_size, 1)}

    def loss(self, ep):
        loss, terms = super().loss(ep)
        self.trace = 0.9 * self.trace + loss.detach()
        self.seen = [*self.seen[-2:], (loss.item(), self.updates)]
        judged = nn.functional.dropout(self.live["judge"](ep.state).square(), 0.5).mean()
        return loss * (1 + self.seen[0][0]) + judged, {**terms, "trace": self.trace.sum()}

    def snapshot(self):
        return {**super().snapshot(), "trace": self.trace, "seen": self.seen}

    def restore(self, snapshot):
        super().restore(snapshot)
        self.trace, self.seen = snapshot["trace"], snapshot["seen"]
'''


def test_an_algorithm_of_ones_own_goes_on_by_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, run = tmp_path / "wavering.py", tmp_path / "run"
    file.write_text(OWN)
    fields = {name: value for name, value in TINY.items() if name != "standardise_rewards"}
    line = ["train", str(file), "matrix_game_v1", *(f"--{name}={value}" for name, value in fields.items())]
    torch.manual_seed(8)
    assert main([*line, "--out", str(tmp_path / "whole")]) == 0
    torch.manual_seed(8)
    with before_step(60, terminate):
        assert main([*line, "--out", str(run)]) == 143
    assert f"to go on: coopgym train FILE.py --resume {run}\n" in capsys.readouterr().err
    assert main(["train", "--resume", str(run)]) == 2
    assert f"'wavering', which trains in {run}, is none of coopgym's algorithms; name" in capsys.readouterr().err
    assert main(["train", str(file), "--resume", str(run)]) == 0
    assert contents(run) == contents(tmp_path / "whole")


def test_more_networks_need_nothing_more(tmp_path: Path) -> None:
    class Twice(VDN):
        name = "twice"

        def networks(self, env: Any) -> dict[str, torch.nn.Module]:
            return {"weight": torch.nn.Linear(1, 1)}

        def loss(self, ep: Any) -> Any:
            loss, terms = super().loss(ep)
            return loss * self.live["weight"](torch.ones(1)).square().sum(), terms

    expected = whole_run(tmp_path / "whole", Twice)
    resume(stopped_run(tmp_path / "run", algorithm=Twice), Twice)
    assert contents(tmp_path / "run") == expected


def test_what_a_learner_keeps_must_be_data(tmp_path: Path) -> None:
    class Odd(VDN):
        def snapshot(self) -> dict[str, Any]:
            return {**super().snapshot(), "odd": self}

    with before_step(9, terminate), pytest.raises(TypeError, match="learner/odd is a Odd; a checkpoint holds numbers"):
        train(Odd, hunt(), out=tmp_path, **TINY)


# Signals and kills.


def test_the_first_signal_waits_to_be_asked_for_and_the_second_does_not() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Stopper() as stopper:
        stopper.check()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped) as stop:
            stopper.check()
        assert stop.value.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        stopper.noted = None
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_nobody_has_asked_for_is_not_lost() -> None:
    with pytest.raises(KeyboardInterrupt), Stopper():
        signal.raise_signal(signal.SIGINT)


def test_without_checkpoints_signals_do_what_they_always_do(tmp_path: Path) -> None:
    def interrupt(training: Training) -> None:
        signal.raise_signal(signal.SIGINT)

    for folder in (None, tmp_path):
        with before_step(20, interrupt), pytest.raises(KeyboardInterrupt) as stop:
            train("vdn", hunt(), out=folder, **{**TINY, "checkpoint_seconds": 0})
        assert not isinstance(stop.value, Stopped)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json"}


COMMAND = "import sys; from coopgym.cli import main; sys.exit(main(sys.argv[1:]))"


def start(*arguments: object) -> subprocess.Popen[str]:
    """`coopgym ...` in another process, which imports what this one imports."""
    path = os.pathsep.join([str(Path(coopgym.__file__).parent.parent), *sys.path])
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def running(folders: list[Path], *line: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Runs in other processes, all of which have made an evaluation; none is left behind."""
    runs = [start("train", *line, "--out", one, "--env-steps", 10**9) for one in folders]
    try:
        for one, process in zip(folders, runs, strict=True):
            while not (one / FILE).exists():
                assert process.poll() is None, process.communicate()[1]
                time.sleep(0.01)
        yield runs
    finally:
        for process in runs:
            process.kill()
            process.communicate()


def test_signals_end_a_run_within_five_seconds_with_a_checkpoint(tmp_path: Path) -> None:
    numbers = [signal.SIGTERM, signal.SIGINT]
    folders = [tmp_path / one.name for one in numbers]
    with running(folders, "qmix", "spread_v1", "--evaluate-every=2000") as runs:
        for number, folder, process in zip(numbers, folders, runs, strict=True):
            sent = time.perf_counter()
            process.send_signal(number)
            message = process.communicate(timeout=60)[1].splitlines()[-1]
            assert time.perf_counter() - sent < 5
            assert process.returncode == 128 + number
            [path] = Checkpoints(folder).paths()
            opened(path).check()
            assert message == (
                f"coopgym: stopped after {path.name} of 1000000000 environment steps; "
                f"to go on: coopgym train --resume {folder}"
            )


WRITER = ["vdn", "matrix_game_v1", "--preset=two_step", "--num-envs=2", "--evaluate-every=2", "--evaluation-episodes=1"]
INTERVAL = 0.03  # seconds


def check_killed_runs(folder: Path, kills: int, at_once: int) -> None:
    """Starts runs that do little but write, kills each at a random moment, and goes on with what they left."""
    rng = random.Random(0)
    line = [*WRITER, "--batch-size=4", "--buffer-size=16", f"--checkpoint-seconds={INTERVAL}"]
    for first in range(0, kills, at_once):
        folders = [folder / str(first + k) for k in range(min(at_once, kills - first))]
        with running(folders, *line) as runs:
            for one, process in zip(folders, runs, strict=True):
                while not Checkpoints(one).paths():
                    time.sleep(0.01)
                time.sleep(rng.uniform(0, 0.3))
                process.send_signal(signal.SIGKILL)
                assert process.wait() == -signal.SIGKILL
        for one in folders:
            check_what_is_left(one)


def check_what_is_left(folder: Path) -> None:
    left = {path.name for path in folder.iterdir() if not path.name.endswith(".tmp")}
    assert left == {"config.json", "metrics.csv", FILE, BEST, FOLDER}
    assert (folder / "metrics.csv").read_text().endswith("\n")
    assert evaluate(folder, episodes=1).episodes == 1
    rows = rows_of(folder)
    assert [row["env_steps"] for row in rows] == [*range(2, 2 * len(rows) + 1, 2)]

    paths = Checkpoints(folder).paths()
    assert 1 <= len(paths) <= 3  # the third, where it died before it could remove it
    for path in paths:
        opened(path).check()
    kept = int(paths[0].name)
    clock = [row["wall_seconds"] for row in rows[kept // 2 :]]
    if len(clock) > 1:  # at the last of these evaluations, at the earliest, it was time for a checkpoint
        assert clock[-2] - clock[0] < INTERVAL + 0.002

    with before_step(kept // 2 + 3, kill), pytest.raises(Killed):
        resume(folder)
    assert [row["env_steps"] for row in rows_of(folder)] == [*range(2, kept + 7, 2)]


def test_killed_runs_leave_whole_files_and_lose_no_more_than_an_interval(tmp_path: Path) -> None:
    check_killed_runs(tmp_path, kills=3, at_once=3)


@pytest.mark.slow
def test_fifty_killed_runs_leave_whole_files_and_lose_no_more_than_an_interval(tmp_path: Path) -> None:
    check_killed_runs(tmp_path, kills=50, at_once=5)


# Disks that take nothing more.


def failing(call: int, number: int) -> Callable[..., None]:
    """A function that fails as a disk does, at its call of this number, the first being 0."""
    calls = itertools.count()
    original = checkpoint._write

    def write(path: Path, content: bytes) -> None:
        if next(calls) == call:
            path.write_bytes(content[: len(content) // 2])
            raise OSError(number, os.strerror(number))
        original(path, content)

    return write


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
@pytest.mark.parametrize("call", range(5))
def test_a_disk_that_takes_no_more_leaves_the_checkpoints_of_before(
    call: int, number: int, stopped: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted((stopped / FOLDER).rglob("*"))
    monkeypatch.setattr(checkpoint, "_write", failing(call, number))
    with before_step(80, terminate), pytest.raises(RuntimeError) as error:
        resume(stopped)
    assert f"the checkpoint after 243 steps could not be written ({os.strerror(number)})" in str(error.value)
    assert sorted((stopped / FOLDER).rglob("*")) == before
    monkeypatch.undo()
    resume(stopped)
    assert contents(stopped) == whole


@pytest.mark.parametrize("killed", [False, True], ids=["failed", "killed"])
def test_a_checkpoint_that_is_not_renamed_does_not_count(
    killed: bool, stopped: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def fail(source: Path, target: Path) -> None:
        if Path(target).parent.name == FOLDER:
            raise Killed if killed else OSError(errno.EIO, os.strerror(errno.EIO))
        replace(source, target)

    monkeypatch.setattr(checkpoint.os, "replace", fail)
    if killed:  # nobody tidies up
        monkeypatch.setattr(checkpoint.shutil, "rmtree", lambda *_, **__: None)
    with before_step(80, Training.keep), pytest.raises(Killed if killed else RuntimeError):
        resume(stopped)
    monkeypatch.undo()
    left = {path.name for path in (stopped / FOLDER).iterdir()}
    assert left == ({"123", "189", ".240"} if killed else {"123", "189"})
    with before_step(90, terminate), pytest.raises(Stopped):
        resume(stopped)
    assert {path.name for path in (stopped / FOLDER).iterdir()} == {"189", "273"}
    resume(stopped)
    assert contents(stopped) == whole


# Files that are not as they were written.


def refusal(folder: Path) -> str:
    """What a damaged run says, in a sentence."""
    with pytest.raises(ValueError) as error:
        resume(folder)
    text = str(error.value)
    assert "\n" not in text and len(text) - text.count(str(folder)) * len(str(folder)) < 250
    assert error.value.__cause__ is None and error.value.__suppress_context__
    return text


def check_changed_bytes(folder: Path, times: int) -> None:
    """Changes a byte of the latest checkpoint, or cuts a file short, so many times."""
    rng = np.random.default_rng(0)
    latest, other = Checkpoints(folder).paths()
    files = sorted(latest.iterdir())
    assert len(files) > 5
    for _ in range(times):
        file = files[rng.integers(len(files))]
        content = file.read_bytes()
        damaged, place = bytearray(content), rng.integers(len(content))
        damaged[place] ^= rng.integers(1, 256)
        file.write_bytes(damaged if rng.random() < 0.8 else content[:place])
        text = refusal(folder)
        assert text.startswith(f"{latest} is damaged: ") and (file.name in text or "has format" in text)
        assert text.endswith(f"another one is whole: to go on from it, coopgym train --resume {other}")
        file.write_bytes(content)
    opened(latest).check()


def test_a_changed_byte_is_found_and_the_checkpoint_before_is_offered(stopped: Path) -> None:
    check_changed_bytes(stopped, 40)


@pytest.mark.slow
def test_three_thousand_changed_bytes_are_found(stopped: Path) -> None:
    check_changed_bytes(stopped, 3000)


def test_a_run_goes_on_from_the_checkpoint_that_is_offered(stopped: Path, whole: dict[str, Any]) -> None:
    latest, other = Checkpoints(stopped).paths()
    (latest / "state.json").unlink()
    assert "state.json cannot be read (No such file or directory)" in refusal(stopped)
    with before_step(62, terminate), pytest.raises(Stopped):
        resume(other)  # and writes another in the place of the damaged one
    assert [path.name for path in Checkpoints(stopped).paths()] == ["189", "123"]
    opened(latest).check()
    resume(stopped)
    assert contents(stopped) == whole


def test_without_a_whole_checkpoint_there_is_nothing_to_offer(stopped: Path) -> None:
    for path in Checkpoints(stopped).paths():
        (path / "manifest.json").write_text("{}")
    assert refusal(stopped).endswith("manifest.json is not as it was written; no other one is whole: train again")


def test_a_changed_configuration_is_refused(stopped: Path) -> None:
    config = json.loads((stopped / "config.json").read_text())
    config["algorithm_config"]["gamma"] = 0.5
    (stopped / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"it was written with another config\.json; a run goes on as it began"):
        resume(stopped)


def test_another_library_or_processor_is_warned_of(stopped: Path) -> None:
    for file in (stopped / "config.json", *stopped.glob("checkpoints/*/state.json")):
        file.write_text(file.read_text().replace(torch.__version__, "1.0.0"))
    for path in Checkpoints(stopped).paths():
        manifest = json.loads((path / "manifest.json").read_text())
        digest = checkpoint.hashlib.sha256((path / "state.json").read_bytes()).hexdigest()
        files = {**manifest["files"], "state.json": digest}
        (path / "manifest.json").write_text(
            json.dumps({**manifest, "files": files, "sha256": checkpoint._digest_of(files)})
        )
    with pytest.warns(UserWarning, match=rf"began with torch 1\.0\.0 \(now {torch.__version__.split('+')[0]}"):
        resume(stopped)


def test_a_checkpoint_of_another_format_is_not_read(stopped: Path) -> None:
    manifest = Checkpoints(stopped).paths()[0] / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    assert "it has format 2, and this version reads format 1" in refusal(stopped)


# What is refused.


def test_a_run_that_is_done_has_nothing_left(tmp_path: Path) -> None:
    whole_run(tmp_path / "run", env_steps=30)
    before = contents(tmp_path / "run")
    with pytest.raises(ValueError, match="is done; to train longer, begin another one"):
        resume(tmp_path / "run")
    assert contents(tmp_path / "run") == before


def test_two_processes_do_not_work_on_one_run(stopped: Path) -> None:
    with claimed(stopped):
        with pytest.raises(RuntimeError, match=f"another process trains in {stopped}; wait for it, or choose another"):
            resume(stopped)
        with pytest.raises(RuntimeError, match="another process trains"):
            train("vdn", hunt(), out=stopped, **TINY)
    with pytest.raises(FileExistsError, match=f"choose another folder, or go on with it: --resume {stopped}"):
        train("vdn", hunt(), out=stopped, **TINY)


@pytest.mark.parametrize(("seconds", "kind"), [(-1, ValueError), (float("nan"), ValueError), ("1", TypeError)])
def test_the_interval_must_be_a_time(seconds: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="checkpoint_seconds is"):
        train("vdn", hunt(), **{**TINY, "checkpoint_seconds": seconds})


LINES = {  # what follows --resume RUN, or stands before it: what the sentence must hold
    "qmix": "'vdn' trains in RUN, not 'qmix'; a run goes on as it began",
    "vdn spread_v1": "RUN holds a run on predator_prey_v1, not on spread_v1",
    "--env-steps 600": "env_steps is 300 in RUN, and cannot become 600: a run goes on as it began, since its schedules",
    "--env.horizon 10": "env.horizon is 9 in RUN, and cannot become 10",
    "--preset stag_p-1.5": "cannot become",
    "--gamma 0.5": "gamma is 0.9 in RUN, and cannot become 0.5",
    "--hyperparameters pymarl": "cannot become",
    "--gama 0.5": "did you mean --gamma",
    "--out elsewhere": "--out is elsewhere, but the run stays in RUN",
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_that_asks_for_another_run_is_answered_by_a_sentence(
    line: str, two_checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(two_checkpoints)
    assert main(["train", "--resume", str(two_checkpoints), *line.split()]) == 2
    printed = capsys.readouterr().err
    assert LINES[line].replace("RUN", str(two_checkpoints)) in printed
    assert printed.startswith("coopgym: ") and printed.count("\n") == 1
    assert contents(two_checkpoints) == before


def test_the_line_of_a_run_may_be_said_again(stopped: Path, whole: dict[str, Any]) -> None:
    line = "train vdn predator_prey_v1 --env.capture-size 1 --env.horizon 9 --env-steps 300 --seed 0 --num-envs 3"
    assert main([*line.split(), "--resume", str(stopped), "--out", str(stopped)]) == 0
    assert contents(stopped) == whole


def test_a_folder_without_a_run_and_an_option_without_a_folder_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--resume", str(tmp_path)]) == 2
    assert f"{tmp_path} holds no run" in capsys.readouterr().err
    assert main(["train", "--resume"]) == 2
    assert "write --resume RUN" in capsys.readouterr().err


# What a checkpoint is made of.


def test_snapshots_come_back_as_they_were() -> None:
    generator = np.random.default_rng(3).bit_generator.state
    snapshot = {
        "numbers": [1, -2.5, float("inf"), True, None, "text", 2**127 + 1],
        "by number": {0: {"step": torch.tensor(3.0)}, 1: {}},
        "generator": generator,
        "shapes": (np.zeros((0, 3), np.float32), np.array(5, np.uint64), np.array([[True, False]])),
        "transposed": torch.arange(6).view(2, 3).t(),
        "one of NumPy's": np.float32(0.5),
    }
    arrays: dict[str, torch.Tensor] = {}
    content = json.dumps(packed(snapshot, arrays))
    again = unpacked(json.loads(content), checkpoint.load(checkpoint.save(arrays)))
    assert again["numbers"] == snapshot["numbers"]
    assert again["by number"] == {0: {"step": torch.tensor(3.0)}, 1: {}}
    assert again["generator"] == generator
    for one, other in zip(again["shapes"], snapshot["shapes"], strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape and (one == other).all()
    assert torch.equal(again["transposed"], snapshot["transposed"])
    assert again["one of NumPy's"] == 0.5


def training_in(folder: Path, buffer_size: int) -> Training:
    config, settings = VDN.Config(batch_size=4, buffer_size=buffer_size, hidden=4), Settings(num_envs=3)
    training = Training(VDN, hunt(), config, settings, folder)
    training.run.begin()
    return training


def no_links(source: Path, target: Path) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_episodes_of_the_checkpoint_before_are_linked_where_that_can_be(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        monkeypatch.setattr(checkpoint.os, "link", no_links)
    training = training_in(tmp_path, 150)
    while training.replay.ended < 220:  # 70 of which have left the replay
        training.step()
    training.keep()
    for _ in range(9):
        training.step()
    training.keep()
    new, old = Checkpoints(tmp_path).paths()
    linked = [path.name for path in sorted(new.glob("episodes-*")) if path.stat().st_nlink == 2]
    whole = [f"episodes-{first}-{first + 64}.safetensors" for first in (128, 64)]
    assert linked == (whole if links else [])
    assert all((folder / name).exists() for folder in (new, old) for name in whole)
    assert training.replay.numbers.start > 64 and not (new / "episodes-0-64.safetensors").exists()

    again = training_in(tmp_path / "again", 150)
    again.run.config = training.run.config
    again.restore(opened(new))
    assert again.replay.numbers == training.replay.numbers
    for name, array in training.replay.episodes_numbered(training.replay.numbers).items():
        assert np.array_equal(array, again.replay.episodes_numbered(again.replay.numbers)[name]), name
    for one, other in zip(training.replay.sample(9), again.replay.sample(9), strict=True):
        assert torch.equal(one, other)
