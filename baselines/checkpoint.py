"""Checkpoints: all that a run's future depends on, so that a run that was killed goes on as if nothing had happened.

    RUN/checkpoints/1200/                       after 1200 environment steps
        manifest.json                           the format, and the sha256 of every other file and of this list
        state.json, state.safetensors           numbers and text, and the arrays that they name
        episodes-64-128.safetensors, ...        the replay's finished episodes, by their numbers in the run
        policy.safetensors, best.safetensors    the run's teams, once there has been an evaluation

A checkpoint is written under a name that begins with a dot, and renamed when all of it is on the disk: a killed writer
or a full disk leaves those of before, of which the last is kept beside the new one. Episodes never change, so files of
them that the last checkpoint holds are linked, not written again: a checkpoint costs what is new. All of it is data,
never code.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from coopgym.baselines.files import sync
from coopgym.baselines.replay import Replay
from coopgym.baselines.run import TEAMS

FOLDER = "checkpoints"
MANIFEST, STATE, ARRAYS = "manifest.json", "state.json", "state.safetensors"
FORMAT = 1
BLOCK = 64  # episodes in a file, at most


class DamagedError(ValueError):
    """A checkpoint is not as it was written."""


@dataclass
class Checkpoint:
    """One that lies in a folder, or is about to."""

    path: Path
    hashes: dict[str, str] = field(default_factory=dict)  # sha256 of its files, by their names

    @property
    def env_steps(self) -> int:
        return int(self.path.name)

    # What it holds. Each of these raises DamagedError where a file is not as it was written.

    def snapshot(self) -> Any:
        """The snapshot that it was written with, tuples as lists."""
        return unpacked(json.loads(self._read(STATE)), load(self._read(ARRAYS)))

    def fill(self, replay: Replay, numbers: range) -> None:
        """Gives a replay its finished episodes back."""
        for block in _blocks(numbers):
            arrays = {name: array.numpy() for name, array in load(self._read(_file_of(block))).items()}
            replay.take_back(arrays, block.stop - max(block.start, numbers.start))

    def teams(self) -> dict[str, bytes]:
        """The run's teams: the content of their files, by name."""
        return {name: self._read(name) for name in TEAMS if name in self.hashes}

    def check(self) -> None:
        """Reads everything."""
        for name in self.hashes:
            self._read(name)

    def _read(self, name: str) -> bytes:
        try:
            content = (self.path / name).read_bytes()
        except OSError as error:
            raise DamagedError(f"{name} cannot be read ({error.strerror})") from None
        if hashlib.sha256(content).hexdigest() != self.hashes.get(name):
            raise DamagedError(f"{name} is not as it was written")
        return content

    # How it is written.

    def write(self, run: Path, snapshot: dict[str, Any], replay: Replay, before: "Checkpoint | None") -> None:
        """Writes all of it into its folder; episodes that the one before holds are linked."""
        self.path.mkdir(parents=True)
        arrays: dict[str, Tensor] = {}
        self._store(STATE, json.dumps(packed(snapshot, arrays)).encode())
        self._store(ARRAYS, save(arrays))
        for block in _blocks(replay.numbers):
            if not self._link(_file_of(block), before):
                held = range(max(block.start, replay.numbers.start), block.stop)
                episodes = replay.episodes_numbered(held)
                self._store(_file_of(block), save({name: torch.from_numpy(array) for name, array in episodes.items()}))
        for name in TEAMS:
            if (run / name).exists():
                self._store(name, (run / name).read_bytes())
        manifest = {"format": FORMAT, "files": self.hashes, "sha256": _digest_of(self.hashes)}
        _write(self.path / MANIFEST, json.dumps(manifest).encode())
        sync(self.path)

    def _store(self, name: str, content: bytes) -> None:
        _write(self.path / name, content)
        self.hashes[name] = hashlib.sha256(content).hexdigest()

    def _link(self, name: str, before: "Checkpoint | None") -> bool:
        """Whether a file could be taken over: it may not be there, and not every file system can link."""
        if before is None or name not in before.hashes:
            return False
        try:
            os.link(before.path / name, self.path / name)
        except OSError:
            return False
        self.hashes[name] = before.hashes[name]
        return True


def opened(path: Path) -> Checkpoint:
    """The checkpoint in a folder. Raises DamagedError where its manifest does not say what it holds."""
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        if manifest["format"] != FORMAT:
            raise DamagedError(f"it has format {manifest['format']}, and this version reads format {FORMAT}")
        if manifest["sha256"] == _digest_of(manifest["files"]):
            return Checkpoint(path, manifest["files"])
    except OSError as error:
        raise DamagedError(f"{MANIFEST} cannot be read ({error.strerror})") from None
    except (KeyError, RecursionError, TypeError, UnicodeDecodeError, json.JSONDecodeError):
        pass
    raise DamagedError(f"{MANIFEST} is not as it was written")


