"""The loop: collect, store, learn, evaluate, log."""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coopgym.baselines import algorithm as algorithm_named
from coopgym.baselines.hyperparameters import published
from coopgym.baselines.learner import Config, Learner, Team, make_plain
from coopgym.baselines.replay import Replay
from coopgym.baselines.rollout import evaluate_policy
from coopgym.baselines.run import Run
from coopgym.envs import environment
from coopgym.envs.core import Batch, Environment, checked_seed


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
    tensorboard: bool = False
    """Whether to write TensorBoard's events too."""

    def __post_init__(self) -> None:
        make_plain(self)
        checked_seed(self.seed)
        for name in ("env_steps", "num_envs", "evaluate_every", "evaluation_episodes", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")


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

    algorithm: a name or a Learner class; env: an id or an environment; config: the algorithm's fields; fields: single
    fields of the settings or of the config by name, such as seed=1 or gamma=0.9; hyperparameters: the name of a
    published set of them, see `coopgym.baselines.hyperparameters`; out: the run's folder; on_evaluation is called with
    the run after each evaluation.
    Raises ValueError or TypeError for an unknown name and for fields out of range, FileExistsError for a folder that
    holds a run already.
    """
    learner_class = algorithm_named(algorithm) if isinstance(algorithm, str) else algorithm
    env = environment(env) if isinstance(env, str) else env
    if hyperparameters is not None:
        fields = {**published(hyperparameters, learner_class.Config, env), **fields}
    settings, config = with_fields(settings or Settings(), config or learner_class.Config(), fields)
    if env.individual_rewards:
        raise ValueError("reward_mode is 'per_agent'; these algorithms learn from one team reward: take team_sum")
    if env.action_bounds is not None:
        raise ValueError(
            f"{env.id} has continuous actions here; these algorithms choose among actions: take discrete ones"
        )
    path = Path(out) if out is not None else None
    if path is not None and (path / "config.json").exists():
        raise FileExistsError(f"{path} holds a run already; choose another folder")
    threads = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        return _train(Training(learner_class, env, config, settings, path), on_evaluation, progress)
    finally:
        torch.set_num_threads(threads)


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
        self.settings, self.env_steps, self.episodes = settings, 0, 0
        self.batch = Batch(env, settings.num_envs, games)
        self.learner = learner_class(env, config, networks)
        self.replay = Replay(self.batch, config.buffer_size, draws)
        self.behaviour = self.learner.behaviour()
        self.run = Run(path, self.learner, env, asdict(settings))
        self.writer = _tensorboard(path) if settings.tensorboard else None
        self.terms: list[dict[str, torch.Tensor]] = []  # of the losses since the last evaluation
        self.started = time.perf_counter()
        self.batch.reset()
        self.behaviour.reset(settings.num_envs)
        self.replay.begin(self.batch, np.ones(settings.num_envs, np.bool_))

    @property
    def done(self) -> bool:
        return self.env_steps >= self.settings.env_steps

    def step(self) -> None:
        """One joint action in every game, and the gradient steps that are owed for it."""
        out, learner, num_envs = self.batch.out, self.learner, self.settings.num_envs
        self.batch.step(self.behaviour.act(out.obs, out.action_mask))
        self.env_steps += num_envs
        learner.env_steps, learner.progress = self.env_steps, min(self.env_steps / self.settings.env_steps, 1.0)
        finished = self.replay.add(self.batch)
        if finished:
            self.behaviour.restart(out.terminated | out.truncated)
            self.episodes += finished
        if len(self.replay) >= learner.config.batch_size:
            self.terms += learner.learn(self.replay, num_envs)

    def evaluate(self) -> None:
        """Scores the greedy team and adds a row to the run."""
        learner, settings = self.learner, self.settings
        team = Team(learner.live["agent"])  # type: ignore[arg-type]
        score = evaluate_policy(team, self.batch.env, settings.evaluation_episodes, EVALUATION_SEED)
        row = {
            "env_steps": self.env_steps,
            "updates": learner.updates,
            "episodes": self.episodes,
            "wall_seconds": round(time.perf_counter() - self.started, 3),
            "mean_team_return": score.mean,
            "std_team_return": score.std,
            "epsilon": learner.epsilon,
            **_means(self.terms),
        }
        self.terms = []
        self.run.log(row)
        if self.writer is not None:
            for name, value in row.items():
                self.writer.add_scalar(name, value, self.env_steps)
            self.writer.flush()


def _train(training: Training, on_evaluation: Callable[[Run], None] | None, progress: bool) -> Run:
    settings, run = training.settings, training.run
    next_evaluation = settings.evaluate_every
    with _bar(settings.env_steps, f"{run.learner.name} on {run.environment.id}", progress) as bar:
        while not training.done:
            training.step()
            bar.update(settings.num_envs)
            if training.env_steps >= next_evaluation or training.done:
                next_evaluation += settings.evaluate_every
                training.evaluate()
                bar.set_postfix_str(f"greedy return {run.rows[-1]['mean_team_return']:.1f}")
                if on_evaluation is not None:
                    on_evaluation(run)
    run.finish(FINAL_EPISODES * settings.evaluation_episodes, FINAL_SEED)
    if training.writer is not None:
        training.writer.close()
    return run


def _means(terms: list[dict[str, torch.Tensor]]) -> dict[str, float]:
    """The mean of each term over some gradient steps."""
    if not terms:
        return {}
    return {name: float(torch.stack([one[name] for one in terms]).mean()) for name in terms[0]}


def _bar(total: int, title: str, shown: bool) -> Any:
    from tqdm import tqdm

    often = 0.1 if sys.stderr.isatty() else 10  # seconds; a log wants fewer lines than a screen
    return tqdm(
        total=total, desc=title, unit="step", unit_scale=True, dynamic_ncols=True, mininterval=often, disable=not shown
    )


def _tensorboard(path: Path | None) -> Any:
    if path is None:
        raise ValueError("tensorboard needs a folder; give `out`")
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ImportError('TensorBoard is not installed; run: pip install "coopgym[tensorboard]"') from None
    return SummaryWriter(str(path))
