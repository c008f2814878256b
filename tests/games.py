"""What the tests of the engine and its faces play: every id and preset of the tables, and random legal actions."""

import hashlib
import importlib
import warnings
from typing import Any

import numpy as np
import pytest

from coopgym.envs import environment, family, ids

NAMED_GAMES = [(id, preset) for id in ids() for preset in (None, *family(id).presets)]
_BY_RULES = {str((id, environment(id, preset).params)): (id, preset) for id, preset in reversed(NAMED_GAMES)}
EVERY_GAME = [*_BY_RULES.values()][::-1]  # of names for the same game the first
FEW_GAMES = [(id, preset) for id in ids() for preset in (None, [*family(id).presets][-1])]  # for what takes long

HORIZON = 9  # of games that are played to their end many times


def few_games(**params: Any) -> list[Any]:
    """Environments for what takes long, cut short."""
    return [environment(id, preset, **{"horizon": HORIZON, **params}) for id, preset in FEW_GAMES]


def name_of(game: Any) -> str:
    """A test's name for a game."""
    id, preset = game if isinstance(game, tuple) else (game.id, game.preset)
    return f"{id}-{preset}" if preset else id


def choose(action_mask: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """The legal action of the highest rank. action_mask, ranks: [..., N, A]; returns [..., N]."""
    return np.where(action_mask, ranks, -1.0).argmax(-1)


def digest(*values: Any) -> str:
    """One word for many arrays, numbers and dictionaries, by their bytes."""
    hash = hashlib.sha256()
    for value in values:
        _feed(hash, value)
    return hash.hexdigest()


def _feed(hash: Any, value: Any) -> None:
    if isinstance(value, dict):
        for key, one in value.items():
            hash.update(repr(key).encode())
            _feed(hash, one)
    elif isinstance(value, list | tuple):
        for one in value:
            _feed(hash, one)
    elif isinstance(value, np.ndarray) and value.dtype != object:
        hash.update(repr((value.shape, value.dtype.str)).encode() + value.tobytes())
    elif isinstance(value, np.ndarray):
        _feed(hash, value.tolist())
    else:
        hash.update(repr((type(value).__name__, value)).encode())


def play(env: Any, seed: int, steps: int) -> str:
    """A word for all that a ParallelEnv returns in so many steps of random legal actions, restarts included."""
    rng = np.random.default_rng(seed)
    seen = [env.reset(seed=seed), env.state()]
    for _ in range(steps):
        if not env.agents:
            seen += [env.reset(), env.state()]
        mask = env.action_masks()
        seen.append(env.step(dict(zip(env.agents, choose(mask, rng.random(mask.shape)), strict=True))))
        seen.append(env.state())
    return digest(seen)


def ma_gym(name: str, **options: Any) -> Any:
    """A game of ma-gym, `module.Class`; skips the test where ma-gym is missing.

    It needs an old gym, and brings a folder `tests` that would hide this one:

        pip install "setuptools<58" "wheel<0.38" six && pip install --no-deps --no-build-isolation gym==0.20.0
        pip install --no-deps ma-gym==0.0.14 && rm -r SITE-PACKAGES/tests
    """
    module, class_name = name.split(".")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old gym warns of much
        pytest.importorskip("ma_gym", reason="ma-gym is not installed; tests/games.py says how it can be")
        return getattr(importlib.import_module(f"ma_gym.envs.{module}"), class_name)(**options)
