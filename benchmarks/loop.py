"""Where the time of a training run goes: playing, choosing actions, sampling, the gradient step's parts, evaluating.

    python benchmarks/loop.py [--algorithms vdn qmix qtran] [--env-steps 100000]

Runs of `coopgym train ALGORITHM ID`, in memory and on one thread, with a stopwatch around each part. The machine should
do nothing else meanwhile.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from environments import machine

from coopgym.baselines import algorithm
from coopgym.baselines.train import Settings, Training, train
from coopgym.envs import environment

GAMES = ("spread_v1", "predator_prey_v1")


class Stopwatch:
    """Seconds by part; what runs within another part is taken off that one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.within: list[float] = []  # of each open part, the seconds of the parts inside it

    def watch(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            self.within.append(0.0)
            started = time.perf_counter()
            result = function(*arguments, **options)
            passed = time.perf_counter() - started
            self.seconds[part] = self.seconds.get(part, 0.0) + passed - self.within.pop()
            if self.within:
                self.within[-1] += passed
            return result

        return timed


def budget(name: str, id: str, env_steps: int) -> dict[str, float]:
    """The seconds of each part of a run."""
    learner_class: Any = algorithm(name)
    watch, started = Stopwatch(), time.perf_counter()

    class Watched(learner_class):
        name = learner_class.name
        Config = learner_class.Config

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.loss = watch.watch("forward, target and loss", self.loss)
            self.cut_gradients = watch.watch("clip", self.cut_gradients)
            self.optimiser.step = watch.watch("optimiser", self.optimiser.step)
            self.update = watch.watch("backward and the rest of an update", self.update)

        def behaviour(self) -> Any:
            behaviour = super().behaviour()
            behaviour.act = watch.watch("act", behaviour.act)
            return behaviour

    begin = Training.__init__

    def init(training: Any, *arguments: Any) -> None:
        begin(training, *arguments)
        training.batch.step = watch.watch("step the games", training.batch.step)
        training.replay.add = watch.watch("store", training.replay.add)
        training.replay.sample = watch.watch("sample", training.replay.sample)
        training.evaluate = watch.watch("evaluate and log", training.evaluate)

    Training.__init__ = init  # type: ignore[method-assign]
    try:
        train(Watched, environment(id), settings=Settings(env_steps=env_steps))
    finally:
        Training.__init__ = begin  # type: ignore[method-assign]
    elsewhere = time.perf_counter() - started - sum(watch.seconds.values())  # compiling and setting up, mostly
    return {**watch.seconds, "elsewhere": elsewhere}


def measure(algorithms: list[str], env_steps: int) -> None:
    """Prints a table for each game."""
    print(f"{machine()}, torch {torch.__version__}; microseconds for an environment step, and their share")
    for id in GAMES:
        steps = env_steps if id == "spread_v1" else env_steps // 5
        budgets = {name: budget(name, id, steps) for name in algorithms}
        print(f"\n{f'{id}, {steps} steps':38}" + "".join(f"{name:>18}" for name in budgets))
        first = budgets[algorithms[0]]
        for part in sorted(first, key=first.__getitem__, reverse=True):
            cells = [(one[part], sum(one.values())) for one in budgets.values()]
            row = "".join(f"{1e6 * t / steps:>11.3g} {t / whole:>6.1%}" for t, whole in cells)
            print(f"{part:38}{row}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algorithms", nargs="+", default=["vdn", "qmix", "qtran"])
    parser.add_argument("--env-steps", type=int, default=100_000, help="on spread; a fifth of it on predator-prey")
    options = parser.parse_args()
    measure(options.algorithms, options.env_steps)


if __name__ == "__main__":
    main()
