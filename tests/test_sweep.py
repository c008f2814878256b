"""Sweeps: every job once, whoever works on the folder, whoever dies, and however often it is stopped and extended."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import coopgym
from coopgym.baselines import sweep as sweeps
from coopgym.baselines import sweep_claims
from coopgym.baselines.results import find_runs
from coopgym.baselines.sweep import sweep
from coopgym.baselines.sweep_claims import Claim, Record, Watch, bury, newest_claim, take
from coopgym.baselines.sweep_jobs import Asked, Job, Plan, Standing, game, read_plan, standings
from coopgym.baselines.sweep_table import Table, duration
from coopgym.baselines.sweep_worker import DEATHS, attempt, work
from coopgym.baselines.train import train
from coopgym.cli import main

GAME = "matrix_game_v1"
BRIEF: dict[str, Any] = {"env_steps": 64, "num_envs": 4, "evaluate_every": 32, "evaluation_episodes": 2, "hidden": 4}

OWN = '''
import builtins, os, signal, time
from pathlib import Path
from coopgym.baselines import vdn

FOLDER = Path(os.environ["SWEEP_TEST"])

class Watched(vdn.VDN):
    """Tells who trains it, waits where it is told to, and fails where it is told to."""

    name = "watched"
    paper = "none"

    def __init__(self, env, config, seed):
        super().__init__(env, config, seed)
        with open(FOLDER / "begun", "a") as file:
            file.write(f"{os.getpid()} {env.preset} {seed}\\n")
        while (FOLDER / "wait").exists():
            time.sleep(0.01)
        fail = FOLDER / f"fail-{env.preset}"
        if fail.exists():
            raise getattr(builtins, fail.read_text())("told to fail")

    def learn(self, replay, new_steps):
        stop = FOLDER / "stop"
        if stop.exists() and self.env_steps >= 48:
            stop.unlink()
            os.kill(os.getpid(), signal.SIGTERM)
        return super().learn(replay, new_steps)
'''


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "sweep"


class Here:
    """Hands that work in this process, which saves the seconds that a new one takes to begin."""

    busy = False

    def __init__(self, out: Path, call: str, workers: int) -> None:
        self.out, self.call = out, call

    def employ(self, standings: list[Standing]) -> None:
        work(self.out, self.call)

    def stop(self) -> None:
        pass


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "Processes", Here)
    monkeypatch.setattr(sweeps, "TICK", 0.0)


class Watched:
    """The algorithm above, and what it has told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "own.py"
        self.file.write_text(OWN)

    @property
    def begun(self) -> list[list[str]]:
        """The process, the preset and the seed of each run that was begun."""
        file = self.folder / "begun"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def wait(self) -> None:
        (self.folder / "wait").touch()

    def go_on(self) -> None:
        (self.folder / "wait").unlink()


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setenv("SWEEP_TEST", str(tmp_path))
    return Watched(tmp_path)


def eventually(happens: Callable[[], Any]) -> Any:
    """What it gives, once that is something."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if found := happens():
            return found
        time.sleep(0.02)
    raise AssertionError("it never happened")


def folders(out: Path) -> set[str]:
    """The runs that are done, and nothing that is hidden."""
    return {run.path.relative_to(out.resolve()).as_posix() for run in find_runs([out])}


# Claims.


def python(code: str, *arguments: object) -> "subprocess.Popen[str]":
    """Another process, which imports what this one imports."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


CLAIMING = """
import sys
from pathlib import Path
from coopgym.baselines.sweep_claims import take
print("ready", flush=True)
sys.stdin.readline()
for number in range(150):
    if take(Path(sys.argv[1], f"seed{number}"), "call"):
        print(number)
"""


