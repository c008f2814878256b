"""A baseline trained again lies in its published band, or is said not to."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import coopgym
from coopgym.baselines import reference, reproduction
from coopgym.baselines.reference import TASKS, from_result, reference_file, write_reference
from coopgym.baselines.results import find_runs
from coopgym.cli import main
from tests.made_runs import made_run, made_runs

FINALS = [-28.0, -29.0, -27.0, -28.5, -27.5]


@pytest.fixture(autouse=True)
def _reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = find_runs([made_runs(tmp_path / "runs", FINALS)])
    (tmp_path / "data").mkdir()
    write_reference(reference_file("spread_v1", tmp_path / "data"), [from_result(run) for run in runs])
    monkeypatch.setattr(reference, "FOLDER", tmp_path / "data")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def trains_to(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes training end at once, with this score; returns what it was called with."""

    def put(final: float, **changes: Any) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []

        def train(name: str, env: Any, seed: int, out: Path, **options: Any) -> None:
            calls.append({"name": name, "env": env, "seed": seed, **options})
            made_run(out, name, env.id, env.preset, seed, final, **changes)

        monkeypatch.setattr(reproduction, "train", train)
        return calls

    return put


def test_a_score_in_the_band_of_the_other_seeds_is_said_to_be_in_it(trains_to: Any) -> None:
    calls = trains_to(-30.0)
    made = coopgym.reproduce("qmix", "spread_v1", seed=0)
    [call] = calls
    assert (call["name"], call["env"].id, call["seed"], call["env_steps"]) == ("qmix", "spread_v1", 0, 2_000_000)
    others = np.array(FINALS[1:])
    half = 3.182446 * others.std(ddof=1) * 1.25**0.5  # Student's quantile for three degrees of freedom
    assert made.band is not None
    assert (made.band.low, made.band.high) == pytest.approx((others.mean() - half, others.mean() + half), abs=1e-5)
    assert made.inside and "The score lies in the band." in str(made)


def test_a_score_beyond_the_band_is_said_to_be_outside_and_ends_in_failure(
    trains_to: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    trains_to(-35.0)
    assert main(["reproduce", "qmix", "spread_v1"]) == 1
    assert "The score lies OUTSIDE the band." in capsys.readouterr().out
    assert Path("runs", "reproduced-qmix-spread_v1-seed0", "scores.json").is_file()


def test_the_same_curve_is_said_to_be_the_same_to_the_last_bit(
    trains_to: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    trains_to(-28.0)
    assert main(["reproduce", "qmix", "spread_v1", "--out", "mine"]) == 0
    assert "The curve is that of the reference's seed 0, to the last bit." in capsys.readouterr().out


def test_where_another_curve_leaves_the_references_is_said_with_what_has_changed(trains_to: Any) -> None:
    curve = np.linspace(-80, -28, 5)
    curve[2] += 1e-12
    trains_to(-28.0, curve=curve.tolist(), processor="another")
    made = coopgym.reproduce("qmix", "spread_v1")
    assert made.first_difference == 1_200_000
    assert "after 1200000 steps; there and here: processor a processor and another." in str(made)


def test_a_seed_that_the_reference_does_not_have_has_a_band_of_all_its_seeds(trains_to: Any) -> None:
    trains_to(-28.0)
    made = coopgym.reproduce("qmix", "spread_v1", seed=77)
    assert (made.seeds, made.first_difference) == (5, None)
    assert "does not have seed 77" in str(made)


def test_two_seeds_make_no_band(trains_to: Any, tmp_path: Path) -> None:
    runs = [from_result(run) for run in find_runs([tmp_path / "runs"])][:3]
    write_reference(reference_file("spread_v1", tmp_path / "data"), runs)
    trains_to(-28.0)
    made = coopgym.reproduce("qmix", "spread_v1")
    assert made.inside is None and "2 other seeds, too few for a band" in str(made)


def test_equal_scores_make_a_band_that_holds_them(trains_to: Any, tmp_path: Path) -> None:
    runs = find_runs([made_runs(tmp_path / "games", [8.0] * 4, id="matrix_game_v1", preset="qtran3x3")])
    write_reference(reference_file("matrix_game_v1", tmp_path / "data"), [from_result(run) for run in runs])
    trains_to(8.0)
    assert coopgym.reproduce("qmix", "matrix_game_v1", "qtran3x3").inside
    trains_to(0.0)
    assert coopgym.reproduce("qmix", "matrix_game_v1", "qtran3x3").inside is False


def test_what_the_reference_does_not_hold_cannot_be_reproduced() -> None:
    with pytest.raises(ValueError, match=r"no reference configuration for spread_v1/openai; there are .*spread_v1"):
        coopgym.reproduce("qmix", "spread_v1", "openai")
    with pytest.raises(ValueError, match="no reference runs of vdn on this task; there are qmix"):
        coopgym.reproduce("vdn", "spread_v1")
    with pytest.raises(ValueError, match="did you mean qmix"):
        coopgym.reproduce("qmx", "spread_v1")


def test_a_game_is_found_whatever_it_is_called(trains_to: Any) -> None:
    calls = trains_to(-28.0)
    assert coopgym.reproduce("qmix", "spread_v1", "mpe2", seed=0).inside  # the preset of all defaults
    assert calls[0]["env"].preset is None


# The real thing: what has been learnt on the matrix games is learnt again.


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()


@pytest.mark.parametrize("name", ["vdn", "qtran"])
def test_a_baseline_that_is_trained_again_lands_in_its_band(name: str, shipped: None) -> None:
    made = coopgym.reproduce(name, "matrix_game_v1", "qtran3x3", seed=0)
    assert made.inside, str(made)


@pytest.mark.slow
@pytest.mark.parametrize("preset", [preset for id, preset in TASKS if id == "matrix_game_v1"])
def test_all_baselines_land_in_their_bands_on_the_matrix_games(preset: str, shipped: None) -> None:
    names = [one.algorithm for one in reference.references("matrix_game_v1", preset)]
    assert len(names) == 12
    made = [coopgym.reproduce(name, "matrix_game_v1", preset, seed=3) for name in names]
    outside = [str(one) for one in made if not one.inside]
    assert len(outside) <= 1, outside  # of twelve scores, each lies outside one time in twenty


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vdn", "qmix", "qtran"])
def test_the_smallest_hunt_is_learnt_again(name: str, shipped: None) -> None:
    made = coopgym.reproduce(name, "predator_prey_v1", "qtran_code_5x5_p0.5", seed=0)
    assert made.inside, str(made)
