"""Plays spread_v1 and tag_v1 beside the programs that their rules come from, and stops at the first difference.

    pip install vmas jaxmarl mpe2
    git clone https://github.com/openai/multiagent-particle-envs openai
    git clone https://github.com/semitable/multiagent-particle-envs semitable
    git clone https://github.com/oxwhirl/facmac
    python benchmarks/spread_sources.py --folder . --episodes 100

Each preset is played with discrete and with continuous actions. Both programs start alike and get the same actions;
positions, velocities, observations, rewards and ends must agree after every step. The programs from clones draw their
starts and moves of prey from the stream of our game, in the place of NumPy's, so that these must agree too. All compute
in double precision, though VMAS, JaxMARL and the prey of FACMAC do not by themselves: what is left of a difference is
one of the rules.
"""

import argparse
import contextlib
import importlib
import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from predator_prey_sources import gym, importing, module

from coopgym.envs import environment
from coopgym.envs.core import Batch, Environment
from coopgym.envs.rng import begin_stream, uniform
from coopgym.envs.teams import RandomTeam

TOLERANCE = 1e-6  # of rounding, about 1e-16, contacts make up to 2e-9 within 100 steps
HEAP = 0.2  # in half of the episodes agents and prey start at so much of their distance from the middle, for contacts


def vectors(actions: np.ndarray) -> np.ndarray:
    """Actions as continuous ones, in our order: [N, 5]."""
    return np.eye(5)[actions] if actions.ndim == 1 else actions.copy()


def pushes(actions: np.ndarray) -> np.ndarray:
    """The x and y, from -1 to 1, of what the agents do: [N, 2]."""
    _, left, right, down, up = vectors(actions).T
    return np.stack([right - left, up - down], axis=1)


class Stream:
    """A game's random numbers under the names that NumPy has for them, and NumPy with these as its `random`."""

    float32 = np.float64

    def __init__(self, seed: int) -> None:
        self.state = np.zeros(1, np.uint64)
        self.random, self.angles = self, np.zeros(0)
        begin_stream(self.state, 0, seed)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def uniform(self, low: float, high: float, n: int) -> np.ndarray:
        """FACMAC asks for all distances of points and then for all angles; our game draws both for each in turn."""
        if (low, high) == (0, 2):
            return self.angles
        if (low, high) == (0, 1):
            drawn = [(uniform(self.state, 0, 0.0, 1.0), uniform(self.state, 0, 0.0, 2.0)) for _ in range(n)]
            self.angles = np.array(drawn)[:, 1]
            return np.array(drawn)[:, 0]
        return np.array([uniform(self.state, 0, low, high) for _ in range(n)])


class Program:
    """What a source says of itself; `draw`, where it has that, starts a game with places from the stream."""

    game = "spread_v1"
    presets: tuple[str, ...] = ()
    package = ""  # to be installed, or
    folder = ""  # to be cloned
    own_rewards = False  # whether each agent has its own; otherwise all get the team's

    @classmethod
    def missing(cls, folder: Path) -> str:
        if cls.folder:
            return "" if (folder / cls.folder).is_dir() else f"there is no {folder / cls.folder}"
        return "" if importlib.util.find_spec(cls.package) else f"{cls.package} is not installed"


