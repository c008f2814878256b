"""A Ray cluster that works on a sweep: a task for each job, on machines that share the sweep's folder.

Ray runs a task again when its machine dies. Claims settle which run of a task, or which other call, does the job.
"""

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from coopgym.baselines.sweep_claims import bury, newest_claim
from coopgym.baselines.sweep_jobs import PLAN, Job, Standing
from coopgym.baselines.sweep_worker import DEATHS, GRACE, attempt
from coopgym.extras import needing


class Cluster:
    """One Ray task for each job. address: "auto", or where the cluster is."""

    def __init__(self, out: Path, call: str, address: str) -> None:
        self.ray = needing("ray", "ray")
        self.out, self.call = out.resolve(), call
        self.own = not self.ray.is_initialized()
        if self.own:
            try:
                self.ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            except ConnectionError:
                raise ConnectionError(f"no Ray cluster at {address!r}; start one with: ray start --head") from None
        self.task = self.ray.remote(num_cpus=1, max_retries=DEATHS)(_task)
        self.tasks: dict[Job, Any] = {}

    @property
    def busy(self) -> bool:
        return bool(self.tasks)

    def employ(self, standings: list[Standing]) -> None:
        for job in self._ended():
            self._end(job)
        for one in standings:
            if one.status == "open" and one.job not in self.tasks:
                self.tasks[one.job] = self.task.remote(str(self.out), tuple(one.job), self.call)

    def stop(self) -> None:
        for task in self.tasks.values():
            self.ray.cancel(task)
        if self.tasks:
            self.ray.wait(list(self.tasks.values()), num_returns=len(self.tasks), timeout=GRACE)
        if self.own:
            self.ray.shutdown()

    def _ended(self) -> Iterable[Job]:
        if not self.tasks:
            return []
        jobs = {task: job for job, task in self.tasks.items()}
        ended, _ = self.ray.wait(list(jobs), num_returns=len(jobs), timeout=0)
        return [jobs[task] for task in ended]

    def _end(self, job: Job) -> None:
        try:
            self.ray.get(self.tasks.pop(job))
        except self.ray.exceptions.RayTaskError as error:
            raise RuntimeError(f"a task has ended with: {error.cause}") from None
        except self.ray.exceptions.RayError:  # its machine died too often
            _bury_own(self.out, job, self.call)


def _task(out: str, words: tuple[str, str, int], call: str) -> None:
    """What Ray runs, and runs again on another machine when this one dies."""
    folder, job = Path(out), Job(*words)
    if not (folder / PLAN).is_file():
        raise FileNotFoundError(
            f"{folder} is not there on {socket.gethostname()}; a cluster needs a folder that all share"
        )
    _bury_own(folder, job, call)
    attempt(folder, job, call)


def _bury_own(out: Path, job: Job, call: str) -> None:
    """Buries what an earlier run of this task has left: no other task of this call has the job."""
    claim = newest_claim(job.place(out))
    if claim is not None and claim.held and claim.record is not None and claim.record.call == call:
        bury(claim, call, claim.record.deaths + 1)
