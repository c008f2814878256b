"""What is declared and known about a game, to be read, printed, or written as JSON: `coopgym.spec(id)`."""

import functools
import json
import math
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from coopgym.envs.core import Environment, Preset
from coopgym.envs.faces import Part, parts
from coopgym.envs.parameters import ParameterInfo, parameters_of

WIDTH = 120  # of what is printed, characters
LARGE = 50  # numbers in a table, from which on it is not printed
ANCHORS = Path(__file__).with_name("anchors.json")  # by id and preset ("" for none), from benchmarks/anchors.py


@dataclass(frozen=True)
class Anchor:
    """The return that a known team has in a game: between the random and the best one lies what a learner can show."""

    name: str  # "random", a scripted team's name, or "optimal"
    mean: float  # team return
    low: float  # of the 95 % confidence interval of the mean
    high: float
    episodes: int  # that were played; 0 for a value that is known exactly
    how: str  # it was obtained: the command that plays the same episodes, or an argument

    def __str__(self) -> str:
        half = (self.high - self.low) / 2
        return f"{self.name} {self.mean:.4g}" + (f" \N{PLUS-MINUS SIGN} {half:.2g}" if half > 0 else "")


@functools.cache
def _known_anchors() -> dict[str, Any]:
    return json.loads(ANCHORS.read_text(encoding="utf-8")) if ANCHORS.is_file() else {}


def anchors(id: str, preset: str | None = None) -> tuple[Anchor, ...]:
    """What is known of a family without a preset, or with one; empty for a family of the user's own."""
    return tuple(Anchor(**anchor) for anchor in _known_anchors().get(id, {}).get(preset or "", ()))


@dataclass(frozen=True)
class Spec:
    """All that is declared about a game. It prints as tables; `to_dict` gives what JSON can hold."""

    id: str
    preset: str | None
    docstring: str = field(repr=False)  # rules, actions, layouts, sources
    parameters: dict[str, ParameterInfo] = field(repr=False)  # type, default, unit, range, meaning
    values: dict[str, Any]  # what the parameters are in this game
    presets: dict[str, Preset] = field(repr=False)  # parameters and where they were published
    agents: tuple[str, ...]
    action_names: tuple[str, ...]  # of the actions or, where they are continuous, of the components of one
    action_bounds: tuple[float, float] | None  # of each component of a continuous action
    observation_layout: tuple[Part, ...] = field(repr=False)  # of each agent's observation
    state_layout: tuple[Part, ...] = field(repr=False)
    return_definition: str
    horizon: int  # steps after which an episode is truncated
    anchors: tuple[Anchor, ...] = field(default=(), repr=False)  # returns of known teams; none with other parameters

    @property
    def n_agents(self) -> int:
        return len(self.agents)

    @property
    def n_actions(self) -> int:
        return len(self.action_names)

    @property
    def obs_size(self) -> int:
        return int(self.observation_layout[-1].slice.stop)

    @property
    def state_size(self) -> int:
        return int(self.state_layout[-1].slice.stop)

    def to_dict(self) -> dict[str, Any]:
        """The same, as JSON can hold it: infinite numbers are strings."""
        return {
            "id": self.id,
            "preset": self.preset,
            "docstring": self.docstring,
            "parameters": {
                name: {
                    "type": info.type_name,
                    "default": plain(info.default),
                    "value": plain(self.values[name]),
                    "unit": info.declared.unit,
                    "range": info.range,
                    "choices": list(info.choices),
                    "meaning": info.declared.meaning,
                }
                for name, info in self.parameters.items()
            },
            "presets": {
                name: {"params": plain(preset.params), "source": preset.source} for name, preset in self.presets.items()
            },
            "agents": list(self.agents),
            "action_names": list(self.action_names),
            "action_bounds": plain(self.action_bounds),
            "observation_layout": [_plain_part(part) for part in self.observation_layout],
            "state_layout": [_plain_part(part) for part in self.state_layout],
            "obs_size": self.obs_size,
            "state_size": self.state_size,
            "return_definition": self.return_definition,
            "horizon": self.horizon,
            "anchors": [asdict(anchor) for anchor in self.anchors],
        }

    def _actions(self) -> str:
        names = f"{self.n_actions}: {_shortened(self.action_names, 12)}"
        if self.action_bounds is None:
            return names
        low, high = self.action_bounds
        return f"continuous, components {names}; each from {low:g} to {high:g}"

    def __str__(self) -> str:
        title = self.docstring.split("\n", 1)[0]
        facts = [
            ("agents", f"{self.n_agents}: {_shortened(self.agents, 6)}"),
            ("actions", self._actions()),
            ("observation", f"{self.obs_size} features for each agent"),
            ("state", f"{self.state_size} features"),
            ("horizon", f"{self.horizon} steps"),
            ("return", self.return_definition),
        ]
        parameters = [
            (
                name,
                _number(self.values[name]) + (" *" if not _equal(self.values[name], info.default) else ""),
                info.range or {"Any": "table", "str | None": "text"}.get(info.type_name, info.type_name),
                info.declared.unit,
                info.declared.meaning,
            )
            for name, info in self.parameters.items()
        ]
        presets = [
            (name, ", ".join(f"{key}={_number(value)}" for key, value in preset.params.items()), preset.source)
            for name, preset in self.presets.items()
        ]
        known = [
            (one.name, f"{one.mean:.4g}", f"{one.low:.4g} to {one.high:.4g}", str(one.episodes or "exact"), one.how)
            for one in self.anchors
        ]
        preset = f", preset {self.preset}" if self.preset else ""
        sections = [
            f"{self.id}{preset}: {title}",
            table(None, facts),
            table(("parameter", "value", "range", "unit", "meaning"), parameters),
            table(("preset", "parameters", "source"), presets) if presets else "",
            table(("observation", "features", "bounds", "meaning"), map(_part_row, self.observation_layout)),
            table(("state", "features", "bounds", "meaning"), map(_part_row, self.state_layout)),
            table(("team", "mean return", "95 % interval", "episodes", "how it is known"), known) if known else "",
        ]
        if any(value.endswith(" *") for _, value, *_ in parameters):
            sections[2] += "\n* not the default"
        return "\n\n".join(section for section in sections if section)