class Vmas(Program):
    """The scenario simple_spread of VMAS, with the time limit of BenchMARL."""

    package, presets = "vmas", ("vmas",)

    def __init__(self, folder: Path, env: Environment, stream: Stream) -> None:
        import torch
        from vmas import make_env

        self.torch, self.continuous = torch, env.action_bounds is not None
        self.env = make_env("simple_spread", num_envs=1, continuous_actions=self.continuous, max_steps=100)
        self.agents, self.landmarks = self.env.world.agents, self.env.world.landmarks

    def place(self, positions: np.ndarray, landmarks: np.ndarray) -> None:
        self.env.reset()
        for one, place in zip(self.agents + self.landmarks, [*positions, *landmarks], strict=True):
            one.state.pos = self.torch.tensor(place[None])
            one.state.vel = self.torch.zeros_like(one.state.pos)
        self.seen = [self.env.scenario.observation(agent) for agent in self.agents]

    def step(self, actions: np.ndarray, prey: np.ndarray) -> tuple[Any, bool]:
        """An action is a push, or the number of one: three times the x plus the y, of 0, -1 and 1 in this order."""
        given = pushes(actions)
        if not self.continuous:
            given = (-given % 3) @ np.array([[3], [1]])
        with self._double_precision():
            self.seen, rewards, over, _ = self.env.step(list(self.torch.tensor(given)[:, None]))
        return [float(reward) for reward in rewards], bool(over)

    @contextlib.contextmanager
    def _double_precision(self) -> Iterator[None]:
        """In single precision, what is rounded away grows to lengths of 0.3 within a hundred steps of contacts."""
        single, self.torch.float32 = self.torch.float32, self.torch.float64
        self.torch.set_default_dtype(self.torch.float64)
        try:
            yield
        finally:
            self.torch.float32 = single
            self.torch.set_default_dtype(single)

    def bodies(self) -> tuple[Any, Any]:
        states = [agent.state for agent in self.agents]
        return [state.pos[0].numpy() for state in states], [state.vel[0].numpy() for state in states]

    def obs(self) -> Any:
        return [one[0].numpy() for one in self.seen]


class Jaxmarl(Program):
    """MPE_simple_spread_v3 of JaxMARL."""

    package, presets, own_rewards = "jaxmarl", ("jaxmarl26",), True

    def __init__(self, folder: Path, env: Environment, stream: Stream) -> None:
        import jax
        from jaxmarl import make

        jax.config.update("jax_enable_x64", True)
        kind = "Discrete" if env.action_bounds is None else "Continuous"
        self.jax, self.env = jax, make("MPE_simple_spread_v3", action_type=kind)

    def place(self, positions: np.ndarray, landmarks: np.ndarray) -> None:
        _, state = self.env.reset(self.jax.random.PRNGKey(0))
        places = self.jax.numpy.array(np.concatenate([positions, landmarks]))
        self.state = state.replace(p_pos=places, p_vel=self.jax.numpy.zeros_like(places))
        self.seen = self.env.get_obs(self.state)

    def step(self, actions: np.ndarray, prey: np.ndarray) -> tuple[Any, bool]:
        given = dict(zip(self.env.agents, actions, strict=True))
        key = self.jax.random.PRNGKey(0)  # for noise, of which there is none
        self.seen, self.state, rewards, over, _ = self.env.step_env(key, self.state, given)
        return [float(rewards[agent]) for agent in self.env.agents], bool(over["__all__"])

    def bodies(self) -> tuple[Any, Any]:
        return self.state.p_pos[: self.env.num_agents], self.state.p_vel[: self.env.num_agents]

    def obs(self) -> Any:
        return [self.seen[agent] for agent in self.env.agents]


class Particles(Program):
    """What OpenAI's particle world and those that came of it have in common; `world` is its object of this name."""

    world: Any

    def place(self, positions: np.ndarray, landmarks: np.ndarray) -> None:
        for one, place in zip(self.world.agents + self.world.landmarks, [*positions, *landmarks], strict=True):
            one.state.p_pos = place.copy()

    def bodies(self) -> tuple[Any, Any]:
        agents = self.world.agents
        return [agent.state.p_pos for agent in agents], [agent.state.p_vel for agent in agents]


class OpenAI(Particles):
    """The scenario simple_spread of OpenAI's multiagent-particle-envs."""

    folder, presets = "openai", ("openai",)

    def __init__(self, folder: Path, env: Environment, stream: Stream) -> None:
        packages = {
            name: module(name, __path__=[str(folder / name.replace(".", "/"))])
            for name in ("multiagent", "multiagent.scenarios")
        }
        with importing(folder, **packages, **unused("multiagent")):
            source = importlib.import_module("multiagent.scenarios.simple_spread")
            whole = importlib.import_module("multiagent.environment").MultiAgentEnv
        source.np = stream  # type: ignore[attr-defined]
        before = stream.state.copy()  # to make a world places everybody once, which no game shows
        scenario = source.Scenario()
        self.world = scenario.make_world()
        self.env = whole(self.world, scenario.reset_world, scenario.reward, scenario.observation)
        stream.state[:] = before

    def draw(self) -> None:
        self.env.reset()

    def step(self, actions: np.ndarray, prey: np.ndarray) -> tuple[Any, None]:
        """Right comes before left in its actions, and up before down. It ends no game: whoever trains in it does."""
        _, rewards, _, _ = self.env.step(list(vectors(actions)[:, [0, 2, 1, 4, 3]]))
        return rewards, None

    def obs(self) -> Any:
        return [self.env._get_obs(agent) for agent in self.world.agents]


