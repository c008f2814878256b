"""Claims: of all processes that share a folder, one at a time works on a job, and another takes over when it dies.

A claim on the job `seed3` is a folder `.seed3.K` beside it. It holds a record of whose it is, and what the job has come
to so far. The largest K counts. Such a folder is made under another name, with its record, and then renamed: that
succeeds for one process only. A claim ends in one of three ways:

- the job is done: the work becomes `seed3`, by a rename too, and the claims on it are removed;
- its holder gives it up, and the record says so;
- its holder dies. Whoever notices (`Watch`) makes claim K + 1, which is given up from the beginning (`bury`).

Whoever takes a claim that was given up makes the next one and moves the unfinished work there. A process that was only
thought to be dead then finds its folder gone: it cannot disturb the job, nor finish it a second time.

A holder on this machine is dead when its process is. Of one elsewhere we see the heartbeat, the time at which its
record was last touched: it is dead when we have seen none for `PATIENCE` by our own clock; clocks need not agree.
"""

import json
import os
import re
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from coopgym.baselines.files import write_text

RECORD = "claim.json"
WORK = "run"
NEW = "new-"
BEAT = 15.0  # seconds between two heartbeats
PATIENCE = 180.0  # seconds; a shared file system may show changes a minute late


@dataclass(frozen=True)
class Record:
    """Whose claim it is."""

    call: str  # names the call of `sweep` for which the holder works
    deaths: int  # processes that have died while they held the job, since it was last given up
    pid: int = 0  # of the holder; 0 where the claim was given up
    born: int = 0  # when its process began, in ticks since the machine started
    processes: str = ""  # names the machine, or the container, that numbers its processes so; "" where unknown
    host: str = ""


class Claim(NamedTuple):
    """The newest claim on a job."""

    folder: Path
    number: int  # K
    record: Record | None  # None where it cannot be read: it is being made or removed, or was damaged

    @property
    def held(self) -> bool:
        return self.record is None or self.record.pid != 0

    @property
    def work(self) -> Path:
        """Where the holder works: another folder, which becomes the job's own."""
        return self.folder / WORK

    @property
    def valid(self) -> bool:
        """Whether it is still the newest one."""
        newest = newest_claim(_place(self.folder))
        return newest is not None and newest.number == self.number and (self.folder / RECORD).exists()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Keeps the heart beating, in a thread of its own, until the end of the block."""
        stopped = threading.Event()
        heart = threading.Thread(target=_beat, args=(self.folder / RECORD, stopped), daemon=True)
        heart.start()
        try:
            yield
        finally:
            stopped.set()
            heart.join()

    def publish(self) -> None:
        """Makes the work the job's own folder. Raises OSError where that is taken."""
        place = _place(self.folder)
        os.rename(self.work, place)
        remove_claims(place)

    def give_up(self, deaths: int = 0) -> None:
        """Lets others have the job, and the work as it is."""
        call = self.record.call if self.record else ""
        write_text(self.folder / RECORD, json.dumps(asdict(Record(call, deaths))) + "\n")


