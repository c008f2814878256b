"""Ends a run where its state is whole: signals are noted when they come and answered when the run asks."""

import signal
import threading
from typing import Any

import numpy as np

from coopgym.baselines.rollout import Evaluation, evaluate_policy
from coopgym.envs.core import Environment
from coopgym.envs.teams import Policy

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A signal has ended a run before its time. signal: its number."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


class Stopper:
    """Within `with`, the first SIGINT or SIGTERM is noted, for `check` to raise; another one is a KeyboardInterrupt.

    Signals that the process ignores stay ignored. Only Python's main thread hears signals; in others nothing happens.
    """

    def __init__(self) -> None:
        self.noted: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Stopper":
        if threading.current_thread() is threading.main_thread():
            heard = [one for one in SIGNALS if signal.getsignal(one) not in (signal.SIG_IGN, None)]
            self.before = {one: signal.signal(one, self._note) for one in heard}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        if self.noted is not None and error[0] is None:  # it came too late to be asked for
            signal.raise_signal(self.noted)

    def _note(self, number: int, frame: object) -> None:
        if self.noted is not None:
            raise KeyboardInterrupt
        self.noted = number

    def check(self) -> None:
        """Raises Stopped where a signal has come."""
        if self.noted is not None:
            raise Stopped("", self.noted)

    def evaluate(self, policy: Policy, env: Environment, episodes: int, seed: int) -> Evaluation:
        """`evaluate_policy`, which can take long, with a check before each step."""
        return evaluate_policy(Checked(policy, self), env, episodes, seed)


class Checked:
    """A policy that asks before it acts whether a signal has come."""

    def __init__(self, policy: Policy, stopper: Stopper) -> None:
        self.policy, self.stopper = policy, stopper

    def reset(self, num_envs: int) -> None:
        self.policy.reset(num_envs)

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        self.stopper.check()
        return self.policy.act(obs, action_mask)
