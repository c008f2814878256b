"""Environment steps per second, beside the programs of others measured in the same run.

    python benchmarks/environments.py [families] [peers] [profile] [threads] [crowds] [start] [--sources FOLDER]

families: every family, from one game to 16,384 at a time; peers: mpe2, VMAS and JaxMARL where they are installed, and
the class of predator-prey's authors where FOLDER holds their clone (see predator_prey_sources.py); profile: what the
parts of a step take; threads: what a second thread brings, and what a second process would; crowds: spread with up to
64 agents; start: how long the first step of a family takes, with nothing compiled and with everything. Without words,
all of it.

A step is one joint action in one environment: all agents act. Ended episodes start again. Actions are drawn beforehand,
at random. Each figure is the median of several measurements; the machine should do nothing else meanwhile.
"""

import argparse
import copy
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import coopgym
from coopgym.envs import core, ids
from coopgym.envs.compiling import kernel
from coopgym.envs.core import Batch, Environment

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


def mpe2(num_envs: int, seconds: float, repeats: int) -> float | None:
    """mpe2's simple_spread_v3, the same game as spread_v1, which plays one game at a time."""
    from mpe2 import simple_spread_v3

    return parallel_env(simple_spread_v3.parallel_env(), seconds, repeats) if num_envs == 1 else None


def vmas(num_envs: int, seconds: float, repeats: int) -> float:
    """VMAS's simple_spread on one thread of the processor; a batch starts again as a whole."""
    import torch
    from vmas import make_env

    torch.set_num_threads(1)
    env = make_env("simple_spread", num_envs, device="cpu", continuous_actions=False, n_agents=3, max_steps=25, seed=0)
    torch.manual_seed(0)
    pool = [[torch.randint(5, (num_envs, 1)) for _ in range(3)] for _ in range(POOL)]

    def step(call: int) -> None:
        if env.step(pool[call % POOL])[2].all():
            env.reset()

    env.reset()
    return rate(step, num_envs, seconds, repeats)


def jaxmarl(num_envs: int, seconds: float, repeats: int) -> float:
    """JaxMARL's MPE_simple_spread_v3 on the processor: 100 steps in one compiled loop, actions drawn within it."""
    import jax
    from jaxmarl import make

    env, inner = make("MPE_simple_spread_v3"), 100

    def act(key: Any) -> Any:
        keys = jax.random.split(key, env.num_agents)
        return {agent: env.action_space(agent).sample(one) for agent, one in zip(env.agents, keys, strict=True)}

    def one(carry: Any, _: Any) -> Any:
        key, state = carry
        key, *keys = jax.random.split(key, 3)
        obs, state, reward, _, _ = jax.vmap(env.step)(
            jax.random.split(keys[0], num_envs), state, jax.vmap(act)(jax.random.split(keys[1], num_envs))
        )
        return (key, state), (sum(map(jax.numpy.sum, (*reward.values(), *obs.values()))),)

    loop = jax.jit(lambda carry: jax.lax.scan(one, carry, None, inner))
    _, state = jax.vmap(env.reset)(jax.random.split(jax.random.PRNGKey(0), num_envs))
    carry = (jax.random.PRNGKey(1), state)

    def step(call: int) -> None:
        nonlocal carry
        carry, sums = loop(carry)
        jax.block_until_ready(sums)

    return rate(step, inner * num_envs, seconds, repeats)


def stag_hunt(folder: Path, seconds: float, repeats: int) -> float:
    """The class StagHunt of the authors of DCG, whose rules predator_prey_v1 has: step, observe, masks, state."""
    from predator_prey_sources import StagHunt, Stream

    env = coopgym.environment("predator_prey_v1")
    game = StagHunt(folder / StagHunt.folder, env, Stream(0))
    random, inner = np.random.default_rng(0), game.env
    pool = random.integers(env.n_actions, size=(POOL, env.n_agents))
    game.reset()

    def step(call: int) -> None:
        masks = np.array(inner.get_avail_actions())
        wanted = pool[call % POOL]
        legal = masks[np.arange(env.n_agents), wanted].astype(bool)
        _, over = game.step(np.where(legal, wanted, masks.argmax(-1)))
        inner.get_obs()
        inner.get_state()
        if over:
            game.reset()

    return rate(step, 1, seconds, repeats)


PEERS = {"mpe2": mpe2, "VMAS": vmas, "JaxMARL": jaxmarl}


def shown(value: float | None) -> str:
    """A rate in three digits."""
    if value is None:
        return "-"
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def line(title: str, cells: Sequence[str]) -> None:
    """Prints a row of a table, as soon as it is known."""
    print(f"{title:36}" + "".join(f"{cell:>13}" for cell in cells), flush=True)


