"""Runs are read back as they were written, and told apart by what they were."""

from pathlib import Path

import pytest

from coopgym.baselines.results import find_runs, read_run
from coopgym.baselines.train import train

BRIEF = {"env_steps": 64, "num_envs": 4, "evaluate_every": 32, "evaluation_episodes": 2, "hidden": 4}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        train("vdn", "matrix_game_v1", out=folder / "vdn" / f"seed{seed}", seed=seed, **BRIEF)
    train("vdn", "spread_v1", out=folder / "spread", gamma=0.5, **BRIEF)
    return folder


def test_a_run_is_read_as_it_was_written(runs: Path) -> None:
    run = train("qmix", "matrix_game_v1", out=runs.parent / "qmix", seed=7, **BRIEF)
    read = read_run(runs.parent / "qmix")
    assert (read.algorithm, read.seed, read.task) == ("qmix", 7, "matrix_game_v1")
    assert [*read.curve] == [*run.rows[0], *(name for name in run.rows[1] if name not in run.rows[0])]
    assert read.curve["mean_team_return"].tolist() == [row["mean_team_return"] for row in run.rows]
    assert read.curve["env_steps"].tolist() == [32, 64]
    assert read.scores is not None and read.scores["final"]["episodes"] == 20
    assert read.environment.params._asdict().keys() == run.environment.params._asdict().keys()


def test_runs_are_found_below_a_folder_each_once(runs: Path) -> None:
    found = find_runs([runs, runs / "vdn", runs / "vdn" / "seed1"])
    assert [run.path.relative_to(runs.resolve()).as_posix() for run in found] == ["spread", "vdn/seed0", "vdn/seed1"]


def test_seeds_share_a_recipe_and_nothing_else_does(runs: Path) -> None:
    spread, first, second = find_runs([runs])
    assert first.recipe == second.recipe != spread.recipe
    other = train("vdn", "matrix_game_v1", out=runs.parent / "gamma", gamma=0.5, **BRIEF)
    assert read_run(other.path or "").recipe != first.recipe


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.json", "{"),
        ("config.json", "[]"),
        ("config.json", "{}"),
        ("config.json", "[" * 100_000),
        ("metrics.csv", "a,b\n1,x\n"),
        ("scores.json", ""),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, text: str) -> None:
    train("vdn", "matrix_game_v1", out=tmp_path / "run", **BRIEF)
    (tmp_path / "run" / name).write_text(text)
    with pytest.raises(ValueError, match=f"{name} is damaged"):
        read_run(tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "before", "after", "reason"),
    [
        ("config.json", '"seed"', '"sed"', "it has no 'seed'"),
        ("config.json", '"algorithm": "vdn"', '"algorithm": 3', "its algorithm is 3"),
        ("config.json", '"env_steps": 64', '"env_steps": "64"', "its env_steps is '64'"),
        ("config.json", '"versions"', '"version"', "it has no 'versions'"),
        ("config.json", '"processor"', '"cpu"', "it has no 'processor'"),
        ("metrics.csv", "\n64,", "\n48,", "it ends after 48 of 64 environment steps"),
        ("metrics.csv", "mean_team_return", "mean", "it has no 'mean_team_return'"),
        ("metrics.csv", "\n32,", "\nnan,", "its env_steps is nan"),
        ("scores.json", '"absolute"', '"best"', "it has no 'absolute'"),
        ("scores.json", '"episodes": 20', '"episodes": NaN', "its episodes is nan"),
        ("scores.json", '"episodes": 20', '"episodes": "x"', "must be real number"),
    ],
)
def test_what_a_file_lacks_is_named(tmp_path: Path, name: str, before: str, after: str, reason: str) -> None:
    train("vdn", "matrix_game_v1", out=tmp_path / "run", **BRIEF)
    file = tmp_path / "run" / name
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))
    with pytest.raises(ValueError, match=f"{name} is damaged, or no file of a run: .*{reason}.*; train the run again"):
        read_run(tmp_path / "run")


def test_a_run_on_a_game_that_is_not_installed_is_named(tmp_path: Path) -> None:
    train("vdn", "matrix_game_v1", out=tmp_path / "run", **BRIEF)
    file = tmp_path / "run" / "config.json"
    file.write_text(file.read_text().replace("matrix_game_v1", "matrix_game_v9"))
    with pytest.raises(ValueError, match=r"config\.json does not fit what is installed: no environment .*v9"):
        print(read_run(tmp_path / "run").task)


def test_a_place_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} holds no run"):
        find_runs([tmp_path])
    with pytest.raises(FileNotFoundError, match="nowhere holds no run"):
        read_run("nowhere")
