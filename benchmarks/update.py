"""What one gradient step costs: VDN, QMIX and QTRAN, on 32 episodes of spread and of predator-prey.

    python benchmarks/update.py

Times are medians; the machine should do nothing else meanwhile. The 160 episodes of spread are those of five seeds:
were these trained in one process, as a population whose weights carry a leading axis, a step of all would take no less.
"""

import statistics
import time

import numpy as np
import torch
from environments import machine

from coopgym.baselines import algorithm
from coopgym.baselines.episodes import Episodes
from coopgym.baselines.memory import keep_freed_memory
from coopgym.baselines.replay import Replay
from coopgym.envs import environment
from coopgym.envs.core import Batch, Environment

ALGORITHMS = ("vdn", "qmix", "qtran")
GAMES = (("spread_v1", 32), ("spread_v1", 160), ("predator_prey_v1", 32))  # episodes of each gradient step
THREADS = (1, 2)


def episodes(env: Environment, count: int = 32) -> Episodes:
    """Whole episodes of agents that act at random, which hardly ever end before the time limit."""
    batch = Batch(env, count, seed=0)
    replay = Replay(batch, count, seed=0)
    random = np.random.default_rng(0)
    batch.reset()
    replay.begin(batch, np.ones(count, np.bool_))
    while len(replay) < count:
        batch.step(random.integers(env.n_actions, size=(count, env.n_agents)))
        replay.add(batch)
    return replay.sample(count)


def milliseconds(name: str, env: Environment, data: Episodes, repeats: int) -> float:
    """The median time of a gradient step."""
    learner = algorithm(name)(env, algorithm(name).Config())
    learner.update(data)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        learner.update(data)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def measure(repeats: int = 11) -> None:
    """Prints the table."""
    keep_freed_memory()  # as in training
    print(f"milliseconds for a gradient step, median of {repeats}; {machine()}, torch {torch.__version__}\n")
    titles = [f"{name}, {threads} thread{'s' * (threads > 1)}" for name in ALGORITHMS for threads in THREADS]
    print(f"{'episodes x steps x agents':38}" + "".join(f"{title:>18}" for title in titles))
    for id, count in GAMES:
        env = environment(id)
        data = episodes(env, count)
        cells = []
        for name in ALGORITHMS:
            for threads in THREADS:
                torch.set_num_threads(threads)
                cells.append(milliseconds(name, env, data, repeats))
        b, t, n = data.action.shape
        print(f"{f'{id}, {b} x {t} x {n}':38}" + "".join(f"{cell:18.1f}" for cell in cells), flush=True)


if __name__ == "__main__":
    measure()
