"""What every game shows in 1,000 steps, as one word for each id and preset, kept in `golden.json`.

A word that changes means that the rules, the observations or the random stream of a game have changed: scores are no
longer comparable, and the id needs a new number at its end. Then, and for new ids and presets,

    python -m tests.test_golden [--ids ID ...]

writes the words anew. Nothing else is a reason to run it: not a refactoring, not a faster kernel, not another machine.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from coopgym.envs import ENVIRONMENTS, environment, family
from coopgym.envs.golden import feed, word_of
from tests.games import name_of

FILE = Path(__file__).with_name("golden.json")
GAMES = [(id, preset) for id in sorted(ENVIRONMENTS) for preset in (None, *family(id).presets)]


def write(ids: list[str]) -> None:
    """Keeps the words of other ids and makes those of these anew."""
    words = {id: word for id, word in _golden().items() if id in ENVIRONMENTS and id not in ids}
    for id, preset in GAMES:
        if id in ids:
            words.setdefault(id, {})[preset or ""] = word_of(environment(id, preset))
    FILE.write_text(json.dumps(dict(sorted(words.items())), indent=1) + "\n", encoding="utf-8")


def _golden() -> dict[str, dict[str, str]]:
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}


def test_every_game_has_a_word_and_no_other_has_one():
    assert {(id, preset or None) for id, words in _golden().items() for preset in words} == set(GAMES)


@pytest.mark.parametrize("game", GAMES, ids=name_of)
def test_a_game_shows_what_it_has_always_shown(game):
    id, preset = game
    assert word_of(environment(id, preset)) == _golden()[id][preset or ""], (
        f"{id} has changed: scores are no longer comparable, so the new game needs a new version of the id"
    )


@pytest.mark.parametrize(
    ("id", "params"),
    [
        ("spread_v1", {"horizon": 26}),
        ("spread_v1", {"local_ratio": 0.501}),
        ("predator_prey_v1", {"penalty": -0.001}),
        ("switch_v1", {"source_slips": True}),
    ],
)
def test_a_small_change_of_the_rules_changes_the_word(id, params):
    assert word_of(environment(id, **params)) != _golden()[id][""]


def test_a_word_does_not_depend_on_the_last_digits():
    def word(*values: float) -> str:
        digest = hashlib.sha256()
        feed(digest, np.array(values))
        return digest.hexdigest()

    assert word(0.1 + 0.2, -1e-12, 3.0) == word(0.3, 0.0, 3.0 - 1e-9)
    assert word(0.3) != word(0.30002)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--ids", nargs="+", default=sorted(ENVIRONMENTS), choices=sorted(ENVIRONMENTS))
    write(parser.parse_args().ids)
