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
        ("metrics.csv", "a,b\n1,x\n"),
        ("scores.json", ""),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, text: str) -> None:
    train("vdn", "matrix_game_v1", out=tmp_path / "run", **BRIEF)
    (tmp_path / "run" / name).write_text(text)
    with pytest.raises(ValueError, match=f"{name} is damaged"):
        read_run(tmp_path / "run")


def test_a_place_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} holds no run"):
        find_runs([tmp_path])
    with pytest.raises(FileNotFoundError, match="nowhere holds no run"):
        read_run("nowhere")