class Semitable(OpenAI):
    """The same from the authors of EPyMARL."""

    folder, presets = "semitable", ("epymarl",)


class Facmac(Particles):
    """The scenarios continuous_pred_prey_3a, 6a and 9a of FACMAC's authors, in the setting of their experiments."""

    game, folder, presets = "tag_v1", "facmac/src", ("facmac_3a", "facmac_6a", "facmac_9a")

    def __init__(self, folder: Path, env: Environment, stream: Stream) -> None:
        particle = [str(folder / "envs/particle")]
        load = module("envs.particle.scenarios", __path__=[f"{particle[0]}/scenarios"], load=self._load)
        packages = {
            "envs": module("envs", __path__=[str(folder / "envs")]),
            "envs.particle": module("envs.particle", __path__=particle, scenarios=load),
            "envs.particle.scenarios": load,
            "multiagent": module("multiagent", __path__=particle),  # by which name 6a and 9a import what 3a does
            "utils": module("utils", dict2namedtuple=None),
        }
        before, self.stream = stream.state.copy(), stream
        quiet = contextlib.redirect_stdout(io.StringIO())
        with importing(folder, **packages, **unused("envs.particle")), quiet:
            self.env = importlib.import_module("envs.particle.particle").Particle(
                env_args={"benchmark": False, "episode_limit": 25, "agent_view_radius": 1.5, "score_function": "min",
                          "partial_obs": True, "scenario_name": f"continuous_pred_prey_{env.n_agents}a"}
            )  # fmt: skip
        stream.state[:] = before
        self.world, self.layout = self.env.world, env.observation_layout

    def _load(self, file: str) -> Any:
        source = importlib.import_module(f"envs.particle.scenarios.{file.removesuffix('.py')}")
        source.np = self.stream  # type: ignore[attr-defined]
        return source

    def draw(self) -> None:
        self.env.reset()

    def step(self, actions: np.ndarray, prey: np.ndarray) -> tuple[Any, bool]:
        rewards, over, _ = self.env.step(list(pushes(actions)))
        return rewards, over

    def obs(self) -> Any:
        """With our flags of what is visible, which the authors have not: they show zeros for what is not."""
        seen = np.array([self.env.env._get_obs(agent) for agent in self.world.policy_agents])
        flags = sum(part.size for part in self.layout if part.name.endswith("_visible"))
        return np.concatenate([seen, seen[:, 4 : 4 + 2 * flags].reshape(len(seen), flags, 2).any(axis=2)], axis=1)


class Mpe2(Particles):
    """simple_tag_v3 of mpe2, formerly in PettingZoo, where EPyMARL has it from since its version 2.

    Prey does what ours did: nothing for EPyMARL's FrozenTag, anything for its RandomTag; mpe2's own learns.
    """

    game, package = "tag_v1", "mpe2"
    presets: tuple[str, ...] = ("mpe2", "random_prey", "frozen_prey")
    numbers: dict[str, int] = {}

    def __init__(self, folder: Path, env: Environment, stream: Stream) -> None:
        from mpe2 import simple_tag_v3
        from pettingzoo.utils.env_logger import EnvLogger

        EnvLogger.suppress_output()  # it warns of actions in double precision
        self.continuous = env.action_bounds is not None
        self.env = simple_tag_v3.parallel_env(continuous_actions=self.continuous, **self.numbers)
        self.env.reset(seed=0)
        self.world = self.env.unwrapped.world
        self.names = [agent.name for agent in self.world.agents]
        self.hunters = [agent.name for agent in self.world.agents if agent.adversary]

    def place(self, positions: np.ndarray, landmarks: np.ndarray) -> None:
        self.env.reset()
        super().place(positions, landmarks)

    def step(self, actions: np.ndarray, prey: np.ndarray) -> tuple[Any, bool]:
        joint = np.concatenate([actions, vectors(prey) if self.continuous else prey])
        _, rewards, terminated, truncated, _ = self.env.step(dict(zip(self.names, joint, strict=True)))
        over = {*terminated.values()} | {*truncated.values()}
        return [rewards[name] for name in self.hunters], any(over)

    def obs(self) -> Any:
        return [self.env.unwrapped.observe(name) for name in self.hunters]


