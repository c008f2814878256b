"""The reference that ships is what the code makes of its runs; it is made again from folders, and damage is named."""

import gzip
import hashlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from matplotlib.figure import Figure

import coopgym
from coopgym.baselines import ALGORITHMS, reference, shipped
from coopgym.baselines.comparison_plots import reference_figure, settled
from coopgym.baselines.reference import TASKS, configuration, read_reference, score_of, task_name
from coopgym.baselines.results import OF_A_MACHINE, read_run
from coopgym.baselines.statistics import iqm
from coopgym.baselines.train import FINAL_SEED
from coopgym.cli import main
from coopgym.envs import environment
from tests.made_runs import made_run, made_runs

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(reference.FOLDER.glob("*.json.gz"))
POLICIES = sorted(shipped.policies())
GOLDEN = json.loads((ROOT / "tests" / "golden.json").read_text())
in_a_checkout = pytest.mark.skipif(not (ROOT / "README.md").is_file(), reason="the README is in a checkout only")


@pytest.fixture(scope="module")
def builder() -> Iterator[ModuleType]:
    """benchmarks/reference.py"""
    file = ROOT / "benchmarks" / "reference.py"
    if not file.is_file():
        pytest.skip("benchmarks are in a checkout only")
    spec = importlib.util.spec_from_file_location("build_reference", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module


# What ships.


def test_something_ships_and_it_is_small() -> None:
    assert {file.name for file in FILES} >= {"matrix_game_v1.json.gz", "spread_v1.json.gz"}
    assert sum(file.stat().st_size for file in FILES) < 4_000_000
    assert sum(file.stat().st_size for file in reference.FOLDER.iterdir()) < 10_000_000


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_run_was_trained_as_the_shipped_configuration_says_on_the_game_as_it_is(file: Path) -> None:
    runs = read_reference(file)
    assert len({(run.task, run.algorithm, run.seed) for run in runs}) == len(runs) > 0
    wanted = {}
    for run in runs:
        task = (run.config["environment"], run.config["preset"])
        assert task in TASKS and run.task == task_name(*task)
        key = (run.algorithm, *task)
        wanted[key] = wanted.get(key) or configuration(*key)
        found = reference.trained_with(run)
        different = {name for name, value in wanted[key].items() if found.get(name) != value}
        assert different <= {"seed", *OF_A_MACHINE}
        assert run.golden == GOLDEN[task[0]][task[1] or ""]
        assert run.curve["env_steps"][-1] >= run.config["env_steps"] > run.curve["env_steps"][-2]
        assert run.config["versions"]["torch"] and run.config["processor"] and run.wall_seconds > 0


@pytest.mark.parametrize("task", [task for task in TASKS if task[0] == "matrix_game_v1"], ids=lambda task: task[1])
def test_every_algorithm_has_ten_seeds_on_the_matrix_games(task: tuple[str, str]) -> None:
    found = reference.references(*task)
    assert [one.algorithm for one in found] == list(ALGORITHMS)
    assert all(one.seeds.tolist() == list(range(10)) and one.provisional == "" for one in found)


def test_what_theory_says_of_the_matrix_games_is_in_the_reference() -> None:
    """VDN never solves QTRAN's game and QTRAN always does; QMIX solves the two-step game and VDN does not."""
    for name, preset, reached in (
        ("vdn", "qtran3x3", 0),
        ("qmix", "qtran3x3", 0),
        ("qtran", "qtran3x3", 10),
        ("cw_qmix", "climbing", 10),
        ("vdn", "two_step", 0),
        ("qmix", "two_step", 10),
    ):
        found = coopgym.reference(name, "matrix_game_v1", preset)
        assert found.reached is not None and abs(int(found.reached.sum()) - reached) <= 1, (name, preset)


@in_a_checkout
def test_the_readmes_tables_are_made_of_the_data(builder: ModuleType) -> None:
    text = builder.README.read_text(encoding="utf-8")
    shown = text.split(builder.BEGIN)[1].split(builder.END)[0]
    assert shown == builder.readme_tables(), "run: python benchmarks/reference.py"


# The teams that ship.


@pytest.mark.parametrize("name", POLICIES)
def test_a_team_ships_as_the_manifest_says(name: str) -> None:
    known = shipped.policies()[name]
    team = coopgym.load_policy(name)
    assert (team.algorithm, team.environment.id) == (known["algorithm"], known["environment"])
    team.check_fits(environment(known["environment"], known["preset"]))
    assert shipped.policy_name(known["algorithm"], team.environment) == name


def test_every_algorithm_of_the_reference_has_a_team_on_every_task_but_the_other_matrix_games() -> None:
    tasks = [task for task in TASKS if task[0] != "matrix_game_v1" or task[1] == "qtran3x3"]
    due = {f"{name}/{task_name(*task)}" for task in tasks for name in reference.reference_runs(environment(*task))}
    assert due == set(POLICIES)


@pytest.mark.parametrize("name", [name for name in POLICIES if "matrix" in name])
def test_a_team_earns_the_final_score_of_its_run(name: str) -> None:
    known = shipped.policies()[name]
    score = coopgym.evaluate(name, episodes=known["episodes"], seed=FINAL_SEED)
    assert score.mean == pytest.approx(known["final"], abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in POLICIES if "matrix" not in name])