def test_of_many_processes_one_gets_each_job(tmp_path: Path) -> None:
    processes = [python(CLAIMING, tmp_path) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    got = [process.communicate()[0].split() for process in processes]
    assert sorted(int(number) for numbers in got for number in numbers) == list(range(150))
    assert sum(bool(numbers) for numbers in got) > 1, "they must have run at the same time"


def claimed(place: Path) -> Claim:
    claim = take(place, "call")
    assert claim is not None
    return claim


def test_a_claim_is_held_until_it_is_given_up_with_the_work_that_was_done(tmp_path: Path) -> None:
    first = claimed(tmp_path / "seed1")
    first.work.mkdir()
    assert take(tmp_path / "seed1", "call") is None and take(tmp_path / "seed11", "call") is not None
    first.give_up()
    second = claimed(tmp_path / "seed1")
    assert second.number == 2 and second.work.is_dir() and not first.folder.exists()


def test_a_holder_whose_process_is_dead_is_buried_once(tmp_path: Path) -> None:
    process = python(CLAIMING, tmp_path)
    process.communicate("go\n")
    claim = newest_claim(tmp_path / "seed0")
    assert claim is not None and claim.held and Watch().dead(claim)
    for _ in range(2):
        bury(claim, "call", 1)
    buried = newest_claim(tmp_path / "seed0")
    assert buried is not None and buried.number == 2 and not buried.held
    assert claimed(tmp_path / "seed0").record == Record("call", 1, *sweep_claims._this_process())


def test_a_process_with_the_number_of_a_dead_one_is_not_taken_for_it(tmp_path: Path) -> None:
    claim = claimed(tmp_path / "seed0")
    assert not Watch().dead(claim)
    assert claim.record is not None
    other = claim.record.__dict__ | {"born": claim.record.born - 1}
    assert Watch().dead(claim._replace(record=Record(**other)))


@pytest.mark.skipif(not sweep_claims._processes(), reason="this system does not tell which processes live")
def test_the_remains_of_a_killed_process_are_dead() -> None:
    process = python("input()")
    assert sweep_claims._born(process.pid) is not None
    process.kill()
    eventually(lambda: sweep_claims._born(process.pid) is None)  # though nobody has waited for it
    process.communicate()


def test_a_holder_elsewhere_is_dead_when_its_heart_has_not_been_seen_to_beat_for_long(tmp_path: Path) -> None:
    claim = claimed(tmp_path / "seed0")
    for record in (Record("call", 0, 1, 1, "another machine", "host"), None):  # None: damaged
        now = 0.0
        watch, elsewhere = Watch(lambda: now), claim._replace(record=record)  # noqa: B023
        for beat in (1000, 900, 2000):  # another clock, which may go backwards
            os.utime(claim.folder / "claim.json", (beat, beat))
            assert not watch.dead(elsewhere)
            now += sweep_claims.PATIENCE
            assert not watch.dead(elsewhere)
        now += 1
        assert watch.dead(elsewhere)


def test_the_heart_beats_while_the_holder_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_claims, "BEAT", 0.01)
    claim = claimed(tmp_path / "seed0")
    record = claim.folder / "claim.json"
    os.utime(record, (0, 0))
    with claim.beating():
        eventually(lambda: record.stat().st_mtime > 0)


def test_one_who_was_wrongly_thought_dead_can_neither_disturb_nor_publish(tmp_path: Path) -> None:
    slow = claimed(tmp_path / "seed0")
    slow.work.mkdir()
    bury(slow, "call", 1)
    assert not slow.valid
    quick = claimed(tmp_path / "seed0")
    assert quick.work.is_dir() and not slow.work.exists()
    (quick.work / "scores.json").touch()
    quick.publish()
    with pytest.raises(OSError):
        slow.publish()
    assert os.listdir(tmp_path) == ["seed0"]


# What a sweep does.


def test_a_sweep_trains_what_train_would_and_keeps_it_in_order(out: Path, here: None) -> None:
    outcome = sweep(out, "vdn,qmix", [GAME, f"{GAME}/climbing"], 2, mixer_width=8, **BRIEF)
    tasks = [f"{name}/{game}" for name in ("vdn", "qmix") for game in (GAME, f"{GAME}-climbing")]
    assert folders(out) == {f"{task}/seed{seed}" for task in tasks for seed in (0, 1)}
    assert {path.relative_to(out).as_posix() for path in outcome.done} == folders(out) and not outcome.failed
    alone = train("qmix", coopgym.environment(GAME, "climbing"), out=out / "alone", seed=1, mixer_width=8, **BRIEF)
    ours = out / "qmix" / f"{GAME}-climbing" / "seed1"
    for file in ("config.json", "policy.safetensors", "best.safetensors", "scores.json"):
        assert (ours / file).read_bytes() == (alone.path / file).read_bytes(), file


