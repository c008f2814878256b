"""Games that other programs played, recorded by `benchmarks/predator_prey_sources.py --record`, come out in ours.

They are of the authors' code of DCG and of QTRAN, and of ma-gym, none of which can be installed beside this package.
"""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coopgym.envs import environment
from coopgym.envs.core import Batch

FILE = Path(__file__).parent / "data" / "games_of_the_sources.json.gz"
RECORDINGS = json.loads(gzip.decompress(FILE.read_bytes()))
DRAWN = ("predator_prey_v1",)  # whose starts and prey are drawn at random


def name_of(recording: dict[str, Any]) -> str:
    params = {key: value for key, value in recording["params"].items() if key not in ("source_slips", "reward_mode")}
    return f"{recording['id']}-{'-'.join(str(value) for value in params.values())}"


def places(batch: Batch) -> list[list[list[int] | None]]:
    """Where everybody stands, row and column, the agents first; None off the board."""
    arrays, p = batch.arrays, batch.env.params
    if batch.env.id == "predator_prey_v1":
        width, off, groups = p.size, p.size**2, (arrays.predator, arrays.prey)
    else:
        width, off, groups = batch.env.width, -1, (arrays.cell,)
    return [[None if cell == off else [*divmod(int(cell), width)] for cell in group[0]] for group in groups]


@pytest.mark.parametrize("recording", RECORDINGS, ids=name_of)
def test_a_recorded_game_comes_out_again(recording):
    batch = Batch(environment(recording["id"], **recording["params"]), 1, recording["seed"], autoreset="disabled")
    rewarded = 0
    for game in recording["games"]:
        out = batch.reset(np.array([True]))
        for t in range(len(game["actions"]) + 1):
            assert places(batch) == game["places"][t], f"before step {t}"
            np.testing.assert_allclose(out.obs[0], game["obs"][t], atol=1.1e-5)
            if recording["id"] in DRAWN:
                assert batch.arrays.rng[0] == int(game["rng"][t]), "not as many random numbers were drawn"
            if t == len(game["actions"]):
                break
            assert not out.ended[0]
            batch.step(np.array([game["actions"][t]]))
            np.testing.assert_allclose(earned(batch), game["rewards"][t], atol=1e-6)
            rewarded += np.any(game["rewards"][t] != game["rewards"][0])
        assert (bool(out.terminated[0]), bool(out.ended[0])) == (game["over"], True)
    assert rewarded


def earned(batch: Batch) -> Any:
    """What the recorded programs return: the team's reward, or that of each agent."""
    return batch.out.reward[0] if batch.env.id in DRAWN else batch.out.agent_reward[0]


def test_games_of_every_program_and_both_kinds_of_ends_are_recorded():
    ends = {(one["id"], one["params"].get("preset", "")[:5]): set() for one in RECORDINGS}
    for one in RECORDINGS:
        ends[one["id"], one["params"].get("preset", "")[:5]] |= {game["over"] for game in one["games"]}
    assert {key[1] for key in ends} == {"stag_", "qtran", "ma_gy", ""}
    assert ends["switch_v1", ""] == ends["checkers_v1", ""] == ends["predator_prey_v1", "ma_gy"] == {False, True}
