"""The loop: collect, store, learn, evaluate, log, and keep what is needed to go on after a stop."""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coopgym.baselines import ALGORITHMS
from coopgym.baselines import algorithm as algorithm_named
from coopgym.baselines.checkpoint import Checkpoint, Checkpoints
from coopgym.baselines.files import claimed
from coopgym.baselines.hyperparameters import published
from coopgym.baselines.learner import Config, Learner, Team, make_plain
from coopgym.baselines.memory import keep_freed_memory
from coopgym.baselines.replay import Replay
from coopgym.baselines.run import CONFIG, Run
from coopgym.baselines.stopping import Stopped, Stopper
from coopgym.envs import environment
from coopgym.envs.core import Batch, Environment, Snapshot, checked_seed


@dataclass(frozen=True)
class Settings:
    """How a run goes, whatever the algorithm."""

    env_steps: int = 200_000
    """Environment steps to train for; a step is one joint action in one environment."""
    seed: int = 0
    """The root of all randomness: networks, games, exploration, replay."""
    num_envs: int = 32
    """Games played at the same time."""
    evaluate_every: int = 10_000
    """Environment steps between two evaluations."""
    evaluation_episodes: int = 32
    """Episodes of each evaluation, always from the same seeds."""
    threads: int = 1
    """Threads of torch; with 1, the same seed gives the same bytes."""
    device: str = "cpu"
    """Where networks learn and act: cpu, or cuda, or cuda:1, ... with a GPU, where equal bytes are not promised."""
    tensorboard: bool = False
    """Whether to write TensorBoard's events too."""
    checkpoint_seconds: float = 60.0
    """Seconds between two checkpoints, from which a killed run goes on; each writes what is new since the last. A run
    that is stopped by Ctrl-C or SIGTERM writes another and loses nothing. 0 for none at all."""

    def __post_init__(self) -> None:
        make_plain(self)
        checked_seed(self.seed)
        for name in ("env_steps", "num_envs", "evaluate_every", "evaluation_episodes", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        _checked_device(self.device)
        if not 0 <= self.checkpoint_seconds < math.inf:
            raise ValueError(f"checkpoint_seconds is {self.checkpoint_seconds}; it must be 0 or more")


def _checked_device(name: str) -> None:
    """Raises ValueError for a device that is none, or not here."""
    kind, _, number = str(name).partition(":")
    if kind not in ("cpu", "cuda") or not (number == "" or number.isdecimal()):
        raise ValueError(f"device is {name!r}; it must be cpu, cuda, or cuda:N for the GPU with number N")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ValueError(f"device is {name!r}, but torch sees {torch.cuda.device_count()} GPUs; leave it cpu")


EVALUATION_SEED = 1_000_000_007  # far from the seeds of training, the same for all runs
FINAL_SEED = 2_000_000_011  # of the episodes that score a finished run: none of them has chosen its best team
FINAL_EPISODES = 10  # for each of an evaluation's


def train(
    algorithm: str | type[Learner],
    env: str | Environment,
    config: Config | None = None,
    settings: Settings | None = None,
    out: str | Path | None = None,
    on_evaluation: Callable[[Run], None] | None = None,
    progress: bool = False,
    hyperparameters: str | None = None,
    **fields: Any,
) -> Run:
    """Trains a team and returns the run.

    algorithm: a name, a Python file with a Learner in it, or its class; env: an id or an environment; config: the
    algorithm's fields; fields: single fields of the settings or of the config by name, such as seed=1 or gamma=0.9;
    hyperparameters: the name of a published set of them, see `coopgym.baselines.hyperparameters`; out: the run's
    folder; on_evaluation is called with the run after each evaluation.
    Raises ValueError or TypeError for an unknown name and for fields out of range, FileExistsError for a folder that
    holds a run already.
    """
    learner_class = algorithm_named(algorithm) if isinstance(algorithm, str) else algorithm
    env = environment(env) if isinstance(env, str) else env
    if hyperparameters is not None:
        fields = {**published(hyperparameters, learner_class.Config, env), **fields}
    settings, config = with_fields(settings or Settings(), config or learner_class.Config(), fields)
    check_learnable(env)
    path = Path(out) if out is not None else None
    with torch_threads(settings.threads), claimed(path):
        if path is not None and (path / CONFIG).exists():
            raise FileExistsError(
                f"{path} holds a run already; choose another folder, or go on with it: --resume {path}"
            )
        training = Training(learner_class, env, config, settings, path)
        training.run.begin()
        return to_the_end(training, on_evaluation, progress)


@contextlib.contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Torch on so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_learnable(env: Environment) -> None:
    """Raises ValueError for a game that is not for these algorithms."""
    if env.individual_rewards:
        raise ValueError("reward_mode is 'per_agent'; these algorithms learn from one team reward: take team_sum")
    if env.action_bounds is not None:
        raise ValueError(
            f"{env.id} has continuous actions here; these algorithms choose among actions: take discrete ones"
        )


def with_fields(settings: Settings, config: Config, fields: dict[str, Any]) -> tuple[Settings, Config]:
    """The settings and the config with single fields changed, each where it belongs."""
    from coopgym.envs.parameters import nearest

    own_settings, own_config = asdict(settings), asdict(config)
    for name in fields:
        if name not in own_settings and name not in own_config:
            raise TypeError(f"no field {name!r}; {nearest(name, [*own_settings, *own_config])}")
    return (
        type(settings)(**{name: fields.get(name, value) for name, value in own_settings.items()}),
        type(config)(**{name: fields.get(name, value) for name, value in own_config.items()}),
    )


class Training:
    """A run under way: its games, its learner and replay, and how far it has come."""

    def __init__(
        self, learner_class: type[Learner], env: Environment, config: Config, settings: Settings, path: Path | None
    ) -> None:
        games, networks, draws = (
            int(one.generate_state(1, np.uint64)[0] >> np.uint64(2))
            for one in np.random.SeedSequence(settings.seed).spawn(3)
        )
        keep_freed_memory()
        self.settings, self.env_steps = settings, 0
        self.batch = Batch(env, settings.num_envs, games)
        self.device = torch.device(settings.device)
        self.learner = learner_class(env, config, networks)
        self.learner.to(self.device)
        self.replay = Replay(self.batch, config.buffer_size, draws, self.device)
        self.behaviour = self.learner.behaviour()
        self.run = Run(path, self.learner, env, asdict(settings))
        self.terms: list[dict[str, torch.Tensor]] = []  # of the losses since the last evaluation
        self.checkpoints = Checkpoints(path) if path is not None else None
        self.stopper = Stopper()
        self.writer: Any = None  # of TensorBoard's events
        self.started = self.kept = time.perf_counter()  # kept: when the last checkpoint was written
        self.batch.reset()
        self.behaviour.reset(settings.num_envs)
        self.replay.begin(self.batch, np.ones(settings.num_envs, np.bool_))

    @property
    def done(self) -> bool:
        return self.env_steps >= self.settings.env_steps and not self.evaluation_due

    @property
    def keeps_checkpoints(self) -> bool:
        return self.checkpoints is not None and self.settings.checkpoint_seconds > 0

    @property
    def evaluation_due(self) -> bool:
        rows, settings = self.run.rows, self.settings
        if rows and rows[-1]["env_steps"] == self.env_steps:
            return False
        return self.env_steps >= min(settings.evaluate_every * (len(rows) + 1), settings.env_steps)

    def step(self) -> None:
        """One joint action in every game, and the gradient steps that are owed for it."""
        out, learner, num_envs = self.batch.out, self.learner, self.settings.num_envs
        self.batch.step(self.behaviour.act(out.obs, out.action_mask))
        self.env_steps += num_envs
        learner.env_steps, learner.progress = self.env_steps, min(self.env_steps / self.settings.env_steps, 1.0)
        if self.replay.add(self.batch):
            self.behaviour.restart(out.terminated | out.truncated)
        if len(self.replay) >= learner.config.batch_size:
            self.terms += learner.learn(self.replay, num_envs)

    def evaluate(self) -> None:
        """Scores the greedy team and adds a row to the run."""
        learner, settings = self.learner, self.settings
        team = Team(learner.live["agent"])  # type: ignore[arg-type]
        score = self.stopper.evaluate(team, self.batch.env, settings.evaluation_episodes, EVALUATION_SEED)
        row = {
            "env_steps": self.env_steps,
            "updates": learner.updates,
            "episodes": self.replay.ended,
            "wall_seconds": round(time.perf_counter() - self.started, 3),
            "mean_team_return": score.mean,
            "std_team_return": score.std,
            "epsilon": learner.epsilon,
            **{name: float(values.mean()) for name, values in _stacked(self.terms).items()},
        }
        self.terms = []
        self.run.log(row)
        if self.writer is not None:
            for name, value in row.items():
                self.writer.add_scalar(name, value, self.env_steps)
            self.writer.flush()

    def finish(self) -> None:
        """Scores the team of a run that is done."""
        episodes = FINAL_EPISODES * self.settings.evaluation_episodes
        self.run.finish(lambda team: self.stopper.evaluate(team, self.batch.env, episodes, FINAL_SEED))
        if self.checkpoints is not None:
            self.checkpoints.remove()

    # Checkpoints.

    def keep(self) -> None:
        """Writes a checkpoint."""
        assert self.checkpoints is not None
        self.checkpoints.write(self.env_steps, self.snapshot(), self.replay)
        self.kept = time.perf_counter()

    def keep_in_time(self) -> None:
        """Writes a checkpoint where it is time for one."""
        if self.keeps_checkpoints and time.perf_counter() - self.kept >= self.settings.checkpoint_seconds:
            self.keep()

    def snapshot(self) -> dict[str, Any]:
        """All that what follows depends on, but for the replay's finished episodes."""
        return {
            "config": self.run.config,
            "rows": self.run.rows,
            "env_steps": self.env_steps,
            "seconds": time.perf_counter() - self.started,
            "terms": _stacked(self.terms),
            "games": self.batch.snapshot().arrays,
            "learner": self.learner.snapshot(),
            "behaviour": self.behaviour.snapshot(),
            "replay": self.replay.snapshot(),
            "torch": torch.get_rng_state(),  # of losses that draw numbers, by dropout for one
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes back to a checkpoint of this run, its folder too. Raises ValueError for one of another configuration."""
        snapshot = checkpoint.snapshot()
        if snapshot["config"] != self.run.config:
            raise ValueError(f"it was written with another {CONFIG}; a run goes on as it began")
        self.env_steps = snapshot["env_steps"]
        self.started = time.perf_counter() - snapshot["seconds"]
        terms = {name: values.to(self.device) for name, values in snapshot["terms"].items()}
        self.terms = [dict(zip(terms, values, strict=True)) for values in zip(*terms.values(), strict=True)]
        self.batch.restore(Snapshot(repr(self.batch.env), self.settings.num_envs, snapshot["games"]))
        self.learner.restore(snapshot["learner"])
        self.behaviour.restore(snapshot["behaviour"])
        self.replay.restore(snapshot["replay"])
        checkpoint.fill(self.replay, range(*snapshot["replay"]["numbers"]))
        torch.set_rng_state(snapshot["torch"])
        self.run.go_back(snapshot["rows"], checkpoint.teams())


def to_the_end(training: Training, on_evaluation: Callable[[Run], None] | None, progress: bool) -> Run:
    """Plays what is left of a run. Raises Stopped where a signal has ended it, once a checkpoint is written."""
    settings, run = training.settings, training.run
    title = f"{run.learner.name} on {run.environment.id}"
    listening = training.stopper if training.keeps_checkpoints else contextlib.nullcontext()
    with _events(training), _bar(settings.env_steps, training.env_steps, title, progress) as bar, listening:
        try:
            while not training.done:
                training.stopper.check()
                if training.evaluation_due:
                    training.evaluate()
                    bar.set_postfix_str(f"greedy return {run.rows[-1]['mean_team_return']:.1f}")
                    if on_evaluation is not None:
                        on_evaluation(run)
                else:
                    training.step()
                    bar.update(settings.num_envs)
                training.keep_in_time()
            training.finish()
        except Stopped as stop:
            training.keep()
            file = "" if run.learner.name in ALGORITHMS else "FILE.py "
            raise Stopped(
                f"stopped after {training.env_steps} of {settings.env_steps} environment steps; "
                f"to go on: coopgym train {file}--resume {run.path}",
                stop.signal,
            ) from None
    return run


def _stacked(terms: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Each term of some gradient steps, [steps]."""
    return {name: torch.stack([one[name] for one in terms]) for name in (terms[0] if terms else ())}


def _bar(total: int, done: int, title: str, shown: bool) -> Any:
    from tqdm import tqdm

    often = 0.1 if sys.stderr.isatty() else 10  # seconds; a log wants fewer lines than a screen
    unit = {"unit": "step", "unit_scale": True}
    return tqdm(total=total, initial=done, desc=title, dynamic_ncols=True, mininterval=often, disable=not shown, **unit)


@contextlib.contextmanager
def _events(training: Training) -> Iterator[None]:
    """Has TensorBoard's events written, if asked for; those of steps that are to come are void."""
    if not training.settings.tensorboard:
        yield
        return
    rows, path = training.run.rows, training.run.path
    if path is None:
        raise ValueError("tensorboard needs a folder; give `out`")
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ImportError('TensorBoard is not installed; run: pip install "coopgym[tensorboard]"') from None
    with SummaryWriter(str(path), purge_step=rows[-1]["env_steps"] + 1 if rows else 0) as training.writer:
        yield