def test_a_team_of_a_larger_game_earns_the_final_score_of_its_run(name: str) -> None:
    known = shipped.policies()[name]
    score = coopgym.evaluate(name, episodes=known["episodes"], seed=FINAL_SEED)
    assert score.mean == pytest.approx(known["final"], abs=0.05 * score.std)  # rounding may change an action


def test_a_team_that_ships_is_scored_and_filmed_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "qtran/matrix_game_v1/qtran3x3"
    assert main(["evaluate", name, "--episodes", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["team_returns"] == [8.0] * 4
    film = str(tmp_path / "film.gif")
    assert main(["record", "matrix_game_v1", "--policy", name, "--out", film]) == 0
    assert "team return 8.00" in capsys.readouterr().out


def test_a_team_that_does_not_ship_gets_the_nearest_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileNotFoundError, match="did you mean qtran/matrix_game_v1/qtran3x3"):
        coopgym.load_policy("qtran/matrix_game_v1")
    assert main(["evaluate", "qmx/spread_v1"]) == 2
    assert "did you mean" in capsys.readouterr().err


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reference with one team, which a test may damage."""
    made_run(tmp_path / "run", "qtran", "matrix_game_v1", "qtran3x3", final=8.0)
    folder = tmp_path / "data"
    folder.mkdir()
    name = "qtran/matrix_game_v1/qtran3x3"
    known = shipped.policies()[name]
    data = (reference.FOLDER / known["file"]).read_bytes()
    (folder / known["file"]).write_bytes(data)
    (folder / shipped.MANIFEST).write_text(json.dumps({name: known}))
    monkeypatch.setattr(reference, "FOLDER", folder)
    return folder / known["file"]


def test_an_altered_team_is_refused(copied: Path) -> None:
    name = "qtran/matrix_game_v1/qtran3x3"
    assert coopgym.load_policy(name).algorithm == "qtran"
    data = bytearray(copied.read_bytes())
    data[-1] ^= 1
    copied.write_bytes(data)
    with pytest.raises(ValueError, match="is not the file that was shipped: its sha256 is another"):
        coopgym.load_policy(name)
    copied.unlink()
    with pytest.raises(FileNotFoundError, match="is missing; install coopgym again"):
        coopgym.load_policy(name)


# What users ask for.


def test_the_arrays_are_those_of_the_runs(tmp_path: Path, builder: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    made_run(tmp_path / "b", "qmix", seed=1, final=-30.0, absolute=-29.5, curve=[-50.0, -31.25])
    made_run(tmp_path / "a", "qmix", seed=0, final=-28.0, curve=[-60.0, -29.125])
    builder.add([tmp_path], tmp_path / "data")
    monkeypatch.setattr(reference, "FOLDER", tmp_path / "data")
    found = coopgym.reference("qmix", "spread_v1")
    assert found.seeds.tolist() == [0, 1]
    assert found.returns.tolist() == [[-60.0, -29.125], [-50.0, -31.25]]
    assert found.env_steps.tolist() == [1_000_000, 2_000_000]
    assert found.updates.tolist() == [[10_000, 20_000]] * 2
    assert (found.final.tolist(), found.absolute.tolist()) == ([-28.0, -30.0], [-28.0, -29.5])
    assert found.wall_seconds.tolist() == [2000.0, 2000.0]
    assert found.provisional == "2 of 10 seeds"
    assert (found.reached, found.success, found.iqm().value) == (None, None, -29.0)
    assert coopgym.reference("qmix", "spread_v1", "mpe2").final.tolist() == [-28.0, -30.0]  # the same parameters
    assert json.loads(json.dumps(found.to_dict()))["seeds"] == [0, 1]


def test_few_steps_are_provisional_too(tmp_path: Path, builder: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    made_runs(tmp_path / "runs", [-30.0] * 10, "vdn")
    made_runs(tmp_path / "runs", [-30.0] * 10, "mappo")
    builder.add([tmp_path / "runs"], tmp_path / "data")
    monkeypatch.setattr(reference, "FOLDER", tmp_path / "data")
    assert coopgym.reference("vdn", "spread_v1").provisional == ""
    assert coopgym.reference("mappo", "spread_v1").provisional == "2 000 000 of 20 000 000 steps"


def test_the_share_of_seeds_at_the_optimum_has_wilsons_interval() -> None:
    found = coopgym.reference("qtran", "matrix_game_v1", "qtran3x3")
    assert found.reached is not None and found.success is not None
    assert found.reached.tolist() == (np.abs(found.final - 8) < 1e-6).tolist()
    assert found.success.value == found.reached.mean() and found.success.low < 0.97


def test_an_interval_does_not_go_beyond_the_optimum() -> None:
    found = reference.references("matrix_game_v1", "qtran3x3")
    assert all(one.best_possible == 8.0 and one.iqm(metric).high <= 8 for one in found for metric in reference.METRICS)
    assert any(one.iqm().high == 8 and one.final.min() < 8 for one in found)  # the bootstrap alone goes beyond
    assert coopgym.reference("vdn", "spread_v1").to_dict()["best_possible"] is None


def test_a_score_that_chance_may_have_kept_below_the_optimum_counts_as_at_it(tmp_path: Path) -> None:
    near = made_run(tmp_path / "near", final=7.9, std=1.0)  # 1.96 * 1 / sqrt(320) = 0.11
    far = made_run(tmp_path / "far", final=7.9, std=0.1)
    assert reference.reaches(reference.from_result(read_run(near)), 8.0)
    assert not reference.reaches(reference.from_result(read_run(far)), 8.0)


def test_the_table_shows_algorithms_bounds_and_what_is_provisional(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reference", "matrix_game_v1", "--preset", "climbing"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n{name} " in printed for name in ALGORITHMS)
    assert "optimal: 11, the best possible" in printed and "random: -" in printed
    assert "at the optimum" in printed and "provisional" not in printed
    assert main(["reference", "spread_v1"]) == 0
    printed = capsys.readouterr().out
    assert "assignment: -24.8, over 2 000 other episodes" in printed and "at the optimum" not in printed
    assert "is provisional: " in printed


def test_the_table_names_the_algorithms_without_runs() -> None:
    found = reference.references("matrix_game_v1", "climbing")
    assert "No reference runs" not in reference.reference_table(found)
    shown = reference.reference_table([one for one in found if one.algorithm not in ("vdn", "dop")])
    assert shown.endswith("\nNo reference runs yet: vdn, dop")


def test_the_table_as_json_holds_every_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reference", "matrix_game_v1", "--preset", "two_step", "--json"]) == 0
    found = {one["algorithm"]: one for one in json.loads(capsys.readouterr().out)}
    expected = coopgym.reference("qmix", "matrix_game_v1", "two_step")
    assert found["qmix"]["returns"] == expected.returns.tolist()
    assert expected.returns.shape == (10, len(expected.env_steps))


def test_curves_are_drawn_of_every_algorithm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = ("matrix_game_v1", "climbing")
    assert main(["reference", task[0], "--preset", task[1], "--json", "--out", str(tmp_path / "new")]) == 0
    assert len(json.loads(capsys.readouterr().out)) == len(ALGORITHMS)
    assert {file.name for file in (tmp_path / "new").iterdir()} == {"learning_curves.png", "learning_curves.svg"}
    [panel] = reference_figure([environment(*task)]).axes
    lines = {line.get_label(): line for line in panel.lines}
    assert {*ALGORITHMS} <= {*lines}
    expected = coopgym.reference("qmix", *task)
    heights = [iqm(column[:, None]) for column in expected.returns.T]
    assert np.allclose(lines["qmix"].get_ydata(), heights)
    assert lines["qmix"].get_xdata().tolist() == expected.env_steps.tolist()


def test_the_picture_shows_where_teams_settle_rather_than_how_they_begin() -> None:
    line = Figure().subplots().plot([10, 20, 100, 200], [-900.0, -50.0, -30.0, -25.0])[0]
    assert settled(line, 200).tolist() == [-50.0, -30.0, -25.0]
    level = Figure().subplots().axhline(-80.0)
    assert settled(level, 200).tolist() == [-80.0, -80.0]


def test_what_is_not_there_is_said_with_what_is() -> None:
    for arguments, words in (
        (("qmx", "spread_v1"), "no algorithm 'qmx'; did you mean qmix"),
        (("qmix", "spread_v1", "openai"), "no reference runs of spread_v1/openai .*; there are some of .*spread_v1"),
        (("qmix", "spred_v1"), "did you mean spread_v1"),
    ):
        with pytest.raises(ValueError, match=words):
            coopgym.reference(*arguments)


# How it is made.


def test_the_same_runs_give_the_same_bytes_in_any_order_and_number(tmp_path: Path, builder: ModuleType) -> None:
    runs = made_runs(tmp_path / "runs", [-28.0, -29.0, -30.0])
    made_runs(tmp_path / "runs", [-27.0, -28.0], "vdn")
    builder.add([runs], tmp_path / "at once")
    for folder in sorted(runs.iterdir(), reverse=True):
        builder.add([folder], tmp_path / "one by one")
    builder.add([runs, runs], tmp_path / "one by one")
    contents = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("at once", "one by one")
    ]
    assert contents[0] == contents[1]
    assert len(read_reference(tmp_path / "at once" / "spread_v1.json.gz")) == 5


def test_rows_are_kept_as_they_are(tmp_path: Path, builder: ModuleType) -> None:
    curve = [-80.123456789012345, -1 / 3, -29.0]
    made_run(tmp_path / "run", curve=curve, std=2 / 3, final=-0.1, absolute=-0.3)
    builder.add([tmp_path / "run"], tmp_path / "data")
    [run] = read_reference(tmp_path / "data" / "spread_v1.json.gz")
    assert run.curve["mean_team_return"].tolist() == curve
    assert run.curve["std_team_return"].tolist() == [2 / 3] * 3
    assert [score_of(run, metric) for metric in ("final", "absolute")] == [-0.1, -0.3]
    assert run.config == json.loads((tmp_path / "run" / "config.json").read_text())
    held = json.loads(gzip.decompress((tmp_path / "data" / "spread_v1.json.gz").read_bytes()))
    assert held["runs"][0]["recipe"] == run.recipe
    assert held["runs"][0]["golden"] == GOLDEN["spread_v1"][""]


def test_the_team_of_the_median_seed_ships(tmp_path: Path, builder: ModuleType) -> None:
    made_runs(tmp_path / "runs", [-26.0, -30.0, -28.0, -20.0])  # the lower of the middle two is -28, of seed 2
    builder.add([tmp_path / "runs"], tmp_path / "data")
    [(name, known)] = shipped.policies(tmp_path / "data").items()
    assert (name, known["seed"], known["final"]) == ("qmix/spread_v1", 2, -28.0)
    data = (tmp_path / "data" / known["file"]).read_bytes()
    assert data == b"qmix 2"
    assert known["sha256"] == hashlib.sha256(data).hexdigest()


def test_where_the_medians_folder_is_gone_the_nearest_team_at_hand_ships(tmp_path: Path, builder: ModuleType) -> None:
    made_runs(tmp_path / "runs", [-26.0, -30.0, -28.0])
    for seed, chosen in ((0, 0), (1, 1), (2, 2)):  # -26; then of -30 and -26 the lower; then -28
        builder.add([tmp_path / "runs" / f"qmix-{seed}"], tmp_path / "data")
        assert shipped.policies(tmp_path / "data")["qmix/spread_v1"]["seed"] == chosen
    made_run(tmp_path / "more", seed=3, final=-27.9)
    made_run(tmp_path / "still more", seed=4, final=-20.0)
    builder.add([tmp_path / "still more"], tmp_path / "data")
    assert shipped.policies(tmp_path / "data")["qmix/spread_v1"]["seed"] == 2  # its folder was not given this time


def test_a_run_takes_the_place_of_one_with_its_seed_and_it_is_said(tmp_path: Path, builder: ModuleType) -> None:
    builder.add([made_run(tmp_path / "old", final=-30.0)], tmp_path / "data")
    said = builder.add([made_run(tmp_path / "new", final=-29.0)], tmp_path / "data")
    assert any("takes the place of another run of spread_v1 qmix 0" in line for line in said)
    [run] = read_reference(tmp_path / "data" / "spread_v1.json.gz")
    assert score_of(run, "final") == -29.0


def test_a_run_that_is_not_finished_is_left_out(tmp_path: Path, builder: ModuleType) -> None:
    said = builder.add([made_run(tmp_path / "run", finished=False)], tmp_path / "data")
    assert said == [f"{tmp_path / 'run'} is not finished and left out"]
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gamma": 0.5}, "was trained with gamma 0.5; the reference has 0.9"),
        ({"env_steps": 1000}, "was trained with env_steps 1000; the reference has 2000000"),
        ({"params": {"n_agents": 4}}, "is qmix on spread_v1 n_agents=4, which the reference does not hold"),
        ({"preset": "openai"}, "is qmix on spread_v1/openai, which the reference does not hold"),
        ({"name": "mine"}, "is mine on spread_v1, which the reference does not hold"),
    ],
)
def test_other_runs_are_refused(tmp_path: Path, builder: ModuleType, options: dict, words: str) -> None:
    made_run(tmp_path / "run", **options)
    with pytest.raises(ValueError, match=words):
        builder.add([tmp_path / "run"], tmp_path / "data")


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: gzip.compress(b"[]"),
        lambda data: gzip.compress(b'{"format": 2, "runs": []}'),
        lambda data: gzip.compress(b'{"format": 1, "runs": [{}]}'),
    ],
)
def test_damaged_data_are_named(tmp_path: Path, builder: ModuleType, damage, monkeypatch: pytest.MonkeyPatch) -> None:
    builder.add([made_run(tmp_path / "run")], tmp_path / "data")
    file = tmp_path / "data" / "spread_v1.json.gz"
    file.write_bytes(damage(file.read_bytes()))
    read_reference.cache_clear()
    monkeypatch.setattr(reference, "FOLDER", tmp_path / "data")
    with pytest.raises(ValueError, match=r"spread_v1.json.gz is damaged: .*; install coopgym again"):
        coopgym.reference("qmix", "spread_v1")


def test_what_a_folder_does_not_hold_is_trained(
    tmp_path: Path, builder: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []
    monkeypatch.setitem(reference.MATRIX, "env_steps", 64)
    monkeypatch.setitem(reference.MATRIX, "evaluate_every", 32)

    def train(name, env, seed, out, **fields):
        begun.append((out.name, fields["env_steps"]))
        return coopgym.train(name, env, seed=seed, out=out, **fields)

    monkeypatch.setattr(builder, "train", train)
    for seeds in (1, 2):
        builder.train_missing(tmp_path, "matrix_game_v1/climbing", ["vdn"], seeds)
    assert begun == [("vdn-0", 64), ("vdn-1", 64)]
    builder.add([tmp_path / "matrix_game_v1-climbing"], tmp_path / "data")
    assert len(read_reference(tmp_path / "data" / "matrix_game_v1.json.gz")) == 2


@in_a_checkout
def test_the_builders_command_writes_the_readme(
    tmp_path: Path, builder: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_runs(tmp_path / "runs", [-28.0, -29.0], "vdn")
    made_runs(tmp_path / "runs", [8.0] * 10, "qtran", id="matrix_game_v1", preset="qtran3x3", std=0.0)
    builder.add([tmp_path / "runs"], tmp_path / "data")
    (tmp_path / "README.md").write_text(f"before\n{builder.BEGIN}old{builder.END}after\n")
    monkeypatch.setattr(builder, "README", tmp_path / "README.md")
    builder.write_readme(tmp_path / "data")
    text = (tmp_path / "README.md").read_text()
    assert text.startswith(f"before\n{builder.BEGIN}|") and text.endswith(f"|\n{builder.END}after\n")
    assert "| `qtran` | 8 [8, 8], 10/10 |" in text
    assert "| `vdn` | -28.5 [-31.7, -25.3] (2) * |" in text


def test_the_reference_needs_no_torch() -> None:
    code = """
import sys, coopgym
coopgym.reference("qmix", "matrix_game_v1", "climbing")
from coopgym.cli import main
assert main(["reference", "spread_v1"]) == 0
print([name for name in ("torch", "matplotlib") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(coopgym.__file__).parents[1]
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("[]\n")