def families(batches: Sequence[int] = BATCHES, seconds: float = 0.5, repeats: int = 5) -> None:
    """Every family in sizes of batches, with and without copies, and on two threads."""
    line("", ["ParallelEnv", *(f"batch {size}" for size in batches)])
    for id, params in GAMES.items():
        single = parallel_env(coopgym.make(id, **params), seconds, repeats)
        variants = {"": {}, ", copy=False": {"copy": False}, ", 2 threads": {"copy": False, "num_threads": 2}}
        for name, options in variants.items():
            least = WORTH_THREADS if "num_threads" in options else 1
            rates = [None if name else single]
            for size in batches:
                rates.append(vector_env(id, size, seconds, repeats, **params, **options) if size >= least else None)
            line(f"{id}{name}", [shown(value) for value in rates])


def peers(
    batches: Sequence[int] = BATCHES, seconds: float = 0.5, repeats: int = 5, sources: Path | None = None
) -> None:
    """spread_v1 and predator_prey_v1 beside the same games of others, each pair one after the other."""
    line("", [f"batch {size}" for size in batches])
    for name, peer in PEERS.items():
        pairs: list[tuple[float, float] | None] = []
        for size in batches:
            try:
                theirs = peer(size, seconds, repeats)
            except ImportError:
                theirs = None
            ours = vector_env("spread_v1", size, seconds, repeats, copy=False)
            if size == 1:  # what steps one game at a time is met by what does too
                ours = parallel_env(coopgym.make("spread_v1"), seconds, repeats)
            pairs.append(None if theirs is None else (theirs, ours))
        line(f"{name}, spread", [shown(pair and pair[0]) for pair in pairs])
        line("  spread_v1", [shown(pair and pair[1]) for pair in pairs])
        line("  times as fast", [f"{pair[1] / pair[0]:.3g}" if pair else "-" for pair in pairs])
    if sources is not None:
        theirs = stag_hunt(sources, seconds, repeats)
        ours = parallel_env(coopgym.make("predator_prey_v1"), seconds, repeats)
        line("StagHunt of DCG", [shown(theirs)])
        line("  predator_prey_v1", [shown(ours)])
        line("  times as fast", [f"{ours / theirs:.3g}"])


# Where the time of a step goes: each part is what a step takes less without it.


@kernel
def _no_step(p, s, e, action):
    return 0.0, False


@kernel
def _nothing(p, s, e, shown):
    pass


@kernel
def _nothing_wrong(actions, strict, out):
    return -1


PARTS = {"move": {"step": _no_step}, "observe": {"observe": _nothing}, "state": {"summarise": _nothing}}


def batch(env: Environment, num_envs: int, seconds: float, repeats: int, num_threads: int = 1) -> float:
    """The loops alone, without what a VectorEnv is around them: nanoseconds a step of one game."""
    games = Batch(env, num_envs, seed=0, num_threads=num_threads)
    games.reset()
    pool = np.random.default_rng(0).integers(env.n_actions, size=(POOL, num_envs, env.n_agents))
    return 1e9 / rate(lambda call: games.advance(pool[call % POOL]), num_envs, seconds, repeats)


@contextmanager
def unchecked() -> Iterator[None]:
    """Within it, batches are made that do not ask whether actions are in range."""
    checked = core._first_wrong
    core.loops.cache_clear()
    core._first_wrong = _nothing_wrong
    try:
        yield
    finally:
        core._first_wrong = checked
        core.loops.cache_clear()


def profile(num_envs: int = 1024, seconds: float = 0.5, repeats: int = 5) -> None:
    """Nanoseconds a step, and what it takes less without one of its parts; `rest` counts, restarts and calls.

    Parts that do not wait for each other are done at once, so what they take alone may be more than their sum.
    """
    line(f"batch {num_envs}", ["whole", *PARTS, "masks", "check", "rest"])
    for id, params in GAMES.items():
        env = coopgym.environment(id, **params)
        whole = batch(env, num_envs, seconds, repeats)
        parts = [whole - batch(stripped(env, **part), num_envs, seconds, repeats) for part in PARTS.values()]
        masks = batch(stripped(env, available=_nothing), num_envs, seconds, repeats) if env.masks_change else whole
        with unchecked():
            check = batch(env, num_envs, seconds, repeats)
        parts += [whole - masks, whole - check]
        line(id, [f"{value:.1f}" for value in (whole, *parts, whole - sum(parts))])


def stripped(env: Environment, **kernels: Any) -> Environment:
    """The environment with other kernels."""
    other = copy.copy(env)
    other.__dict__.pop("kernels", None)
    other.__class__ = type("Stripped", (type(env),), {"kernels": env.kernels._replace(**kernels)})
    return other