def specification(env: Environment) -> Spec:
    """What an environment declares."""
    return Spec(
        id=env.id,
        preset=env.preset,
        docstring=docstring(type(env)),
        parameters=parameters_of(env.Params),
        values=env.params._asdict(),  # type: ignore[attr-defined]
        presets=dict(env.presets),
        agents=env.agents,
        action_names=env.action_names,
        action_bounds=env.action_bounds,
        observation_layout=parts(env.observation_layout),
        state_layout=parts(env.state_layout),
        return_definition=env.return_definition,
        horizon=env.horizon,
        anchors=anchors(env.id, env.preset) if _as_declared(env) else (),
    )


def docstring(family: type[Environment]) -> str:
    """A family's page: rules, actions, layouts, sources."""
    return textwrap.dedent(family.__doc__ or sys.modules[family.__module__].__doc__ or family.id).strip()


def _as_declared(env: Environment) -> bool:
    """Whether the parameters are those of the preset, or of the family without one."""
    return _equal(env.params._asdict(), type(env)(env.preset).params._asdict())  # type: ignore[attr-defined]


def plain(value: Any) -> Any:
    """The value as JSON can hold it: arrays and tuples as lists, an infinite number as a string."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _plain_part(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "start": part.slice.start,
        "stop": part.slice.stop,
        "low": plain(part.low),
        "high": plain(part.high),
        "meaning": part.meaning,
    }


def _part_row(part: Part) -> tuple[str, str, str, str]:
    first, last = part.slice.start, part.slice.stop - 1
    place = str(first) if first == last else f"{first} to {last}"
    return part.name, place, f"{part.low:g} to {part.high:g}", part.meaning


def _number(value: Any) -> str:
    """A parameter's value as it is printed; of a large table or dictionary, that there is one."""
    if isinstance(value, float):
        return f"{value:g}"
    if not isinstance(value, list | tuple | np.ndarray | dict):
        return str(value)
    if not isinstance(value, dict) and np.size(value) > LARGE:
        return f"table {' x '.join(map(str, np.shape(value)))}"
    text = json.dumps(plain(value))
    return text if len(text) <= 10 * LARGE else f"{type(value).__name__} of {len(value)}"


def _equal(a: Any, b: Any) -> bool:
    return bool(plain(a) == plain(b))


def _shortened(names: Sequence[str], most: int) -> str:
    return ", ".join(names if len(names) <= most else [*names[: most - 1], "...", names[-1]])


def table(header: tuple[str, ...] | None, rows: Iterable[tuple[str, ...]]) -> str:
    """Aligned columns; the last one is wrapped, and wide ones behind the first too, so that lines fit WIDTH."""
    rows = list(rows)
    everything = [header, *rows] if header else rows
    columns = len(everything[0])
    widths = [max(len(row[c]) for row in everything) for c in range(columns)]
    most = WIDTH // max(columns - 1, 1)
    widths = [min(width, most) if 0 < c < columns - 1 else width for c, width in enumerate(widths)]
    widths[-1] = max(20, min(widths[-1], WIDTH - sum(widths[:-1]) - 2 * (columns - 1)))
    lines = []
    for row in everything:
        cells = [textwrap.wrap(text, width) or [""] for text, width in zip(row, widths, strict=True)]
        for k in range(max(map(len, cells))):
            line = [cell[k] if k < len(cell) else "" for cell in cells]
            lines.append("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
        if row is header:
            lines.append("  ".join("-" * width for width in widths))
    return "\n".join(lines)
