"""A process that works on a sweep: it claims one open job after the other and trains it, until none is open.

    python -m coopgym.baselines.sweep_worker OUT CALL

It stops, and gives up its claim, at SIGTERM and when its standard input ends, which is when its parent is no more.
"""

import os
import shutil
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from coopgym.baselines.checkpoint import Checkpoints, DamagedError, opened
from coopgym.baselines.files import write_text
from coopgym.baselines.learner import Learner
from coopgym.baselines.resume import resume
from coopgym.baselines.sweep_claims import Claim, remove_claims, take
from coopgym.baselines.sweep_jobs import Job, done, fields_for, game, learner_of, read_plan, standings
from coopgym.baselines.train import train
from coopgym.envs.core import Environment

GRACE = 10.0  # seconds that a worker has to stop in
OF_THE_MACHINE = (OSError, MemoryError, RuntimeError)  # after such errors a run goes on, after others it begins anew
DEATHS = 3  # of processes that held a job, after which it has failed


def work(out: Path, call: str) -> None:
    """Does open jobs of the sweep in a folder until there are none. call: names the call of `sweep` that it is for."""
    while any(attempt(out, job, call) for job in _open(out)):  # after each run, look again: much has changed
        pass


def _open(out: Path) -> list[Job]:
    return [one.job for one in standings(out, read_plan(out).jobs) if one.status == "open"]


def attempt(out: Path, job: Job, call: str) -> bool:
    """Does a job, or writes down why it failed. Returns whether there was something to do."""
    place = job.place(out)
    claim = take(place, call)
    if claim is None:
        return False
    if done(place) or job.error(out).exists():  # since we looked
        claim.give_up()
        if done(place):
            remove_claims(place)
        return False
    try:
        with claim.beating():
            _do(out, job, claim)
    except Exception as error:
        if claim.valid and not done(place):
            sentence = " ".join(f"{type(error).__name__}: {error}".split())
            write_text(job.error(out), f"{sentence}\n\n{traceback.format_exc()}")
            if not isinstance(error, OF_THE_MACHINE):
                shutil.rmtree(claim.work, ignore_errors=True)
            claim.give_up()
    except BaseException:  # stopped from outside
        if claim.valid:
            claim.give_up()
        raise
    return True


def _do(out: Path, job: Job, claim: Claim) -> None:
    place = job.place(out)
    if claim.record is not None and claim.record.deaths >= DEATHS:
        raise RuntimeError(f"{DEATHS} processes were killed while they trained it; memory may be short")
    if place.exists():
        raise FileExistsError(f"{place} is in the way, and no finished run; move it away")
    if not done(claim.work):
        learner, env = learner_of(job, out), game(job.env)
        _train(claim.work, learner, env, {**fields_for(learner, env, read_plan(out)), "seed": job.seed})
    if claim.valid:
        claim.publish()


def _train(folder: Path, learner: type[Learner], env: Environment, fields: dict[str, Any]) -> None:
    """Trains a run in a folder, or goes on with the one that is there, from its latest checkpoint that is whole."""
    for checkpoint in Checkpoints(folder).paths():
        if _whole(checkpoint):
            resume(checkpoint, learner)
            return
    shutil.rmtree(folder, ignore_errors=True)
    train(learner, env, out=folder, **fields)


def _whole(checkpoint: Path) -> bool:
    try:
        opened(checkpoint).check()
    except DamagedError:
        return False
    return True


def _stop(*_: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    sys.exit()


def _stop_with_parent() -> None:
    os.read(0, 1)  # returns at its end; sys.stdin would be locked while Python shuts down
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    with suppress(SystemExit, KeyboardInterrupt):  # the second ends a run with a checkpoint
        work(Path(sys.argv[1]), sys.argv[2])
    os._exit(0)  # all is written, and Python would take seconds to put torch away
