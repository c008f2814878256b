"""VDN and QMIX of JaxMARL and EPyMARL beside ours on spread: a gradient step, and the time until -32.

    python benchmarks/learners.py --jaxmarl CHECKOUT --epymarl CHECKOUT [--only step|race] [--algorithms vdn qmix]

CHECKOUT: a clone of FLAIROx/JaxMARL, or of uoe-agents/epymarl: the learners are in no package. Either may be left out.
`--jaxmarl-python`: an interpreter that has jaxmarl, flax, optax, flashbax, distrax, hydra-core and omegaconf from PyPI;
`--epymarl-python`: one that has torch, sacred, setuptools<80, pettingzoo[mpe]==1.24.3, gymnasium<1 and numpy<2. By
default it is the one that runs this.

step: milliseconds for a gradient step on 32 episodes, on two threads. JaxMARL's is compiled into one program with its
games, so it is timed as what three more gradient steps add to each round of a run.

race: seconds from the start of a process, compiling included, to the first evaluation that reaches a team return of
-32, summed over 25 steps; JaxMARL's episodes have 26, so there it is -33.3. Theirs run for 2 000 000 environment steps
with their own settings for this game. Ours are short runs, of agents without memory, which this game does not ask for,
and more gradient steps (`OURS`); QMIX also has a mixer that begins with small weights, as JaxMARL's has: otherwise it
collapses. Teams are evaluated on 512 greedy episodes, EPyMARL's on 100, as it is set up; it is stopped when it has
taken ten times as long as ours. The machine should do nothing else meanwhile.
"""

import argparse
import importlib.util
import itertools
import os
import runpy
import shlex
import statistics
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ALGORITHMS = ("vdn", "qmix")
GOAL, STEPS, THEIR_STEPS = -32.0, 25, 26
EPISODES = 512  # of an evaluation
TOTAL = 2_000_000  # environment steps of a run
SHORT: dict[str, Any] = {"recurrent": False, "steps_per_update": 25, "evaluate_every": 20_000}
OURS: dict[str, dict[str, Any]] = {
    "vdn": {**SHORT, "env_steps": 600_000},
    "qmix": {**SHORT, "env_steps": 400_000, "learning_rate": 3e-3, "hyper_scale": 0.01, "epsilon_part": 0.3},
}
PATIENCE = 10  # times our seconds, after which EPyMARL is stopped
ROUND = 8 * THEIR_STEPS  # environment steps between two gradient steps of JaxMARL
ROUNDS = 300  # of a run that is timed


# Theirs, in processes of their own: this part must not import coopgym, which their interpreter need not have.


