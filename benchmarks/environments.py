"""Environment steps per second of every family, beside mpe2 measured in the same run.

    python benchmarks/environments.py

A step is one joint action in one environment: all agents act. Ended episodes start again. Actions are drawn beforehand,
at random. Each figure is the median of several measurements; the machine should do nothing else meanwhile.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

import coopgym

GAMES = {  # id: parameters; the small games are made long, since a short one is all restarts
    "spread_v1": {},
    "predator_prey_v1": {},
    "matrix_game_v1": {"preset": "climbing", "horizon": 25},
    "dec_pomdp_v1": {"preset": "dec_tiger", "horizon": 25},
}
BATCHES = (1, 64, 1024, 16384)
WORTH_THREADS = 1024  # smaller batches are not worth the start of a second thread
POOL = 16  # joint actions that are played in turn


def rate(step: Callable[[int], None], steps_in_a_call: int, seconds: float, repeats: int) -> float:
    """Steps per second: the median over repeats of about so many seconds each. step: called with 0, 1, 2, ..."""
    calls, passed = 1, 0.0
    while passed < seconds / 4:  # also warms up
        calls *= 2
        passed = _time(step, calls)
    calls = max(1, round(calls * seconds / passed))
    return calls * steps_in_a_call / statistics.median(_time(step, calls) for _ in range(repeats))


def _time(step: Callable[[int], None], calls: int) -> float:
    started = time.perf_counter()
    for call in range(calls):
        step(call)
    return time.perf_counter() - started


def parallel_env(env, seconds: float, repeats: int) -> float:
    """A PettingZoo ParallelEnv."""
    env.reset(seed=0)
    spaces = {agent: env.action_space(agent).n for agent in env.possible_agents}
    random = np.random.default_rng(0)
    pool = [{agent: int(random.integers(n)) for agent, n in spaces.items()} for _ in range(POOL)]

    def step(call: int) -> None:
        env.step(pool[call % POOL])
        if not env.agents:
            env.reset()

    return rate(step, 1, seconds, repeats)


def vector_env(id: str, num_envs: int, seconds: float, repeats: int, **options) -> float:
    """A Gymnasium VectorEnv, as `coopgym.make_vec` makes it."""
    env = coopgym.make_vec(id, num_envs, **options)
    env.reset(seed=0)
    pool = np.random.default_rng(0).integers(env.environment.n_actions, size=(POOL, num_envs, env.environment.n_agents))
    return rate(lambda call: env.step(pool[call % POOL]), num_envs, seconds, repeats)


def mpe2_rate(seconds: float, repeats: int) -> float | None:
    """mpe2's simple_spread_v3, the same game as spread_v1; None where it is not installed."""
    try:
        from mpe2 import simple_spread_v3
    except ImportError:
        return None
    return parallel_env(simple_spread_v3.parallel_env(), seconds, repeats)


def shown(value: float | None) -> str:
    """A rate in three digits."""
    if value is None:
        return "-"
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def measure(batches: Sequence[int] = BATCHES, seconds: float = 0.5, repeats: int = 5) -> None:
    """Prints the table, line by line as it comes to be known."""
    columns = ["ParallelEnv", *(f"batch {size}" for size in batches)]

    def line(title: str, cells: Sequence[str]) -> None:
        print(f"{title:34}" + "".join(f"{cell:>13}" for cell in cells), flush=True)

    print(f"environment steps per second, median of {repeats} x {seconds} s; {machine()}\n")
    line("", columns)
    peer = mpe2_rate(seconds, repeats)
    line("mpe2 simple_spread_v3", [shown(peer), *("-" for _ in batches)])
    for id, params in GAMES.items():
        single = parallel_env(coopgym.make(id, **params), seconds, repeats)
        variants = {"": {}, ", copy=False": {"copy": False}, ", 2 threads": {"copy": False, "num_threads": 2}}
        for name, options in variants.items():
            least = WORTH_THREADS if "num_threads" in options else 1
            rates = [None if name else single]
            for size in batches:
                rates.append(vector_env(id, size, seconds, repeats, **params, **options) if size >= least else None)
            line(f"{id}{name}", [shown(value) for value in rates])
            if id == "spread_v1" and peer is not None:
                line("  times mpe2", ["-" if value is None else f"{value / peer:.3g} x" for value in rates])


def machine() -> str:
    """What the figures were measured on."""
    versions = f"Python {platform.python_version()}, coopgym {coopgym.__version__}"
    return f"{os.cpu_count()} cores, {platform.machine()}, {versions}"


if __name__ == "__main__":
    measure()
