"""The environments, by id. A new family is one file and one line here."""

import importlib
import re
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coopgym.envs.core import Environment

ENVIRONMENTS: dict[str, str] = {  # id -> module:class, imported when first used
    "matrix_game_v1": "coopgym.envs.matrix_game:MatrixGame",
    "predator_prey_v1": "coopgym.envs.predator_prey:PredatorPrey",
    "spread_v1": "coopgym.envs.spread:Spread",
}
_REGISTERED: dict[str, "type[Environment]"] = {}


def ids() -> list[str]:
    """The ids of all environments, the user's own among them."""
    return sorted({*ENVIRONMENTS, *_REGISTERED})


def family(id: str) -> "type[Environment]":
    """The class behind an id. `spread-v1` and `coopgym/spread-v1` are other spellings of `spread_v1`.

    Raises ValueError, with the nearest ids, where there is none.
    """
    from coopgym.envs.parameters import nearest

    if not isinstance(id, str):
        raise TypeError(f"an environment's id is {id!r}; it must be a string such as 'predator_prey_v1'")
    name = re.sub(r"-v(\d+)$", r"_v\1", id.removeprefix("coopgym/"))
    known = ids()
    if name not in known and (versions := [one for one in known if re.fullmatch(re.escape(name) + r"_v\d+", one)]):
        newest = max(versions, key=lambda one: int(one.rsplit("_v", 1)[1]))
        warnings.warn(f"{id!r} has no version; taking {newest!r}. Name the version: results depend on it", stacklevel=3)
        name = newest
    if name in _REGISTERED:
        return _REGISTERED[name]
    if name not in ENVIRONMENTS:
        raise ValueError(f"no environment {id!r}; {nearest(name, known)}")
    module, class_name = ENVIRONMENTS[name].split(":")
    return getattr(importlib.import_module(module), class_name)  # type: ignore[no-any-return]


def environment(id: str, preset: str | None = None, **params: Any) -> "Environment":
    """The declaration behind an id, with a preset and parameters: sizes, layouts and rules, without any episode."""
    return family(id)(preset, **params)


def register(environment: "type[Environment]") -> "type[Environment]":
    """Adds a family of one's own under its `id`; usable as a decorator. Raises ValueError for an id that is taken."""
    if environment.id in ENVIRONMENTS or _REGISTERED.get(environment.id, environment) is not environment:
        raise ValueError(f"the id {environment.id!r} is taken; choose another name or version")
    if not re.fullmatch(r"[a-z0-9_]+_v\d+", environment.id):
        raise ValueError(f"the id {environment.id!r} must be lower-case words and a version, such as 'my_game_v1'")
    _REGISTERED[environment.id] = environment
    return environment
