"""Goes on with runs that were stopped or killed, as if that had not happened."""

import warnings
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError

from coopgym.baselines import ALGORITHMS
from coopgym.baselines import algorithm as algorithm_named
from coopgym.baselines.checkpoint import FOLDER, Checkpoints, DamagedError, opened
from coopgym.baselines.files import claimed, reason
from coopgym.baselines.learner import Config, Learner
from coopgym.baselines.results import read_config
from coopgym.baselines.run import CONFIG, SCORES, Run
from coopgym.baselines.train import Settings, Training, to_the_end, torch_threads
from coopgym.envs import environment
from coopgym.envs.core import Environment
from coopgym.envs.parameters import json_params, tupled


class Parts(NamedTuple):
    """What a run was begun with."""

    learner_class: type[Learner]
    env: Environment
    config: Config
    settings: Settings


def resume(
    folder: str | Path,
    algorithm: str | type[Learner] | None = None,
    on_evaluation: Callable[[Run], None] | None = None,
    progress: bool = False,
) -> Run:
    """Goes on with a run that was stopped or killed, by its own configuration, and returns it when it is done.

    folder: the run's, to go on from its latest checkpoint, or from the start where there is none; or that of one of its
    checkpoints. algorithm: the Learner class, for one that is not coopgym's. on_evaluation: as in `train`.
    Raises FileNotFoundError where there is no run, ValueError for one that is done, that another algorithm has begun or
    that is damaged, RuntimeError for one that another process works on.
    """
    place = Path(folder)
    path = run_of(place)
    parts = parts_of(path, algorithm)
    with torch_threads(parts.settings.threads), claimed(path), torch.random.fork_rng(devices=[]):
        if (path / SCORES).exists():
            raise ValueError(f"the run in {path} is done; to train longer, begin another one")
        training = Training(*parts, path)
        stored = read_config(path)
        _compare_machines(path, stored, training.run.config)
        training.run.config = stored
        checkpoints = [place] if place != path else Checkpoints(path).paths()
        if checkpoints:
            _go_back(training, checkpoints[0])
        else:
            training.run.go_back([], {})
        return to_the_end(training, on_evaluation, progress)


def run_of(place: Path) -> Path:
    """The folder of the run that a place belongs to: it, or the one that it is a checkpoint of."""
    return place.parent.parent if place.parent.name == FOLDER else place


def parts_of(path: Path, algorithm: str | type[Learner] | None = None) -> Parts:
    """What the run in a folder was begun with; algorithm and errors as in `resume`."""
    stored = read_config(path)
    name = stored["algorithm"]
    if algorithm is None and name not in ALGORITHMS:
        raise ValueError(
            f"{name!r}, which trains in {path}, is none of coopgym's algorithms; name its file: "
            f"coopgym train FILE.py --resume {path}"
        )
    learner_class = algorithm if isinstance(algorithm, type) else algorithm_named(algorithm or name)
    if learner_class.name != name:
        raise ValueError(f"{name!r} trains in {path}, not {learner_class.name!r}; a run goes on as it began")
    try:
        return Parts(
            learner_class,
            environment(stored["environment"], stored["preset"], **tupled(stored["params"])),
            learner_class.Config(**stored["algorithm_config"]),
            Settings(**{field.name: stored[field.name] for field in fields(Settings)}),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path / CONFIG} does not fit what is installed: {reason(error)}") from error


def flat(env: Environment, config: Config, settings: Settings) -> dict[str, Any]:
    """All that a command line can say of a run, by name."""
    params = {f"env.{name}": value for name, value in json_params(env).items()}
    return {**asdict(settings), **asdict(config), **params}


def _go_back(training: Training, place: Path) -> None:
    checkpoints = training.checkpoints
    assert training.run.path is not None and checkpoints is not None
    try:
        checkpoint = opened(place)
        training.restore(checkpoint)
    except DamagedError as error:
        raise ValueError(f"{place} is damaged: {error}; {checkpoints.offer(place)}") from None
    except (AttributeError, IndexError, KeyError, RuntimeError, SafetensorError, TypeError, ValueError) as error:
        raise ValueError(f"{place} does not fit the run: {reason(error)}") from error
    checkpoints.latest = checkpoint


def _compare_machines(path: Path, stored: dict[str, Any], now: dict[str, Any]) -> None:
    """Warns of what can make the rest of a run another one than if it had never been stopped."""
    then, here = (
        {"coopgym": one["coopgym"], **one["versions"], "processor": one["processor"]} for one in (stored, now)
    )
    changed = [f"{name} {value} (now {here.get(name)})" for name, value in then.items() if value != here.get(name)]
    if changed:
        warnings.warn(
            f"the run in {path} began with {', '.join(changed)}: what follows may not be what it would have been there",
            stacklevel=3,
        )