def test_all_first_seeds_come_before_all_second_ones() -> None:
    plan = Plan((Asked(("vdn", "qmix"), (GAME,), 2), Asked(("vdn",), (GAME, "spread_v1"), 1)), None, {})
    assert [(job.algorithm, job.env, job.seed) for job in plan.jobs] == [
        ("vdn", GAME, 0),
        ("qmix", GAME, 0),
        ("vdn", "spread_v1", 0),
        ("vdn", GAME, 1),
        ("qmix", GAME, 1),
    ]


def test_presets_and_parameters_stand_behind_the_id() -> None:
    env = game("spread_v1/knn_1/n_agents=4/continuous_actions=True")
    assert (env.preset, env.params.n_agents, env.params.continuous_actions) == ("knn_1", 4, True)
    assert game(f"{GAME}/payoff=[[1,2],[3,4]]").payoff.shape == (1, 2, 2)


def test_more_seeds_and_algorithms_extend_a_sweep_and_done_runs_stay(out: Path, here: None) -> None:
    first = sweep(out, "vdn", GAME, 1, **BRIEF).done
    before = first[0].stat().st_mtime_ns
    assert len(sweep(out, "vdn", GAME, 2, **BRIEF).done) == 2
    assert len(sweep(out, "vdn,iql", GAME, 1, **BRIEF).done) == 3
    assert len(sweep(out).done) == 3
    assert first[0].stat().st_mtime_ns == before
    assert [(one.algorithms, one.seeds) for one in read_plan(out).asked] == [
        (("vdn",), 1),
        (("vdn",), 2),
        (("vdn", "iql"), 1),
    ]


def test_what_is_left_open_is_as_the_sweep_was_begun(out: Path, here: None, watched: Watched) -> None:
    sweep(out, ["vdn", str(watched.file)], GAME, 1, **BRIEF)
    watched.file.unlink()  # the sweep has its copy
    assert len(sweep(out, seeds=2).done) == 4
    assert len(sweep(out, "qmix", seeds=1).done) == 5
    with pytest.raises(ValueError, match=r"was begun with gamma its default, and this asks for 0\.5"):
        sweep(out, envs=f"{GAME}/climbing", gamma=0.5)
    plan = read_plan(out)
    assert plan.fields == BRIEF and {job.name for job in plan.jobs} == {"vdn", "watched", "qmix"}


def test_what_is_asked_for_again_is_not_written_again(out: Path, here: None) -> None:
    for _ in range(2):
        sweep(out, "vdn", GAME, 1, **BRIEF)
    sweep(out, "vdn", GAME, 1, **(BRIEF | {"env_steps": BRIEF["env_steps"]}))
    assert len(read_plan(out).asked) == 1


def test_a_failure_is_written_down_the_others_go_on_and_the_next_call_tries_again(
    out: Path, here: None, watched: Watched
) -> None:
    broken = watched.folder / "fail-climbing"
    broken.write_text("ValueError")
    outcome = sweep(out, str(watched.file), [f"{GAME}/climbing", GAME], 2, **BRIEF)
    assert folders(out) == {f"watched/{GAME}/seed0", f"watched/{GAME}/seed1"}
    errors = [out / "watched" / f"{GAME}-climbing" / f"seed{seed}.error.txt" for seed in (0, 1)]
    assert outcome.failed == dict.fromkeys(errors, "ValueError: told to fail")
    assert "Traceback" in errors[0].read_text() and len(watched.begun) == 4
    broken.unlink()
    outcome = sweep(out)
    assert len(outcome.done) == 4 and not outcome.failed and not errors[0].exists()
    assert len(watched.begun) == 6


