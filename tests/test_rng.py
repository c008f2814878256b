"""The random streams: published values, a plain twin, and a look at how even the draws are."""

import math

import numpy as np
import pytest

from coopgym.envs import rng
from coopgym.envs.compiling import kernel
from tests.oracle import SplitMix64

# The first outputs of SplitMix64 from a given state, as published with the reference code (Vigna, splitmix64.c, and
# Rosetta Code, "Pseudo-random numbers/Splitmix64").
PUBLISHED = {
    0: [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC],
    1234567: [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ],
}


@kernel
def bits(state, n):
    for k in range(len(n)):
        n[k] = rng.bits(state, 0)


@kernel
def uniforms(state, x, low, high):
    for k in range(len(x)):
        x[k] = rng.uniform(state, 0, low, high)


@kernel
def normals(state, x):
    for k in range(len(x)):
        x[k] = rng.normal(state, 0)


@kernel
def integers(state, x, n):
    for k in range(len(x)):
        x[k] = rng.integer(state, 0, n)


def stream(seed: int) -> np.ndarray:
    state = np.zeros(1, np.uint64)
    begin(state, seed)
    return state


@kernel
def begin(state, seed):
    rng.begin_stream(state, 0, seed)


@pytest.mark.parametrize("state", PUBLISHED)
def test_draws_the_published_values(state):
    drawn = np.zeros(len(PUBLISHED[state]), np.uint64)
    bits(np.array([state], np.uint64), drawn)
    assert drawn.tolist() == PUBLISHED[state]


@pytest.mark.parametrize("seed", [0, 1, 2, 12345, 2**32, 2**62, 2**63 - 1])
def test_a_stream_is_that_of_the_plain_twin(seed):
    state, twin = stream(seed), SplitMix64(seed)
    assert int(state[0]) == twin.state
    drawn, numbers, whole = np.zeros(50, np.uint64), np.zeros(50), np.zeros(50, np.int64)
    bits(state, drawn)
    uniforms(state, numbers, -2.0, 3.0)
    integers(state, whole, 7)
    assert drawn.tolist() == [twin.bits() for _ in range(50)]
    assert numbers.tolist() == [twin.uniform(-2.0, 3.0) for _ in range(50)]
    assert whole.tolist() == [twin.integer(7) for _ in range(50)]
    assert len(set(drawn.tolist())) == 50


def test_neighbouring_seeds_have_streams_without_a_common_value():
    first = [stream(seed) for seed in range(1000)]
    drawn = np.zeros((1000, 20), np.uint64)
    for state, row in zip(first, drawn, strict=True):
        bits(state, row)
    assert len(np.unique(drawn)) == drawn.size


def test_the_first_draws_of_neighbouring_seeds_are_spread_evenly():
    first = np.zeros((8000, 1))
    for seed, row in enumerate(first):
        uniforms(stream(seed), row, 0.0, 1.0)
    counts = np.histogram(first, 16, (0.0, 1.0))[0]
    expected = len(first) / 16
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert chi_squared < 37.7  # exceeded by chance once in a thousand, 15 degrees of freedom
    assert abs(np.corrcoef(first[:-1, 0], first[1:, 0])[0, 1]) < 4 / np.sqrt(len(first))


def test_whole_numbers_are_equally_likely():
    drawn = np.zeros(60_000, np.int64)
    integers(stream(3), drawn, 6)
    counts = np.bincount(drawn, minlength=6)
    assert len(counts) == 6
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 20.5  # once in a thousand, 5 degrees of freedom


def test_uniform_numbers_fill_their_interval():
    drawn = np.zeros(100_000)
    uniforms(stream(4), drawn, -1.0, 3.0)
    assert -1.0 <= drawn.min() < -0.999 and 2.999 < drawn.max() < 3.0
    assert abs(drawn.mean() - 1.0) < 4 * 4 / np.sqrt(12 * len(drawn))  # four standard errors
    assert abs(drawn.var() - 16 / 12) < 0.02


@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_normal_draws_are_the_twins(seed):
    drawn, twin = np.zeros(1000), SplitMix64(seed)
    normals(stream(seed), drawn)
    np.testing.assert_allclose(drawn, [twin.normal() for _ in drawn], rtol=1e-12, atol=1e-12)


def test_normal_draws_have_the_moments_and_tails_of_the_normal_distribution():
    x = np.zeros(400_000)
    normals(stream(3), x)
    error = 1 / math.sqrt(len(x))
    assert abs(x.mean()) < 4.5 * error
    assert abs((x**2).mean() - 1) < 4.5 * math.sqrt(2) * error
    assert abs((x**3).mean()) < 4.5 * math.sqrt(15) * error
    assert abs((x**4).mean() - 3) < 4.5 * math.sqrt(96) * error
    for limit, beyond in ((1, 0.317311), (2, 0.0455), (3, 0.0027)):
        assert abs((np.abs(x) > limit).mean() - beyond) < 4.5 * math.sqrt(beyond) * error
    assert abs((x[:-1] * x[1:]).mean()) < 4.5 * error


def before_drawing(word: int) -> np.ndarray:
    """A stream whose next 64 bits are this word: the two steps of the mixing are undone, one after the other."""

    def unshift(z: int, by: int) -> int:
        once = z
        for _ in range(64 // by):
            once = z ^ (once >> by)
        return once

    z = unshift(word, 31)
    z = unshift(z * pow(0x94D049BB133111EB, -1, 2**64) % 2**64, 27)
    z = unshift(z * pow(0xBF58476D1CE4E5B9, -1, 2**64) % 2**64, 30)
    return np.array([(z - SplitMix64.STEP) % 2**64], np.uint64)


def test_the_farthest_normal_draw_is_finite():
    state, drawn = before_drawing(2**64 - 1), np.zeros(1)
    again = np.zeros(1, np.uint64)
    bits(state.copy(), again)
    assert again[0] == 2**64 - 1
    normals(state, drawn)
    twin = SplitMix64(0)
    twin.state = int(before_drawing(2**64 - 1)[0])
    twin.bits()
    assert drawn[0] == pytest.approx(math.sqrt(106 * math.log(2)) * math.cos(2 * math.pi * twin.uniform(0, 1)))


def test_uniforms_without_compiling_are_those_of_the_streams():
    seeds = [0, 7, 2**63 - 1]
    state = rng.streams(np.array(seeds))
    first, none, then = rng.next_uniforms(state, 30), rng.next_uniforms(state, 0), rng.next_uniforms(state, 20)
    assert none.shape == (3, 0)
    for row, seed in enumerate(seeds):
        drawn = np.zeros(50)
        uniforms(stream(seed), drawn, 0.0, 1.0)
        assert [*first[row], *then[row]] == drawn.tolist()
