"""VDN and QMIX of JaxMARL beside ours on spread: a gradient step, and the time until the landmarks are shared.

    python benchmarks/jaxmarl_learners.py CHECKOUT [--only step|race] [--seeds 1] [--python PYTHON]

CHECKOUT: a clone of FLAIROx/JaxMARL, since its learners are in no package. PYTHON: an interpreter that has jaxmarl,
flax, optax, flashbax, distrax, hydra-core and omegaconf from PyPI; by default the one that runs this.

step: milliseconds for a gradient step on 32 episodes, on two threads. Theirs is compiled into one program with its
games, so it is timed as what three more gradient steps add to each round of a run.

race: seconds from the start of a process, compiling included, to the first evaluation that reaches a team return of
-32, summed over 25 steps; JaxMARL's episodes have 26, so there it is -33.3. Theirs runs for 2 000 000 environment steps
with its own settings for this game. Ours are short runs, of agents without memory, which this game does not ask for,
and more gradient steps (`OURS`); QMIX also has a mixer that begins with small weights, as theirs has: otherwise it
collapses. Teams are evaluated on 512 greedy episodes. The machine should do nothing else meanwhile.
"""

import argparse
import importlib.util
import itertools
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Callable
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
ROUND = 8 * THEIR_STEPS  # environment steps between two of their gradient steps
ROUNDS = 300  # of a run that is timed


# Theirs, in processes of their own: this part must not import coopgym, which their interpreter need not have.


def their_training(checkout: Path, name: str, log: Callable[[dict[str, Any]], None], **changes: Any) -> Any:
    """A run of theirs, compiled: call it with a key. log takes what they would send to Weights & Biases."""
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


def their_step(checkout: Path, name: str) -> float:
    """Milliseconds for a gradient step."""
    import jax

    def seconds(epochs: int) -> float:
        changes = {"WANDB_MODE": "disabled", "TEST_DURING_TRAINING": False, "LEARNING_STARTS": 1000}
        run = their_training(checkout, name, print, NUM_EPOCHS=epochs, TOTAL_TIMESTEPS=float(ROUNDS * ROUND), **changes)
        times = []
        for _ in range(3):
            started = time.perf_counter()
            jax.block_until_ready(run(jax.random.PRNGKey(1)))
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    return 1000 * (seconds(4) - seconds(1)) / (3 * ROUNDS)


def their_race(checkout: Path, name: str, seed: int) -> None:
    """Prints `environment steps, return over 25 steps` whenever the team is evaluated."""
    last: list[float] = []

    def log(metrics: dict[str, Any]) -> None:
        score = float(metrics["test_returned_episode_returns"])  # it stands in every round until the next evaluation
        if [score] != last:
            last[:] = [score]
            print(int(metrics["env_step"]), score * STEPS / THEIR_STEPS, flush=True)

    import jax

    changes = {"TOTAL_TIMESTEPS": float(TOTAL), "TEST_INTERVAL": 0.02, "TEST_NUM_ENVS": EPISODES}
    run = their_training(checkout, name, log, WANDB_MODE="online", **changes)
    jax.block_until_ready(run(jax.random.PRNGKey(seed)))


# Ours.


def our_step(name: str) -> float:
    """Milliseconds for a gradient step."""
    import torch
    from update import episodes, milliseconds

    from coopgym.baselines.memory import keep_freed_memory
    from coopgym.envs import environment

    keep_freed_memory()
    torch.set_num_threads(2)
    env = environment("spread_v1")
    return milliseconds(name, env, episodes(env), 101)


def our_race(name: str, seed: int) -> None:
    """As `their_race`, of a run that `coopgym train` makes."""
    import coopgym

    def show(run: Any) -> None:
        print(run.rows[-1]["env_steps"], run.rows[-1]["mean_team_return"], flush=True)

    options = {**OURS[name], "evaluation_episodes": EPISODES, "threads": 2}
    coopgym.train(name, "spread_v1", seed=seed, on_evaluation=show, **options)


# What is printed.


def seconds_to_goal(command: list[str]) -> str:
    """The time of a process until it prints a return that reaches the goal, or its best one where none does."""
    started, best = time.perf_counter(), -float("inf")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            words = line.split()
            if len(words) == 2 and words[0].isdecimal():
                best = max(best, float(words[1]))
                if best >= GOAL:
                    passed = time.perf_counter() - started
                    process.kill()
                    return f"{passed:.0f} s, {int(words[0]):,} steps"
    return f"not in {time.perf_counter() - started:.0f} s: {best:.1f}"


CHILDREN: dict[str, Callable[[Path, str, int], None]] = {
    "their_step": lambda checkout, name, seed: print(their_step(checkout, name)),
    "their_race": their_race,
    "our_race": lambda checkout, name, seed: our_race(name, seed),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--only", choices=["step", "race"])
    parser.add_argument("--seeds", type=int, default=1, help="of the race")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        part, name, seed = options.child
        CHILDREN[part](options.checkout, name, int(seed))
        return

    def child(python: str, part: str, name: str, seed: int = 0) -> list[str]:
        return [python, __file__, str(options.checkout), "--child", part, name, str(seed)]

    from environments import machine

    print(machine())
    if options.only != "race":
        print("\nmilliseconds for a gradient step   JaxMARL   coopgym   ratio")
        for name in ALGORITHMS:
            done = subprocess.run(
                child(options.python, "their_step", name), stdout=subprocess.PIPE, text=True, check=True
            )
            theirs, ours = float(done.stdout.split()[-1]), our_step(name)
            print(f"{name:34}{theirs:8.1f}{ours:10.1f}{ours / theirs:8.2f}", flush=True)
    if options.only != "step":
        print(f"\nto a team return of {GOAL:.0f}{'JaxMARL':>28}{'coopgym':>28}")
        for name, seed in itertools.product(ALGORITHMS, range(options.seeds)):
            theirs = seconds_to_goal(child(options.python, "their_race", name, seed))
            ours = seconds_to_goal(child(sys.executable, "our_race", name, seed))
            print(f"{f'{name}, seed {seed}':22}{theirs:>28}{ours:>28}", flush=True)


if __name__ == "__main__":
    main()
