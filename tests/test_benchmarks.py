"""The benchmarks run, in small."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import coopgym
from coopgym.envs import core


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent.parent / "benchmarks"))
    yield
    for name in ("environments", "learners", "loop", "predator_prey_sources", "spread_sources", "update"):
        sys.modules.pop(name, None)


def test_families_have_a_rate_for_each_size(capsys):
    import environments

    environments.families(batches=(1, 8), seconds=0.002, repeats=1)
    lines = capsys.readouterr().out.splitlines()
    for id in environments.GAMES:
        [cells] = [line.split()[1:] for line in lines if line.startswith(f"{id} ")]
        assert len(cells) == 3
        assert "-" not in cells


def test_the_programs_of_others_have_a_rate_where_they_are_installed(capsys, monkeypatch):
    import environments

    def missing(num_envs: int, seconds: float, repeats: int) -> float:
        raise ImportError

    monkeypatch.setattr(environments, "PEERS", {"mpe2": environments.mpe2, "another": missing})
    environments.peers(batches=(1, 8), seconds=0.002, repeats=1)
    _, mpe2, ours, times, another, _, _ = (line.split() for line in capsys.readouterr().out.splitlines())
    assert mpe2[:2] == ["mpe2,", "spread"] and mpe2[3] == "-" and ours[2] == "-"
    assert float(times[3]) > 10
    assert another[2:] == ["-", "-"]


def test_the_parts_of_a_step_add_up(capsys, monkeypatch):
    import environments

    monkeypatch.setattr(environments, "GAMES", {"matrix_game_v1": {"preset": "climbing"}})
    environments.profile(num_envs=8, seconds=0.002, repeats=1)
    titles, cells = (line.split() for line in capsys.readouterr().out.splitlines())
    whole, *parts = map(float, cells[1:])
    assert titles[2:] == ["whole", "move", "observe", "state", "masks", "check", "rest"]
    assert whole > 0 and sum(parts) == pytest.approx(whole, abs=0.5)


def test_a_part_that_is_left_out_is_not_done():
    import environments

    env = coopgym.environment("spread_v1")
    blind = environments.stripped(env, observe=environments._nothing)
    seeing, unseeing = (core.Batch(one, 2, seed=0) for one in (env, blind))
    for batch in (seeing, unseeing):
        batch.reset()
        batch.step(np.ones((2, env.n_agents), np.int64))
    assert seeing.out.obs.any() and not unseeing.out.obs.any()
    assert np.array_equal(seeing.out.state, unseeing.out.state)
    with environments.unchecked():
        batch = core.Batch(env, 2, seed=0)
        batch.reset()
        batch.step(np.ones((2, env.n_agents), np.int64))
    assert np.array_equal(batch.out.obs, seeing.out.obs)
    with pytest.raises(ValueError, match="it must lie in"):
        seeing.step(np.full((2, env.n_agents), 9))


@pytest.mark.slow
def test_threads_are_held_against_processes(capsys, monkeypatch):
    import environments

    monkeypatch.setattr(environments, "GAMES", {"matrix_game_v1": {"preset": "climbing"}})
    environments.threads(num_envs=64, seconds=0.01, repeats=1)
    cells = capsys.readouterr().out.splitlines()[-1].split()[1:]
    *threads, processes = map(float, cells)
    assert len(threads) == 3 and min(threads) >= 0 and processes > 0  # 0.00 where so few games share a busy machine


def test_crowds_have_a_time_for_each_number_of_agents(capsys):
    import environments

    environments.crowds(agents=(2, 5), seconds=0.002, repeats=1)
    titles, times, numbers, _ = (line.split() for line in capsys.readouterr().out.splitlines())
    assert titles[-2:] == ["2", "5"] and numbers[-2:] == [str(2 * 12), str(5 * 30)]
    assert all(float(time) > 0 for time in times[-2:])


@pytest.mark.slow
def test_the_first_step_of_a_family_is_timed_in_processes_of_their_own(capsys):
    import environments

    environments.start(["gaussian_squeeze_v1"])
    cold, warm = map(float, capsys.readouterr().out.splitlines()[-1].split()[1:])
    assert 0 < warm < cold


def test_update_prints_a_time_for_each_algorithm(capsys, monkeypatch):
    import update

    monkeypatch.setattr(update, "GAMES", (("spread_v1", 4),))
    monkeypatch.setattr(update, "THREADS", (1,))
    update.measure(repeats=1)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("spread_v1, 4 x 25 x 3")
    assert all(float(cell) > 0 for cell in last.split()[-3:])


def test_update_compares_with_what_is_compiled(capsys, monkeypatch):
    import torch
    import update

    compiled = []
    monkeypatch.setattr(torch, "compile", lambda loss: compiled.append(loss) or loss)
    monkeypatch.setattr(update, "ALGORITHMS", ("vdn",))
    update.measure_compiled(repeats=1)
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["vdn", "vdn"] and len(compiled) == 2
    assert all(float(cell) >= 0 for row in rows for cell in row.split()[-4:-1])


def test_the_parts_of_a_run_add_up(capsys, monkeypatch):
    import loop

    monkeypatch.setattr(loop, "GAMES", ("spread_v1",))
    loop.measure(["vdn", "dop"], env_steps=1200)
    rows = capsys.readouterr().out.splitlines()[3:]
    shares = [[float(cell.removesuffix("%")) for cell in row.split() if cell.endswith("%")] for row in rows]
    assert len(rows) == 10 and all(abs(sum(column) - 100) < 1 for column in zip(*shares, strict=True))
    assert {row[:38].strip() for row in rows} >= {"act", "step the games", "store", "sample", "evaluate and log"}


def test_the_programs_to_compare_with_are_named_where_they_are_missing(tmp_path, capsys, monkeypatch):
    import predator_prey_sources

    monkeypatch.setattr(sys, "argv", ["predator_prey_sources.py", "--folder", str(tmp_path)])
    predator_prey_sources.main()
    lines = capsys.readouterr().out.splitlines()
    presets = [preset for source in predator_prey_sources.SOURCES for preset in source.presets]
    assert [line.split(":")[0] for line in lines] == presets
    assert all(f"there is no {tmp_path}" in line for line in lines)


@pytest.mark.slow
def test_the_hunts_are_those_of_the_programs_that_they_come_from():
    import predator_prey_sources

    folder = os.environ.get("COOPGYM_SOURCES")
    if folder is None:
        pytest.skip("COOPGYM_SOURCES names no folder with the clones that benchmarks/predator_prey_sources.py asks for")
    for source in predator_prey_sources.SOURCES:
        assert (Path(folder) / source.folder).is_dir()
        for preset in source.presets:
            assert predator_prey_sources.compare(source, Path(folder), preset, episodes=20) > 500


def test_the_first_evaluation_that_reaches_the_goal_ends_a_race():
    import learners

    def after(*lines: str, wait: int = 0, limit: float = 30.0) -> str:
        program = f"import time; print({chr(10).join(lines)!r}, flush=True); time.sleep({wait})"
        return str(learners.race([sys.executable, "-c", program], limit))

    assert after("Compiling", "20000 -40.5", "40000 -31.9", "60000 -30.0").endswith(" s, 40,000 steps")
    assert after("20000 -40.5", "40000 -32.1").endswith(": -32.1")
    assert after("20000 -40.5", wait=60, limit=4.0) == "not in 4 s: -40.5"


def test_a_race_whose_runner_falls_is_no_result():
    import learners

    command = [sys.executable, "-c", "raise SystemExit('there is no such module')"]
    with pytest.raises(RuntimeError, match=r"this command failed; run it to see why: .*no such module"):
        learners.race(command)


def test_settings_of_others_are_read_as_numbers_where_they_are_some(tmp_path):
    import learners

    file = tmp_path / "settings.yaml"
    file.write_text('"LR": 0.005\n"TOTAL": 1e7 # many\n"SEEDS": 2\n"DECAY": True\n"NAME": "vdn"\n\n')
    known = {"LR": 0.005, "TOTAL": 1e7, "SEEDS": 2, "DECAY": True, "NAME": "vdn"}
    assert learners.their_settings(file) == known


SPREAD_SOURCES = ["Vmas", "Jaxmarl", "OpenAI", "Semitable", "Mpe2", "Benchmarl", "Facmac"]


def test_the_particle_worlds_to_compare_with_are_named_where_they_are_missing(tmp_path, capsys, monkeypatch):
    import spread_sources

    monkeypatch.setattr(sys, "argv", ["spread_sources.py", "--folder", str(tmp_path)])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    spread_sources.main()
    lines = capsys.readouterr().out.splitlines()
    assert [source.__name__ for source in spread_sources.SOURCES] == SPREAD_SOURCES
    presets = [f"{source.game} {preset}" for source in spread_sources.SOURCES for preset in source.presets]
    assert [line.split(":")[0] for line in lines] == presets
    assert all("is not installed" in line or f"there is no {tmp_path}" in line for line in lines)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the others' own
@pytest.mark.parametrize("name", SPREAD_SOURCES)
def test_particles_move_as_in_the_programs_that_they_come_from(name):
    import spread_sources

    source, folder = getattr(spread_sources, name), Path(os.environ.get("COOPGYM_SOURCES", "nowhere"))
    if missing := source.missing(folder):
        pytest.skip(missing)
    for preset in source.presets:
        for continuous in (False, True):
            assert spread_sources.compare(source, folder, preset, continuous, episodes=4) >= 100
