"""The shipped returns of known teams: complete, as they come out again, and shown where they are looked for."""

import json
import math

import pytest

import coopgym
from coopgym.cli import main
from coopgym.envs import ENVIRONMENTS, environment, family
from coopgym.envs.specification import ANCHORS, Anchor, anchors
from coopgym.envs.teams import HEURISTIC, RANDOM
from tests.games import name_of

GAMES = [(id, preset) for id in sorted(ENVIRONMENTS) for preset in (None, *family(id).presets)]
SHIPPED = json.loads(ANCHORS.read_text(encoding="utf-8"))
REMEDY = "; run: python benchmarks/anchors.py"
OTHER_SEEDS = 1_000_000  # from here on, far from the seeds that the shipped means are of

every_game = pytest.mark.parametrize("game", GAMES, ids=name_of)


def test_every_game_has_its_anchors_and_no_other_has_any():
    found = {(id, preset or None) for id in SHIPPED for preset in SHIPPED[id]}
    assert found == set(GAMES), REMEDY


@every_game
def test_the_anchors_are_the_random_team_the_scripted_ones_and_the_optimum(game):
    env = environment(*game)
    optimum = env.optimum()
    known = {anchor.name: anchor for anchor in anchors(*game)}
    assert list(known) == [RANDOM, *env.scripted, *(["optimal"] if optimum else [])], REMEDY
    assert not {RANDOM, HEURISTIC, "optimal"} & set(env.scripted)
    if optimum:
        best = known["optimal"]
        assert best.low == best.mean == best.high == pytest.approx(optimum[0], abs=1e-6), REMEDY
        assert (best.episodes, best.how) == (0, optimum[1]) and best.how, REMEDY
    for anchor in list(known.values())[: 1 + len(env.scripted)]:
        assert anchor.low <= anchor.mean <= anchor.high and anchor.episodes >= 1000
        assert not optimum or anchor.mean - 3 * (anchor.high - anchor.low) <= optimum[0] + 1e-4


QTRAN = [game for game in GAMES if game[0] == "predator_prey_v1" and (game[1] or "").startswith("qtran_")]


@pytest.mark.parametrize("game", QTRAN, ids=name_of)
def test_a_scripted_team_earns_more_than_a_random_one_and_but_for_four_that_see_no_mates_more_than_nothing(game):
    means = {anchor.name: anchor.mean for anchor in anchors(*game)}
    least = means[RANDOM] if game[1].startswith("qtran_paper_7x7") else max(means[RANDOM], 0)
    assert next(iter(environment(*game).scripted)) == max(means, key=means.get)  # it stands for the heuristic
    assert max(means.values()) > least


def comes_out_again(game, episodes: int) -> None:
    """New episodes have the shipped mean, within what chance allows."""
    for anchor in anchors(*game):
        if not anchor.episodes:
            continue
        score = coopgym.evaluate(anchor.name, environment(*game), episodes=episodes, seed=OTHER_SEEDS)
        deviation = (anchor.high - anchor.low) / 2 / 1.959964 * math.sqrt(anchor.episodes)  # of one episode
        error = deviation * math.sqrt(1 / anchor.episodes + 1 / episodes)
        assert abs(score.mean - anchor.mean) <= 4.5 * error + 1e-3, f"{anchor.name}: {score}{REMEDY}"


@pytest.mark.parametrize("id", sorted(ENVIRONMENTS))
def test_other_episodes_give_the_shipped_means(id):
    comes_out_again((id, None), episodes=200)


@pytest.mark.slow
@every_game
def test_many_other_episodes_give_the_shipped_means(game):
    comes_out_again(game, episodes=1000)


@pytest.mark.slow
@every_game
def test_the_command_of_an_anchor_gives_its_number(game, capsys):
    for anchor in anchors(*game):
        if anchor.episodes:
            assert main([*anchor.how.removeprefix("coopgym ").split(), "--json"]) == 0
            assert json.loads(capsys.readouterr().out)["mean_team_return"] == pytest.approx(anchor.mean, abs=1e-3)


def test_a_spec_shows_its_anchors_until_a_parameter_is_changed():
    spec = coopgym.spec("spread_v1", "mpe2")
    assert spec.anchors == anchors("spread_v1", "mpe2") and spec.anchors[0].name == RANDOM
    assert spec.to_dict()["anchors"][0]["mean"] == spec.anchors[0].mean
    assert spec.anchors[0].how == "coopgym evaluate random spread_v1 --preset mpe2 --episodes 2000"
    words = " ".join(str(spec).split())
    assert f"random {spec.anchors[0].mean:.4g} {spec.anchors[0].low:.4g} to {spec.anchors[0].high:.4g} 2000" in words
    assert coopgym.spec("spread_v1", "mpe2", n_agents=4).anchors == ()
    assert coopgym.spec("spread_v1", n_agents=3).anchors == anchors("spread_v1")  # 3 is the default
    assert "mean return" not in str(coopgym.spec("spread_v1", n_agents=4))


def test_an_anchor_in_short_is_its_mean_and_half_its_interval():
    assert str(Anchor(RANDOM, -79.25, -80.35, -78.15, 2000, "")) == "random -79.25 \N{PLUS-MINUS SIGN} 1.1"
    assert str(Anchor("optimal", 8.0, 8.0, 8.0, 0, "")) == "optimal 8"


def test_list_shows_every_game_with_its_anchors(capsys):
    assert main(["list"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    for id, preset in GAMES:
        assert f"{preset or 'without a preset'}: {', '.join(map(str, anchors(id, preset)))}" in lines
