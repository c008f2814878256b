"""The files of a run's folder by name, and writing without half-written files.

What a killed process leaves behind is the last good version.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

CONFIG = "config.json"
METRICS = "metrics.csv"
BEST = "best.safetensors"
SCORES = "scores.json"


def reason(error: Exception) -> str:
    """Why a file cannot be used, in one line, as a part of a sentence on it."""
    return f"it has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:250]


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; what was written there takes the place of `path` at the end, or is removed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a whole text file at once."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sync(path: Path) -> None:
    """Waits until a file, or a folder's list of files, is on the disk."""
    folder = path.is_dir()
    if folder and os.name == "nt":  # Windows opens no folders
        return
    descriptor = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def claimed(folder: Path | None) -> Iterator[None]:
    """Makes a folder and holds it, so that no other process claims it; a killed process holds nothing.

    Raises RuntimeError where another one holds it. Does nothing for None, or where the system knows no such locks.
    """
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    if folder is None or fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RuntimeError(f"another process trains in {folder}; wait for it, or choose another folder") from None
    except OSError:  # a file system without locks
        pass