def jaxmarl_training(checkout: Path, name: str, log: Callable[[dict[str, Any]], None], **changes: Any) -> Any:
    """A run of JaxMARL's, compiled: call it with a key. log takes what they would send to Weights & Biases."""
    import jax

    wandb: Any = types.ModuleType("wandb")
    wandb.log = log
    sys.modules["wandb"] = wandb
    folder = checkout / "baselines" / "QLearning"
    spec = importlib.util.spec_from_file_location("learner", folder / f"{name}_rnn.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    settings = {**their_settings(folder / "config" / "alg" / "ql_rnn_mpe.yaml"), "ENV_KWARGS": {}, **changes}
    env, _ = module.env_from_config(dict(settings))
    return jax.jit(module.make_train(settings, env)).lower(jax.random.PRNGKey(0)).compile()


def their_settings(file: Path) -> dict[str, Any]:
    """The lines `"NAME": value` of a file, in which YAML would take a number such as 1e7 for text."""
    settings: dict[str, Any] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        name, colon, value = line.split("#")[0].partition(":")
        if colon:
            settings[name.strip(' "')] = value_of(value.strip(' "'))
    return settings


def value_of(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return {"True": True, "False": False}.get(text, text)


def jaxmarl_step(checkout: Path, name: str) -> float:
    """Milliseconds for a gradient step."""
    import jax

    def seconds(epochs: int) -> float:
        changes: dict[str, Any] = {"WANDB_MODE": "disabled", "TEST_DURING_TRAINING": False, "LEARNING_STARTS": 1000}
        run = jaxmarl_training(
            checkout, name, print, NUM_EPOCHS=epochs, TOTAL_TIMESTEPS=float(ROUNDS * ROUND), **changes
        )
        times = []
        for _ in range(3):
            started = time.perf_counter()
            jax.block_until_ready(run(jax.random.PRNGKey(1)))
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    return 1000 * (seconds(4) - seconds(1)) / (3 * ROUNDS)


def jaxmarl_race(checkout: Path, name: str, seed: int) -> None:
    """Prints `environment steps, return over 25 steps` whenever the team is evaluated."""
    last: list[float] = []

    def log(metrics: dict[str, Any]) -> None:
        score = float(metrics["test_returned_episode_returns"])  # it stands in every round until the next evaluation
        if [score] != last:
            last[:] = [score]
            print(int(metrics["env_step"]), score * STEPS / THEIR_STEPS, flush=True)

    import jax

    changes = {"TOTAL_TIMESTEPS": float(TOTAL), "TEST_INTERVAL": 0.02, "TEST_NUM_ENVS": EPISODES}
    run = jaxmarl_training(checkout, name, log, WANDB_MODE="online", **changes)
    jax.block_until_ready(run(jax.random.PRNGKey(seed)))


def epymarl_race(checkout: Path, name: str, seed: int) -> None:
    """As `jaxmarl_race`; its environments of other games, which are in no package, are left away."""
    screen = os.fdopen(os.dup(1), "w")  # it catches what is printed
    sys.modules["smaclite"] = types.ModuleType("smaclite")
    sys.path.insert(0, str(checkout / "src"))
    from utils.logging import Logger

    log_stat = Logger.log_stat

    def show(logger: Any, key: str, value: float, steps: int, to_sacred: bool = True) -> None:
        if key == "test_return_mean":
            print(steps, value, file=screen, flush=True)
        log_stat(logger, key, value, steps, to_sacred)

    Logger.log_stat = show
    game = ["env_args.time_limit=25", "env_args.key=pz-mpe-simple-spread-v3"]
    options = [*game, f"seed={seed}", "use_cuda=False"]
    sys.argv = ["main.py", f"--config={name}", "--env-config=gymma", "with", *options]
    runpy.run_path(str(checkout / "src" / "main.py"), run_name="__main__")


# Ours.


def our_step(name: str) -> float:
    """Milliseconds for a gradient step."""
    import torch
    from update import episodes, learner_of, milliseconds

    from coopgym.baselines.memory import keep_freed_memory
    from coopgym.envs import environment

    keep_freed_memory()
    torch.set_num_threads(2)
    env = environment("spread_v1")
    return milliseconds(learner_of(name, env), episodes(env), 101)


def our_race(name: str, seed: int) -> None:
    """As `jaxmarl_race`, of a run that `coopgym train` makes."""
    import coopgym

    def show(run: Any) -> None:
        print(run.rows[-1]["env_steps"], run.rows[-1]["mean_team_return"], flush=True)

    options = {**OURS[name], "evaluation_episodes": EPISODES, "threads": 2}
    coopgym.train(name, "spread_v1", seed=seed, on_evaluation=show, **options)


# What is printed.


@dataclass(frozen=True)
class Race:
    """How long a process took to the goal, or that it did not get there."""

    seconds: float
    env_steps: int
    best: float  # of all evaluations

    def __str__(self) -> str:
        if self.best >= GOAL:
            return f"{self.seconds:.0f} s, {self.env_steps:,} steps"
        return f"not in {self.seconds:.0f} s: {self.best:.1f}"


def race(command: list[str], limit: float = float("inf")) -> Race:
    """Runs a process until it prints a return that reaches the goal, at most `limit` seconds.

    Raises RuntimeError, with the command, where it fails before it has printed any.
    """
    started, best, steps = time.perf_counter(), -float("inf"), 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        watch = threading.Timer(min(limit, threading.TIMEOUT_MAX), process.kill)
        watch.start()
        assert process.stdout is not None
        for line in process.stdout:
            words = line.split()
            if len(words) == 2 and words[0].isdecimal():
                steps, best = int(words[0]), max(best, float(words[1]))
                if best >= GOAL:
                    process.kill()
                    break
    seconds = time.perf_counter() - started
    watch.cancel()
    if not steps and process.returncode > 0:
        raise RuntimeError(f"this command failed; run it to see why: {shlex.join(command)}")
    return Race(seconds, steps, best)


CHILDREN: dict[str, Callable[[Path, str, int], None]] = {
    "jaxmarl_step": lambda checkout, name, seed: print(jaxmarl_step(checkout, name)),
    "jaxmarl_race": jaxmarl_race,
    "epymarl_race": epymarl_race,
    "our_race": lambda checkout, name, seed: our_race(name, seed),
}


def child(part: str, name: str, seed: int = 0, checkout: Path = Path(), python: str = sys.executable) -> list[str]:
    """The command that runs a part in a process of its own."""
    return [python, __file__, "--child", part, str(checkout.resolve()), name, str(seed)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jaxmarl", type=Path)
    parser.add_argument("--epymarl", type=Path)
    parser.add_argument("--jaxmarl-python", default=sys.executable)
    parser.add_argument("--epymarl-python", default=sys.executable)
    parser.add_argument("--only", choices=["step", "race"])
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=ALGORITHMS)
    parser.add_argument("--seeds", type=int, default=1, help="of the race")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        part, checkout, name, seed = options.child
        CHILDREN[part](Path(checkout), name, int(seed))
        return

    from environments import machine

    print(machine())
    if options.only != "race" and options.jaxmarl:
        print("\nmilliseconds for a gradient step   JaxMARL   coopgym   ratio")
        for name in options.algorithms:
            command = child("jaxmarl_step", name, 0, options.jaxmarl, options.jaxmarl_python)
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            theirs, ours = float(done.stdout.split()[-1]), our_step(name)
            print(f"{name:34}{theirs:8.1f}{ours:10.1f}{ours / theirs:8.2f}", flush=True)
    if options.only != "step":
        print(f"\n{f'to a team return of {GOAL:.0f}':28}{'coopgym':>28}{'JaxMARL':>28}{'EPyMARL':>28}")
        for name, seed in itertools.product(options.algorithms, range(options.seeds)):
            ours = race(child("our_race", name, seed))
            print(f"{f'{name}, seed {seed}':28}{ours!s:>28}", end="", flush=True)
            theirs: list[Race | str] = ["", ""]
            if options.jaxmarl:
                theirs[0] = race(child("jaxmarl_race", name, seed, options.jaxmarl, options.jaxmarl_python))
            if options.epymarl:
                command = child("epymarl_race", name, seed, options.epymarl, options.epymarl_python)
                theirs[1] = race(command, PATIENCE * ours.seconds)
            print("".join(f"{result!s:>28}" for result in theirs), flush=True)


if __name__ == "__main__":
    main()
