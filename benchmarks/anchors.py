"""Measures the anchors of every game: the mean returns of the random team and of the scripted ones, and known optima.

    python benchmarks/anchors.py [--ids ID ...] [--episodes 2000]

writes them into `envs/anchors.json`, which is shipped: `coopgym.spec(id, preset).anchors`. Games of other ids keep what
is known of them; ids and presets that are gone are dropped. Every team plays the episodes with the seeds 0, 1, ..., so
`coopgym evaluate` gives the same numbers again. Run it after a team, a preset or an id was added, and commit the file.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import coopgym
from coopgym.envs import ENVIRONMENTS, family
from coopgym.envs.core import Environment
from coopgym.envs.specification import ANCHORS, Anchor
from coopgym.envs.teams import RANDOM

EPISODES = 2000
DIGITS = 4  # after the point: far finer than the intervals


def measured(env: Environment, episodes: int) -> list[Anchor]:
    """The anchors of one game, the random team's first and the optimum last."""
    anchors = [played(name, env, episodes) for name in (RANDOM, *env.scripted)]
    optimum = env.optimum()
    if optimum is not None:
        value, how = optimum
        anchors.append(Anchor("optimal", value, value, value, 0, how))
    return anchors


def played(name: str, env: Environment, episodes: int) -> Anchor:
    """The mean return of a team of this name."""
    score = coopgym.evaluate(name, env, episodes=episodes, seed=0)
    mean, low, high = (round(value, DIGITS) for value in (score.mean, *score.interval))
    preset = f" --preset {env.preset}" if env.preset else ""
    return Anchor(name, mean, low, high, episodes, f"coopgym evaluate {name} {env.id}{preset} --episodes {episodes}")


def update(ids: Sequence[str], episodes: int) -> None:
    """Measures these ids anew and writes the file, id by id."""
    known = json.loads(ANCHORS.read_text(encoding="utf-8")) if ANCHORS.is_file() else {}
    known = {id: known[id] for id in sorted(ENVIRONMENTS) if id in known}
    for id in ids:
        known[id] = {}
        for preset in (None, *family(id).presets):
            anchors = measured(coopgym.environment(id, preset), episodes)
            known[id][preset or ""] = [asdict(anchor) for anchor in anchors]
            print(f"{id} {preset or ''}: {', '.join(map(str, anchors))}", flush=True)
        ANCHORS.write_text(written(dict(sorted(known.items()))), encoding="utf-8")


def written(known: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    """The file's text: a line for each anchor, so that changes can be read."""
    games = []
    for id, presets in known.items():
        lines = [
            f"  {json.dumps(preset)}: [\n   " + ",\n   ".join(map(json.dumps, anchors)) + "\n  ]"
            for preset, anchors in presets.items()
        ]
        games.append(f" {json.dumps(id)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(games) + "\n}\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--ids", nargs="+", default=sorted(ENVIRONMENTS), choices=sorted(ENVIRONMENTS))
    parser.add_argument("--episodes", type=int, default=EPISODES)
    options = parser.parse_args()
    update(options.ids, options.episodes)
