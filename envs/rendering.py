"""Pictures of environments: a figure with a title strip, the scene that the family draws, and a strip of numbers.

Pygame is imported when something is first drawn. A picture is drawn off-screen, at twice its size, and scaled down,
which smooths its edges; nothing but the mode "human" touches a display, and nothing ever touches sound.

Colours are those of Okabe and Ito ("Color Universal Design", 2008), which colour-blind readers can tell apart.
"""

import functools
import itertools
import math
import os
from collections.abc import Sequence
from importlib import resources
from typing import Any, Literal, get_args

import numpy as np

from coopgym.envs.core import Environment, Scene, slices

RenderMode = Literal["human", "rgb_array"]
Colour = tuple[int, int, int]
Align = Literal["left", "centre", "right"]
Box = tuple[float, float, float, float]  # left, top, right, bottom
Place = tuple[int, int, int, int]  # left, top, width, height, in drawn pixels

BLUE, ORANGE, PURPLE, SKY = (0, 114, 178), (230, 159, 0), (204, 121, 167), (86, 180, 233)
YELLOW, GREEN, VERMILLION, GREY = (240, 228, 66), (0, 158, 115), (213, 94, 0), (150, 150, 150)
INK, FAINT, LINE, STRIP, PAPER = (34, 34, 34), (110, 110, 110), (214, 214, 214), (243, 243, 243), (255, 255, 255)
FOG = (226, 226, 226)  # over what an agent does not see
AGENTS = (BLUE, ORANGE, PURPLE, SKY, YELLOW, GREY, GREEN, VERMILLION)  # the last two also mark good and bad news

WIDTH, HEIGHT = 600, 680  # of a picture, pixels
MARGIN, BAND = 20, 40  # around the scene; the height of a strip
FINE = 2  # drawn pixels for each pixel of the picture
SMALLEST = 5  # height of a text, pixels
UNSEEN = ("dummy", "offscreen")  # SDL's drivers that show nothing; SDL takes them where it finds no display
TRAIL = 8  # steps for which a window shows where the agents have been
MINUS = "\N{MINUS SIGN}"


def pygame_module() -> Any:
    """The module pygame, from either of its distributions. Raises ImportError with the command that installs it."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import pygame
    except ImportError:
        raise ImportError('drawing needs pygame; install it with: pip install "coopgym[render]"') from None
    return pygame


def agent_colour(i: int) -> Colour:
    """The colour of agent i: the same in every family and picture."""
    return AGENTS[i % len(AGENTS)]


def mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """The colour on the way to another one; share 0 is the first, 1 the other."""
    r, g, b = (round(one + (two - one) * share) for one, two in zip(colour, other, strict=True))
    return r, g, b


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever reads better on a colour."""
    luminance = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    return INK if luminance > 140 else PAPER


def number(value: float) -> str:
    """A number as a reader wants it: few digits, a true minus sign, no minus nought."""
    size = abs(value)
    if size == 0 or 1e-3 <= size < 1e5:
        text = f"{size:.3f}".rstrip("0").rstrip(".")
    else:
        text = f"{size:.3g}"
    return MINUS + text if value < 0 else text


def signed(value: float) -> str:
    """A number with its sign, as it changes a total."""
    return f"+{number(value)}" if value > 0 else number(value)