PROCESS = """
import sys, coopgym, environments, json
id, num_envs, params, seconds, repeats = json.loads(sys.argv[1])
env = coopgym.environment(id, **params)
environments.batch(env, num_envs, 0.01, 1)
print("ready", flush=True)
sys.stdin.readline()
print(environments.batch(env, num_envs, seconds, repeats))
"""


def threads(num_envs: int = 16384, seconds: float = 0.5, repeats: int = 5) -> None:
    """What a second thread brings, as times one; beside what bounds it.

    on one: the loop that is made for threads, on one of them; unchecked: without the check of actions, which one thread
    makes for both; two processes: which share nothing, with half of the games each.
    """
    line(f"batch {num_envs}", ["two threads", "on one", "unchecked", "two processes"])
    for id, params in GAMES.items():
        env = coopgym.environment(id, **params)
        one = batch(env, num_envs, seconds, repeats)
        two = one / batch(env, num_envs, seconds, repeats, num_threads=2)
        most, core.SETTINGS.NUMBA_NUM_THREADS = core.SETTINGS.NUMBA_NUM_THREADS, 1
        try:
            alone = one / batch(env, num_envs, seconds, repeats, num_threads=2)
        finally:
            core.SETTINGS.NUMBA_NUM_THREADS = most
        with unchecked():
            bare = batch(env, num_envs, seconds, repeats) / batch(env, num_envs, seconds, repeats, num_threads=2)
        half = batch(env, num_envs // 2, seconds, repeats)
        both = sum(half / time for time in side_by_side(id, num_envs // 2, params, seconds, repeats))
        line(id, [f"{value:.2f}" for value in (two, alone, bare, both)])


def side_by_side(id: str, num_envs: int, params: dict[str, Any], seconds: float, repeats: int) -> list[float]:
    """Nanoseconds a step of two processes that play at the same time."""
    asked = json.dumps([id, num_envs, params, seconds, repeats])
    command = [sys.executable, "-c", PROCESS, asked]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, cwd=Path(__file__).parent, **pipes) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return [float(process.communicate()[0]) for process in processes]


def crowds(agents: Sequence[int] = (3, 8, 16, 32, 64), seconds: float = 0.5, repeats: int = 5) -> None:
    """spread_v1 with more and more agents, 64 games at a time: the work is the pairs of what is seen and what sees."""
    line("spread_v1, agents", [str(n) for n in agents])
    times = [1e9 / vector_env("spread_v1", 64, seconds, repeats, n_agents=n, copy=False) for n in agents]
    sizes = [coopgym.environment("spread_v1", n_agents=n) for n in agents]
    line("microseconds a step", [f"{time / 1000:.3g}" for time in times])
    line("numbers observed", [str(env.n_agents * env.obs_size) for env in sizes])
    line(
        "nanoseconds a number",
        [f"{t / (env.n_agents * env.obs_size):.3g}" for t, env in zip(times, sizes, strict=True)],
    )


FIRST_STEP = """
import sys, time
import coopgym
start = time.perf_counter()
env = coopgym.make(sys.argv[1])
env.reset(seed=0)
env.step({agent: env.action_space(agent).sample() for agent in env.agents})
env.state()
print(time.perf_counter() - start)
"""


def start(names: Sequence[str] = ()) -> None:
    """Seconds from `make` to the end of the first step, in a new process: nothing compiled yet, then from the cache."""
    line("seconds to the first step", ["cold", "warm"])
    for id in names or ids():
        with tempfile.TemporaryDirectory() as cache:
            line(id, [f"{first_step(id, cache):.2f}" for _ in ("cold", "warm")])


def first_step(id: str, cache: str) -> float:
    variables = {**os.environ, "NUMBA_CACHE_DIR": cache}
    done = subprocess.run(
        [sys.executable, "-c", FIRST_STEP, id], capture_output=True, text=True, check=True, env=variables
    )
    return float(done.stdout)


def machine() -> str:
    """What the figures were measured on."""
    versions = f"Python {platform.python_version()}, coopgym {coopgym.__version__}"
    return f"{os.cpu_count()} cores, {platform.machine()}, {versions}"


def main() -> None:
    parts = {
        "families": families,
        "peers": peers,
        "profile": profile,
        "threads": threads,
        "crowds": crowds,
        "start": start,
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[[], *parts], help="what to measure; all of it without a word")
    parser.add_argument("--sources", type=Path, help="a folder with a clone of github.com/wendelinboehmer/dcg")
    options = parser.parse_args()
    print(f"{machine()}; rates are environment steps per second, medians of 5 x 0.5 s")
    for name in options.parts or parts:
        print(f"\n{name}: {parts[name].__doc__.splitlines()[0]}")
        parts[name](**({"sources": options.sources} if name == "peers" else {}))


if __name__ == "__main__":
    main()
