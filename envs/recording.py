"""Episodes as animations, without a display: GIFs, written with Pillow, or MP4s, where ffmpeg is installed.

All frames of a GIF share one palette, and a frame stores only the pixels that have changed, which makes the files
small.
"""

import contextlib
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from coopgym.envs import environment
from coopgym.envs.core import Batch, Environment, Scene
from coopgym.envs.rendering import AGENTS, FAINT, FOG, INK, LINE, PAPER, STRIP, Trail, picture, pixels
from coopgym.envs.teams import RANDOM, Policy, named_team

COLOURS = 63  # of a palette, besides the one that stands for "as in the frame before"; more make files larger
MOST_COLOURS = 255  # for trails, whose faint ends have many tints and would take those of others
BINS = 1 << 15
NAMED = np.array([*AGENTS, INK, FAINT, LINE, STRIP, PAPER, FOG])  # [K, 3], colours that tell things apart: kept exactly
FASTEST = 50  # frames in a second; viewers slow down what asks for more
LAST_FRAME = 1500  # how long it is shown before the animation starts again, milliseconds


def record(
    env: str | Environment,
    path: str | os.PathLike[str],
    policy: Policy | None = None,
    *,
    preset: str | None = None,
    seed: int | None = None,
    fps: float = 5,
    show_sight: bool = False,
    show_trail: bool = False,
    **params: Any,
) -> float:
    """Plays one episode and writes it as an animation, a GIF or MP4 by the path's ending; returns the team's return.

    env, preset, params: what `coopgym.environment` takes; policy: who plays, random legal actions by default;
    show_sight: whether to draw what the agents see; show_trail: whether to draw the ways they have come.
    Raises as `environment`, `save_gif` and `save_mp4` do, and ImportError without pygame or Pillow.
    """
    batch = Batch(environment(env, preset, **params), 1, seed, autoreset="disabled")
    ending = Path(path).suffix.lower()
    if ending not in (".gif", ".mp4"):
        raise ValueError(f"the file is {Path(path).name!r}; its name must end in .gif or .mp4")
    team = named_team(RANDOM, batch.env, seed) if policy is None else policy
    trail = Trail(batch.env)
    shown = (trail.behind(scene) if show_trail else scene for scene in scenes(batch, team, show_sight))
    frames = (pixels(picture(batch.env, scene)) for scene in shown)
    if ending == ".mp4":
        save_mp4(frames, path, fps)
    else:
        save_gif(frames, path, fps, MOST_COLOURS if show_trail else COLOURS)
    return float(batch.out.team_return[0])


def scenes(batch: Batch, policy: Policy, show_sight: bool = False) -> Iterator[Scene]:
    """The start of an episode, and what each step leads to; a scene holds until the next one is asked for.

    batch: of one row, which is not restarted when the episode has ended.
    """
    policy.reset(1)
    step = batch.reset()
    yield batch.scene(show_sight=show_sight)
    while not step.ended[0]:
        step = batch.step(np.asarray(policy.act(step.obs, step.action_mask)))
        yield batch.scene(show_sight=show_sight)