class Canvas:
    """A surface and the few shapes that families draw with.

    Positions, radii and the heights of texts are in units of the world that `view` names; widths of lines are in
    pixels. Without a `view` the world is the canvas, or the part of it that `within` names, in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._pygame = pygame_module()
        self._pygame.font.init()
        self._fonts: dict[int, Any] = {}
        self._size = (width, height)
        self._begin(width * FINE, height * FINE)
        self.within(0, 0, width, height)

    def within(self, left: float, top: float, right: float, bottom: float) -> None:
        """From here on, `view` fills this part of the canvas, given in its pixels."""
        self._area = (left, top, right, bottom)
        self.view(0, 0, right - left, bottom - top)

    def view(self, left: float, top: float, right: float, bottom: float, below: float = 0.0) -> None:
        """Fits this rectangle of the world into the area: centred, undistorted. Where top > bottom, y grows upwards.

        below: pixels of the area's foot that are kept free.
        """
        x0, y0, x1, y1 = self._area
        y1 -= below
        self.scale = min((x1 - x0) / abs(right - left), (y1 - y0) / abs(bottom - top))  # pixels for each unit
        self._middle = ((left + right) / 2, (top + bottom) / 2)
        self._centre = ((x0 + x1) / 2, (y0 + y1) / 2)
        self._up = -1.0 if top > bottom else 1.0
        self._clip(None)

    def crop(self, left: float, top: float, right: float, bottom: float) -> None:
        """What follows is cut off at the edges of this rectangle of the world, until the next `view`."""
        self._clip(self._box(left, top, right, bottom))

    def foot(self, height: float) -> float:
        """The world becomes the foot of the area, so many pixels high, in pixels; returns its width."""
        x0, y0, x1, y1 = self._area
        self.view(0, y0 - y1 + height, x1 - x0, height)
        return x1 - x0

    def _point(self, x: float, y: float) -> tuple[float, float]:
        """A point of the world in drawn pixels."""
        across = self._centre[0] + (x - self._middle[0]) * self.scale
        down = self._centre[1] + (y - self._middle[1]) * self.scale * self._up
        return across * FINE, down * FINE

    def _box(self, left: float, top: float, right: float, bottom: float) -> Place:
        """A rectangle of the world in whole drawn pixels."""
        (x0, y0), (x1, y1) = self._point(left, top), self._point(right, bottom)
        return round(min(x0, x1)), round(min(y0, y1)), abs(round(x1) - round(x0)), abs(round(y1) - round(y0))

    def circle(self, x: float, y: float, radius: float, colour: Colour, alpha: float = 1.0) -> None:
        """A filled circle."""
        self._disc(self._point(x, y), radius * self.scale * FINE, 0, colour, alpha)

    def ring(self, x: float, y: float, radius: float, colour: Colour, width: float = 2.0, alpha: float = 1.0) -> None:
        """A circle's outline, inside its radius."""
        self._disc(self._point(x, y), radius * self.scale * FINE, max(1, round(width * FINE)), colour, alpha)

    def rectangle(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        colour: Colour,
        alpha: float = 1.0,
        width: float = 0.0,
        corner: float = 0.0,
    ) -> None:
        """A filled rectangle, or its outline where a width is given. corner: radius of its corners, in the world."""
        thick, round_by = (max(1, round(width * FINE)) if width else 0), round(corner * self.scale * FINE)
        self._panel(self._box(left, top, right, bottom), thick, round_by, colour, alpha)

    def polygon(self, points: Sequence[tuple[float, float]], colour: Colour, alpha: float = 1.0) -> None:
        """A filled polygon."""
        self._polygon([self._point(x, y) for x, y in points], colour, alpha)

    def line(
        self, x0: float, y0: float, x1: float, y1: float, colour: Colour, width: float = 2.0, alpha: float = 1.0
    ) -> None:
        """A straight line with square ends."""
        (ax, ay), (bx, by) = self._point(x0, y0), self._point(x1, y1)
        length = math.hypot(bx - ax, by - ay)
        if length > 0:
            nx, ny = (ay - by) / length * width * FINE / 2, (bx - ax) / length * width * FINE / 2
            self._polygon(
                [(ax + nx, ay + ny), (bx + nx, by + ny), (bx - nx, by - ny), (ax - nx, ay - ny)], colour, alpha
            )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        height: float,
        colour: Colour = INK,
        align: Align = "centre",
        fit: float = math.inf,
    ) -> float:
        """Words with the middle of their capitals on y, made smaller where they do not fit; returns how wide they are.

        Words too small to be read are left out.
        """
        if height * self.scale < SMALLEST:
            return 0.0
        size, room = self._font_size(height), fit * self.scale * FINE
        while (width := self._font(size).size(words)[0]) > room and size > 1:
            size = max(1, min(size - 1, int(size * room / width)))
        across, down = self._point(x, y)
        across -= {"left": 0.0, "centre": 0.5, "right": 1.0}[align] * width
        self._words((round(across), round(down - 0.31 * size)), size, width, words, colour)  # half-way up a capital
        return float(width / (self.scale * FINE))

    def width_of(self, words: str, height: float) -> float:
        """How wide a text of this height would be, in units of the world."""
        return float(self._font(self._font_size(height)).size(words)[0] / (self.scale * FINE))

    def cell(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        words: str,
        height: float,
        colour: Colour = PAPER,
        note: str = "",
    ) -> None:
        """A cell of a table: a box with words in its middle and a smaller note under them."""
        self.rectangle(left, top, right, bottom, colour)
        self.rectangle(left, top, right, bottom, LINE, width=1)
        x, y, room = (left + right) / 2, (top + bottom) / 2, 0.9 * (right - left)
        self.text(x, y - 0.35 * height * bool(note), words, height, ink_on(colour), fit=room)
        if note:
            self.text(x, y + 0.6 * height, note, 0.6 * height, FAINT, fit=room)

    def agent(self, x: float, y: float, radius: float, i: int, alpha: float = 1.0) -> None:
        """Agent i: a disc in its colour that bears its number."""
        colour = agent_colour(i)
        self.circle(x, y, radius, colour, alpha)
        self.ring(x, y, radius, mixed(colour, INK, 0.35), 1.5, alpha)
        self.text(x, y, str(i), 1.25 * radius, ink_on(mixed(PAPER, colour, alpha)), fit=1.5 * radius)

    def sprite(self, name: str, x: float, y: float, side: float, alpha: float = 1.0) -> None:
        """A picture of `assets/sprites`, so wide and high, with its middle at a place."""
        size = max(1, round(side * self.scale * FINE))
        across, down = self._point(x, y)
        self._image((round(across - size / 2), round(down - size / 2)), size, name, alpha)

    def trail(self, places: np.ndarray | None, width: float, longest: float = math.inf) -> None:
        """The ways that the agents have come, fainter the older, so wide in the world. places: [K, N, 2], or None.

        longest: a step that is longer than this goes over the edge of the world and is not drawn.
        """
        for k in range(1, 0 if places is None else len(places)):
            age = k / len(places)  # type: ignore[arg-type]
            for i, ((x0, y0), (x1, y1)) in enumerate(zip(places[k - 1], places[k], strict=True)):  # type: ignore[index]
                if math.hypot(x1 - x0, y1 - y0) <= longest:
                    self.line(x0, y0, x1, y1, agent_colour(i), width * self.scale * age, 0.7 * age)

    def fog(self, world: Box, seen: Sequence[Box]) -> None:
        """Hides what was drawn of the world but for the boxes that are seen, each (left, top, right, bottom)."""
        boxes = [world, *seen]
        columns = sorted({x for left, _, right, _ in boxes for x in (left, right)})
        rows = sorted({y for _, top, _, bottom in boxes for y in (top, bottom)})
        for (left, right), (top, bottom) in itertools.product(itertools.pairwise(columns), itertools.pairwise(rows)):
            if not any(x0 <= left and right <= x1 and y0 <= top and bottom <= y1 for x0, y0, x1, y1 in seen):
                self.rectangle(left, top, right, bottom, FOG)

    def numbers(self, env: Environment, scene: Scene, i: int) -> None:
        """What agent i is told, number by number: the view of games without space."""
        layout = list(slices(env.observation_layout))
        self.view(0, 0, 100, max(12 * len(layout), 100))
        for k, (part, where) in enumerate(layout):
            values = "   ".join(number(float(one)) for one in scene.obs[i, where])
            self.text(2, 12 * k + 4, f"{part.name}: {part.meaning}", 2.8, FAINT, "left", fit=96)
            self.text(2, 12 * k + 9, values, 4, INK, "left", fit=96)

    def tally(self, right: float, y: float, words: str, agents: Sequence[int]) -> None:
        """Words and agents in a row that ends at the right, in a world of pixels; beyond nine, how many more."""
        if len(agents) > 9:
            right -= 8 + self.text(right, y, f"+{len(agents) - 9}", 16, FAINT, "right")
        for i in reversed(agents[:9]):
            self.agent(right - 11, y, 11, i)
            right -= 26
        self.text(right - 4 * bool(len(agents)), y, words if len(agents) else f"{words} none", 16, FAINT, "right")

    def flag(self, x: float, y: float, words: str, height: float, colour: Colour) -> None:
        """A short notice at a place: what was just earned or lost there."""
        half = 0.5 * self.width_of(words, height) + 0.2 * height
        edge = 2 / self.scale
        self.rectangle(
            x - half - edge, y - 0.5 * height - edge, x + half + edge, y + 0.5 * height + edge, PAPER, 1, 0, height
        )
        self.rectangle(x - half, y - 0.5 * height, x + half, y + 0.5 * height, colour, 1, 0, height)
        self.text(x, y, words, 0.85 * height, ink_on(colour))

    def _font_size(self, height: float) -> int:
        """The size of the font whose capitals are two thirds as high as so many units of the world."""
        return max(1, round(1.3 * height * self.scale * FINE))

    def _font(self, size: int) -> Any:
        if size not in self._fonts:
            self._fonts[size] = self._pygame.font.Font(None, size)
        return self._fonts[size]

    # What follows puts shapes on the sheet, in drawn pixels; all that is above leads to it.

    def _begin(self, width: int, height: int) -> None:
        """Takes an empty sheet of so many drawn pixels."""
        self._surface = self._pygame.Surface((width, height), 0, 32)
        self._surface.fill(PAPER)

    def finished(self) -> Any:
        """The picture so far, as a pygame.Surface of the size that was asked for."""
        return self._pygame.transform.smoothscale(self._surface, self._size)

    def _clip(self, box: Place | None) -> None:
        """What follows is cut off at the edges of a box; None: at those of the sheet."""
        self._surface.set_clip(box)

    def _disc(self, centre: tuple[float, float], size: float, thick: int, colour: Colour, alpha: float) -> None:
        """A disc with this radius, or where it is thick a ring."""
        self._paint(
            (centre[0] - size, centre[1] - size, 2 * size, 2 * size),
            alpha,
            lambda surface, origin: self._pygame.draw.circle(surface, colour, _minus(centre, origin), size, thick),
        )

    def _panel(self, box: Place, thick: int, corner: int, colour: Colour, alpha: float) -> None:
        """A rectangle, or where it is thick its outline, with corners of this radius."""

        def draw(surface: Any, origin: tuple[float, float]) -> None:
            place = self._pygame.Rect(box[0] - origin[0], box[1] - origin[1], box[2], box[3])
            self._pygame.draw.rect(surface, colour, place, thick, corner)

        self._paint(box, alpha, draw)

    def _polygon(self, points: list[tuple[float, float]], colour: Colour, alpha: float) -> None:
        left, top = min(x for x, _ in points), min(y for _, y in points)
        right, bottom = max(x for x, _ in points), max(y for _, y in points)
        self._paint(
            (left, top, right - left, bottom - top),
            alpha,
            lambda surface, origin: self._pygame.draw.polygon(surface, colour, [_minus(p, origin) for p in points]),
        )

    def _words(self, corner: tuple[int, int], size: int, width: int, words: str, colour: Colour) -> None:
        """Words in the font of this size, in which they are so wide, from their upper left corner."""
        self._surface.blit(self._font(size).render(words, True, colour), corner)

    def _image(self, corner: tuple[int, int], size: int, name: str, alpha: float) -> None:
        """A sprite, so wide and high, from its upper left corner."""
        image = _sprite(name, size)
        image.set_alpha(round(255 * alpha))
        self._surface.blit(image, corner)

    def _paint(self, box: tuple[float, float, float, float], alpha: float, draw: Any) -> None:
        """Calls draw(surface, its origin): on the canvas itself, or where it is translucent on a sheet laid over it."""
        if alpha >= 1:
            draw(self._surface, (0.0, 0.0))
            return
        frame = self._surface.get_rect()
        place = self._pygame.Rect(
            math.floor(box[0]) - 1, math.floor(box[1]) - 1, math.ceil(box[2]) + 3, math.ceil(box[3]) + 3
        )
        place = place.clip(frame)
        if place.width and place.height:
            sheet = self._pygame.Surface(place.size, 0, 32)
            sheet.blit(self._surface, (0, 0), place)
            draw(sheet, place.topleft)
            sheet.set_alpha(round(255 * alpha))
            self._surface.blit(sheet, place)


