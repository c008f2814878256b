"""The loop: collect, store, learn, evaluate, log."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coopgym.baselines import algorithm as algorithm_named
from coopgym.baselines.learner import Config, Learner, Team
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
        checked_seed(self.seed)
        for name in ("env_steps", "num_envs", "evaluate_every", "evaluation_episodes", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")


EVALUATION_SEED = 1_000_000_007  # far from the seeds of training, the same for all runs


def train(
    algorithm: str | type[Learner],
    env: str | Environment,
    config: Config | None = None,
    settings: Settings | None = None,
    out: str | Path | None = None,
    on_evaluation: Callable[[Run], None] | None = None,
    progress: bool = False,
    **fields: Any,
) -> Run:
    """Trains a team and returns the run.

    algorithm: a name or a Learner class; env: an id or an environment; config: the algorithm's fields; fields: single
    fields of the settings or of the config by name, such as seed=1 or gamma=0.9; out: the run's folder; on_evaluation
    is called with the run after each evaluation.
    Raises ValueError or TypeError for an unknown name and for fields out of range, FileExistsError for a folder that
    holds a run already.
    """
    learner_class = algorithm_named(algorithm) if isinstance(algorithm, str) else algorithm
    env = environment(env) if isinstance(env, str) else env
    settings, config = with_fields(settings or Settings(), config or learner_class.Config(), fields)
    if env.individual_rewards:
        raise ValueError("reward_mode is 'per_agent'; these algorithms learn from one team reward: take team_sum")
    path = Path(out) if out is not None else None
    if path is not None and (path / "config.json").exists():
        raise FileExistsError(f"{path} holds a run already; choose another folder")
    threads = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        return _train(learner_class, env, config, settings, path, on_evaluation, progress)
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


def _train(
    learner_class: type[Learner],
    env: Environment,
    config: Config,
    settings: Settings,
    path: Path | None,
    on_evaluation: Callable[[Run], None] | None,
    progress: bool,
) -> Run:
    games, networks, draws = (
        int(one.generate_state(1, np.uint64)[0] >> np.uint64(2))
        for one in np.random.SeedSequence(settings.seed).spawn(3)
    )
    batch = Batch(env, settings.num_envs, games)
    learner = learner_class(env, config, networks)
    replay = Replay(batch, config.buffer_size, draws)
    run = Run(path, learner, env, asdict(settings))
    writer = _tensorboard(path) if settings.tensorboard else None
    started = time.perf_counter()
    bar = _bar(settings.env_steps, f"{learner.name} on {env.id}") if progress else None

    behaviour = learner.behaviour()
    out = batch.reset()
    behaviour.reset(settings.num_envs)
    replay.begin(batch, np.ones(settings.num_envs, np.bool_))
    env_steps = episodes = 0
    next_evaluation = settings.evaluate_every
    terms: list[dict[str, torch.Tensor]] = []
    while env_steps < settings.env_steps:
        out = batch.step(behaviour.act(out.obs, out.action_mask))
        env_steps += settings.num_envs
        learner.env_steps, learner.progress = env_steps, min(env_steps / settings.env_steps, 1.0)
        finished = replay.add(batch)
        if finished:
            behaviour.restart(out.terminated | out.truncated)
            episodes += finished
        if len(replay) >= config.batch_size:
            terms += learner.learn(replay.sample, settings.num_envs)
        if bar is not None:
            bar.update(settings.num_envs)
        if env_steps >= next_evaluation or env_steps >= settings.env_steps:
            next_evaluation += settings.evaluate_every
            score = evaluate_policy(Team(learner.live["agent"]), env, settings.evaluation_episodes, EVALUATION_SEED)  # type: ignore[arg-type]
            row = {
                "env_steps": env_steps,
                "updates": learner.updates,
                "episodes": episodes,
                "wall_seconds": round(time.perf_counter() - started, 3),
                "mean_team_return": score.mean,
                "std_team_return": score.std,
                "epsilon": config.epsilon(env_steps),
                **_means(terms),
            }
            terms = []
            run.log(row)
            if writer is not None:
                for name, value in row.items():
                    writer.add_scalar(name, value, env_steps)
            if bar is not None:
                bar.set_postfix_str(f"greedy return {score.mean:.1f}")
            if on_evaluation is not None:
                on_evaluation(run)
    if bar is not None:
        bar.close()
    if writer is not None:
        writer.close()
    return run


def _means(terms: list[dict[str, torch.Tensor]]) -> dict[str, float]:
    """The mean of each term over some gradient steps."""
    if not terms:
        return {}
    return {name: float(torch.stack([one[name] for one in terms]).mean()) for name in terms[0]}


def _bar(total: int, title: str) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, desc=title, unit="step", unit_scale=True, dynamic_ncols=True)


def _tensorboard(path: Path | None) -> Any:
    if path is None:
        raise ValueError("tensorboard needs a folder; give `out`")
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ImportError('TensorBoard is not installed; run: pip install "coopgym[tensorboard]"') from None
    return SummaryWriter(str(path))
