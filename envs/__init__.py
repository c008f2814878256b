"""The environments, by id. A new family is one file and one line here."""

import importlib
import re
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coopgym.envs.core import Environment

ENVIRONMENTS: dict[str, str] = {  # id -> module:class, imported when first used
    "checkers_v1": "coopgym.envs.checkers:Checkers",
    "dec_pomdp_v1": "coopgym.envs.dec_pomdp:DecPOMDP",
    "gaussian_squeeze_v1": "coopgym.envs.gaussian_squeeze:GaussianSqueeze",
    "matrix_game_v1": "coopgym.envs.matrix_game:MatrixGame",
    "predator_prey_v1": "coopgym.envs.predator_prey:PredatorPrey",
    "spread_v1": "coopgym.envs.spread:Spread",
    "switch_v1": "coopgym.envs.switch:Switch",
    "tag_v1": "coopgym.envs.tag:Tag",
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


def environment(id: "str | Environment", preset: str | None = None, **params: Any) -> "Environment":
    """The declaration behind an id, with a preset and parameters: sizes, layouts and rules, without any episode.

    An environment itself, in place of an id, is taken with some parameters changed. PettingZoo's name for the
    parameter `horizon`, `max_cycles`, will do too.
    Raises ValueError for an unknown id or preset and for values that make no playable game, TypeError for an unknown
    parameter or a value of the wrong type.
    """
    if "max_cycles" in params:
        if "horizon" in params:
            raise TypeError("horizon and max_cycles are two names of one parameter; give one of them")
        params["horizon"] = params.pop("max_cycles")
    if isinstance(id, str):
        return family(id)(preset, **params)

    from coopgym.envs.core import Environment

    if not isinstance(id, Environment):
        raise TypeError(f"an environment is {id!r}; it must be an id such as 'predator_prey_v1', or an Environment")
    if preset is not None:
        raise TypeError(f"preset is {preset!r}; an environment that is already made takes parameters only")
    return id.with_params(**params) if params else id


def register(environment: "type[Environment]") -> "type[Environment]":
    """Adds a family of one's own under its `id`; usable as a decorator. Raises ValueError for an id that is taken.

    A class may be defined again under the same name and id, as notebooks do, and then takes the place of the first.
    """
    from coopgym.envs.registries import announce

    earlier = _REGISTERED.get(environment.id, environment)
    name = (environment.__module__, environment.__qualname__)
    if environment.id in ENVIRONMENTS or (earlier.__module__, earlier.__qualname__) != name:
        raise ValueError(f"the id {environment.id!r} is taken; choose another name or version")
    if not re.fullmatch(r"[a-z0-9_]+_v\d+", environment.id):
        raise ValueError(f"the id {environment.id!r} must be lower-case words and a version, such as 'my_game_v1'")
    _REGISTERED[environment.id] = environment
    announce(environment.id)
    return environment