def newest_claim(place: Path, names: list[str] | None = None) -> Claim | None:
    """The claim that counts for a job, None where there is none. names: what the folder around it holds, if known."""
    if names is None:
        names = os.listdir(place.parent) if place.parent.is_dir() else []
    number = max((_number(place, name) for name in names), default=0)
    if number == 0:
        return None
    folder = _folder(place, number)
    try:
        record = Record(**json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        record = None
    return Claim(folder, number, record)


def take(place: Path, call: str) -> Claim | None:
    """Claims a job for this process, with the work that others have left; None where another one holds it."""
    earlier = newest_claim(place)
    if earlier is not None and earlier.held:
        return None
    deaths = earlier.record.deaths if earlier is not None and earlier.record is not None else 0
    claim = _made(place, earlier, Record(call, deaths, *_this_process()))
    if claim is not None:
        _inherit(claim, place)
    return claim


def bury(claim: Claim, call: str, deaths: int) -> None:
    """Gives up a claim whose holder is dead, unless somebody was quicker."""
    _made(_place(claim.folder), claim, Record(call, deaths))


def remove_claims(place: Path) -> None:
    """Removes all claims on a job, and what has been prepared for one."""
    for name in os.listdir(place.parent):
        if _number(place, name) or name.startswith(f".{place.name}.{NEW}"):
            shutil.rmtree(place.parent / name, ignore_errors=True)


def _made(place: Path, earlier: Claim | None, record: Record) -> Claim | None:
    """The claim after `earlier`; None where another process has it."""
    number = earlier.number + 1 if earlier else 1
    folder = _folder(place, number)
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_name(f".{place.name}.{NEW}{uuid.uuid4().hex}")
    new.mkdir()
    write_text(new / RECORD, json.dumps(asdict(record)) + "\n")
    try:
        os.rename(new, folder)  # fails where the folder exists: it is never empty
    except OSError:
        shutil.rmtree(new, ignore_errors=True)
        return None
    claim = Claim(folder, number, record)
    if not claim.valid:  # others have gone further since `earlier` was read, and removed the number that we took
        shutil.rmtree(folder, ignore_errors=True)
        return None
    return claim


def _inherit(claim: Claim, place: Path) -> None:
    """Moves the unfinished work of earlier claims into this one, and removes them."""
    for number in sorted(filter(None, (_number(place, name) for name in os.listdir(place.parent))), reverse=True):
        earlier = _folder(place, number)
        if number < claim.number:
            if (earlier / WORK).is_dir() and not claim.work.exists():
                with suppress(FileNotFoundError):  # one thought dead has finished the job this moment
                    os.rename(earlier / WORK, claim.work)
            shutil.rmtree(earlier, ignore_errors=True)


def _folder(place: Path, number: int) -> Path:
    return place.with_name(f".{place.name}.{number}")


def _place(folder: Path) -> Path:
    """The job's own folder, from that of a claim on it."""
    return folder.with_name(folder.name[1:].rpartition(".")[0])


def _number(place: Path, name: str) -> int:
    """The K in a claim's name, 0 for other names."""
    found = re.fullmatch(rf"\.{re.escape(place.name)}\.(\d+)", name)
    return int(found[1]) if found else 0


def _beat(record: Path, stopped: threading.Event) -> None:
    while not stopped.wait(BEAT):
        try:
            os.utime(record)
        except FileNotFoundError:  # another process has taken over
            return
        except OSError:  # the file system is away for a while
            continue


# Who is alive.


class Watch:
    """Sees which holders are dead."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.beats: dict[Path, tuple[int, float]] = {}  # claim -> its last beat, and when we saw that it had changed

    def dead(self, claim: Claim) -> bool:
        """Whether the claim's holder is dead."""
        record = claim.record
        if record is not None and record.processes and record.processes == _processes():
            return _born(record.pid) != record.born
        beat = _last_beat(claim)
        if claim.folder not in self.beats or self.beats[claim.folder][0] != beat:
            self.beats[claim.folder] = (beat, self.clock())
        return self.clock() - self.beats[claim.folder][1] > PATIENCE


def _last_beat(claim: Claim) -> int:
    """Nanoseconds by the clock of the file system; 0 where the claim is gone."""
    for path in (claim.folder / RECORD, claim.folder):
        if path.exists():
            return path.stat().st_mtime_ns
    return 0


def _this_process() -> tuple[int, int, str, str]:
    """What a record says of its holder."""
    pid = os.getpid()
    return pid, _born(pid) or 0, _processes(), socket.gethostname()


def _processes() -> str:
    """A name for the numbering of processes that this one is part of; "" on systems that do not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _born(pid: int) -> int | None:
    """When a process began, in ticks since the machine started; None where there is none, or only its remains."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = status.rpartition(")")[2].split()  # after the name, which may hold anything
    state, born = fields[0], int(fields[19])
    return None if state in "ZX" else born
