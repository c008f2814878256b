"""A word for all that a game shows in 1,000 steps: while it stays the same, scores can be compared.

It holds the rules, the observations, the masks and the random stream. Results keep the word of the game that they were
won in.
"""

import hashlib
from typing import Any

import numpy as np

from coopgym.envs.core import Batch, Environment

STEPS = 1000
SEED = 20_000  # of the game and of the actions
QUANTUM = 1e-5  # numbers are compared in these steps, so that platforms which round otherwise have the same words


def word_of(env: Environment) -> str:
    """A digest of all that one game shows while legal actions are drawn at random, episode after episode."""
    batch, random, digest = Batch(env, 1, SEED), np.random.RandomState(SEED), hashlib.sha256()
    out = batch.reset()
    for _ in range(STEPS):
        feed(digest, out.obs, out.state, out.action_mask)
        out = batch.step(joint_action(out.action_mask, random))
        feed(digest, out.reward, out.agent_reward, out.terminated, out.truncated)
        if out.terminated[0] or out.truncated[0]:
            feed(digest, out.final_obs, out.final_state, out.final_action_mask)
    return digest.hexdigest()


def joint_action(action_mask: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Legal actions, [1, N], all equally likely. A family whose actions are no numbers of a list gets a branch here."""
    return np.asarray(np.where(action_mask, random.random_sample(action_mask.shape), -1.0).argmax(-1))


def feed(digest: Any, *arrays: np.ndarray) -> None:
    """Adds arrays to a digest, by their shapes and their numbers in steps of QUANTUM."""
    for array in arrays:
        if array.dtype.kind == "f":
            array = np.rint(array.astype(np.float64) / QUANTUM)
        digest.update(repr(array.shape).encode() + array.astype("<i8").tobytes())