def _digest_of(hashes: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    sync(path)


def _file_of(block: range) -> str:
    return f"episodes-{block.start}-{block.stop}.safetensors"


def _blocks(numbers: range) -> Iterator[range]:
    """The parts of these episodes that lie in a file each; the first may begin with some that have left the replay."""
    for first in range(numbers.start // BLOCK * BLOCK, numbers.stop, BLOCK) if numbers else ():
        yield range(first, min(first + BLOCK, numbers.stop))


class Checkpoints:
    """Those of the run in a folder: the last two, or none when it is done."""

    def __init__(self, run: Path) -> None:
        self.run, self.folder = run, run / FOLDER
        self.latest: Checkpoint | None = None  # of those that this process has written or gone back to

    def write(self, env_steps: int, snapshot: dict[str, Any], replay: Replay) -> None:
        """Adds one of now, unless the latest is that already.

        Raises RuntimeError where the disk does not take it; those of before are then as they were.
        """
        if self.latest is not None and self.latest.env_steps == env_steps:
            return
        staged = Checkpoint(self.folder / f".{env_steps}")
        final = self.folder / str(env_steps)
        try:
            self._clear()
            staged.write(self.run, snapshot, replay, self.latest)
            _remove(final)  # what is there is damaged: the run would have gone on from it
            os.replace(staged.path, final)
            sync(self.folder)
        except OSError as error:
            raise RuntimeError(
                f"the checkpoint after {env_steps} steps could not be written ({error.strerror}); "
                f"to go on from what was kept before, when that is cured: coopgym train --resume {self.run}"
            ) from error
        finally:
            shutil.rmtree(staged.path, ignore_errors=True)
        kept = [final] if self.latest is None else [final, self.latest.path]
        self.latest = Checkpoint(final, staged.hashes)
        for path in self.paths():
            if path not in kept:
                _remove(path)

    def paths(self) -> list[Path]:
        """Their folders, the latest first."""
        found = [path for path in self.folder.iterdir() if path.name.isdecimal()] if self.folder.is_dir() else []
        return sorted(found, key=lambda path: int(path.name), reverse=True)

    def offer(self, damaged: Path) -> str:
        """What can be done without one that is damaged."""
        for path in self.paths():
            if path == damaged:
                continue
            try:
                opened(path).check()
            except DamagedError:
                continue
            return f"another one is whole: to go on from it, coopgym train --resume {path}"
        return "no other one is whole: train again"

    def remove(self) -> None:
        """Removes all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _clear(self) -> None:
        """Removes what killed writers have left."""
        for path in self.folder.glob(".*"):
            shutil.rmtree(path, ignore_errors=True)


def _remove(path: Path) -> None:
    """Removes a checkpoint, so that it is whole or gone whenever this process is killed."""
    if path.exists():
        doomed = path.rename(path.with_name(f".{path.name}.old"))
        shutil.rmtree(doomed, ignore_errors=True)


# Snapshots as JSON and arrays. What JSON cannot hold stands in an object with one of these keys.

ARRAY, TENSOR, PAIRS = "$array", "$tensor", "$pairs"


def packed(value: Any, arrays: dict[str, Tensor], name: str = "") -> Any:
    """A snapshot as JSON can hold it; its arrays and tensors go to `arrays`, and their names there stay.

    Raises TypeError for anything but numbers, text, None, arrays, tensors, and lists and dictionaries of these.
    """
    if isinstance(value, Tensor):
        arrays[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {TENSOR: name}
    if isinstance(value, np.ndarray):
        arrays[name] = torch.from_numpy(value.copy())
        return {ARRAY: name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        parts = {key: packed(one, arrays, f"{name}/{key}") for key, one in value.items()}
        return parts if all(isinstance(key, str) for key in parts) else {PAIRS: [*parts.items()]}
    if isinstance(value, list | tuple):
        return [packed(one, arrays, f"{name}/{i}") for i, one in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{name[1:]} is a {type(value).__name__}; a checkpoint holds numbers, text, arrays and tensors")


def unpacked(value: Any, arrays: dict[str, Tensor]) -> Any:
    """The snapshot that `packed` was given, tuples as lists."""
    if isinstance(value, list):
        return [unpacked(one, arrays) for one in value]
    if not isinstance(value, dict):
        return value
    match [*value.items()]:
        case [(key, name)] if key == TENSOR:
            return arrays[name].clone()  # into memory of its own: products may round by where their factors lie
        case [(key, name)] if key == ARRAY:
            return arrays[name].numpy()
        case [(key, pairs)] if key == PAIRS:
            return {key: unpacked(one, arrays) for key, one in pairs}
    return {key: unpacked(one, arrays) for key, one in value.items()}
