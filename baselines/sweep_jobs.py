"""What a sweep has to do, and how far it has come: both are read from its folder.

OUT/sweep.json                                what was asked for
OUT/NAME.py                                   an algorithm of the user's own, as it was when it was first asked for
OUT/ALGORITHM/ID[-PRESET]/seedN/              a run that is done
OUT/ALGORITHM/ID[-PRESET]/.seedN.K/           a claim on a run (see `sweep_claims`)
OUT/ALGORITHM/ID[-PRESET]/seedN.error.txt     why a run has failed: a sentence, and the traceback
"""

import itertools
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

from coopgym.baselines import algorithm
from coopgym.baselines.files import reason, write_text
from coopgym.baselines.hyperparameters import published
from coopgym.baselines.learner import Config, Learner
from coopgym.baselines.run import SCORES
from coopgym.baselines.sweep_claims import Claim, newest_claim
from coopgym.baselines.train import Settings, with_fields
from coopgym.envs import environment
from coopgym.envs.core import Environment

PLAN = "sweep.json"
ERROR = ".error.txt"

OF_THE_SWEEP = ("seed", "threads")  # fields of a run that the sweep chooses


class Job(NamedTuple):
    """One run to train."""

    algorithm: str  # a name, or the name of a .py file in the sweep's folder
    env: str  # an id, then perhaps a preset and parameters: "spread_v1/knn_1/horizon=50"
    seed: int

    @property
    def name(self) -> str:
        """The algorithm's name."""
        return self.algorithm.removesuffix(".py")

    def place(self, out: Path) -> Path:
        """The run's folder."""
        return out / self.name / self.env.replace("/", "-") / f"seed{self.seed}"

    def error(self, out: Path) -> Path:
        """The file that says why it has failed."""
        place = self.place(out)
        return place.with_name(place.name + ERROR)

    def __str__(self) -> str:
        return f"{self.name} on {self.env}, seed {self.seed}"


@dataclass(frozen=True)
class Asked:
    """Every algorithm in every environment, with the seeds 0 to `seeds` - 1."""

    algorithms: tuple[str, ...]
    envs: tuple[str, ...]
    seeds: int


@dataclass(frozen=True)
class Plan:
    """All that was asked of a sweep, with the fields that all its runs share."""

    asked: tuple[Asked, ...]
    hyperparameters: str | None
    fields: dict[str, Any]

    @property
    def jobs(self) -> list[Job]:
        """Each job once, and all first seeds before all second ones, so that half a sweep compares like with like."""
        jobs = dict.fromkeys(
            Job(algorithm, env, seed)
            for one in self.asked
            for env, algorithm, seed in itertools.product(one.envs, one.algorithms, range(one.seeds))
        )
        return sorted(jobs, key=lambda job: job.seed)

    def extended(self, asked: Asked) -> "Plan":
        """The plan with more to do; the same one where it holds all of it already."""
        more = Plan((*self.asked, asked), self.hyperparameters, self.fields)
        return self if set(more.jobs) == set(self.jobs) else more


def read_plan(out: Path) -> Plan:
    """What a sweep's folder asks for. Raises FileNotFoundError where there is none, ValueError where it is damaged."""
    try:
        plan = json.loads((out / PLAN).read_text(encoding="utf-8"))
        asked = [Asked(_words(one["algorithms"]), _words(one["envs"]), int(one["seeds"])) for one in plan["asked"]]
        if not isinstance(plan["fields"], dict):
            raise TypeError(f"its fields are {plan['fields']!r}")
        return Plan(tuple(asked), plan["hyperparameters"], plan["fields"])
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{out} holds no sweep; begin one with: coopgym sweep --algorithms vdn,qmix --envs spread_v1 --out {out}"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{out / PLAN} is damaged: {reason(error)}; remove it and give the whole command again"
        ) from None


def _words(words: list[Any]) -> tuple[str, ...]:
    for word in words:
        if not isinstance(word, str):
            raise TypeError(f"it names {word!r}")
    return tuple(words)


def write_plan(out: Path, plan: Plan) -> None:
    """Makes the plan the folder's."""
    write_text(out / PLAN, json.dumps(asdict(plan), indent=2) + "\n")


# What a job's words mean.


def game(env: str) -> Environment:
    """The environment that a job names. Raises ValueError or TypeError for words that name none."""
    id, *parts = env.split("/")
    presets = [part for part in parts if "=" not in part]
    params = {name: _value(text) for name, _, text in (part.partition("=") for part in parts if "=" in part)}
    if len(presets) > 1:
        raise ValueError(f"{env!r} names two presets; write ID/PRESET, and parameters as NAME=VALUE behind another /")
    return environment(id, *presets, **params)


def _value(text: str) -> Any:
    try:
        return json.loads(text.lower() if text in ("True", "False") else text)
    except json.JSONDecodeError:
        return text


def fields_of(learner: type[Learner]) -> list[str]:
    """The fields of its runs that a sweep may set."""
    return [
        field.name for kind in (Settings, learner.Config) for field in fields(kind) if field.name not in OF_THE_SWEEP
    ]


def fields_for(learner: type[Learner], env: Environment, plan: Plan) -> dict[str, Any]:
    """Of the fields that all runs share, those that a run of this learner has, over those of the published set."""
    sets = published(plan.hyperparameters, learner.Config, env) if plan.hyperparameters else {}
    known = fields_of(learner)
    return {**sets, **{name: value for name, value in plan.fields.items() if name in known}}


def recipe(learner: type[Learner], env: Environment, plan: Plan) -> tuple[Settings, Config]:
    """What a run of this learner takes, but for its seed. Raises ValueError or TypeError for fields out of range."""
    return with_fields(Settings(), learner.Config(), fields_for(learner, env, plan))


def learner_of(job: Job, out: Path) -> type[Learner]:
    """The job's algorithm."""
    return algorithm(str(out / job.algorithm) if job.algorithm.endswith(".py") else job.algorithm)


# How far it has come.

Status = Literal["done", "failed", "running", "open"]


class Standing(NamedTuple):
    """Where a job stands."""

    job: Job
    status: Status
    claim: Claim | None


def standings(out: Path, jobs: list[Job]) -> list[Standing]:
    """Where each job stands now."""
    folders = {job.place(out).parent for job in jobs}
    names = {folder: os.listdir(folder) if folder.is_dir() else [] for folder in folders}
    return [_standing(job, out, names[job.place(out).parent]) for job in jobs]


def _standing(job: Job, out: Path, names: list[str]) -> Standing:
    place = job.place(out)
    if place.name in names and done(place):
        return Standing(job, "done", None)
    if place.name + ERROR in names:
        return Standing(job, "failed", None)
    claim = newest_claim(place, names)
    return Standing(job, "running" if claim is not None and claim.held else "open", claim)


def done(place: Path) -> bool:
    """Whether a run's folder holds a finished run."""
    return (place / SCORES).is_file()
