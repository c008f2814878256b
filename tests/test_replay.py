"""What learners learn from: the replay against a plain log of the games; acting step by step against whole episodes."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from coopgym.baselines.episodes import Episodes
from coopgym.baselines.learner import Exploration, Learner, Team
from coopgym.baselines.replay import Replay
from coopgym.baselines.vdn import VDN
from coopgym.envs import environment
from coopgym.envs.core import Batch, Environment
from coopgym.envs.teams import RandomTeam


class Played(NamedTuple):
    """One episode of T steps, noted step by step."""

    obs: np.ndarray  # [T + 1, N, O]
    state: np.ndarray  # [T + 1, S]
    available: np.ndarray  # [T + 1, N, A]
    action: np.ndarray  # [T, N]
    reward: np.ndarray  # [T]
    terminated: bool


def wandering() -> Environment:
    """Two agents of two and of three actions wander through three states until AC ends the game, or the time limit."""
    after = np.array([[1, 2, -1], [0, 1, 2]])
    return environment(
        "matrix_game_v1",
        payoff=np.arange(18.0).reshape(3, 2, 3) ** 2,
        n_states=3,
        transition=np.stack([after, after[:, [1, 0, 2]], after]),
        n_starts=2,
        horizon=5,
        observe_last_actions=True,
    )


def played_alone(env: Environment, seed: int, actions: np.ndarray) -> list[Played]:
    """The finished episodes of one game that plays these actions [steps, N], restarted by hand."""
    batch, found = Batch(env, 1, seed, autoreset="disabled"), []
    out = batch.reset()
    shown, done = [], []
    shown.append([x[0].copy() for x in (out.obs, out.state, out.action_mask)])
    for action in actions:
        out = batch.step(action[None])
        shown.append([x[0].copy() for x in (out.obs, out.state, out.action_mask)])
        done.append((out.action[0].copy(), float(out.reward[0])))
        if out.ended[0]:
            obs, state, available = (np.stack(x) for x in zip(*shown, strict=True))
            action_taken, reward = (np.array(x) for x in zip(*done, strict=True))
            found.append(Played(obs, state, available, action_taken, reward, bool(out.terminated[0])))
            out = batch.reset()
            shown, done = [[x[0].copy() for x in (out.obs, out.state, out.action_mask)]], []
    return found


def filled(
    capacity: int, env: Environment | None = None, after_step: Callable[[Replay], None] = len
) -> tuple[Replay, list[Played]]:
    """A replay after some steps of random play, and the episodes that it was shown, in the order of their ends."""
    env, num_envs, steps = env or wandering(), 3, 40
    batch, team = Batch(env, num_envs, 10), RandomTeam(1)
    replay, out = Replay(batch, capacity, 0), batch.reset()
    replay.begin(batch, np.ones(num_envs, np.bool_))
    actions, ends = [], []
    for t in range(steps):
        actions.append(team.act(out.obs, out.action_mask))
        out = batch.step(actions[-1])
        ended = np.flatnonzero(out.terminated | out.truncated)
        assert replay.add(batch) == len(ended)
        ends += [(t, row) for row in ended]
        after_step(replay)
    rows = [iter(played_alone(env, 10 + row, np.stack(actions)[:, row])) for row in range(num_envs)]
    return replay, [next(rows[row]) for _, row in ends]


def same(ep: Episodes, row: int, played: Played) -> bool:
    """Whether a row holds this episode, and nothing beyond its end counts."""
    t = int(ep.happened[row].sum())
    if t != len(played.reward) or not ep.happened[row, :t].all():
        return False
    shown = (ep.obs, ep.state, ep.available)
    return (
        all(np.array_equal(x[row, : t + 1].numpy(), y) for x, y in zip(shown, played[:3], strict=True))
        and np.array_equal(ep.action[row, :t].numpy(), played.action)
        and np.array_equal(ep.reward[row, :t].numpy(), played.reward)
        and ep.terminated[row, :t].tolist() == [0.0] * (t - 1) + [float(played.terminated)]
    )


def test_stored_episodes_are_those_that_the_games_showed() -> None:
    replay, played = filled(capacity=100)
    ep = replay.episodes(np.array(replay.finished))
    assert len(replay) == len(played) > 20
    assert all(same(ep, row, one) for row, one in enumerate(played))
    assert {one.terminated for one in played} == {True, False}
    assert {len(one.reward) for one in played} >= {1, 2, 5}
    assert not ep.available.all()
    assert all(len(one.reward) == 5 for one in played if not one.terminated)


def test_the_last_masks_are_those_of_the_ended_episode() -> None:
    """In a game whose masks change with every step: who stands beside a prey may catch."""
    hunt = environment("predator_prey_v1", size=4, n_predators=3, n_prey=1, horizon=6)
    replay, played = filled(capacity=100, env=hunt)
    ep = replay.episodes(np.array(replay.finished))
    assert len(played) > 10
    assert all(same(ep, row, one) for row, one in enumerate(played))
    assert len({one.available[-1].tobytes() for one in played}) > 3


def test_episodes_come_in_the_types_that_the_losses_need() -> None:
    replay, _ = filled(capacity=100)
    ep = replay.sample(8)
    assert [x.dtype for x in ep] == [torch.float32] * 2 + [torch.bool, torch.int64] + [torch.float32] * 3
    n, a, o, s, t = 2, 3, 4 + 2 * 3, 4 + 2 * 3, ep.reward.shape[1]
    assert [tuple(x.shape[1:]) for x in ep] == [(t + 1, n, o), (t + 1, s), (t + 1, n, a), (t, n), (t,), (t,), (t,)]
    assert t == int(ep.happened.sum(1).max())  # cut to the longest


def test_behind_a_finished_episode_its_slot_holds_zeros() -> None:
    """Whatever longer episodes the slot held before."""
    longest: dict[int, int] = {}
    shorter = []

    def look(replay: Replay) -> None:
        for slot in replay.finished:
            t = int(replay.length[slot])
            longest[slot] = max(longest.get(slot, 0), t)
            shorter.append(t < longest[slot])
            assert not replay.available[slot, t + 1 :].any() and replay.available[slot, : t + 1].any()
            for shown in (replay.obs, replay.state):
                assert not shown[slot, t + 1 :].any() and shown[slot, : t + 1].any()
            for done in (replay.action, replay.reward, replay.terminated):
                assert not done[slot, t:].any()

    filled(capacity=4, after_step=look)
    assert sum(shorter) > 20


def test_the_oldest_episodes_make_room_for_the_newest() -> None:
    replay, played = filled(capacity=7)
    assert len(replay) == 7 < len(played)
    ep = replay.episodes(np.array(replay.finished))
    assert all(same(ep, row, one) for row, one in enumerate(played[-7:]))
    assert set(replay.finished).isdisjoint(replay.slot.tolist())  # no running episode among them


def test_a_sample_holds_different_finished_episodes_and_in_time_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    replay, _ = filled(capacity=7)
    drawn = []
    monkeypatch.setattr(replay, "episodes", lambda slots: drawn.append(slots.tolist()))
    for _ in range(2000):
        replay.sample(4)
    assert all(len(set(slots)) == 4 for slots in drawn)
    slots, counts = np.unique(drawn, return_counts=True)
    assert slots.tolist() == sorted(replay.finished)
    assert np.abs(counts / 2000 - 4 / 7).max() < 0.05  # 4.5 standard deviations
    with pytest.raises(ValueError, match="larger sample"):
        replay.sample(8)


def test_the_latest_episodes_come_before_the_drawn_ones() -> None:
    replay, played = filled(capacity=7)
    drawn = filled(capacity=7)[0].sample(4)
    ep = replay.sample(4, latest=3)
    assert len(ep.reward) == 7
    assert all(same(ep, row, one) for row, one in enumerate(played[-3:]))
    assert torch.equal(ep.reward.sum(1)[3:], drawn.reward.sum(1))
    assert len(replay.sample(4, latest=100).reward) == 7 + 4
    assert len(replay) == 7


def test_episodes_that_are_taken_leave_and_those_under_way_do_not() -> None:
    taken, counts = [], itertools.count(1)

    def now_and_then(replay: Replay) -> None:
        if next(counts) % 6 == 0 and len(replay):
            taken.append(replay.take())
            assert len(replay) == 0

    replay, played = filled(capacity=20, after_step=now_and_then)
    taken.append(replay.take())
    rows = [(ep, row) for ep in taken for row in range(len(ep.reward))]
    assert len(taken) > 4
    assert len(rows) == len(played) > 20  # more than there is room for
    assert all(same(ep, row, one) for (ep, row), one in zip(rows, played, strict=True))
    assert sorted([*replay.unused, *replay.slot]) == list(range(20 + 3))


def test_the_same_seed_samples_the_same_episodes() -> None:
    one, same_seed = filled(capacity=50)[0].sample(6), filled(capacity=50)[0].sample(6)
    assert all(torch.equal(a, b) for a, b in zip(one, same_seed, strict=True))


class Sizes(NamedTuple):
    """An environment, as far as a learner asks."""

    n_agents: int
    n_actions: int
    obs_size: int
    state_size: int


def vdn(sizes: Sizes, **fields: float) -> Learner:
    return VDN(sizes, VDN.Config(hidden=6, **fields), 0)


def test_acting_step_by_step_gives_the_utilities_of_the_whole_episodes() -> None:
    """Rows that begin anew in the middle forget; a row's last action is its own, explored or greedy."""
    sizes = Sizes(3, 4, 5, 4)
    made, random = vdn(sizes, epsilon_start=0.5, epsilon_end=0.5), np.random.default_rng(0)
    rows, t = 4, 9
    obs = random.normal(size=(rows, t, 3, 5)).astype(np.float32)
    mask = np.ones((rows, 3, 4), np.int8)
    begins = random.random((t, rows)) < 0.3
    begins[0] = True
    seen = []

    class Watched(Exploration):
        def utilities(self, obs: np.ndarray) -> Tensor:
            seen.append(super().utilities(obs))
            return seen[-1]

    behaviour = Watched(made)
    behaviour.reset(rows)
    action = np.zeros((rows, t, 3), np.int64)
    for k in range(t):
        if k > 0:
            behaviour.restart(begins[k])
        action[:, k] = behaviour.act(obs[:, k], mask)
    q = torch.stack(seen, 1).numpy()  # [E, T, N, A]
    assert (action != q.argmax(-1)).any()
    assert 4 < begins.sum() < 4 * t
    for row in range(rows):
        starts = [*np.flatnonzero(begins[:, row]).tolist(), t]
        for first, end in itertools.pairwise(starts):
            piece = Episodes(
                obs=torch.from_numpy(obs[row : row + 1, first:end]),
                state=torch.zeros(1, end - first, 4),
                available=torch.ones(1, end - first, 3, 4, dtype=torch.bool),
                action=torch.from_numpy(action[row : row + 1, first : end - 1]),
                reward=torch.zeros(1, end - first - 1),
                terminated=torch.zeros(1, end - first - 1),
                happened=torch.ones(1, end - first - 1),
            )
            with torch.no_grad():
                whole, _ = made.live["agent"].unroll(piece)
            np.testing.assert_allclose(q[row, first:end], whole[0].numpy(), atol=1e-5)


def test_a_teams_memory_and_last_actions_matter() -> None:
    made, obs, mask = vdn(Sizes(2, 3, 5, 4)), np.ones((1, 2, 5), np.float32), np.ones((1, 2, 3), np.int8)
    team = Team(made.live["agent"])
    team.reset(1)
    first = team.utilities(obs)
    again = team.utilities(obs)
    assert not torch.allclose(first, again)
    values = []
    for last in range(3):
        team.reset(1)
        team.act(obs, mask)
        team.last_action = torch.full((1, 2), last)
        values.append(team.utilities(obs))
    assert not torch.allclose(values[0], values[1])
    assert not torch.allclose(values[1], values[2])
    team.reset(1)
    assert torch.equal(team.utilities(obs), first)
