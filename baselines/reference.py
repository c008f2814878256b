"""The reference: how the baselines were trained, and what came of it, seed by seed.

    r = coopgym.reference("qmix", "spread_v1")  # arrays: a row for each seed, a column for each evaluation
    r.final, r.absolute, r.returns, r.env_steps

The data lie in `coopgym/assets/reference`, a file for each id, made from the folders of the runs by
`benchmarks/reference.py`: rows as they were written, with the configuration, the versions and the processor of each
run. Nothing here needs torch but the shipped configuration itself.
"""

import functools
import gzip
import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from coopgym.baselines import ALGORITHMS, algorithm
from coopgym.baselines.results import Result, game_of
from coopgym.baselines.results import fields as fields_of
from coopgym.baselines.statistics import Estimate, estimate, iqm, wilson
from coopgym.envs import environment
from coopgym.envs.core import Environment
from coopgym.envs.golden import word_of
from coopgym.envs.parameters import nearest, tupled
from coopgym.envs.specification import Anchor, anchors, table

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "reference"
FORMAT = 1
COLUMNS = ("env_steps", "updates", "mean_team_return", "std_team_return")  # of metrics.csv, those that are kept
FIGURES = ("mean_team_return", "std_team_return", "episodes", "seed")  # of each score, those that are kept
METRICS = {  # score -> what it is of; both are means over ten times as many episodes as an evaluation has
    "final": "the team at the end of the run",
    "absolute": "the best of the run's teams, by its evaluations",
}
HEADINGS = tuple(f"{metric} IQM" for metric in METRICS)

# The shipped configuration: what is not written here is the default of `coopgym train`.

