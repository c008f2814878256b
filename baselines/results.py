"""Runs, read back from their folders: what was trained, how it learnt, and what its team earns."""

import csv
import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from coopgym.baselines.files import CONFIG, METRICS, SCORES, reason
from coopgym.envs import environment
from coopgym.envs.core import Environment
from coopgym.envs.parameters import json_params, tupled

OF_A_MACHINE = ("coopgym", "versions", "machine", "processor", "threads", "tensorboard", "checkpoint_seconds", "device")
OF_A_TASK: dict[str, Any] = {  # what every config.json says, and as what
    "algorithm": str,
    "algorithm_config": dict,
    "environment": str,
    "preset": str | None,
    "params": dict,
    "seed": int,
    "env_steps": int,
    "coopgym": str,
    "versions": dict,
    "processor": str,
}
OF_A_CURVE = ("env_steps", "updates", "wall_seconds", "mean_team_return", "std_team_return")  # every row's numbers
OF_A_SCORE = ("mean_team_return", "std_team_return", "episodes", "seed")
OF_A_RUN = ("seed", "preset")  # the parameters say what a preset does
OF_A_GAME = ("environment", "params", "return_definition")


@dataclass(frozen=True)
class Result:
    """A run, finished or not."""

    path: Path
    config: dict[str, Any]  # config.json
    curve: dict[str, np.ndarray]  # the columns of metrics.csv by name, [P] float64: a row for each evaluation
    scores: dict[str, Any] | None  # scores.json; None until the run is done

    @property
    def algorithm(self) -> str:
        return str(self.config["algorithm"])

    @property
    def seed(self) -> int:
        return int(self.config["seed"])

    @cached_property
    def environment(self) -> Environment:
        """What it was trained on. Raises ValueError where nothing that is installed has such rules."""
        return self._installed(**tupled(self.config["params"]))

    def _installed(self, preset: str | None = None, **params: Any) -> Environment:
        try:
            return environment(self.config["environment"], preset, **params)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.path / CONFIG} does not fit what is installed: {error}") from None

    @cached_property
    def game(self) -> str:
        """A text that runs on the same game share, whatever its preset is called."""
        return game_of(self.environment)

    @cached_property
    def attainable(self) -> tuple[float, float]:
        """What no team's expected return leaves: it ends at the optimum, where that is known."""
        optimum = self.environment.optimum()
        return -math.inf, math.inf if optimum is None else optimum[0]

    @cached_property
    def task(self) -> str:
        """The id, with the preset or the parameters that make it another game than the id's own."""
        id, preset, params = self.environment.id, self.config["preset"], self.config["params"]
        base = json_params(self._installed(preset))
        changed = [f"{name}={value}" for name, value in params.items() if value != base[name]]
        return " ".join([f"{id}/{preset}" if preset else id, *changed])

    @cached_property
    def recipe(self) -> str:
        """A word for all that its seeds have in common: the algorithm, its fields, the game, the budget."""
        common = {name: value for name, value in self.config.items() if name not in (*OF_A_MACHINE, *OF_A_RUN)}
        return hashlib.sha256(json.dumps(common, sort_keys=True).encode()).hexdigest()[:16]


def fields(run: Result) -> dict[str, Any]:
    """What went into a run beside the game and the seed: the settings and the algorithm's fields."""
    left_out = {*OF_A_MACHINE, *OF_A_RUN, *OF_A_GAME, "algorithm", "algorithm_config"}
    settings = {name: value for name, value in run.config.items() if name not in left_out}
    return {**settings, **run.config["algorithm_config"]}


def differing(tables: Sequence[dict[str, Any]]) -> list[str]:
    """The names whose values are not the same in all of the tables."""
    names = dict.fromkeys(name for table in tables for name in table)
    return [name for name in names if len({json.dumps(table.get(name), sort_keys=True) for table in tables}) > 1]


def game_of(env: Environment) -> str:
    """The id and all parameters, as a text."""
    return json.dumps([env.id, json_params(env)], sort_keys=True)


def read_config(folder: str | Path) -> dict[str, Any]:
    """What a run began with. Raises FileNotFoundError where its folder holds none, ValueError for a damaged file."""
    file = Path(folder, CONFIG)
    if not file.is_file():
        raise FileNotFoundError(f"{folder} holds no run; give the folder that `coopgym train` named")
    with _naming(file):
        config = json.loads(file.read_text(encoding="utf-8"))
        for name, kind in OF_A_TASK.items():
            if not isinstance(config[name], kind):
                raise ValueError(f"its {name} is {config[name]!r}")
    return dict(config)


def read_run(folder: str | Path) -> Result:
    """The run in a folder. Raises FileNotFoundError where there is none, ValueError where its files are damaged."""
    folder = Path(folder)
    config = read_config(folder)
    curve: dict[str, np.ndarray] = {}
    if (file := folder / METRICS).is_file():
        with _naming(file):
            rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
            curve = {name: np.array([float(row[name] or "nan") for row in rows]) for name in (rows[0] if rows else ())}
            for name in OF_A_CURVE if rows else ():
                _check_finite(name, *curve[name])
    scores = None
    if (file := folder / SCORES).is_file():
        with _naming(file):
            scores = json.loads(file.read_text(encoding="utf-8"))
            for metric, name in itertools.product(("final", "absolute"), OF_A_SCORE):
                _check_finite(name, scores[metric][name])
        with _naming(folder / METRICS):
            if not curve:
                raise ValueError("it has no rows")
            last, asked = curve["env_steps"][-1], config["env_steps"]
            if last < asked:
                raise ValueError(f"it ends after {last:.0f} of {asked} environment steps")
    return Result(folder, config, curve, scores)


def _check_finite(name: str, *values: float) -> None:
    for value in values:
        if not math.isfinite(value):
            raise ValueError(f"its {name} is {value}")


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Within it, whatever a file lacks is a ValueError that names the file."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{file} is damaged, or no file of a run: {reason(error)}; train the run again") from None


def find_runs(places: Iterable[str | Path]) -> list[Result]:
    """All runs in these folders and below them, each once. Raises FileNotFoundError for a place without any."""
    folders: dict[Path, None] = {}
    for place in places:
        found = list(_folders(Path(place)))
        if not found:
            raise FileNotFoundError(f"{place} holds no run, nor does a folder below it")
        folders.update(dict.fromkeys(path.resolve() for path in found))
    return [read_run(folder) for folder in folders]


def _folders(place: Path) -> Iterator[Path]:
    if (place / CONFIG).is_file():
        yield place
        return
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        if path.is_dir() and not path.name.startswith("."):
            yield from _folders(path)
