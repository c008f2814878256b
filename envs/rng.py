"""One random stream for each instance, so that a game depends on its seed alone, never on its neighbours or on threads.

The generator is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): one
64-bit word of state, one addition and a mixing function for each draw. `tests/oracle.py` has it again in plain Python.
"""

import math

import numpy as np

from coopgym.envs.compiling import kernel, python_function

STEP = np.uint64(0x9E3779B97F4A7C15)
SEED_LIMIT = 2**63  # seeds lie in [0, SEED_LIMIT)


@kernel
def mix(z):
    """A one-to-one scrambling of 64 bits in which every input bit reaches every output bit."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def bits(rng, e):
    """The next 64 bits of stream e. rng: [E] uint64, changed in place."""
    rng[e] += STEP
    return mix(rng[e])


@kernel
def integer(rng, e, n):
    """A whole number in [0, n), from stream e. The bias of the remainder is below n / 2**64."""
    return np.int64(bits(rng, e) % np.uint64(n))


@kernel
def uniform(rng, e, low, high):
    """A float64 in [low, high), from stream e: 53 random bits."""
    return low + (high - low) * (np.float64(bits(rng, e) >> np.uint64(11)) * 2.0**-53)


@kernel
def normal(rng, e):
    """A float64 from the standard normal distribution, from stream e: two draws (Box and Muller, 1958).

    It is never farther from 0 than sqrt(106 ln 2) = 8.6, since the first draw is at least 2**-53.
    """
    first = 1.0 - uniform(rng, e, 0.0, 1.0)
    return math.sqrt(-2.0 * math.log(first)) * math.cos(2.0 * math.pi * uniform(rng, e, 0.0, 1.0))


def streams(seeds: np.ndarray) -> np.ndarray:
    """The states of the streams of these seeds as they begin, with nothing compiled: [E] uint64."""
    plain = python_function(mix)
    return np.asarray(plain(plain(seeds.astype(np.uint64) + STEP) + STEP))


def next_uniforms(rng: np.ndarray, number: int) -> np.ndarray:
    """The next draws from [0, 1) of each stream, with nothing compiled: [E, number] float64. rng [E] is moved on."""
    ahead = STEP * np.arange(number + 1, dtype=np.uint64)
    words = python_function(mix)(rng[:, None] + ahead[1:])
    rng += ahead[-1]
    return np.asarray((words >> np.uint64(11)) * 2.0**-53)


@kernel
def begin_stream(rng, e, seed):
    """Starts stream e from a seed in [0, SEED_LIMIT): different seeds give different streams."""
    rng[e] = mix(mix(np.uint64(seed) + STEP) + STEP)
