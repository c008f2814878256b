"""The whole of coopgym in two minutes: QMIX learns predator_prey_v1, is scored against a random team, and is filmed."""

import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from coopgym.baselines.plots import learning_curve
from coopgym.baselines.qmix import QMIX, Config
from coopgym.baselines.rollout import Evaluation, evaluate
from coopgym.baselines.train import Settings, train
from coopgym.envs import environment
from coopgym.envs.recording import record

ENVIRONMENT = "predator_prey_v1"
CONFIG = Config(batch_size=16, epsilon_steps=15_000)
SETTINGS = Settings(env_steps=40_000, evaluate_every=4_000, evaluation_episodes=64, checkpoint_seconds=0)
EPISODES = 1000  # of each team's score
FOLDER = Path("runs", "demo")
FILES = {
    *("config.json", "metrics.csv", "policy.safetensors", "best.safetensors", "scores.json"),
    *("learning_curve.png", "episode.gif"),
}


class Scores(NamedTuple):
    random: Evaluation
    trained: Evaluation


def demo(
    folder: Path = FOLDER, config: Config = CONFIG, settings: Settings = SETTINGS, episodes: int = EPISODES
) -> Scores:
    """Trains, scores and films a team, prints what comes out, and leaves it all in a folder.

    An earlier demo's folder is replaced, once the new one is complete. Raises FileExistsError for a folder that holds
    anything else.
    """
    if folder.exists() and {path.name for path in folder.iterdir()} != FILES:
        raise FileExistsError(f"{folder} holds something else than an earlier demo; move it away")
    started = time.perf_counter()
    env = environment(ENVIRONMENT)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        new = Path(temporary, folder.name)
        print(f"Random team on {ENVIRONMENT}: {episodes} episodes", flush=True)
        random = evaluate("random", env, episodes)
        print(f"{QMIX.name.upper()} on {ENVIRONMENT}: {settings.env_steps} steps, seed {settings.seed}", flush=True)
        run = train(QMIX, env, config, settings, new, progress=True)
        trained = evaluate(run.policy(), env, episodes)
        learning_curve(
            new / "learning_curve.png",
            run.rows,
            settings.evaluation_episodes,
            f"{QMIX.name.upper()} on {ENVIRONMENT}, seed {settings.seed}",
            random.mean,
        )
        record(env, new / "episode.gif", run.policy(), seed=0)
        if folder.exists():
            folder.rename(Path(temporary, "earlier"))
        new.rename(folder)
    seconds = time.perf_counter() - started
    print(f"random team:  mean return {random}")
    print(f"trained team: mean return {trained}")
    print(f"The trained team earns {trained.mean / random.mean:.1f} times as much; all this took {seconds:.0f} s.")
    print(
        f"{folder / 'learning_curve.png'} shows how it learnt, {folder / 'episode.gif'} how it plays; "
        f'coopgym.load_policy("{folder.as_posix()}") lets it act.'
    )
    return Scores(random, trained)
