"""A window in which the keyboard plays one agent, while the others act by themselves."""

from collections.abc import Callable
from typing import Any

import numpy as np

from coopgym.envs import environment
from coopgym.envs.core import Batch, Environment
from coopgym.envs.rendering import (
    FAINT,
    HEIGHT,
    INK,
    LINE,
    MARGIN,
    STRIP,
    VERMILLION,
    WIDTH,
    Canvas,
    Colour,
    Trail,
    Window,
    picture,
    pygame_module,
)
from coopgym.envs.teams import RANDOM, Policy, named_team

PANEL = 116  # height of the help under the picture, pixels
ATTENTIVE = 30  # looks at the keyboard in a second while a game waits for a key
SPEEDS = (1, 2, 5, 10, 20, 30)  # steps in a second that the keys choose from
ALIKE = {"=": "+", "[+]": "+", "[-]": "-"}  # keys that do the same: plus without shift, and those of the number pad
Key = tuple[str, str, Colour]  # its name, what it does, and the colour to say it in


def play(
    env: str | Environment,
    policy: Policy | None = None,
    *,
    preset: str | None = None,
    seed: int | None = None,
    agent: int = 0,
    real_time: bool | None = None,
    fps: float = 10,
    show_sight: bool = False,
    **params: Any,
) -> None:
    """Opens a window and plays until it is closed; the keys are explained in it.

    env, preset, params: what `coopgym.environment` takes; policy: who plays the other agents, random legal actions by
    default; agent: who is driven first; real_time: whether the game goes on by itself, fps steps a second, or waits for
    a key, by default as suits the game.
    Raises as `environment` does, ValueError for an agent that is not there, ImportError without pygame, and
    RuntimeError without a screen.
    """
    game = Game(environment(env, preset, **params), policy, seed, agent, real_time, fps, show_sight)
    try:
        while game.turn():
            pass
    finally:
        game.window.close()