class Benchmarl(Mpe2):
    """The same with the numbers of BenchMARL's task pettingzoo/simple_tag."""

    presets = ("benchmarl",)
    numbers = {"num_good": 2, "num_adversaries": 3, "num_obstacles": 2, "max_cycles": 100}


def unused(package: str) -> dict[str, Any]:
    """What the particle worlds import for spaces and names that no game needs."""
    discrete = module(f"{package}.multi_discrete", MultiDiscrete=type("MultiDiscrete", (), {}))
    registration = module("gym.envs.registration", EnvSpec=object)
    return {f"{package}.multi_discrete": discrete, "gym.envs.registration": registration, **gym()}


SOURCES = (Vmas, Jaxmarl, OpenAI, Semitable, Mpe2, Benchmarl, Facmac)


def compare(source_class: Any, folder: Path, preset: str, continuous: bool, episodes: int, seed: int = 0) -> int:
    """Plays so many episodes of a preset in both, a random team and a scripted one in turn; returns the steps.

    Raises AssertionError at the first difference.
    """
    env = environment(source_class.game, preset, continuous_actions=continuous)
    batch, stream, steps = Batch(env, 1, seed, autoreset="disabled"), Stream(seed), 0
    source = source_class((folder / source_class.folder).resolve(), env, stream)
    teams = RandomTeam(seed, env.action_bounds), next(iter(env.scripted.values()))(env)
    for episode in range(episodes):
        out, arrays = batch.reset(np.array([True])), batch.arrays
        if hasattr(source, "draw"):
            source.draw()
            agree(batch, source, stream)
        if episode // 2 % 2:
            arrays.position[:] *= HEAP
            env.kernels.observe(batch.params, arrays, 0, out.obs[0])
        source.place(arrays.position[0], (arrays.landmark if source.game == "spread_v1" else arrays.obstacle)[0])
        agree(batch, source, stream)
        while not out.ended[0]:
            actions = teams[episode % 2].act(out.obs, out.action_mask)
            batch.step(actions)
            rewards, over = source.step(actions[0], getattr(arrays, "prey_action", np.zeros((1, 0)))[0])
            steps += 1
            expected = arrays.agent_reward[0] if source.own_rewards else np.repeat(out.reward, env.n_agents)
            np.testing.assert_allclose(rewards, expected, rtol=0, atol=TOLERANCE, err_msg=f"rewards of step {steps}")
            assert over is None or over == out.ended[0], f"one game is over after step {steps}"
            agree(batch, source, stream)
    return steps


def agree(batch: Batch, source: Any, stream: Stream) -> None:
    """Both games stand alike, look alike, and will draw the same random numbers."""
    for ours, theirs in zip((batch.arrays.position, batch.arrays.velocity), source.bodies(), strict=True):
        np.testing.assert_allclose(theirs, ours[0], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(source.obs(), batch.out.obs[0], rtol=1e-6, atol=TOLERANCE)
    if hasattr(source, "draw"):
        assert batch.arrays.rng[0] == stream.state[0], "not as many random numbers were drawn"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(), help="where the clones are")
    parser.add_argument("--episodes", type=int, default=100, help="of each preset, with either kind of actions")
    options = parser.parse_args()
    for source in SOURCES:
        for preset in source.presets:
            if missing := source.missing(options.folder):
                print(f"{source.game} {preset}: {missing}")
                continue
            for continuous in (False, True):
                steps = compare(source, options.folder, preset, continuous, options.episodes)
                kind = "continuous" if continuous else "discrete"
                print(f"{source.game} {preset}, {kind}: {options.episodes} episodes, {steps} steps agree", flush=True)


if __name__ == "__main__":
    main()
