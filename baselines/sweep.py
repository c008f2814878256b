"""Sweeps: several algorithms in several environments, with several seeds each, by many processes or many machines.

The folder holds all that is known (see `sweep_jobs`): a sweep can be stopped and begun again at any time, extended, and
worked on by several calls at once, on one machine or on several that share the folder. No job is done twice.
"""

import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from coopgym.baselines.files import CONFIG
from coopgym.baselines.results import read_run
from coopgym.baselines.sweep_asked import ask
from coopgym.baselines.sweep_claims import Watch, bury
from coopgym.baselines.sweep_cluster import Cluster
from coopgym.baselines.sweep_jobs import Standing, done, read_plan, standings
from coopgym.baselines.sweep_processes import Processes
from coopgym.baselines.sweep_table import Table
from coopgym.baselines.train import Settings
from coopgym.extras import needing

TICK = 0.5  # seconds between two looks at the folder


class Outcome(NamedTuple):
    """What has come of a sweep."""

    done: list[Path]  # the runs' folders
    failed: dict[Path, str]  # the file with the traceback -> the error in a sentence


def sweep(
    out: str | Path,
    algorithms: str | Sequence[str] | None = None,
    envs: str | Sequence[str] | None = None,
    seeds: int | None = None,
    *,
    workers: int | None = None,
    ray: str | None = None,
    hyperparameters: str | None = None,
    progress: bool = False,
    **fields: Any,
) -> Outcome:
    """Trains every algorithm in every environment with the seeds 0 to `seeds` - 1, and returns when all is done.

    out: the sweep's folder. If it holds a sweep, that goes on, and has more to do where more is asked for: more seeds,
    or more algorithms in the same environments, or the other way round. With nothing but `out`, it goes on as it is.
    Runs that failed in an earlier call are tried again.
    algorithms: names or Python files, as a list or with commas between; envs: ids, with presets and parameters behind
    them such as "predator_prey_v1/stag_p-1.5/sight=3"; seeds: 10, unless told otherwise; workers: processes on this
    machine, by default one for each core; ray: "auto" or the address of a Ray cluster, whose machines share the folder,
    to do the work instead; hyperparameters and fields: as in `train`, for all runs; a field goes to the algorithms that
    have it; progress: whether to show how it goes.
    Raises ValueError or TypeError for what no run can be, for other fields than the folder was begun with, and for runs
    in it that are damaged; RuntimeError where workers cannot work.
    """
    out = Path(out)
    if workers is not None and ray is not None:
        raise ValueError("workers are processes on this machine, and ray is a cluster in their place; give one of them")
    if ray is not None:
        needing("ray", "ray")  # or says so before anything is written
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; it must be 1 or more")
    if (out / CONFIG).exists():
        raise ValueError(f"{out} is the folder of a run; give the sweep one of its own")
    if (algorithms, envs, seeds, hyperparameters) != (None,) * 4 or fields:
        ask(out, algorithms, envs, seeds, hyperparameters, fields)
    plan, call = read_plan(out), uuid.uuid4().hex
    for job in plan.jobs:
        job.error(out).unlink(missing_ok=True)
        if done(job.place(out)):
            read_run(job.place(out))  # or says what is damaged
    table = Table(out, plan.fields.get("env_steps", Settings().env_steps), sys.stderr) if progress else None
    hands: Hands = Cluster(out, call, ray) if ray is not None else Processes(out, call, workers or _cores())
    with Stop() as stop:
        try:
            return _outcome(out, _supervise(out, call, hands, table, stop))
        finally:
            hands.stop()


class Hands(Protocol):
    """Who does the jobs: each is claimed first, so that nobody does one twice."""

    @property
    def busy(self) -> bool:
        """Whether anybody still works."""

    def employ(self, standings: list[Standing]) -> None:
        """Sees to it that open jobs are done, at some time. Raises RuntimeError where they cannot be."""

    def stop(self) -> None:
        """Stops what is under way."""


class Stop:
    """Within it, Ctrl-C and SIGTERM are kept until somebody asks: then no worker is left behind half begun."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():  # others get no signals
            self.before = {number: signal.signal(number, self._keep) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _keep(self, number: int, frame: object) -> None:
        self.signal = number

    def ask(self) -> None:
        """Raises KeyboardInterrupt or SystemExit where a signal has come."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            sys.exit(128 + self.signal)


def _supervise(out: Path, call: str, hands: Hands, table: Table | None, stop: Stop) -> list[Standing]:
    """Waits until every job is done or has failed, takes jobs from the dead, and sees that there are hands for them."""
    watch, first = Watch(), True
    while True:
        now = standings(out, read_plan(out).jobs)
        for claim in (one.claim for one in now if one.claim is not None and one.claim.held):
            if watch.dead(claim):
                deaths = claim.record.deaths if claim.record is not None else 0
                bury(claim, call, 0 if first else deaths + 1)  # who died before this call may have been stopped
        if table is not None:
            table.show(now)
        hands.employ(now)
        if not hands.busy and all(one.status in ("done", "failed") for one in now):
            return now
        first = False
        time.sleep(TICK)
        stop.ask()


def _outcome(out: Path, now: list[Standing]) -> Outcome:
    failed = {}
    for path in (one.job.error(out) for one in now if one.status == "failed"):
        with suppress(FileNotFoundError):  # another call has begun and tries it again
            failed[path] = path.read_text(encoding="utf-8").partition("\n")[0]
    return Outcome([one.job.place(out) for one in now if one.status == "done"], failed)


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