def stopped_at_48_steps(out: Path, watched: Watched) -> Path:
    """A sweep whose run was stopped; the folder of its unfinished work."""
    (watched.folder / "stop").touch()
    with pytest.raises(KeyboardInterrupt):
        sweep(out, str(watched.file), GAME, 1, **BRIEF)
    claim = newest_claim(out / "watched" / GAME / "seed0")
    assert claim is not None and not claim.held
    return claim.work


def test_a_run_that_was_stopped_goes_on_from_its_checkpoint(out: Path, here: None, watched: Watched) -> None:
    unfinished = stopped_at_48_steps(out, watched)
    assert os.listdir(unfinished / "checkpoints") == ["48"]
    (unfinished / "config.json").write_text((unfinished / "config.json").read_text() + "\n")
    [ours] = sweep(out).done
    assert (ours / "config.json").read_text().endswith("}\n\n"), "it was not begun anew"
    alone = train(watched.file.as_posix(), GAME, out=out / "alone", **BRIEF)
    for file in ("policy.safetensors", "best.safetensors", "scores.json"):
        assert alone.path is not None and (ours / file).read_bytes() == (alone.path / file).read_bytes(), file


@pytest.mark.parametrize(("error", "end"), [("OSError", "}\n\n"), ("ValueError", "\n}\n")])
def test_a_run_that_failed_goes_on_where_the_machine_was_at_fault_and_else_begins_anew(
    out: Path, here: None, watched: Watched, error: str, end: str
) -> None:
    unfinished = stopped_at_48_steps(out, watched)
    (unfinished / "config.json").write_text((unfinished / "config.json").read_text() + "\n")
    (watched.folder / "fail-None").write_text(error)
    assert list(sweep(out).failed.values()) == [f"{error}: told to fail"]
    (watched.folder / "fail-None").unlink()
    [ours] = sweep(out).done
    assert (ours / "config.json").read_text().endswith(end)


def test_a_run_whose_checkpoints_are_damaged_begins_anew(out: Path, here: None, watched: Watched) -> None:
    unfinished = stopped_at_48_steps(out, watched)
    (unfinished / "checkpoints" / "48" / "state.json").write_text("{}")
    outcome = sweep(out)
    assert len(outcome.done) == 1 and not outcome.failed


def test_a_run_that_was_killed_between_its_end_and_its_place_is_not_trained_again(
    out: Path, here: None, watched: Watched
) -> None:
    unfinished = stopped_at_48_steps(out, watched)
    (unfinished / "scores.json").write_text("{}")
    [ours] = sweep(out).done
    assert (ours / "scores.json").read_text() == "{}" and len(watched.begun) == 1


def test_a_job_that_kills_its_processes_fails_in_the_end(out: Path, here: None) -> None:
    sweep(out, "vdn", GAME, 1, **BRIEF)
    job = Job("vdn", GAME, 1)
    for deaths in range(1, DEATHS + 1):
        bury(claimed(job.place(out)), "call", deaths)
    assert attempt(out, job, "call")
    assert "3 processes were killed" in job.error(out).read_text().partition("\n")[0]


def test_the_folder_of_a_run_is_no_place_for_a_sweep(out: Path, here: None) -> None:
    out.mkdir()
    (out / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="is the folder of a run; give the sweep one of its own"):
        sweep(out, "vdn", "matrix_game_v1")
    assert [file.name for file in out.iterdir()] == ["config.json"]


def test_a_folder_in_the_way_is_named_and_left_alone(out: Path, here: None) -> None:
    place = out / "vdn" / GAME / "seed0"
    place.mkdir(parents=True)
    (place / "notes.txt").write_text("mine")
    [error] = sweep(out, "vdn", GAME, 1, **BRIEF).failed.values()
    assert f"{place} is in the way" in error
    assert os.listdir(place) == ["notes.txt"]


