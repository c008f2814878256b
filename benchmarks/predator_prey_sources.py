"""Plays predator_prey_v1 beside the programs that its rules come from, and stops at the first difference.

    git clone https://github.com/Sonkyunghwan/QTRAN
    git clone https://github.com/koulanurag/ma-gym
    git clone https://github.com/wendelinboehmer/dcg
    python benchmarks/predator_prey_sources.py --folder . --episodes 1000
    python benchmarks/predator_prey_sources.py --folder . --record tests/data/games_of_the_sources.json.gz

The second line needs nothing of ours to agree: it writes down games of these programs, ma-gym's Switch and Checkers
included, as they play them. `tests/test_recordings.py` plays them again in our games, where the programs are missing.

A program draws its random numbers from the stream of our game, in the place of NumPy's, so that whole games must agree:
starts, moves, rewards, ends, observations, and the state of the stream after each step. The programs are from 2019 to
2021; of the packages that they import, only what a game needs is put in their place (no gym, TensorFlow or Python 2).
"""

import argparse
import ast
import builtins
import contextlib
import gzip
import importlib
import itertools
import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from coopgym.envs import environment
from coopgym.envs.core import Batch, Environment
from coopgym.envs.rng import begin_stream, integer
from coopgym.envs.teams import RandomTeam

Place = tuple[int, int] | None  # row and column; None off the board


class Stream:
    """A game's random numbers under the names that NumPy has for them."""

    def __init__(self, seed: int) -> None:
        self.state = np.zeros(1, np.uint64)
        begin_stream(self.state, 0, seed)

    def integer(self, n: int) -> int:
        return int(integer(self.state, 0, n))

    def randint(self, low: int, high: int | None = None) -> int:
        return self.integer(low) if high is None else low + self.integer(high - low)


class Numpy:
    """NumPy, with another `random`."""

    def __init__(self, random: Any) -> None:
        self.random = random

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


