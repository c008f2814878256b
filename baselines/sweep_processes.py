"""Workers for a sweep on this machine: processes, each with one thread."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from coopgym.baselines.sweep_jobs import Standing
from coopgym.baselines.sweep_worker import GRACE

LOST = 3  # workers that may be killed before their first job, until we give up


class Processes:
    """At most so many worker processes, each with one thread; they end where no job is open."""

    def __init__(self, out: Path, call: str, workers: int) -> None:
        self.out, self.call, self.workers = out, call, workers
        self.running: dict[subprocess.Popen[bytes], IO[bytes]] = {}  # -> what it prints
        self.begun: set[int] = set()  # workers that have had a job
        self.lost = 0

    @property
    def busy(self) -> bool:
        return bool(self.running)

    def employ(self, standings: list[Standing]) -> None:
        records = [one.claim.record for one in standings if one.status == "running" and one.claim is not None]
        holders = {record.pid for record in records if record is not None and record.call == self.call}
        self.begun |= holders
        for process in [process for process in self.running if process.poll() is not None]:
            self._bid_farewell(process)
        idle = sum(process.pid not in holders for process in self.running)
        wanted = sum(one.status == "open" for one in standings) - idle
        for _ in range(min(wanted, self.workers - len(self.running))):
            self._start()

    def stop(self) -> None:
        try:
            for process in self.running:
                process.terminate()
            for process in self.running:
                process.wait(GRACE)
        except subprocess.TimeoutExpired:
            pass
        finally:
            for process, log in self.running.items():
                process.kill()
                process.wait()
                _closed(process, log)
            self.running = {}

    def _start(self) -> None:
        log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "coopgym.baselines.sweep_worker", str(self.out), self.call],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
            | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us, who then stop it
        )
        self.running[process] = log

    def _bid_farewell(self, process: "subprocess.Popen[bytes]") -> None:
        """Looks at how a worker has ended: a job may take one with it, but none must fail by itself."""
        log = self.running.pop(process)
        log.seek(0)
        printed = log.read().decode(errors="replace").strip()
        _closed(process, log)
        self.lost += process.returncode < 0 and process.pid not in self.begun
        if process.returncode > 0 or self.lost > LOST:
            raise RuntimeError(
                f"a worker has ended with code {process.returncode}: {printed.rpartition(os.linesep)[2]}"
            )


def _closed(process: "subprocess.Popen[bytes]", log: IO[bytes]) -> None:
    log.close()
    if process.stdin is not None:
        process.stdin.close()
