"""Parameters of a family: declared once as a NamedTuple, checked when they arrive, encoded for the kernels.

    class Params(NamedTuple):
        size: Annotated[int, Parameter("side of the board", "cells", 3, 100)] = 10
        reward_mode: Annotated[Literal["team_sum", "team_mean"], Parameter("what a reward is")] = "team_sum"

A kernel gets the same tuple, in which a choice stands as its index and an array as a contiguous float64 array.
"""

import difflib
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np


@dataclass(frozen=True)
class Parameter:
    """What a parameter means, its unit, and the values that it may take (both ends included)."""

    meaning: str
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class ParameterInfo:
    """A parameter as `coopgym.spec` shows it."""

    name: str
    type: Any
    default: Any
    declared: Parameter

    @property
    def choices(self) -> tuple[str, ...]:
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    @property
    def type_name(self) -> str:
        if self.choices:
            return " | ".join(self.choices)
        return getattr(self.type, "__name__", None) or str(self.type)

    @property
    def range(self) -> str:
        """The allowed values in words, empty where anything of the type will do."""
        low, high = self.declared.low, self.declared.high
        if low == -math.inf and high == math.inf:
            return ""
        if high == math.inf:
            return f">= {low:g}"
        if low == -math.inf:
            return f"<= {high:g}"
        return f"{low:g} to {high:g}"


def parameters_of(params: type) -> dict[str, ParameterInfo]:
    """The declared parameters of a Params class, by name."""
    infos = {}
    for name, hint in get_type_hints(params, include_extras=True).items():
        declared = next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Parameter)), None)
        if declared is None:
            raise TypeError(f"{params.__qualname__}.{name} needs Annotated[type, Parameter(...)]")
        infos[name] = ParameterInfo(name, get_args(hint)[0], params._field_defaults.get(name), declared)  # type: ignore[attr-defined]
    return infos


def nearest(name: str, names: Any) -> str:
    """'; did you mean ...?' with the names most like this one, or all names where none is alike."""
    names = sorted(names)
    close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"there are {', '.join(names)}" if names else "there are none"


def checked(owner: str, params: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, each of its declared type and in its range.

    Raises TypeError for an unknown name or a wrong type, ValueError for a value out of range; both name the parameter.
    """
    infos = parameters_of(params)
    for name in values:
        if name not in infos:
            raise TypeError(f"{owner} has no parameter {name!r}; {nearest(name, infos)}")
    return {name: _checked_value(infos[name], value) for name, value in values.items()}


def _checked_value(info: ParameterInfo, value: Any) -> Any:
    wrong = TypeError(f"{info.name} is {value!r}; it must be {_a(info)}")
    if info.choices:
        if value not in info.choices:
            raise ValueError(f"{info.name} is {value!r}; it must be one of {', '.join(info.choices)}")
        return value
    if info.type is bool:
        if not isinstance(value, bool | np.bool_):
            raise wrong
        return bool(value)
    if info.type is int:
        if isinstance(value, bool | np.bool_):
            raise wrong
        try:
            value = operator.index(value)
        except TypeError:
            raise wrong from None
    elif info.type is float:
        if isinstance(value, bool | np.bool_ | str):
            raise wrong
        try:
            value = float(value)
        except (TypeError, ValueError):
            raise wrong from None
    else:  # an array or None: the family checks its shape
        return value
    if not info.declared.low <= value <= info.declared.high:  # also catches nan
        raise ValueError(f"{info.name} is {value}; it must be {info.range} {info.declared.unit}".rstrip())
    return value


def _a(info: ParameterInfo) -> str:
    return {int: "a whole number", float: "a number", bool: "True or False"}.get(info.type, info.type_name)


def plain(value: Any) -> Any:
    """A parameter's value, tables as nested lists: however they were given, the same table looks the same."""
    return np.asarray(value).tolist() if isinstance(value, np.ndarray | list | tuple) else value


def encoded(params: Any) -> Any:
    """The parameters as the kernels take them: choices by index, arrays flat and contiguous."""
    values = {}
    for name, info in parameters_of(type(params)).items():
        value = getattr(params, name)
        values[name] = info.choices.index(value) if info.choices else value
    return type(params)(**values)


# Parameters in files.


def json_params(env: Any) -> dict[str, Any]:
    """The parameters of an environment as JSON can hold them; an infinite number becomes a string."""
    params = {name: plain(value) for name, value in env.params._asdict().items()}
    return {name: str(value) if value in (math.inf, -math.inf) else value for name, value in params.items()}


def tupled(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters that json_params wrote, as an environment takes them."""
    return {
        name: float(value) if isinstance(value, str) and value in ("inf", "-inf") else value
        for name, value in params.items()
    }