@functools.lru_cache(64)
def _sprite(name: str, size: int) -> Any:
    pygame = pygame_module()
    with (resources.files("coopgym.assets") / "sprites" / f"{name}.png").open("rb") as file:
        return pygame.transform.smoothscale(pygame.image.load(file, f"{name}.png"), (size, size))


def _minus(point: tuple[float, float], origin: tuple[float, float]) -> tuple[float, float]:
    return point[0] - origin[0], point[1] - origin[1]


def picture(env: Environment, scene: Scene) -> Any:
    """One scene as a pygame.Surface of WIDTH x HEIGHT pixels, drawn off-screen."""
    canvas = Canvas(WIDTH, HEIGHT)
    canvas.within(MARGIN, BAND + MARGIN, WIDTH - MARGIN, HEIGHT - BAND - MARGIN)
    if scene.viewer is not None and env.places(scene) is None:
        canvas.numbers(env, scene, scene.viewer)
    else:
        env.draw(canvas, scene)
    canvas.within(0, 0, WIDTH, HEIGHT)
    canvas.rectangle(0, 0, WIDTH, BAND, STRIP)
    canvas.rectangle(0, HEIGHT - BAND, WIDTH, HEIGHT, STRIP)
    end = MARGIN + canvas.text(MARGIN, BAND / 2, env.id, 18, INK, "left")
    if env.preset is not None:
        room = WIDTH - 188 if scene.viewer is None else WIDTH / 2 - 80
        canvas.text(end + 12, BAND / 2, env.preset, 16, FAINT, "left", fit=room - end - 12)
    if scene.viewer is not None:
        canvas.text(WIDTH / 2, BAND / 2, f"what {env.agents[scene.viewer]} sees", 16, agent_colour(scene.viewer))
    canvas.text(WIDTH - MARGIN, BAND / 2, f"step {scene.steps} of {scene.horizon}", 16, INK, "right")
    low = HEIGHT - BAND / 2
    if scene.action is not None:
        canvas.text(MARGIN, low, f"reward {number(scene.reward)}", 16, INK, "left")
    if scene.terminated or scene.truncated:
        canvas.text(WIDTH / 2, low, "terminated" if scene.terminated else "truncated: time is up", 16, INK)
    canvas.text(WIDTH - MARGIN, low, f"return {number(scene.team_return)}", 16, INK, "right")
    return canvas.finished()


