"""The trained teams that ship, by names such as qmix/spread_v1.

There is one for each algorithm of the reference and each of its tasks; of the matrix games, for the first alone. It is
the team at the end of the run whose final score is the median of its seeds, not the best one: of an even number the
lower of the middle two, and where that run was not kept, the kept one nearest to it. `policies.json` says what each is,
and its sha256.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from coopgym.baselines import reference
from coopgym.baselines.results import game_of
from coopgym.envs import environment
from coopgym.envs.core import Environment
from coopgym.envs.parameters import nearest

MANIFEST = "policies.json"


def policies(folder: Path | None = None) -> dict[str, dict[str, Any]]:
    """What the manifest says of each team, by its name."""
    file = (folder or reference.FOLDER) / MANIFEST
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def policy_name(algorithm: str, env: Environment) -> str | None:
    """The name of the team that an algorithm has for a game; None where none ships."""
    for name, known in policies().items():
        same = known["algorithm"] == algorithm and known["environment"] == env.id
        if same and game_of(environment(known["environment"], known["preset"])) == game_of(env):
            return name
    return None


def policy_file(name: str) -> Path:
    """The file of a team that ships. Raises FileNotFoundError for an unknown name, ValueError for an altered file."""
    known = policies()
    if name not in known:
        hint = nearest(name, known)
        hint = hint if hint.startswith("did you mean") else "give the folder of a run, or a name such as qmix/spread_v1"
        raise FileNotFoundError(f"there is no trained policy at {name}; {hint}")
    file = reference.FOLDER / known[name]["file"]
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; install coopgym again")
    if hashlib.sha256(file.read_bytes()).hexdigest() != known[name]["sha256"]:
        raise ValueError(f"{file} is not the file that was shipped: its sha256 is another; install coopgym again")
    return file
