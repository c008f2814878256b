"""What the three faces of the engine share: spaces, metadata, and the showing of one row."""

import warnings
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from coopgym.envs.core import Batch, Environment, Field, bounds, slices

RenderMode = Literal["human", "rgb_array", "ansi"]
RENDER_MODES: list[str] = list(get_args(RenderMode))
RENDER_FPS = 10


class Part(NamedTuple):
    """The features of an observation or a state that hold one thing: `obs[part.slice]`."""

    name: str
    slice: slice
    low: float
    high: float
    meaning: str  # with the unit


def parts(layout: tuple[Field, ...]) -> tuple[Part, ...]:
    """A layout with the place of each field."""
    return tuple(Part(part.name, place, part.low, part.high, part.meaning) for part, place in slices(layout))


def box(layout: tuple[Field, ...], *axes: int) -> Box:
    """The space of arrays [*axes, features] with this layout."""
    low, high = bounds(layout)
    shape = (*axes, len(low))
    return Box(np.broadcast_to(low, shape), np.broadcast_to(high, shape), shape, np.float32)


def agent_action_space(env: Environment) -> Box | Discrete:
    """The space of one agent's actions."""
    if env.action_bounds is None:
        return Discrete(env.n_actions)
    return Box(*env.action_bounds, env.action_shape, np.float32)  # type: ignore[arg-type]


def team_action_space(env: Environment) -> Box | MultiDiscrete:
    """The space of all agents' actions."""
    if env.action_bounds is None:
        return MultiDiscrete([env.n_actions] * env.n_agents)
    return Box(*env.action_bounds, (env.n_agents, *env.action_shape), np.float32)  # type: ignore[arg-type]


def metadata(env: Environment) -> dict[str, Any]:
    """What Gymnasium and PettingZoo call metadata, with the render modes that the family knows."""
    drawn = type(env).draw is not Environment.draw
    told = type(env).describe is not Environment.describe
    modes = [mode for mode in RENDER_MODES if (told if mode == "ansi" else drawn)]
    return {"name": env.id, "render_modes": modes, "render_fps": RENDER_FPS}


class View:
    """Shows rows of a batch in one render mode; a window or a canvas is made when first needed."""

    def __init__(self, env: Environment, modes: list[str], render_mode: str | None, show_sight: bool) -> None:
        if render_mode is not None and render_mode not in modes:
            raise ValueError(f"render_mode is {render_mode!r}; it must be one of {', '.join(modes) or 'none at all'}")
        self.env, self.render_mode, self.show_sight = env, render_mode, show_sight
        self._renderer: Any = None

    def show(self, batch: Batch, row: int = 0) -> Any:
        """A row as [H, W, 3] uint8, as text, or, in a window, as None."""
        if not batch.started:
            raise RuntimeError("render was called before reset; call reset first")
        if self.render_mode is None:
            warnings.warn("nothing is rendered without a render_mode; give one, such as 'rgb_array'", stacklevel=3)
            return None
        scene = batch.scene(row, self.show_sight)
        if self.render_mode == "ansi":
            return self.env.describe(scene)
        if self._renderer is None:
            from coopgym.envs.rendering import Renderer

            self._renderer = Renderer(self.env, self.render_mode, RENDER_FPS, self.show_sight)  # type: ignore[arg-type]
        return self._renderer.render(scene)

    def close(self) -> None:
        """Closes the window, if there is one; it may be called again."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_renderer": None}  # a copy opens a window of its own