@contextlib.contextmanager
def importing(folder: Path, **modules: Any) -> Iterator[None]:
    """Imports come from the folder, or are these; afterwards they are forgotten, as the programs share some names."""
    before = {name: sys.modules[name] for name in modules if name in sys.modules}
    sys.modules.update(modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name, one in list(sys.modules.items()):
            if name in modules or str(folder) in (getattr(one, "__file__", None) or ""):
                del sys.modules[name]
        sys.modules.update(before)


def module(name: str, **contents: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    made.__dict__.update(contents)
    return made


def gym() -> dict[str, types.ModuleType]:
    """What the programs take from gym: names of spaces, which no game needs."""

    class Space:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            pass

    space = module("gym.spaces.space", Space=Space)
    spaces = module("gym.spaces", space=space, Discrete=Space, Box=Space)
    seeding = module("gym.utils.seeding", np_random=lambda seed: (None, seed))
    utils = module("gym.utils", seeding=seeding)
    whole = module("gym", Env=object, spaces=spaces, utils=utils)
    return {"gym": whole, "gym.spaces": spaces, "gym.spaces.space": space, "gym.utils": utils}


def from_ma_gym(folder: Path, game: str) -> Any:
    """A module of ma-gym, without what else its package imports."""
    names = ("ma_gym", "ma_gym.envs", f"ma_gym.envs.{game.split('.')[0]}", "ma_gym.envs.utils")
    packages = {name: module(name, __path__=[str(folder / name.replace(".", "/"))]) for name in names}
    with importing(folder, **packages, **gym()):
        return importlib.import_module(f"ma_gym.envs.{game}")


class Qtran:
    """The scenario endless3 of QTRAN's authors."""

    game = "predator_prey_v1"
    folder = "QTRAN/Predator-Prey"
    presets = tuple(f"qtran_code_{board}_p{p}" for board in ("5x5", "7x7") for p in ("0.5", "1", "1.5"))

    def __init__(self, folder: Path, env: Environment, stream: Stream) -> None:
        p = self.p = env.params
        self.stream = stream
        flags = types.SimpleNamespace(
            n_predator=p.n_predators, n_prey=p.n_prey, n_prey1=0, n_prey2=p.n_prey, map_size=p.size,
            penalty=-10 * p.penalty, history_len=1,
        )  # fmt: skip
        config = ast.parse((folder / "config.py").read_text(encoding="utf-8"))
        tables = {
            one.targets[0].id: ast.literal_eval(one.value)
            for one in config.body
            if isinstance(one, ast.Assign) and isinstance(one.value, ast.Dict)
        }
        builtins.xrange = range  # type: ignore[attr-defined]
        with importing(folder, config=module("config", flags=module("flags", FLAGS=flags), **tables), **gym()):
            scenario = importlib.import_module("envs.scenarios.endless3").Scenario()
            core = importlib.import_module("envs.grid_core")
            whole = importlib.import_module("envs.environment").MultiAgentEnv
        core.np = Numpy(stream)
        before = stream.state.copy()  # to make a world places everybody once, which no game shows
        self.env = whole(scenario.make_world(), scenario.reset_world, scenario.reward, scenario.observation,
                         done_callback=scenario.done)  # fmt: skip
        stream.state[:] = before

    def reset(self) -> None:
        self.env.reset()

    def step(self, actions: np.ndarray) -> tuple[float, bool]:
        prey = [self.stream.integer(5) for _ in range(self.p.n_prey)]
        _, rewards, ends, _ = self.env.step([*actions.tolist(), *prey])
        return sum(rewards), any(ends)

    def places(self) -> tuple[list[Place], list[Place]]:
        whole = [(agent.pos[1], agent.pos[0]) for agent in self.env.agents]
        return whole[: self.p.n_predators], whole[self.p.n_predators :]

    def obs(self) -> np.ndarray:
        """What the authors' networks get, with the fields in our order: own location, the offsets of all, number."""
        location = (np.array([place for group in self.places() for place in group]) - self.p.size / 2) / self.p.size
        n = self.p.n_predators
        return np.array([[*location[i], *(location - location[i]).ravel(), i / n] for i in range(n)])


class MaGym:
    """PredatorPrey5x5-v0 and PredatorPrey7x7-v0 of ma-gym."""

    game = "predator_prey_v1"
    folder = "ma-gym"
    presets = ("ma_gym_5x5", "ma_gym_7x7")

    def __init__(self, folder: Path, env: Environment, stream: Stream) -> None:
        p = self.p = env.params
        source = from_ma_gym(folder, "predator_prey.predator_prey")
        self.env = source.PredatorPrey(grid_shape=(p.size, p.size), n_agents=p.n_predators, n_preys=p.n_prey)
        stream.choice = self._choice  # type: ignore[attr-defined]
        self.stream, self.env.np_random = stream, stream

    def _choice(self, n: int, size: int, p: Any) -> list[int]:
        """A number drawn with chances of whole thousandths."""
        upper = np.cumsum(np.rint(np.array(p) * 1000))
        return [int(np.searchsorted(upper, self.stream.integer(1000), side="right"))]

    def reset(self) -> None:
        self.seen = self.env.reset()

    def step(self, actions: np.ndarray) -> tuple[float, bool]:
        self.seen, rewards, _, infos = self.env.step(actions.tolist())
        assert len(set(rewards)) == 1
        return rewards[0], not any(infos["prey_alive"])

    def places(self) -> tuple[list[Place], list[Place]]:
        alive = self.env._prey_alive
        prey = [tuple(self.env.prey_pos[j]) if alive[j] else None for j in range(self.p.n_prey)]
        return [tuple(self.env.agent_pos[i]) for i in range(self.p.n_predators)], prey

    def obs(self) -> np.ndarray:
        return np.array(self.seen)


class StagHunt:
    """The class StagHunt of the authors of DCG, in the setting of their experiment on relative overgeneralisation."""

    game = "predator_prey_v1"
    folder = "dcg/src"
    presets = ("stag_p0", "stag_p-0.5", "stag_p-1", "stag_p-1.25", "stag_p-1.5", "stag_p-2")

    def __init__(self, folder: Path, env: Environment, stream: Stream) -> None:
        p = self.p = env.params
        self.stream, self.starting, self.column = stream, False, None
        unused = {name: module(name) for name in ("torch", "pygame")}
        with importing(folder, envs=module("envs", __path__=[str(folder / "envs")]), **unused):
            source = importlib.import_module("envs.stag_hunt")
        source.np = Numpy(self)
        self.orders: list[list[int]] = [[], []]
        before = stream.state.copy()  # to make the class starts an episode, which no game shows
        self.env = source.StagHunt(
            agent_obs=[2, 2], agent_move_block=[0, 1, 2], capture_action=True, capture_action_conditions=[2, 1],
            capture_freezes=True, capture_terminal=False, directed_observations=False, episode_limit=p.horizon + 1,
            miscapture_punishment=p.penalty, n_agents=p.n_predators, n_hare=0, n_stags=p.n_prey, observe_walls=False,
            p_stags_rest=0.0, p_hare_rest=0.0, prevent_cannibalism=True, remove_frozen=True, reward_collision=0,
            reward_stag=p.capture_reward, reward_time=0, toroidal=False, world_shape=[p.size, p.size],
        )  # fmt: skip
        stream.state[:] = before

    def permutation(self, n: int) -> Iterator[int]:
        """Numbers in random order, drawn one by one as they are asked for; a step asks for two orders in turn."""
        self.orders.append(self.orders.pop(0))
        order = self.orders[-1]
        for place in range(n):
            drawn = place + self.stream.integer(n - place)
            order[place], order[drawn] = order[drawn], order[place]
            yield order[place]

    def randint(self, n: int) -> int:
        if not self.starting:
            return self.stream.integer(n)
        if self.column is None:  # a start is a row and a column for the class, one cell for us
            row, self.column = divmod(self.stream.integer(n * n), n)
            return row
        column, self.column = self.column, None
        return column

    def rand(self) -> float:
        return 1.0  # above all chances of resting or slipping, which are 0

    def random_integers(self, low: int, high: int, size: tuple[int, int]) -> np.ndarray:
        return np.zeros(size)  # the direction in which an agent looks, without a meaning here

    def reset(self) -> None:
        self.orders = [list(range(self.p.n_predators)), list(range(self.p.n_prey))]
        self.starting = True
        self.env.reset()
        self.starting = False

    def step(self, actions: np.ndarray) -> tuple[float, bool]:
        reward, over, _ = self.env.step(types.SimpleNamespace(cpu=lambda: actions))
        return reward, bool(over)

    def places(self) -> tuple[list[Place], list[Place]]:
        on_board = (self.env.agents_not_frozen, self.env.prey_alive)
        groups = zip((self.env.agents, self.env.prey), on_board, strict=True)
        here, there = ([tuple(a[0]) if on[0] else None for a, on in zip(*group, strict=True)] for group in groups)
        return here, there

    def obs(self) -> np.ndarray:
        """Without the channel of the hares, and with our flag for the frozen."""
        windows = np.array([np.reshape(one, (25, 3)) for one in self.env.get_obs()])
        frozen = [[place is None] for place in self.places()[0]]
        return np.concatenate([windows[:, :, :2].reshape(len(windows), 50), frozen], axis=1)

    def mask(self) -> np.ndarray:
        return np.array(self.env.get_avail_actions())


class Corridor:
    """Switch of ma-gym, in which nothing is random."""

    game = "switch_v1"
    folder = "ma-gym"

    def __init__(self, folder: Path, env: Environment, stream: Stream) -> None:
        p = env.params
        self.env = from_ma_gym(folder, "switch.switch_one_corridor").Switch(
            full_observable=p.observe_all, step_cost=p.step_reward, n_agents=p.n_agents, clock=p.clock
        )

    def reset(self) -> None:
        self.seen = self.env.reset()

    def step(self, actions: np.ndarray) -> tuple[list[float], bool]:
        self.seen, rewards, _, _ = self.env.step(actions.tolist())
        here, there = self.env.agent_pos, self.env.final_agent_pos
        return list(rewards), all(here[i] == there[i] for i in here)

    def places(self) -> list[list[Place]]:
        return [[tuple(self.env.agent_pos[i]) for i in range(self.env.n_agents)]]

    def obs(self) -> np.ndarray:
        return np.array(self.seen)


class Orchard:
    """Checkers of ma-gym, in which nothing is random."""

    game = "checkers_v1"
    folder = "ma-gym"

    def __init__(self, folder: Path, env: Environment, stream: Stream) -> None:
        source = from_ma_gym(folder, "checkers.checkers")
        self.env = source.Checkers(full_observable=env.params.observe_all, clock=env.params.clock)

    def reset(self) -> None:
        self.seen = self.env.reset()

    def step(self, actions: np.ndarray) -> tuple[list[float], bool]:
        self.seen, rewards, _, info = self.env.step(actions.tolist())
        return list(rewards), info["food_count"]["apple"] == 0

    def places(self) -> list[list[Place]]:
        return [[tuple(self.env.agent_pos[i]) for i in range(2)]]

    def obs(self) -> np.ndarray:
        return np.array(self.seen)


SOURCES = (StagHunt, Qtran, MaGym)
MA_GYM = {"source_slips": True, "reward_mode": "per_agent"}
RECORDED: list[tuple[Any, dict[str, Any], int]] = [  # whose games, with which parameters of ours, and how many
    *((StagHunt, {"preset": preset}, 1) for preset in ("stag_p0", "stag_p-2")),
    *((Qtran, {"preset": preset}, 2) for preset in ("qtran_code_5x5_p0.5", "qtran_code_7x7_p1.5")),
    *((MaGym, {"preset": preset}, 6) for preset in MaGym.presets),
    *(
        (Corridor, {"n_agents": n, "clock": clock, "observe_all": shared, **MA_GYM}, 6)
        for n, clock, shared in itertools.product((2, 3, 4), (False, True), (False, True))
    ),
    *(
        (Orchard, {"clock": clock, "observe_all": shared, **MA_GYM}, 4)
        for clock, shared in itertools.product((False, True), (False, True))
    ),
]


def places(batch: Batch) -> tuple[list[Place], list[Place]]:
    """Where our predators and prey stand."""
    size = batch.env.params.size
    here, there = (
        [divmod(int(cell), size) if cell < size**2 else None for cell in group[0]]
        for group in (batch.arrays.predator, batch.arrays.prey)
    )
    return here, there


def compare(source_class: Any, folder: Path, preset: str, episodes: int, seed: int = 0) -> int:
    """Plays so many episodes of a preset in both, a random team and a chasing one in turn; returns the number of steps.

    Raises AssertionError at the first difference.
    """
    env = environment("predator_prey_v1", preset)
    batch, stream, steps = Batch(env, 1, seed, autoreset="disabled"), Stream(seed), 0
    source = source_class(folder / source_class.folder, env, stream)
    random, chaser = RandomTeam(seed), env.scripted["chaser"](env)
    for episode in range(episodes):
        out = batch.reset(np.array([True]))
        team = chaser if episode % 2 else random
        source.reset()
        agree(batch, source, stream)
        while not out.ended[0]:
            actions = team.act(out.obs, out.action_mask)
            batch.step(actions)
            reward, over = source.step(actions[0])
            steps += 1
            assert abs(out.reward[0] - reward) < 1e-5, f"rewards {out.reward[0]} and {reward} in step {steps}"
            assert bool(out.terminated[0]) == over, f"one game is over after step {steps}"
            agree(batch, source, stream)
    return steps


def agree(batch: Batch, source: Any, stream: Stream) -> None:
    """Both games stand alike, look alike, and will draw the same random numbers."""
    assert places(batch) == source.places(), f"{places(batch)} and {source.places()}"
    assert batch.arrays.rng[0] == stream.state[0], "not as many random numbers were drawn"
    np.testing.assert_allclose(batch.out.obs[0], source.obs(), atol=1e-6)
    if hasattr(source, "mask"):
        np.testing.assert_array_equal(batch.out.action_mask[0], source.mask())


def recorded(source_class: Any, folder: Path, params: dict[str, Any], episodes: int, seed: int = 0) -> dict[str, Any]:
    """Games as the program plays them: what was done and, at the start and after each step, what was the case.

    A random team plays in turn with one that takes an action of our first scripted team seven times in ten.
    """
    env, stream = environment(source_class.game, **params), Stream(seed)
    source = source_class(folder / source_class.folder, env, stream)
    team, choices, games = next(iter(env.scripted.values()))(env), np.random.default_rng(seed), []
    random = RandomTeam(seed)
    for episode in range(episodes):
        source.reset()
        team.reset(1)
        game: dict[str, list[Any]] = {name: [] for name in ("actions", "rewards", "places", "obs", "rng")}
        over = False
        while True:
            obs = np.asarray(source.obs(), float)
            game["places"].append(source.places())
            game["obs"].append(obs.round(5).tolist())
            game["rng"].append(str(stream.state[0]))
            if over or len(game["actions"]) == env.horizon:
                break
            mask = source.mask() if hasattr(source, "mask") else np.ones((env.n_agents, env.n_actions), np.int8)
            planned, any_legal = (one.act(np.float32(obs)[None], mask[None])[0] for one in (team, random))
            follows = (episode % 2 == 0) & (choices.random(env.n_agents) < 0.7)
            actions = np.where(follows, planned, any_legal)
            reward, over = source.step(actions)
            game["actions"].append(actions.tolist())
            game["rewards"].append(reward)
        games.append({**game, "over": over})
    return {"id": source_class.game, "params": params, "seed": seed, "games": games}


def write(file: Path, folder: Path) -> None:
    """Writes the games of all programs down; the same games are the same bytes."""
    games = [recorded(source, folder, params, number) for source, params, number in RECORDED]
    text = json.dumps(games, separators=(",", ":"), default=lambda number: number.item())
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{file}: {sum(len(one['games']) for one in games)} games, {file.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(), help="where the clones are")
    parser.add_argument("--episodes", type=int, default=100, help="of each preset")
    parser.add_argument("--record", type=Path, help="a file, .json.gz, to which games of the programs are written")
    options = parser.parse_args()
    if options.record:
        write(options.record, options.folder)
        return
    for source in SOURCES:
        for preset in source.presets:
            if not (options.folder / source.folder).is_dir():
                print(f"{preset}: there is no {options.folder / source.folder}")
                continue
            steps = compare(source, options.folder, preset, options.episodes)
            print(f"{preset}: {options.episodes} episodes, {steps} steps agree", flush=True)


if __name__ == "__main__":
    main()
