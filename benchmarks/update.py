"""What one gradient step costs: VDN, QMIX and QTRAN, on 32 episodes of spread and of predator-prey.

    python benchmarks/update.py [--compiled]

--compiled: what `torch.compile` of the loss would change, for agents with memory and without.

Times are medians; the machine should do nothing else meanwhile. The 160 episodes of spread are those of five seeds:
were these trained in one process, as a population whose weights carry a leading axis, a step of all would take no less.
"""

import argparse
import itertools
import statistics
import time
from typing import Any

import numpy as np
import torch
from environments import machine

from coopgym.baselines import algorithm
from coopgym.baselines.episodes import Episodes
from coopgym.baselines.learner import Learner
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


def learner_of(name: str, env: Environment, recurrent: bool = True) -> Learner:
    return algorithm(name)(env, algorithm(name).Config(recurrent=recurrent))


def milliseconds(learner: Learner, data: Episodes, repeats: int) -> float:
    """The median time of a gradient step."""
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
                cells.append(milliseconds(learner_of(name, env), data, repeats))
        b, t, n = data.action.shape
        print(f"{f'{id}, {b} x {t} x {n}':38}" + "".join(f"{cell:18.1f}" for cell in cells), flush=True)


def measure_compiled(repeats: int = 41) -> None:
    """Prints the table of what compiling changes."""
    keep_freed_memory()
    torch.set_num_threads(1)
    env = environment("spread_v1")
    data = episodes(env)
    print(f"{'milliseconds, one thread':28}{'as shipped':>14}{'compiled':>14}{'to compile':>14}")
    for name, recurrent in itertools.product(ALGORITHMS, (True, False)):
        shipped = milliseconds(learner_of(name, env, recurrent), data, repeats)
        torch.compiler.reset()
        learner: Any = learner_of(name, env, recurrent)
        learner.loss = torch.compile(learner.loss)
        started = time.perf_counter()
        learner.update(data)
        seconds = time.perf_counter() - started
        compiled = milliseconds(learner, data, repeats)
        title = f"{name}, {'with' if recurrent else 'without'} memory"
        print(f"{title:28}{shipped:14.1f}{compiled:14.1f}{seconds:12.0f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compiled", action="store_true")
    measure_compiled() if parser.parse_args().compiled else measure()
