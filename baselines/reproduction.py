"""Train a baseline as the reference was trained, and see whether the same comes out.

    print(coopgym.reproduce("qmix", "predator_prey_v1", seed=0))

The published band is where the final score of one more seed falls 95 times in 100, to judge by the other seeds of the
reference: the prediction interval of the normal distribution, mean +- t sqrt(1 + 1/R) s over R seeds. It says more than
a confidence interval of the mean, which gets narrower with every seed and holds ever fewer of them. The seed that is
trained again is not among those that make the band.

With the versions of the reference, on the same kind of processor, the seeds of the reference must give the same curve
to the last bit; elsewhere rounding differs, and the band is all that is promised.
"""

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coopgym.baselines import algorithm as algorithm_named
from coopgym.baselines.files import CONFIG, SCORES
from coopgym.baselines.reference import (
    TASKS,
    ReferenceRun,
    configuration,
    reference_of,
    runs_on,
    score_of,
    shipped_fields,
    trained_with,
)
from coopgym.baselines.results import OF_A_MACHINE, Result, differing, game_of, read_run
from coopgym.baselines.resume import resume
from coopgym.baselines.statistics import Estimate, prediction
from coopgym.baselines.train import train
from coopgym.envs import environment
from coopgym.envs.core import Environment

FEWEST = 2  # seeds that make a band, if a wide one
ROUNDING = 1e-6  # of a score, as a part


@dataclass(frozen=True)
class Reproduction:
    """A baseline trained again, beside the reference."""

    run: Result
    band: Estimate | None  # of the final score; None where there are too few seeds for one
    seeds: int  # that make the band
    provisional: str  # why the reference may change; empty where it stands
    same_seed: ReferenceRun | None  # the reference's run with this seed, if it has one

    @property
    def score(self) -> float:
        return score_of(self.run, "final")

    @property
    def inside(self) -> bool | None:
        """Whether the final score lies in the band; None where there is none."""
        if self.band is None:
            return None
        margin = ROUNDING * max(1.0, abs(self.score))
        return self.band.low - margin <= self.score <= self.band.high + margin

    @property
    def first_difference(self) -> float | None:
        """The environment steps at which the curve leaves that of the reference's seed; infinity where it never does.

        None where the reference does not have this seed.
        """
        if self.same_seed is None:
            return None
        mine, other = self.run.curve, self.same_seed.curve
        equal = (mine["mean_team_return"] == other["mean_team_return"]) & (mine["updates"] == other["updates"])
        return float(mine["env_steps"][np.argmin(equal)]) if not equal.all() else np.inf

    def __str__(self) -> str:
        run = self.run
        lines = [f"{run.algorithm} on {run.task}, seed {run.seed}: final score {self.score:.4g}"]
        if self.band is None:
            lines.append(too_few(self.seeds))
        else:
            lines.append(
                f"The published band is {self.band.low:.4g} to {self.band.high:.4g}: one more seed falls there, "
                f"95 times in 100, to judge by {self.seeds} other seeds (mean {self.band.value:.4g})"
                + (f"; provisional: {self.provisional}." if self.provisional else ".")
            )
            lines.append(f"The score lies {'in' if self.inside else 'OUTSIDE'} the band.")
        lines.append(self._beside_the_same_seed())
        return "\n".join(lines)

    def _beside_the_same_seed(self) -> str:
        if self.same_seed is None:
            return f"The reference does not have seed {self.run.seed}, so there is no curve to be equal to."
        if self.first_difference == np.inf:
            return f"The curve is that of the reference's seed {self.run.seed}, to the last bit."
        changed = changed_parts(self.same_seed, self.run)
        return (
            f"The curve leaves that of the reference's seed {self.run.seed} after {self.first_difference:.0f} steps"
            + (f"; there and here: {', '.join(changed)}." if changed else ", with the same versions and processor.")
        )


def reproduce(
    algorithm: str,
    id: str,
    preset: str | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    progress: bool = False,
) -> Reproduction:
    """Trains an algorithm with its shipped configuration and holds the final score against the published band.

    out: the run's folder; without it the run is not kept. A run that was begun there before goes on, and one that is
    done is not trained again. Raises ValueError for an algorithm or a task that the reference does not have, and for a
    folder that holds another run. Warns, before it trains, where there are too few seeds for a band.
    """
    algorithm_named(algorithm)  # an unknown name is an error before all else
    game = game_of(environment(id, preset))
    tasks = [task for task in TASKS if task[0] == id and game_of(environment(*task)) == game]
    id, preset = tasks[0] if tasks else (id, preset)  # as the reference spells the same game
    env, fields = environment(id, preset), shipped_fields(algorithm, id, preset)
    runs = runs_on(env).get(algorithm)
    if not runs:
        raise ValueError(
            f"there are no reference runs of {algorithm} on this task; there are {', '.join(runs_on(env))}"
        )
    others = np.array([score_of(one, "final") for one in runs if one.seed != seed])
    if len(others) < FEWEST:
        warnings.warn(too_few(len(others)), stacklevel=2)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "run") if out is None else Path(out)
        if not (folder / CONFIG).exists():
            train(algorithm, env, seed=seed, out=folder, progress=progress, **fields)
        else:
            _check_same(read_run(folder), algorithm, env, seed)
            if not (folder / SCORES).exists():
                resume(folder, progress=progress)
        run = read_run(folder)
    band = prediction(others) if len(others) >= FEWEST else None
    same_seed = next((one for one in runs if one.seed == seed), None)
    return Reproduction(run, band, len(others), reference_of(runs).provisional, same_seed)


def too_few(seeds: int) -> str:
    return f"The reference has {seeds or 'no'} other seed{'s' * (seeds != 1)}, too few for a band."


def _check_same(run: Result, algorithm: str, env: Environment, seed: int) -> None:
    """Raises ValueError unless a run that was begun before is the one to be made."""
    fields = configuration(algorithm, env.id, env.preset)
    wanted = {"algorithm": algorithm, "game": game_of(env), **fields, "seed": seed}
    found = {"algorithm": run.algorithm, "game": run.game, **trained_with(run), "seed": run.seed}
    other = [name for name, value in wanted.items() if name not in OF_A_MACHINE and found.get(name) != value]
    if other:
        named = f"another {' and another '.join(other[:3])}"
        raise ValueError(f"{run.path} holds a run already, with {named}; choose another folder")


def changed_parts(before: Result, after: Result) -> list[str]:
    """Fields, versions and processors that are not the same, in words."""
    tables = [
        {**trained_with(run), **run.config["versions"], "processor": run.config.get("processor", "")}
        for run in (before, after)
    ]
    return [f"{name} {tables[0].get(name)} and {tables[1].get(name)}" for name in differing(tables)]