Fields = dict[str, Any]
MATRIX: Fields = {  # random play throughout: the question is what can be represented, not how it is explored
    "env_steps": 10_000,
    "evaluate_every": 500,
    "gamma": 0.99,
    "td_lambda": 0.0,
    "learning_rate": 3e-3,
    "learning_rate_end": 3e-4,
    "hidden": 32,
    "target_period": 50,
    "buffer_size": 500,
    "steps_per_update": 16,
    "epsilon_start": 1.0,
    "epsilon_end": 1.0,
}
ROUNDS = {"td_lambda": 0.95, "recurrent": True, "epochs": 4, "minibatches": 1}
MATRIX_OWN: dict[str, Fields] = {
    "qplex": {"steps_per_update": 8, "hidden": 16, "importance_layers": 3, "importance_width": 128},  # crosses sooner
    "qpd": {"joint_width": 64},  # without the layer it is VDN here
    "ow_qmix": {"central_width": 64},
    "cw_qmix": {"central_width": 64},
    "dop": {
        "td_lambda": 0.8,
        "recurrent": True,
        "normalise_k": False,  # where payoffs are a sum its critic errs less without, see `dop.py`
        "entropy_weight": 0.0,
        "epsilon_start": 0.5,  # its policy is what plays: it must move
        "epsilon_end": 0.05,
    },
    "ippo": ROUNDS,
    "mappo": ROUNDS,
}
HUNT: Fields = {"env_steps": 400_000, "steps_per_update": 400}  # two episodes, as long as many of spread's
DOP_HUNT = {"steps_per_update": 100, "batch_size": 8, "latest": 4}  # more and smaller gradient steps of long episodes
SMALL_HUNT: Fields = {"steps_per_update": 50, "recurrent": False}  # all is in sight
MEDIUM_HUNT: Fields = {**SMALL_HUNT, "env_steps": 1_000_000, "td_lambda": 0.0}  # see `vdn.py`
LONG_HUNT: Fields = {  # the steps and exploration of QTRAN's authors; what is rare is learnt from much data
    **MEDIUM_HUNT,
    "env_steps": 3_000_000,
    "steps_per_update": 75,
    "batch_size": 8,
    "buffer_size": 15_000,
    "hidden": 128,
    "last_action": False,
    "learning_rate": 2e-3,
    "learning_rate_end": 2e-4,
    "epsilon_end": 0.1,
    "epsilon_part": 0.45,
}
LONG_OWN: dict[str, Fields] = {"qtran": {"joint_reads": "state", "joint_width": 128, "drawn_actions": 4}}
LARGE_OWN: dict[str, Fields] = {"qtran": {"joint_reads": "observations", "drawn_actions": 4}}
SMALL_HUNTS: dict[str, tuple[Fields, dict[str, Fields]]] = {  # preset -> of all, of an algorithm alone
    "qtran_code_5x5_p0.5": (MEDIUM_HUNT, {}),
    "qtran_code_5x5_p1": (LONG_HUNT, LONG_OWN),
    "qtran_code_5x5_p1.5": (LONG_HUNT, LONG_OWN),
    **{f"qtran_code_7x7_p{penalty}": (LONG_HUNT, LARGE_OWN) for penalty in ("0.5", "1", "1.5")},
}
MATRIX_GAMES = ("qtran3x3", "qplex_hard3x3", "climbing", "penalty_-25", "two_step")
TASKS: dict[tuple[str, str | None], tuple[Fields, dict[str, Fields]]] = {  # (id, preset): of all, of an algorithm alone
    **{("matrix_game_v1", preset): (MATRIX, MATRIX_OWN) for preset in MATRIX_GAMES},
    ("spread_v1", None): ({"env_steps": 2_000_000}, {}),
    ("predator_prey_v1", None): (HUNT, {"dop": DOP_HUNT}),
    ("predator_prey_v1", "stag_p-2"): ({**HUNT, "epsilon_steps": 50_000}, {}),  # as Weighted QMIX's authors: the trap
    **{("predator_prey_v1", preset): fields for preset, fields in SMALL_HUNTS.items()},
}
OLDER: dict[str, Fields] = {  # algorithm -> what runs amount to that lack a newer field
    "dop": {"entropy_weight": 0.0},
    "qtran": {"joint_reads": "histories", "drawn_actions": 0},
}
SEEDS = 10  # fewer are provisional
FULL_STEPS, FULL_STEPS_ON_POLICY = 2_000_000, 20_000_000  # Gorsane et al., NeurIPS 2022; matrix games: their own
ON_POLICY = ("ippo", "mappo")


def shipped_fields(name: str, id: str, preset: str | None = None) -> dict[str, Any]:
    """The fields that an algorithm's reference run has in place of its defaults. Raises ValueError for other tasks."""
    from coopgym.baselines.train import Settings

    if (id, preset) not in TASKS:
        tasks = ", ".join(task_name(*task) for task in TASKS)
        raise ValueError(f"no reference configuration for {task_name(id, preset)}; there are {tasks}")
    common, own = TASKS[id, preset]
    known = {field.name for kind in (algorithm(name).Config, Settings) for field in fields(kind)}
    return {field: value for field, value in {**common, **own.get(name, {})}.items() if field in known}


def configuration(name: str, id: str, preset: str | None) -> dict[str, Any]:
    """All fields of the algorithm and of the run that the shipped configuration sets or leaves as they are."""
    from coopgym.baselines.train import Settings, with_fields

    settings, config = with_fields(Settings(), algorithm(name).Config(), shipped_fields(name, id, preset))
    return {**asdict(settings), **asdict(config)}


def trained_with(run: Result) -> Fields:
    """All fields of the algorithm and of the run that it was trained with."""
    return {**OLDER.get(run.algorithm, {}), **fields_of(run)}


def full_steps(name: str, id: str, preset: str | None) -> int:
    """The environment steps from which on a score is not provisional."""
    if id == "matrix_game_v1":
        return int(MATRIX["env_steps"])
    return FULL_STEPS_ON_POLICY if name in ON_POLICY else FULL_STEPS


def task_name(id: str, preset: str | None) -> str:
    return f"{id}/{preset}" if preset else id