def save_gif(
    frames: Iterable[np.ndarray], path: str | os.PathLike[str], fps: float = 5, colours: int = COLOURS
) -> None:
    """Writes frames, each [H, W, 3] uint8 and all of one size, as an animated GIF that shows fps of them in a second.

    colours: how many it has at most, up to 255.
    The file appears when it is complete. Raises ValueError for a name that does not end in .gif, for no frames, for
    frames of another kind and for an fps that no GIF can have, FileNotFoundError for a folder that is not there, and
    ImportError without Pillow.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ImportError('a GIF needs Pillow; install it with: pip install "coopgym[render]"') from None
    path = _checked(path, fps, ".gif", FASTEST)
    changes = _changes(frames)
    palette, nearest = _palette(changes, colours)
    unchanged, images = colours, []  # the number after the palette's stands for "as in the frame before"
    for where, bins in changes.frames:
        pixels = np.full(changes.size, unchanged, np.uint8)
        pixels.ravel()[where] = nearest[bins]
        images.append(Image.fromarray(pixels))
        images[-1].putpalette(palette.tobytes())
    durations = [round(1000 / fps)] * (len(images) - 1) + [LAST_FRAME]
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        images[0].save(
            temporary,
            "GIF",
            save_all=True,
            append_images=images[1:],
            duration=durations,
            loop=0,
            optimize=False,
            transparency=unchanged,
            disposal=1,  # a frame stays while the next is laid over it
        )
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save_mp4(frames: Iterable[np.ndarray], path: str | os.PathLike[str], fps: float = 5) -> None:
    """Writes frames, each [H, W, 3] uint8 and all of one size, as a film of fps frames in a second, with ffmpeg.

    The file appears when it is complete. Raises as `save_gif` does, and RuntimeError where there is no ffmpeg or it
    fails.
    """
    path = _checked(path, fps, ".mp4", 1000)
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise RuntimeError("an MP4 needs the program ffmpeg, which is not on the path; install it, or write a .gif")
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError("there are no frames; a film needs at least one")
    height, width = _checked_frame(first, None).shape[:2]
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.mp4")
    command = [ffmpeg, "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    command += ["-r", f"{fps}", "-i", "-", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"]
    try:
        with subprocess.Popen([*command, str(temporary)], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as film:
            assert film.stdin is not None and film.stderr is not None
            with contextlib.suppress(BrokenPipeError):  # ffmpeg has given up and says why below
                for frame in itertools.chain([first], frames):
                    film.stdin.write(_checked_frame(frame, first.shape).tobytes())
                film.stdin.close()
            complaint = film.stderr.read().decode(errors="replace").strip()
        if film.returncode:
            raise RuntimeError(f"ffmpeg failed: {complaint.splitlines()[-1] if complaint else film.returncode}")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _checked(path: str | os.PathLike[str], fps: float, ending: str, fastest: float) -> Path:
    """The path of an animation that can be written; raises as `save_gif` does."""
    path = Path(path)
    if path.suffix.lower() != ending:
        raise ValueError(f"the file is {path.name!r}; its name must end in {ending}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(path.parent)!r}; make it first")
    if not 0 < fps <= fastest:
        raise ValueError(f"fps is {fps}; it must be more than 0 and at most {fastest}")
    return path


class _Changes(NamedTuple):
    """What an animation consists of. A pixel's bin is its colour, coarsely: five bits of red, of green and of blue."""

    size: tuple[int, int]  # height and width
    frames: list[tuple[np.ndarray, np.ndarray]]  # of each, which pixels are new and their bins
    counts: np.ndarray  # [BINS], new pixels in each bin
    sums: np.ndarray  # [BINS, 3], the sum of their colours
    named: np.ndarray  # [K, 3], those of the NAMED colours that occur


def _changes(frames: Iterable[np.ndarray]) -> _Changes:
    """What is new in each frame. Raises ValueError for frames that make no animation."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    shape, before = None, None
    counts, sums = np.zeros(BINS), np.zeros((BINS, 3))
    named_bins, occurs = _bins(NAMED), np.zeros(len(NAMED), bool)
    for frame in frames:
        frame = _checked_frame(frame, shape)
        shape, colours = frame.shape, frame.reshape(-1, 3)
        bins = _bins(colours)
        where = np.arange(bins.size) if before is None else np.flatnonzero(bins != before)
        before, new = bins, bins[where]
        found.append((where, new))
        counts += np.bincount(new, minlength=BINS)
        for k in range(3):
            sums[:, k] += np.bincount(new, colours[where, k], BINS)
        for name in np.flatnonzero(~occurs):
            occurs[name] = (colours[where[new == named_bins[name]]] == NAMED[name]).all(axis=1).any()
    if shape is None:
        raise ValueError("there are no frames; a GIF needs at least one")
    return _Changes(shape[:2], found, counts, sums, NAMED[occurs])


def _bins(colours: np.ndarray) -> np.ndarray:
    """The bins [K] of colours [K, 3]."""
    red, green, blue = (colours[:, k].astype(np.uint16) >> 3 for k in range(3))
    return red << 10 | green << 5 | blue


def _checked_frame(frame: np.ndarray, shape: tuple[int, ...] | None) -> np.ndarray:
    """The frame; raises ValueError where it is none, or not of the first one's shape."""
    frame = np.asarray(frame)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(f"a frame has shape {frame.shape} and dtype {frame.dtype}; it must be (H, W, 3) uint8")
    if shape is not None and frame.shape != shape:
        raise ValueError(f"a frame has shape {frame.shape}; the first has {shape}, and all must agree")
    return frame


def _palette(changes: _Changes, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The palette, [at most `most`, 3] uint8, and for each bin the index of the nearest colour, [BINS].

    It holds the named colours that occur, then the mean colours of the fullest bins.
    """
    used = np.flatnonzero(changes.counts)
    counts = changes.counts[used]
    means = changes.sums[used] / counts[:, None]
    named = np.searchsorted(used, _bins(changes.named))
    means[named], counts[named] = changes.named, np.inf
    palette = means[np.argsort(-counts, kind="stable")[:most]].round()
    distance, index = np.full(len(used), np.inf), np.zeros(BINS, np.uint8)
    for k, colour in enumerate(palette):
        to_this = np.square(means - colour).sum(axis=1)
        closer = to_this < distance
        distance[closer], index[used[closer]] = to_this[closer], k
    return palette.astype(np.uint8), index