class Game:
    """What `play` shows: the episode, who is driven, and what the keys do."""

    def __init__(
        self,
        env: Environment,
        policy: Policy | None = None,
        seed: int | None = None,
        agent: int = 0,
        real_time: bool | None = None,
        fps: float = 10,
        show_sight: bool = False,
    ) -> None:
        if not 0 <= agent < env.n_agents:
            raise ValueError(f"agent is {agent}; it must lie in [0, {env.n_agents - 1}]")
        if not fps > 0:
            raise ValueError(f"fps is {fps}; it must be more than 0")
        self.env, self.agent, self.fps, self.show_sight = env, agent, fps, show_sight
        self.policy = named_team(RANDOM, env, seed) if policy is None else policy
        self.real_time = env.real_time if real_time is None else real_time
        self.batch = Batch(env, 1, seed, autoreset="disabled")
        self.window = Window(f"{env.id}, played by hand")
        self.actions = env.keys()
        self.controls: dict[str, tuple[str, Callable[[], None]]] = {
            "tab": ("next agent", self.drive_next),
            "n": ("policy's step", self.step),
            "v": ("view", self.change_view),
            "r": ("restart", self.restart),
            "p": ("pause", self.pause),
            "-": ("slower", lambda: self.change_speed(-1)),
            "+": ("faster", lambda: self.change_speed(1)),
            "escape": ("quit", self.window.close),
        }
        if not self.real_time:
            for key in ("p", "-", "+"):
                del self.controls[key]
        self.trail = Trail(env)
        self.only_seen = False  # whether nothing is drawn but what the driven agent sees
        self.held: list[str] = []  # keys of actions that are down, the newest last
        self._surface: Any = None  # what the window shows; None when it must be drawn anew
        self.restart()

    def turn(self) -> bool:
        """Shows the game, obeys the keys and, in real time, takes a step. Returns whether the window is still open."""
        self.window.show(self.surface(), self.fps if self.real_time else ATTENTIVE)
        pygame = pygame_module()
        for event in self.window.events():
            if event.type == pygame.KEYDOWN:
                self.press(pygame.key.name(event.key))
            elif event.type == pygame.KEYUP:
                self.release(pygame.key.name(event.key))
        if self.real_time and not self.paused and not self.ended:
            self.step(self.actions[self.held[-1]] if self.held else self.env.noop)
        return not self.window.closed

    def press(self, key: str) -> None:
        """What a key does when it goes down. key: by pygame's name."""
        if key in self.actions:
            self.held.append(key)
            if not self.real_time:
                self.step(self.actions[key])
        elif ALIKE.get(key, key) in self.controls:
            self.controls[ALIKE.get(key, key)][1]()

    def release(self, key: str) -> None:
        """A key comes up again."""
        self.held = [held for held in self.held if held != key]

    def step(self, action: int | None = None) -> None:
        """All agents act: the driven one as told or, without an action, by the policy as well."""
        if self.ended:
            return
        self._surface = None
        obs, mask = self.batch.out.obs, self.batch.out.action_mask
        if action is not None and not mask[0, self.agent, action]:
            self.message = f"{self.env.action_names[action]} is not possible now"
            return
        actions = np.array(self.policy.act(obs, mask))
        if action is not None:
            actions[0, self.agent] = action if self.env.action_bounds is None else self.env.alone(action)
        self.batch.step(actions)
        self.message = "the episode is over: press r" if self.ended else ""

    def restart(self) -> None:
        """A new episode."""
        self.policy.reset(1)
        self.batch.reset()
        self.paused, self.message, self._surface = False, "", None

    def pause(self) -> None:
        """Stops a game that goes on by itself, or lets it go on."""
        self.paused, self._surface = not self.paused, None

    def drive_next(self) -> None:
        """Drives the next agent."""
        self.agent, self.message, self._surface = (self.agent + 1) % self.env.n_agents, "", None

    def change_view(self) -> None:
        """From everything, to everything with what each agent sees marked, to nothing but what the driven one sees."""
        self.show_sight, self.only_seen = not (self.show_sight or self.only_seen), self.show_sight
        self._surface = None

    def change_speed(self, by: int) -> None:
        """One notch faster or slower, within SPEEDS."""
        nearest = min(range(len(SPEEDS)), key=lambda k: abs(SPEEDS[k] - self.fps))
        self.fps = SPEEDS[min(max(nearest + by, 0), len(SPEEDS) - 1)]
        self.message, self._surface = f"{self.fps:g} steps a second", None

    @property
    def ended(self) -> bool:
        return bool(self.batch.out.ended[0])

    def surface(self) -> Any:
        """The picture of the game with the keys below it, a pygame.Surface; drawn anew when something has changed."""
        if self._surface is None:
            panel = Canvas(WIDTH, PANEL)
            panel.agent(MARGIN + 12, 26, 12, self.agent)
            panel.text(MARGIN + 34, 26, f"you are {self.env.agents[self.agent]}", 16, INK, "left")
            panel.text(WIDTH - MARGIN, 26, "paused" if self.paused else self.message, 16, VERMILLION, "right")
            legal = self.batch.out.action_mask[0, self.agent]
            names = self.env.action_names
            _draw_keys(panel, 62, [(key, names[a], INK if legal[a] else LINE) for key, a in self.actions.items()])
            _draw_keys(panel, 94, [(key, words, FAINT) for key, (words, _) in self.controls.items()])
            self._surface = pygame_module().Surface((WIDTH, HEIGHT + PANEL), 0, 32)
            scene = self.trail.behind(self.batch.scene(show_sight=self.show_sight))
            if self.only_seen:
                scene = scene._replace(viewer=self.agent, trail=None)
            self._surface.blit(picture(self.env, scene), (0, 0))
            self._surface.blit(panel.finished(), (0, HEIGHT))
        return self._surface


def _draw_keys(canvas: Canvas, y: float, keys: list[Key]) -> None:
    """A row of keys and what they do, smaller where it would not fit; a word that names its own key stands once."""
    height = 15.0

    def widths(key: Key) -> tuple[float, float]:
        """Of the key itself, and of all that belongs to it."""
        cap = canvas.width_of(key[0], height) + 0.9 * height
        words = 0.0 if key[1] == key[0] else 0.4 * height + canvas.width_of(key[1], height)
        return cap, cap + words + height

    height *= min(1.0, (WIDTH - 2 * MARGIN + height) / sum(widths(key)[1] for key in keys))
    x = float(MARGIN)
    for key in keys:
        (name, words, colour), (cap, whole) = key, widths(key)
        canvas.rectangle(x, y - 0.8 * height, x + cap, y + 0.8 * height, STRIP, corner=4)
        canvas.rectangle(x, y - 0.8 * height, x + cap, y + 0.8 * height, LINE, width=1, corner=4)
        canvas.text(x + cap / 2, y, name, height, colour)
        if words != name:
            canvas.text(x + cap + 0.4 * height, y, words, height, colour, "left")
        x += whole