# The data.


@dataclass(frozen=True)
class ReferenceRun(Result):
    """A run of the reference; its path is the file that holds it."""

    golden: str  # the word of the game that it was trained on, see `coopgym.envs.golden`
    wall_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """What the file holds."""
        assert self.scores is not None
        return {
            "recipe": self.recipe,
            "golden": self.golden,
            "wall_seconds": self.wall_seconds,
            "config": self.config,
            "curve": {name: _plain_column(self.curve[name]) for name in COLUMNS},
            "scores": {metric: {name: self.scores[metric][name] for name in FIGURES} for metric in METRICS},
        }


def _plain_column(column: np.ndarray) -> list[float]:
    """Whole numbers as such: they are shorter."""
    return [int(x) if x == int(x) else x for x in column.tolist()]


def from_result(run: Result) -> ReferenceRun:
    """A finished run as the reference keeps it. Raises ValueError for a run that is not finished."""
    if run.scores is None:
        raise ValueError(f"{run.path} is not finished: it has no scores.json")
    seconds = float(run.curve["wall_seconds"][-1])
    return ReferenceRun(run.path, run.config, run.curve, run.scores, word_of_game(run.game), seconds)


@functools.cache
def word_of_game(game: str) -> str:
    """The word of a game, see `coopgym.envs.golden`, by what `game_of` says of it."""
    id, params = json.loads(game)
    return word_of(environment(id, **tupled(params)))


@functools.cache
def read_reference(file: Path) -> tuple[ReferenceRun, ...]:
    """The runs in a file of the reference. Raises ValueError where it is damaged."""
    try:
        held = json.loads(gzip.decompress(file.read_bytes()))
        if held["format"] != FORMAT:
            raise ValueError(f"format {held['format']}; this version reads format {FORMAT}")
        return tuple(_run_of(file, record) for record in held["runs"])
    except (OSError, EOFError, KeyError, TypeError, ValueError, zlib.error) as error:
        raise ValueError(f"{file} is damaged: {error}; install coopgym again") from None


def _run_of(file: Path, record: dict[str, Any]) -> ReferenceRun:
    curve = {name: np.array(record["curve"][name], float) for name in COLUMNS}
    return ReferenceRun(
        file, record["config"], curve, record["scores"], record["golden"], float(record["wall_seconds"])
    )


def write_reference(file: Path, runs: Sequence[ReferenceRun]) -> None:
    """Writes the runs of an id; the same runs in any order give the same bytes."""
    from coopgym.baselines.files import atomic

    ordered = sorted(runs, key=lambda run: (run.task, list(ALGORITHMS).index(run.algorithm), run.seed))
    held = {"format": FORMAT, "runs": [run.to_dict() for run in ordered]}
    text = json.dumps(held, sort_keys=True, separators=(",", ":"), allow_nan=False)
    with atomic(file) as temporary:
        temporary.write_bytes(gzip.compress(text.encode(), mtime=0))
    read_reference.cache_clear()


def reference_file(id: str, folder: Path | None = None) -> Path:
    return (folder or FOLDER) / f"{id}.json.gz"


def reference_runs(env: Environment, folder: Path | None = None) -> dict[str, list[ReferenceRun]]:
    """The reference's runs on a game, by algorithm in the order of their table; empty where there are none."""
    file = reference_file(env.id, folder)
    here = [run for run in read_reference(file) if run.game == game_of(env)] if file.is_file() else []
    found = {name: [run for run in here if run.algorithm == name] for name in ALGORITHMS}
    return {name: runs for name, runs in found.items() if runs}


# What users ask for.