def pixels(surface: Any) -> np.ndarray:
    """A surface as an array of its own: [H, W, 3] uint8."""
    width, height = surface.get_size()
    return np.frombuffer(pygame_module().image.tobytes(surface, "RGB"), np.uint8).reshape(height, width, 3).copy()


class Trail:
    """Where the agents have been: remembers the places of the scenes of an episode, as they come."""

    def __init__(self, env: Environment) -> None:
        self.env = env
        self.places: list[np.ndarray] = []
        self.steps = -1

    def behind(self, scene: Scene) -> Scene:
        """The scene with the trail up to it. A scene that does not follow the one before begins a new trail."""
        if scene.steps != self.steps:
            if scene.steps != self.steps + 1:
                self.places.clear()
            self.steps = scene.steps
            places = self.env.places(scene)
            if places is not None:
                self.places = [*self.places[-TRAIL:], places]
        return scene._replace(trail=np.array(self.places) if len(self.places) > 1 else None)


class Window:
    """A window on the screen that shows surfaces, fitted to its size, which the user may change.

    It opens with the first surface, and does not come back once it is closed.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.closed = False
        self._pygame = pygame_module()
        self._screen: Any = None
        self._started_display = False
        self._clock: Any = None

    def show(self, surface: Any, fps: float) -> None:
        """Shows a surface, no sooner than 1 / fps seconds after the last one. Raises RuntimeError without a screen."""
        if self.closed:
            return
        if self._screen is None:
            self._open(surface.get_size())
        elif not self._pygame.display.get_init():  # somebody else has shut the display down
            self.close()
            return
        self._fit(surface)
        self._pygame.display.flip()
        self._clock.tick(fps)

    def _fit(self, surface: Any) -> None:
        """Lays the surface into the middle of the window, as large as it will go."""
        room, size = self._screen.get_size(), surface.get_size()
        if room == size:
            self._screen.blit(surface, (0, 0))
            return
        scale = min(room[0] / size[0], room[1] / size[1])
        fitted = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
        self._screen.fill(PAPER)
        image = self._pygame.transform.smoothscale(surface, fitted)
        self._screen.blit(image, ((room[0] - fitted[0]) // 2, (room[1] - fitted[1]) // 2))

    def events(self) -> list[Any]:
        """What has happened since the last call; closes the window when that was asked for."""
        if self._screen is None or not self._pygame.display.get_init():
            return []
        events = self._pygame.event.get()
        if any(event.type == self._pygame.QUIT for event in events):
            self.close()
        return list(events)

    def close(self) -> None:
        """Closes the window; it may be called again."""
        self.closed = True
        self._screen = None
        if self._started_display:
            self._pygame.display.quit()
            self._started_display = False

    def _open(self, size: tuple[int, int]) -> None:
        try:
            if not self._pygame.display.get_init():
                self._pygame.display.init()
                self._started_display = True
            driver = self._pygame.display.get_driver()
            if driver in UNSEEN and not os.environ.get("SDL_VIDEODRIVER"):
                raise self._pygame.error(f"SDL found nothing better than its driver {driver!r}, which shows nothing")
            self._screen = self._pygame.display.set_mode(size, self._pygame.RESIZABLE)
        except self._pygame.error as error:
            self.close()
            raise RuntimeError(f"no window can be opened here ({error}); render_mode='rgb_array' needs none") from None
        self._pygame.display.set_caption(self.title)
        self._clock = self._pygame.time.Clock()


class Renderer:
    """Draws the scenes of one environment, in a window or as arrays.

    render_mode: "rgb_array" returns pictures and never touches a display; "human" shows them, at most fps in a second,
    until the user closes the window: from then on it does nothing. Raises ValueError for another mode or an fps that
    is not positive, ImportError without pygame.
    """

    def __init__(
        self, env: Environment, render_mode: RenderMode = "rgb_array", fps: float = 10, show_sight: bool = False
    ) -> None:
        if render_mode not in get_args(RenderMode):
            raise ValueError(f"render_mode is {render_mode!r}; it must be one of {', '.join(get_args(RenderMode))}")
        if not fps > 0:
            raise ValueError(f"fps is {fps}; it must be more than 0")
        pygame_module()
        self.env, self.render_mode, self.fps, self.show_sight = env, render_mode, fps, show_sight
        self.window = Window(env.id) if render_mode == "human" else None
        self.trail = Trail(env)

    def render(self, scene: Scene) -> np.ndarray | None:
        """The picture of a scene: [H, W, 3] uint8, a fresh array; in a window, None."""
        scene = scene._replace(show_sight=scene.show_sight or self.show_sight)
        if self.window is None:
            return pixels(picture(self.env, scene))
        self.window.events()
        if not self.window.closed:
            self.window.show(picture(self.env, self.trail.behind(scene)), self.fps)
        return None

    def close(self) -> None:
        """Closes the window, if there is one; it may be called again."""
        if self.window is not None:
            self.window.close()