def test_ones_own_algorithm_is_kept_as_it_was(out: Path, here: None, watched: Watched) -> None:
    sweep(out, str(watched.file), GAME, 1, **BRIEF)
    assert (out / "watched.py").read_text() == OWN
    watched.file.write_text(OWN + "\n# changed\n")
    with pytest.raises(ValueError, match=r"own\.py is not what .* was begun with"):
        sweep(out, str(watched.file), GAME, 2, **BRIEF)
    watched.file.unlink()
    assert len(sweep(out).done) == 1


def fields_of_the_line(**more: object) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in (BRIEF | more).items()]


def test_the_command_line_gives_each_field_to_the_algorithms_that_have_it(
    out: Path, here: None, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["sweep", "--algorithms", "vdn,qmix", "--envs", GAME, "--seeds", "1", "--out", str(out)]
    assert main([*line, *fields_of_the_line(mixer_width=8, gamma=0.5)]) == 0
    assert capsys.readouterr().out == f"{out} holds 2 runs that are done\n"
    qmix, vdn = (run.config["algorithm_config"] for run in find_runs([out]))
    assert vdn["gamma"] == qmix["gamma"] == 0.5 and qmix["mixer_width"] == 8 and "mixer_width" not in vdn


def test_the_command_line_ends_with_2_where_runs_have_failed(
    out: Path, here: None, watched: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    (watched.folder / "fail-climbing").write_text("ValueError")
    line = ["sweep", "--algorithms", str(watched.file), "--envs", f"{GAME},{GAME}/climbing", "--seeds", "1"]
    assert main([*line, "--out", str(out), *fields_of_the_line()]) == 2
    error = out / "watched" / f"{GAME}-climbing" / "seed0.error.txt"
    sentence = f"1 of 2 runs has failed: ValueError: told to fail; {error} holds more, and the same command tries again"
    assert capsys.readouterr().err.splitlines()[-1] == f"coopgym: {sentence}"


# What it refuses.


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"env_steps": 65}, "was begun with env_steps 64, and this asks for 65"),
        ({"gamma": 0.5}, "was begun with gamma its default, and this asks for 0.5"),
        ({"hyperparameters": "pymarl"}, "was begun with hyperparameters its default, and this asks for pymarl"),
    ],
)
def test_other_fields_in_the_same_folder_are_refused(out: Path, here: None, more: dict[str, Any], words: str) -> None:
    sweep(out, "vdn", GAME, 1, **BRIEF)
    with pytest.raises(ValueError, match=words):
        sweep(out, "vdn", GAME, 1, **(BRIEF | more))
    with pytest.raises(ValueError, match="was begun with hidden 4, and this asks for its default"):
        sweep(out, "vdn", GAME, 2, **{name: value for name, value in BRIEF.items() if name != "hidden"})
    assert len(read_plan(out).jobs) == 1


MISTAKES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({}, FileNotFoundError, "holds no sweep; begin one with: coopgym sweep"),
    ({"seeds": 3}, FileNotFoundError, "holds no sweep; begin one with: coopgym sweep"),
    ({"algorithms": "vdn"}, FileNotFoundError, "holds no sweep; begin one with: coopgym sweep"),
    ({"algorithms": "vdn", "envs": GAME, "seeds": 0}, ValueError, "seeds is 0; it must be 1 or more"),
    ({"algorithms": "vdn", "envs": GAME, "workers": 0}, ValueError, "workers is 0; it must be 1 or more"),
    ({"algorithms": "vdn", "envs": GAME, "workers": 1, "ray": "auto"}, ValueError, "give one of them"),
    ({"algorithms": "vdn,qmx", "envs": GAME}, ValueError, "did you mean qmix"),
    ({"algorithms": "vdn,", "envs": GAME}, ValueError, "algorithms is 'vdn,'; it must be names"),
    ({"algorithms": "nowhere.py", "envs": GAME}, FileNotFoundError, "there is no file nowhere.py; give"),
    ({"algorithms": [Here], "envs": GAME}, TypeError, "other processes know names and files only"),
    ({"algorithms": "vdn", "envs": "matrix_gam_v1"}, ValueError, f"did you mean {GAME}"),
    ({"algorithms": "vdn", "envs": f"{GAME}/climbin"}, ValueError, "did you mean climbing"),
    ({"algorithms": "vdn", "envs": f"{GAME}/climbing/two_step"}, ValueError, "names two presets"),
    ({"algorithms": "vdn", "envs": f"{GAME}/horizon=0"}, ValueError, "horizon is 0; it must be"),
    ({"algorithms": "vdn", "envs": "spread_v1/continuous_actions=true"}, ValueError, "take discrete ones"),
    ({"algorithms": "vdn", "envs": GAME, "mixer_width": 8}, TypeError, "no field 'mixer_width'"),
    ({"algorithms": "vdn", "envs": GAME, "seed": 1}, TypeError, "a sweep chooses the seed of its runs"),
    ({"algorithms": "vdn", "envs": GAME, "gamma": 2}, ValueError, r"gamma is 2\.0; it must lie in \[0, 1\]"),
    ({"algorithms": "vdn", "envs": GAME, "hyperparameters": "pymar"}, ValueError, "did you mean pymarl"),
]