@dataclass(frozen=True)
class Reference:
    """What an algorithm reached on a task: R seeds, P evaluations."""

    algorithm: str
    task: str
    config: dict[str, Any]  # config.json of the first seed
    golden: str  # the word of the game, see `coopgym.envs.golden`
    seeds: np.ndarray  # [R] int64
    env_steps: np.ndarray  # [P] float64, at each evaluation
    updates: np.ndarray  # [R, P] gradient steps
    returns: np.ndarray  # [R, P] mean greedy team return of an evaluation's episodes
    deviations: np.ndarray  # [R, P] their standard deviation
    final: np.ndarray  # [R] mean return of the last team, on other episodes, ten times as many
    absolute: np.ndarray  # [R] likewise, of the run's best team
    reached: np.ndarray | None  # [R] bool, whether the last team earns the optimum; None where that is not known
    wall_seconds: np.ndarray  # [R] of the runs, evaluations included
    best_possible: float  # the best expected return of any team; infinite where that is not known

    @property
    def provisional(self) -> str:
        """Why the scores may change: too few seeds or steps; empty for scores that stand."""
        full = full_steps(self.algorithm, self.config["environment"], self.config["preset"])
        reasons = [f"{len(self.seeds)} of {SEEDS} seeds"] if len(self.seeds) < SEEDS else []
        if self.config["env_steps"] < full:
            reasons.append(f"{grouped(self.config['env_steps'])} of {grouped(full)} steps")
        return ", ".join(reasons)

    def iqm(self, metric: str = "final") -> Estimate:
        """The interquartile mean over the seeds of "final" or "absolute", with its 95 % bootstrap interval."""
        return estimate(iqm, getattr(self, metric)[:, None], within=(-math.inf, self.best_possible))

    @property
    def success(self) -> Estimate | None:
        """The share of seeds that reach the optimum, with Wilson's 95 % interval."""
        return None if self.reached is None else wilson(int(self.reached.sum()), len(self.reached))

    def to_dict(self) -> dict[str, Any]:
        """The same, as JSON can hold it."""
        arrays = {name: value.tolist() for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        best = None if math.isinf(self.best_possible) else self.best_possible
        return {**vars(self), **arrays, "best_possible": best, "provisional": self.provisional}


def reference(algorithm: str, id: str | Environment, preset: str | None = None) -> Reference:
    """What an algorithm reached on a task, seed by seed.

    Raises ValueError, with what there is, for an algorithm or a task without reference runs.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"no algorithm {algorithm!r}; {nearest(algorithm, ALGORITHMS)}")
    env = environment(id, preset)
    runs = runs_on(env)
    if algorithm not in runs:
        raise ValueError(f"there are no reference runs of {algorithm} on this task; there are {', '.join(runs)}")
    return reference_of(runs[algorithm])


def references(id: str | Environment, preset: str | None = None) -> list[Reference]:
    """What each algorithm reached on a task. Raises ValueError for a task without reference runs."""
    return [reference_of(runs) for runs in runs_on(environment(id, preset)).values()]


def runs_on(env: Environment) -> dict[str, list[ReferenceRun]]:
    """As `reference_runs`. Raises ValueError, with the tasks that there are, where there are none."""
    runs = reference_runs(env)
    if not runs:
        tasks = sorted({run.task for file in sorted(FOLDER.glob("*.json.gz")) for run in read_reference(file)})
        raise ValueError(
            f"there are no reference runs of {task_name(env.id, env.preset)} with these parameters; "
            f"there are some of {', '.join(tasks)}"
        )
    return runs


def reference_of(runs: Sequence[ReferenceRun]) -> Reference:
    """The runs of one algorithm on one task as arrays, by seed."""
    runs = sorted(runs, key=lambda run: run.seed)
    first = runs[0]
    best = first.attainable[1]
    return Reference(
        algorithm=first.algorithm,
        task=first.task,
        config=first.config,
        golden=first.golden,
        seeds=np.array([run.seed for run in runs]),
        env_steps=first.curve["env_steps"],
        updates=np.array([run.curve["updates"] for run in runs]),
        returns=np.array([run.curve["mean_team_return"] for run in runs]),
        deviations=np.array([run.curve["std_team_return"] for run in runs]),
        final=np.array([score_of(run, "final") for run in runs]),
        absolute=np.array([score_of(run, "absolute") for run in runs]),
        reached=None if math.isinf(best) else np.array([reaches(run, best) for run in runs]),
        wall_seconds=np.array([run.wall_seconds for run in runs]),
        best_possible=best,
    )


def score_of(run: Result, metric: str) -> float:
    """The mean return of a finished run's last team ("final") or of its best ("absolute")."""
    assert run.scores is not None
    return float(run.scores[metric]["mean_team_return"])


def reaches(run: Result, best: float) -> bool:
    """Whether the last team's mean return lies below the optimum by no more than its 95 % interval allows."""
    assert run.scores is not None
    score = run.scores["final"]
    half = 1.959964 * float(score["std_team_return"]) / float(score["episodes"]) ** 0.5
    return float(score["mean_team_return"]) + half >= best - 1e-6 * max(1.0, abs(best))


def bounds(env: Environment) -> tuple[Anchor, ...]:
    """The anchors of a game, by its parameters: those of any preset that has the same ones."""
    for preset in (env.preset, None, *env.presets):
        if game_of(type(env)(preset)) == game_of(env):
            return anchors(env.id, preset)
    return ()


def spelt_bounds(env: Environment) -> str:
    """The anchors of a game in a line, with the episodes that they are of: not those of the scores."""
    known = bounds(env)
    played = sorted({one.episodes for one in known if one.episodes})
    over = f" (over {' or '.join(map(grouped, played))} other episodes)" if played else ""
    return f"{', '.join(map(str, known))}{over}"


def grouped(number: float) -> str:
    """A whole number with its digits in groups of three."""
    return f"{number:,.0f}".replace(",", " ")


# As text.


def reference_table(found: Sequence[Reference]) -> str:
    """What the algorithms reached on one task, with the returns that bound it."""
    env = environment(found[0].config["environment"], **tupled(found[0].config["params"]))
    known, best = bounds(env), "the best possible"
    shown = {one.algorithm for one in found}
    missing = [name for name in ALGORITHMS if name not in shown]
    rows = [
        (
            one.algorithm,
            *(spelt(one.iqm(metric)) for metric in METRICS),
            *([spelt_share(one.success)] if one.success is not None else []),
            str(len(one.seeds)),
            grouped(one.config["env_steps"]),
            spelt_time(float(np.median(one.wall_seconds))),
            "provisional" if one.provisional else "",
        )
        for one in found
    ]
    success = ["at the optimum"] if found[0].success is not None else []
    lines = [
        f"{found[0].task}, team return: {env.return_definition}",
        *(
            f"{one.name}: {one.mean:.4g}, {f'over {grouped(one.episodes)} other episodes' if one.episodes else best}"
            for one in known
        ),
        "",
        table(("algorithm", *HEADINGS, *success, "seeds", "env steps", "wall-clock", ""), rows),
        "",
        *(f"{metric}: {meaning}" for metric, meaning in METRICS.items()),
        "IQM: the mean of the middle half of the seeds. In brackets: 95 % intervals, by the bootstrap or Wilson's.",
        f"Wall-clock: the median over seeds, on {', '.join(sorted({one.config['processor'] for one in found}))}.",
        *(f"{one.algorithm} is provisional: {one.provisional}" for one in found if one.provisional),
        *([f"No reference runs yet: {', '.join(missing)}"] if missing else []),
    ]
    return "\n".join(lines)


def spelt(one: Estimate) -> str:
    """An estimate with its interval, where it has one."""
    if not np.isfinite(one.low):
        return f"{one.value:.4g}"
    return f"{one.value:.4g} [{one.low:.4g}, {one.high:.4g}]"


def spelt_share(one: Estimate) -> str:
    return f"{100 * one.value:.0f} % [{100 * one.low:.0f}, {100 * one.high:.0f}]"


def spelt_time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
