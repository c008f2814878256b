"""Comparisons whose answer is known: runs that nobody has trained, and policies that always do the same."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import coopgym
from coopgym.baselines import reference
from coopgym.baselines.comparison import Comparison, compare_runs, fewest_runs, judged
from coopgym.baselines.comparison_plots import LOOKS, draw, efficiency_figure, empty_figure, legend, looks, on_one_grid
from coopgym.baselines.contest import Contest
from coopgym.baselines.reference import from_result, reference_file, write_reference
from coopgym.baselines.results import find_runs
from coopgym.baselines.rollout import Evaluation, FunctionTeam
from coopgym.cli import main
from tests.made_runs import made_run, made_runs

LOW = [-30.0, -31.0, -29.5, -30.5, -32.0, -29.0, -31.5, -30.2, -30.8, -29.9]  # ten seeds
MATRIX = "matrix_game_v1"


def known_reference(folder: Path, runs: Path) -> None:
    """Makes a reference of the runs in a folder."""
    folder.mkdir()
    found = [from_result(run) for run in find_runs([runs])]
    for id in {run.environment.id for run in found}:
        write_reference(reference_file(id, folder), [run for run in found if run.environment.id == id])


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """QMIX with ten seeds on spread, VDN with ten that are 2 better, and two matrix games."""
    folder = tmp_path_factory.mktemp("reference")
    made_runs(folder / "runs", LOW)
    made_runs(folder / "runs", [x + 2 for x in LOW], "vdn")
    made_runs(folder / "runs" / "climbing", [5.0, 5.0, 5.0, 5.0], id=MATRIX, preset="climbing", std=0.0)
    made_runs(folder / "runs" / "qtran3x3", [0.0, 0.0, 8.0, 0.0], id=MATRIX, preset="qtran3x3", std=0.0)
    known_reference(folder / "data", folder / "runs")
    return folder / "data"


@pytest.fixture(autouse=True)
def _reference(references: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "FOLDER", references)


def verdict(comparison: Comparison, metric: str = "final") -> tuple[str, str]:
    [one] = [one for one in comparison.verdicts if one.metric == metric]
    return one.word, str(one)


# Verdicts.


def test_an_interval_in_the_table_does_not_go_beyond_the_optimum(tmp_path: Path) -> None:
    made_runs(tmp_path, [8.0, 8.0, 8.0, 8.0, 6.0, 6.0], "mine", id=MATRIX, preset="qtran3x3", std=0.0)
    [row] = [line for line in str(compare_runs([tmp_path], ["qmix"])).splitlines() if line.startswith("mine ")]
    highs = [float(high) for high in re.findall(r", ([\d.]+)]", row)]
    assert highs == [8.0, 8.0]


def test_an_opponent_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    made_runs(tmp_path, [-26.0, -27.0, -25.5, -26.5, -26.2], "mine")
    assert len(compare_runs([tmp_path], ["qmix", "qmix"]).groups) == 2


def test_runs_that_are_all_above_the_reference_are_better(tmp_path: Path) -> None:
    made_runs(tmp_path, [-26.0, -27.0, -25.5, -26.5, -26.2], "mine")
    found = compare_runs([tmp_path], ["qmix"])
    word, text = verdict(found)
    assert word == "better"
    assert text == "mine is better than qmix (reference): P(improvement) 1.00 [1.00, 1.00]"
    assert verdict(found, "absolute")[0] == "better"
    assert "mine" in str(found) and "-26.23" in str(found)  # (-26.5 - 26.2 - 26.0) / 3: a quarter of five is one
    assert found.warnings == []


def test_runs_that_are_below_the_reference_are_worse(tmp_path: Path) -> None:
    made_runs(tmp_path, [x - 5 for x in LOW], "mine")
    assert verdict(compare_runs([tmp_path], ["qmix"]))[0] == "worse"


def test_the_two_scores_may_have_two_verdicts(tmp_path: Path) -> None:
    made_runs(tmp_path, [x - 5 for x in LOW], "mine", absolute=-20.0)
    found = compare_runs([tmp_path], ["qmix"])
    assert (verdict(found)[0], verdict(found, "absolute")[0]) == ("worse", "better")
    text = str(found)
    assert text.index("By the final score (the team at the end") < text.index("is worse than")
    assert text.index("By the absolute score (the best of the run's teams") < text.index("is better than")


def test_runs_like_the_reference_cannot_be_told_from_it(tmp_path: Path) -> None:
    made_runs(tmp_path, [x + 0.55 for x in LOW], "mine")
    word, text = verdict(compare_runs([tmp_path], ["qmix"]))
    assert word == "cannot tell"
    assert "cannot tell mine from qmix (reference)" in text
    # (P - 1/2)^2 n = 1.96^2 / 6, and P = 0.68: 20
    assert re.search(r"0\.68 .*; if the difference is what it seems, about 20 seeds of each would show it", text)


def test_equal_runs_are_said_to_be_equal(tmp_path: Path) -> None:
    made_runs(tmp_path, [8.0] * 6, "mine", id=MATRIX, preset="climbing", std=0.0)
    made_runs(tmp_path / "other", [8.0] * 6, "qtran", id=MATRIX, preset="climbing", std=0.0)
    word, text = verdict(compare_runs([tmp_path / f"mine-{k}" for k in range(6)], [tmp_path / "other"]))
    assert word == "cannot tell" and "all are equal" in text


@pytest.mark.parametrize(
    ("ours", "theirs", "word", "needed"),
    [
        (1, 10, "cannot tell", 2),  # 1 of 11 orders has ours on top: 2/11 for either side
        (2, 10, "better", 2),  # 2/66
        (3, 3, "cannot tell", 5),  # 2/20; with 5 it is 2/56
        (4, 4, "better", 4),  # 2/70
    ],
)
def test_few_runs_get_no_verdict_however_far_they_are_apart(ours: int, theirs: int, word: str, needed: int) -> None:
    found = judged("mine", "qmix", "final", np.arange(ours)[:, None] + 100.0, np.arange(theirs)[:, None] + 0.0)
    assert (found.word, fewest_runs(theirs, 1)) == (word, needed)
    if word == "cannot tell":
        assert f"{ours} against {theirs} runs are too few" in str(found)
        assert f"train {needed} seeds, at least" in str(found)


def test_a_difference_that_chance_makes_often_gets_no_verdict() -> None:
    ours, theirs = np.array([[7.5], [8.5]]), np.arange(10.0)[:, None]  # 12 of 66 orders have as much of a difference
    found = judged("mine", "qmix", "final", ours, theirs)
    assert found.chance.low > 0.5 and found.word == "cannot tell"
    assert "chance alone takes so few runs as far apart 18 times in 100" in str(found)


@pytest.mark.parametrize(("ours", "theirs", "tasks"), [(2, 10, 1), (3, 10, 2), (4, 4, 1)])
def test_runs_of_one_kind_seldom_get_a_verdict(ours: int, theirs: int, tasks: int) -> None:
    random = np.random.default_rng(5)
    for kind in (random.standard_normal, lambda size: random.random(size) < 0.5):
        pairs = [(kind((ours, tasks)) * 1.0, kind((theirs, tasks)) * 1.0) for _ in range(200)]
        words = [judged("a", "b", "final", *pair).word for pair in pairs]
        assert words.count("cannot tell") >= 183  # 5 in 100 may be wrong: of 200, more than 17 are so 1 time in 100


def test_several_tasks_are_judged_together_on_the_scale_of_their_anchors(tmp_path: Path) -> None:
    for preset, final in (("climbing", 11.0), ("qtran3x3", 8.0)):
        made_runs(tmp_path / preset, [final] * 4, "mine", id=MATRIX, preset=preset, std=0.0)
    found = compare_runs([tmp_path], ["qmix"])
    [verdict] = [one for one in found.verdicts if one.metric == "final"]
    assert verdict.word == "better" and verdict.chance.value == (1 + (3 + 0.5) / 4) / 2  # a tie counts one half
    assert [task.name for task in found.tasks.values()] == ["matrix_game_v1/climbing", "matrix_game_v1/qtran3x3"]
    ours, theirs = (found.scale_scores(group, "final") for group in found.groups)
    assert ours.tolist() == [[1.0, 1.0]] * 4  # the optimum of both
    random = {"climbing": -31 / 9, "qtran3x3": -40 / 9}
    at_five, at_nought = (5 - random["climbing"]) / (11 - random["climbing"]), 40 / 9 / (8 + 40 / 9)
    assert theirs[0] == pytest.approx([at_five, at_nought], abs=0.03)  # the random team's mean is measured
    assert "all of matrix_game_v1/climbing, matrix_game_v1/qtran3x3; random is 0" in str(found)


def test_seeds_of_several_tasks_need_not_be_the_same(tmp_path: Path) -> None:
    for preset, final, shift in (("climbing", 11.0, 0), ("qtran3x3", 8.0, 3)):
        for seed in range(shift, shift + 4 + shift // 3):  # 0 to 3, and 3 to 7
            made_run(tmp_path / preset / str(seed), "mine", MATRIX, preset, seed, final, std=0.0)
    found = compare_runs([tmp_path], ["qmix"])
    [verdict] = [one for one in found.verdicts if one.metric == "final"]
    assert verdict.word == "better" and verdict.runs == (4, 4)
    assert "mine has more seeds on some tasks; where tasks go together, the first 4 of each count" in found.warnings


# Which runs.


def test_patterns_are_expanded_and_what_lies_beside_runs_is_passed_over(tmp_path: Path) -> None:
    made_runs(tmp_path / "runs", [-26.0] * 4, "mine")
    (tmp_path / "runs" / "mine.log").write_text("a log")
    (tmp_path / "runs" / "mine-taken").write_text("")
    by_pattern = compare_runs([f"{tmp_path}/runs/mine*[0-9]"], ["qmix"])
    by_shell = compare_runs(sorted((tmp_path / "runs").glob("mine*")), ["qmix"])
    assert [len(found.ours[0].runs[game]) for found in (by_pattern, by_shell) for game in found.tasks] == [4, 4]


def test_runs_are_grouped_by_algorithm_and_where_it_was_trained_in_several_ways_by_these(tmp_path: Path) -> None:
    made_runs(tmp_path / "a", [-26.0] * 3, "qmix")
    made_runs(tmp_path / "b", [-26.0] * 3, "qmix", gamma=0.5)
    made_runs(tmp_path / "c", [-26.0] * 2, "vdn")
    found = compare_runs([tmp_path], ["qmix"])
    assert [group.name for group in found.ours] == ["qmix gamma=0.9", "qmix gamma=0.5", "vdn"]
    assert [group.name for group in found.theirs] == ["qmix (reference)"]


def test_folders_are_compared_to_folders(tmp_path: Path) -> None:
    made_runs(tmp_path / "new", [-26.0, -26.1, -26.2, -26.3], "qmix")
    made_runs(tmp_path / "old", LOW, "qmix")
    found = compare_runs([tmp_path / "new"], [tmp_path / "old"])
    assert verdict(found)[1].startswith(f"qmix is better than qmix of {tmp_path / 'old'}")


def test_what_does_not_count_is_named(tmp_path: Path) -> None:
    made_runs(tmp_path, [-26.0] * 4, "mine")
    made_run(tmp_path / "again", "mine", seed=0, final=-99.0)
    made_run(tmp_path / "begun", "mine", seed=9, finished=False)
    made_run(tmp_path / "elsewhere", "mine", "predator_prey_v1", final=30.0)
    found = compare_runs([tmp_path], ["qmix"])
    assert found.warnings == [
        f"{tmp_path / 'begun'} is not finished and left out",
        f"{tmp_path / 'mine-0'} is left out: mine has seed 0 of spread_v1 already",
        "predator_prey_v1 is left out: mine alone has played it",
    ]


# What is unfair.


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"env_steps": 500_000}, "environment steps of training: mine 500 000; qmix (reference) 2 000 000"),
        ({"steps_per_update": 50}, "gradient steps for each 1000 environment steps: mine 20; qmix (reference) 10"),
        ({"coopgym": "0.0.9"}, f"version of coopgym: mine 0.0.9; qmix (reference) {coopgym.__version__}"),
        ({"return_definition": "discounted"}, "return: mine discounted; qmix (reference) sum over the steps"),
    ],
)
def test_what_differs_beside_the_algorithm_is_said(tmp_path: Path, changes: dict, words: str) -> None:
    made_runs(tmp_path, [-26.0] * 4, "mine", **changes)
    [warning] = compare_runs([tmp_path], ["qmix"]).warnings
    assert f"spread_v1, {words}" in warning


def test_scores_on_other_episodes_are_said_to_be(tmp_path: Path) -> None:
    made_runs(tmp_path, [-26.0] * 4, "mine")
    for file in tmp_path.glob("*/scores.json"):
        file.write_text(file.read_text().replace("320", "32"))
    [warning] = compare_runs([tmp_path], ["qmix"]).warnings
    assert "episodes of a score: mine 32 from seed" in warning


def test_rules_that_have_changed_since_the_reference_was_made_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coopgym.baselines.comparison.word_of_game", lambda game: "another word")
    made_runs(tmp_path, [-26.0] * 4, "mine")
    assert compare_runs([tmp_path], ["qmix"]).warnings == [
        "the rules of spread_v1 have changed since the reference was made"
    ]


def test_different_games_are_not_compared(tmp_path: Path) -> None:
    made_runs(tmp_path / "mean", [-9.0] * 4, "mine", params={"reward_mode": "team_mean"})
    made_runs(tmp_path / "sum", [-26.0] * 4, "qmix")
    with pytest.raises(ValueError, match="no game in common: spread_v1 with reward_mode team_mean and team_sum"):
        compare_runs([tmp_path / "mean"], [tmp_path / "sum"])
    with pytest.raises(ValueError, match="no reference runs of qmix on spread_v1 reward_mode=team_mean"):
        compare_runs([tmp_path / "mean"], ["qmix"])
    made_runs(tmp_path / "hunt", [9.0] * 4, "mine", id="predator_prey_v1")
    with pytest.raises(ValueError, match="no game in common: predator_prey_v1 and spread_v1"):
        compare_runs([tmp_path / "hunt"], [tmp_path / "sum"])


def test_a_call_that_compares_with_nothing_or_plays_runs_is_refused() -> None:
    for ours, id in ((first, MATRIX), ("runs", None)):
        with pytest.raises(ValueError, match="something to compare to"):
            coopgym.compare(ours, id, to=None)
    with pytest.raises(TypeError, match="episodes is for a policy on a game"):
        coopgym.compare("runs", to="qmix", episodes=5)


def test_mistakes_are_named(tmp_path: Path) -> None:
    made_runs(tmp_path / "runs", [-26.0], "mine")
    made_run(tmp_path / "begun" / "a", "mine", finished=False)
    (tmp_path / "file").write_text("")
    for places, to, words in (
        (["nowhere"], ["qmix"], "there is nothing at nowhere"),
        ([tmp_path / "file"], ["qmix"], "names no folder"),
        ([tmp_path / "runs"], [], "something to compare to"),
        ([tmp_path / "runs"], ["qmx"], "neither an algorithm nor a folder of runs; did you mean qmix"),
        ([tmp_path / "runs"], ["iql"], "no reference runs of iql on spread_v1"),
        ([tmp_path / "begun"], ["qmix"], "no run is finished"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            compare_runs(places, to)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("scores.json", '{"final": {}}', "scores.json is damaged"),
        ("scores.json", "[]", "scores.json is damaged"),
        ("metrics.csv", "env_steps,updates\n", "metrics.csv is damaged"),
    ],
)
def test_a_run_whose_files_lack_something_is_named(tmp_path: Path, name: str, text: str, words: str) -> None:
    (made_run(tmp_path / "run", "mine") / name).write_text(text)
    with pytest.raises(ValueError, match=words):
        compare_runs([tmp_path], ["qmix"])


# Pictures.


def test_pictures_are_drawn_as_png_and_svg(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_runs(tmp_path / "runs", [-26.0, -26.5, -27.0, -26.2], "mine")
    assert main(["compare", f"{tmp_path}/runs/*", "--to", "qmix,vdn", "--out", str(tmp_path / "out")]) == 0
    assert "mine is better than qmix (reference)" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        f"{name}.{kind}" for name in ("sample_efficiency", "performance_profile") for kind in ("png", "svg")
    }
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in (tmp_path / "out").glob("*.png"))
    assert all("</svg>" in file.read_text() for file in (tmp_path / "out").glob("*.svg"))


def test_an_algorithm_has_one_colour_and_its_reference_is_dashed(tmp_path: Path) -> None:
    made_runs(tmp_path / "a", [-26.0] * 2, "qmix")
    made_runs(tmp_path / "b", [-26.0] * 2, "qmix", gamma=0.5)
    made_runs(tmp_path / "c", [-26.0] * 2, "mine")
    found = compare_runs([tmp_path], ["qmix", "vdn"])
    styles = looks(found)
    qmix = [style for name, style in styles.items() if name.startswith("qmix")]
    assert len(qmix) == 3 and {style["color"] for style in qmix} == {LOOKS["qmix"][0]}
    assert len({style["linestyle"] for style in qmix}) == 3
    assert len({(style["color"], style["marker"]) for style in styles.values()}) == 3
    assert len({*LOOKS.values()}) == len(LOOKS)
    panel = efficiency_figure(found).axes[0]
    assert panel.get_xlabel() == "training [environment steps]"
    assert panel.get_ylabel() == "team return [reward per episode]"


def test_curves_meet_at_the_evaluations_of_the_coarsest_run(tmp_path: Path) -> None:
    made_run(tmp_path / "a", "mine", seed=0, curve=[0.0, 1.0, 2.0, 3.0], env_steps=400)
    made_run(tmp_path / "b", "mine", seed=1, curve=[0.0, 4.0], env_steps=600)
    steps, returns = on_one_grid(find_runs([tmp_path]))
    assert steps.tolist() == [300.0]  # the second of the coarse one's, 600, lies beyond the end of the other
    assert returns.tolist() == [[2.0], [0.0]]


# One policy.


def first(obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
    return np.zeros(action_mask.shape[:2], np.int64)


def second(obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
    return np.ones(action_mask.shape[:2], np.int64)


def test_a_function_is_held_against_other_teams_on_the_same_episodes(tmp_path: Path) -> None:
    found = coopgym.compare(first, MATRIX, preset="climbing", to=[second, "best"], episodes=10, out=tmp_path / "out")
    assert isinstance(found, Contest)
    assert [one.word for one in found.opponents] == ["better", "cannot tell"]
    assert [one.difference.value for one in found.opponents if one.difference] == [4.0, 0.0]  # 11 less 7, 11 less 11
    assert "first is better than second: the difference is 4 [4, 4] an episode" in str(found)
    assert "cannot tell first from best" in str(found)
    assert "first is one policy" in str(found)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"comparison.png", "comparison.svg"}


def test_a_difference_is_taken_episode_by_episode() -> None:
    """On spread, luck makes returns of a team differ by 10 or so, and teams that share it by nothing."""
    found = coopgym.compare("random", "spread_v1", to=["random", "assignment"], episodes=20)
    assert isinstance(found, Contest)
    same, best = found.opponents
    assert same.difference is not None and (same.difference.low, same.difference.high) == (0.0, 0.0)
    assert best.score is not None and best.difference is not None
    apart = found.score.returns - best.score.returns
    half = 2.093024 * apart.std(ddof=1) / 20**0.5  # Student's quantile for 19 degrees of freedom
    assert best.difference.low == pytest.approx(apart.mean() - half)
    assert best.word == "worse"


def test_a_policy_has_its_place_among_the_seeds_of_the_reference() -> None:
    found = coopgym.compare(second, MATRIX, preset="climbing", to="qmix")
    assert isinstance(found, Contest)
    assert "second earns more than 4 of 4 seeds of qmix, final scores 5 to 5" in str(found)
    assert "provisional: 4 of 10 seeds" in str(found)
    assert found.opponents[0].difference is None  # no team of its own ships with these runs
    elsewhere = str(coopgym.compare(second, MATRIX, preset="climbing", to="qmix", episodes=4))
    assert "earns more than" not in elsewhere
    assert "the reference's scores of qmix are of other episodes (320 from seed 2000000011)" in elsewhere


def test_a_policy_is_scored_on_the_episodes_of_the_final_scores(tmp_path: Path) -> None:
    run = coopgym.train("vdn", MATRIX, env_steps=64, evaluate_every=32, out=tmp_path / "run")
    final = json.loads((tmp_path / "run" / "scores.json").read_text())["final"]
    found = coopgym.compare(tmp_path / "run", MATRIX, to=first)
    score: Evaluation = found.score  # type: ignore[union-attr]
    assert (score.returns.tolist(), score.seed) == (final["team_returns"], final["seed"])
    assert run.path is not None and str(run.path) in str(found)


def test_nothing_known_of_an_algorithm_is_said_with_what_is_known() -> None:
    with pytest.raises(ValueError, match=r"neither reference runs of iql .* nor a team; there are some of vdn, qmix"):
        coopgym.compare(first, "spread_v1", to=["iql"])
    with pytest.raises(ValueError, match="something to compare to"):
        coopgym.compare(first, "spread_v1", to=[])
    with pytest.raises(FileNotFoundError, match="did you mean"):
        coopgym.compare(first, "spread_v1", to=["assignmnt"], episodes=1)


def test_a_policy_without_a_game_is_asked_for_one() -> None:
    for policy in (first, FunctionTeam(first)):
        with pytest.raises(TypeError, match="give its id, such as"):
            coopgym.compare(policy, to=["qmix"])


def test_a_contest_is_drawn_where_no_team_plays(tmp_path: Path) -> None:
    found = coopgym.compare(second, MATRIX, preset="climbing", to=["qmix"], episodes=4)
    assert all(file.stat().st_size > 1000 for file in draw(found, tmp_path))


def test_a_legend_of_long_names_stays_within_the_picture() -> None:
    figure = empty_figure(7.0, 4.4)
    panel = figure.subplots()
    for k in range(3):
        panel.plot([0, 1], [k, k], label=f"qmix {k} (provisional reference), 5 seeds")
    legend(figure, [panel])
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width


def test_intervals_leave_curves_their_room(tmp_path: Path) -> None:
    made_runs(tmp_path / "runs", [-30.0, -20.0])  # two runs, whose interval is wide
    figure = efficiency_figure(compare_runs([tmp_path / "runs"], ["vdn"]))
    [panel] = [one for one in figure.axes if one.get_visible()]
    low, high = panel.get_ylim()
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in panel.lines])
    assert low < drawn.min() and high > drawn.max() and high - low < 1.3 * np.ptp(drawn)