@pytest.mark.parametrize(("asked", "error", "words"), MISTAKES)
def test_what_no_run_can_be_is_refused_before_anything_is_written(
    out: Path, asked: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        sweep(out, **asked)
    assert not out.exists()


def test_two_algorithms_of_one_name_are_refused(out: Path, here: None, watched: Watched) -> None:
    watched.file.write_text(OWN.replace('"watched"', '"vdn"'))
    with pytest.raises(ValueError, match="two algorithms of the sweep are named 'vdn'"):
        sweep(out, ["vdn", str(watched.file)], GAME, 1, **BRIEF)


def test_a_run_that_was_damaged_after_it_was_done_is_named(out: Path, here: None) -> None:
    [run] = sweep(out, "vdn", GAME, 1, **BRIEF).done
    (run / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"seed0.config\.json is damaged"):
        sweep(out)


def test_a_damaged_plan_is_named(out: Path, here: None) -> None:
    sweep(out, "vdn", GAME, 1, **BRIEF)
    asked = '{"asked": [{"algorithms": [5], "envs": ["spread_v1"], "seeds": 1}], "hyperparameters": null, "fields": {}}'
    for text in ("", "[]", '{"asked": [1]}', asked):
        (out / "sweep.json").write_text(text)
        with pytest.raises(ValueError, match=r"sweep\.json is damaged"):
            sweep(out)
    (out / "sweep.json").write_text('{"asked": [], "hyperparameters": null, "fields": "gamma"}')
    with pytest.raises(ValueError, match=r"sweep\.json is damaged: its fields are 'gamma'; remove it"):
        sweep(out)


def test_without_ray_the_extra_is_named(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r'pip install "coopgym\[ray\]"'):
        sweep(out, "vdn", GAME, 1, ray="auto", **BRIEF)
    assert not out.exists()


# What it shows.


class Screen(io.StringIO):
    """A terminal, or what a log file is."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def taken(self) -> str:
        """What was written since this was last asked."""
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


def evaluated(folder: Path, env_steps: int, wall_seconds: float) -> None:
    """Leaves in a run's folder what an evaluation leaves there."""
    folder.mkdir(parents=True, exist_ok=True)
    row = f"{env_steps},{wall_seconds},7.5"
    (folder / "metrics.csv").write_text(f"env_steps,wall_seconds,mean_team_return\n{row}\n")


@pytest.fixture
def jobs(out: Path) -> list[Job]:
    """One run is done, in 100 seconds; one has come half the way in 100; two are open."""
    jobs = [Job(name, GAME, seed) for seed in (0, 1) for name in ("vdn", "qmix")]
    evaluated(jobs[0].place(out), 1000, 100.0)
    (jobs[0].place(out) / "scores.json").touch()
    evaluated(claimed(jobs[1].place(out)).work, 500, 100.0)
    return jobs


def test_the_table_shows_what_is_done_what_runs_and_how_long_it_takes_yet(out: Path, jobs: list[Job]) -> None:
    screen = Screen(terminal=True)
    table = Table(out, 1000, screen)
    table.show(standings(out, jobs))
    assert screen.taken().splitlines() == [
        "\x1b[J1 of 4 done, 1 running, about 7 min left",  # vdn 100 s, qmix 200 s and half of 200 s
        "algorithm  environment     done    failed  running",
        "vdn        matrix_game_v1  1 of 2",
        "qmix       matrix_game_v1  0 of 2          seed 0 50%",
    ]
    table.show(standings(out, jobs))
    assert screen.taken() == "", "nothing has changed"
    jobs[2].error(out).write_text("ValueError: x\n")
    table.show(standings(out, jobs))
    printed = screen.taken()
    assert printed.startswith("\x1b[4F\x1b[J") and "1 running, 1 failed, about 5 min left" in printed


def test_a_small_screen_shows_what_runs(out: Path, jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "3")
    screen = Screen(terminal=True)
    Table(out, 1000, screen).show(standings(out, jobs))
    summary, running = screen.taken().splitlines()
    assert len(summary.removeprefix("\x1b[J")) <= 59
    assert running == "qmix       matrix_game_v1  0 of 2          seed 0 50%"


def test_a_log_gets_a_line_for_what_happens(out: Path, jobs: list[Job]) -> None:
    screen = Screen(terminal=False)
    table = Table(out, 1000, screen)
    for _ in range(2):
        table.show(standings(out, jobs))
    assert screen.taken() == "1 of 4 done, 1 running, about 7 min left\n"
    claim = newest_claim(jobs[1].place(out))
    assert claim is not None
    evaluated(claim.work, 1000, 150.0)
    (claim.work / "scores.json").touch()
    claim.publish()
    claimed(jobs[2].place(out))
    table.show(standings(out, jobs))
    assert screen.taken().splitlines() == [
        f"done: qmix on {GAME}, seed 0: greedy team return 7.50 after 2 min",
        f"running: vdn on {GAME}, seed 1",
        "2 of 4 done, 1 running, about 4 min left",
    ]


def test_durations_are_words() -> None:
    assert [duration(seconds) for seconds in (0.4, 59, 90, 3599, 3601, 90_000)] == [
        *("0 s", "59 s", "2 min", "1 h 0 min", "1 h 0 min", "25 h 0 min"),
    ]


# Processes.


def worker_of(out: Path, job: Job) -> int | None:
    """The process that trains a job."""
    claim = newest_claim(job.place(out))
    return claim.record.pid if claim is not None and claim.record is not None else None


def in_background(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_worker_that_is_killed_in_the_middle_costs_nothing_but_its_time(out: Path, watched: Watched) -> None:
    watched.wait()

    def kill() -> None:
        eventually(lambda: len(watched.begun) == 2)
        os.kill(int(watched.begun[0][0]), signal.SIGKILL)
        eventually(lambda: len(watched.begun) == 3)
        watched.go_on()

    killer = in_background(kill)
    outcome = sweep(out, str(watched.file), GAME, 4, workers=2, **BRIEF)
    killer.join()
    assert len(outcome.done) == 4 and not outcome.failed
    assert folders(out) == {f"watched/{GAME}/seed{seed}" for seed in range(4)}
    (killed, _, first), (other, *_), (third, _, again) = watched.begun[:3]
    assert first == again and len({killed, other, third}) == 3, "a new worker begins the killed run again, at once"
    assert len(watched.begun) == 5 and len({seed for _, _, seed in watched.begun}) == 4, "and that one alone"
    assert not list(out.rglob(".seed*")), "no claim is left"


def command(*words: object) -> "subprocess.Popen[str]":
    """The command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "coopgym.cli", *map(str, words)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


ASKED = ["--envs", GAME, "--seeds", 5, *fields_of_the_line()]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_a_sweep_that_is_stopped_leaves_nothing_running_and_goes_on(
    out: Path, watched: Watched, number: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.wait()
    stopped = command("sweep", "--algorithms", watched.file, "--out", out, "--workers", 1, *ASKED)
    [[worker, *_]] = eventually(lambda: watched.begun)
    stopped.send_signal(number)
    _, errors = stopped.communicate(timeout=30)
    assert stopped.returncode == code and "Traceback" not in errors
    assert not Path("/proc", worker).exists()
    watched.go_on()
    monkeypatch.setattr(sweeps, "Processes", Here)
    assert len(sweep(out).done) == 5 and len(watched.begun) == 6


@pytest.mark.slow
def test_two_calls_that_work_on_a_folder_at_once_do_every_job_once(out: Path, watched: Watched) -> None:
    watched.wait()
    other = command("sweep", "--algorithms", watched.file, "--out", out, "--workers", 1, *ASKED)
    eventually(lambda: watched.begun)
    begins = in_background(lambda: (eventually(lambda: len(watched.begun) == 2), watched.go_on()))
    outcome = sweep(out, workers=1)
    begins.join()
    printed, errors = other.communicate(timeout=60)
    assert (other.returncode, printed) == (0, f"{out} holds 5 runs that are done\n"), errors
    assert len(outcome.done) == 5
    assert len(watched.begun) == len({seed for _, _, seed in watched.begun}) == 5, "each was begun once"
    assert len({process for process, *_ in watched.begun}) == 2, "both must have had work"


@pytest.mark.slow
def test_workers_of_a_call_that_is_killed_stop_and_another_call_takes_over(out: Path, watched: Watched) -> None:
    watched.wait()
    killed = command("sweep", "--algorithms", watched.file, "--out", out, "--workers", 2, *ASKED)
    eventually(lambda: len(watched.begun) == 2)
    killed.kill()
    killed.communicate()
    for worker in {process for process, *_ in watched.begun}:
        eventually(lambda: not Path("/proc", worker).exists())  # noqa: B023
    watched.go_on()
    assert len(sweep(out, workers=2).done) == 5
    assert len(watched.begun) == 7


# On a cluster.


@pytest.fixture
def two_nodes(watched: Watched) -> Iterator[tuple[Any, Any]]:
    """A Ray cluster of two nodes on this machine, each for one run at a time, and its second node."""
    pytest.importorskip("ray", reason='Ray is not installed: pip install "coopgym[ray]"')
    from ray.cluster_utils import Cluster

    size = {"num_cpus": 1, "object_store_memory": 100_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
    try:
        yield cluster, cluster.add_node(**size)
    finally:
        cluster.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
def test_a_node_of_a_cluster_dies_and_every_job_is_done_once(
    out: Path, watched: Watched, two_nodes: tuple[Any, Any]
) -> None:
    cluster, node = two_nodes
    watched.wait()

    def kill() -> None:
        eventually(lambda: len(watched.begun) == 2)
        cluster.remove_node(node, allow_graceful=False)
        eventually(lambda: any(sweep_claims._born(int(process)) is None for process, *_ in watched.begun))
        watched.go_on()

    killer = in_background(kill)
    outcome = sweep(out, str(watched.file), GAME, 5, ray=cluster.address, **BRIEF)
    killer.join()
    assert len(outcome.done) == 5 and not outcome.failed
    assert folders(out) == {f"watched/{GAME}/seed{seed}" for seed in range(5)}
    assert len(watched.begun) == 6, "the run on the dead node began again, and no other"
    assert not list(out.rglob(".seed*"))


def test_without_a_cluster_it_is_said_how_to_start_one(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ray(types.ModuleType):
        def is_initialized(self) -> bool:
            return False

        def init(self, **_: Any) -> None:
            raise ConnectionError("Could not find any running Ray instance")

    monkeypatch.setitem(sys.modules, "ray", Ray("ray"))
    with pytest.raises(ConnectionError, match="no Ray cluster at 'auto'; start one with: ray start --head"):
        sweep(out, "vdn", GAME, 1, ray="auto", **BRIEF)
