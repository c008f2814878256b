"""A baseline trained again lies in its published band, or is said not to."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import coopgym
from coopgym.baselines import ALGORITHMS, reference, reproduction
from coopgym.baselines.reference import MATRIX_GAMES, from_result, reference_file, write_reference
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


def test_two_seeds_make_a_wide_band(trains_to: Any, tmp_path: Path) -> None:
    runs = [from_result(run) for run in find_runs([tmp_path / "runs"])][:3]
    write_reference(reference_file("spread_v1", tmp_path / "data"), runs)
    trains_to(-28.0)
    made = coopgym.reproduce("qmix", "spread_v1")
    half = 12.706205 * 2**0.5 * 1.5**0.5  # of -29 and -27, with one degree of freedom
    assert made.band is not None
    assert (made.band.low, made.band.high) == pytest.approx((-28 - half, -28 + half), rel=1e-4)
    assert "by 2 other seeds (mean -28); provisional: 3 of 10 seeds." in str(made)


def test_one_seed_makes_no_band_and_that_is_said_before_the_training(
    trains_to: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [from_result(run) for run in find_runs([tmp_path / "runs"])][:2]
    write_reference(reference_file("spread_v1", tmp_path / "data"), runs)
    trains_to(-28.0)
    with pytest.warns(UserWarning, match="The reference has 1 other seed, too few for a band"):
        made = coopgym.reproduce("qmix", "spread_v1")
    assert made.inside is None and "1 other seed, too few for a band" in str(made)
    monkeypatch.setattr(reproduction, "train", lambda *_, **__: pytest.fail("it trains"))
    with pytest.warns(UserWarning, match="too few"), pytest.raises(pytest.fail.Exception, match="it trains"):
        coopgym.reproduce("qmix", "spread_v1")


def test_a_run_that_is_done_is_judged_and_not_trained_again(trains_to: Any) -> None:
    calls = trains_to(-30.0)
    first = coopgym.reproduce("qmix", "spread_v1", out="mine")
    again = coopgym.reproduce("qmix", "spread_v1", out="mine")
    assert len(calls) == 1
    assert str(again) == str(first)


def test_a_run_that_was_stopped_goes_on(trains_to: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = trains_to(-30.0)
    made_run(Path("mine"), finished=False)

    def finish(folder: Path, **_: Any) -> None:
        shutil.rmtree(folder)
        made_run(folder, final=-30.0)

    monkeypatch.setattr(reproduction, "resume", finish)
    assert coopgym.reproduce("qmix", "spread_v1", out="mine").score == -30.0
    assert not calls


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 1}, "another seed"),
        ({"name": "vdn"}, "another algorithm and another mixer_width and another hyper_width"),
        ({"gamma": 0.5}, "another gamma"),
        ({"preset": "openai"}, "another game and another env_steps"),
    ],
)
def test_a_folder_with_another_run_is_left_alone(trains_to: Any, changes: dict[str, Any], words: str) -> None:
    trains_to(-30.0)
    made_run(Path("mine"), **changes)
    with pytest.raises(ValueError, match=rf"mine holds a run already, with {words}.*; choose another folder"):
        coopgym.reproduce("qmix", "spread_v1", out="mine")


def test_where_the_shipped_configuration_has_changed_it_is_said(trains_to: Any) -> None:
    curve = np.linspace(-80, -29, 5)
    trains_to(-29.0, curve=curve.tolist(), gamma=0.5)
    assert "there and here: gamma 0.9 and 0.5." in str(coopgym.reproduce("qmix", "spread_v1"))


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


SETTLED = [  # where all seeds of the reference end alike, so that a single run tells a change from luck
    (preset, one.algorithm)
    for preset in MATRIX_GAMES
    for one in reference.references("matrix_game_v1", preset)
    if np.ptp(one.final) < 1e-6
]


def test_most_baselines_are_trained_again() -> None:
    assert {name for _, name in SETTLED} == {*ALGORITHMS}
    assert len(SETTLED) >= 40


@pytest.mark.parametrize(("preset", "name"), SETTLED)
def test_a_baseline_that_is_trained_again_lands_in_its_band(preset: str, name: str, shipped: None) -> None:
    made = coopgym.reproduce(name, "matrix_game_v1", preset, seed=0)
    assert made.inside, str(made)


@pytest.mark.slow
@pytest.mark.parametrize("preset", MATRIX_GAMES)
def test_all_baselines_land_in_their_bands_on_the_matrix_games(preset: str, shipped: None) -> None:
    names = [one.algorithm for one in reference.references("matrix_game_v1", preset)]
    assert len(names) == 12
    made = [coopgym.reproduce(name, "matrix_game_v1", preset, seed=3) for name in names]
    outside = [str(one) for one in made if not one.inside]
    assert len(outside) <= 1, outside  # of twelve scores, each lies outside one time in twenty


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vdn", "qmix", "qtran"])
def test_the_hunt_that_punishes_is_learnt_again(name: str, shipped: None) -> None:
    made = coopgym.reproduce(name, "predator_prey_v1", "stag_p-2", seed=3)
    assert made.inside, str(made)
