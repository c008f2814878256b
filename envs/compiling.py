"""How rules become machine code: kernels, loops bound to them, and a cache that keeps the loops.

Everything that Numba is told stands here, so that all kernels agree. Threads are never started unless a user asks for
them, and a cache folder that cannot be written costs time, not correctness.
"""

import functools
import hashlib
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core import cgutils
from numba.core import types as machine
from numba.experimental import structref
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

SETTINGS: Any = numba.config
OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True}


def kernel(function: Callable[..., Any], **options: Any) -> Any:
    """The function compiled by Numba when first called, in each process anew unless a cached loop has it inside."""
    return numba.njit(**OPTIONS, **options)(function)


def bind(template: Any, names: dict[str, Any], cache: bool = False, **options: Any) -> Any:
    """The template with its free names bound to kernels, compiled.

    A loop that took its kernels as arguments, or closed over them, would not be cached by Numba, so every family gets
    its own copy of the template. Numba also looks for changes in one file only; a copy therefore bears a name made from
    all the code that it could call, and is never mistaken in the cache for that of other rules.
    """
    copy = types.FunctionType(template.__code__, {"__builtins__": __builtins__, **names}, template.__name__)
    copy.__module__ = template.__module__
    copy.__qualname__ = f"{template.__name__}_{fingerprint((template, *names.values()))}"
    return _cached(copy, **options) if cache else kernel(copy, **options)


def _cached(function: Callable[..., Any], **options: Any) -> Any:
    try:
        return numba.njit(cache=True, **OPTIONS, **options)(function)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
    _warn_of_no_cache()
    return kernel(function, **options)


@functools.cache
def _warn_of_no_cache() -> None:
    warnings.warn(
        "no folder for compiled code can be written, so each process compiles anew; "
        "set NUMBA_CACHE_DIR to a folder that can be written",
        RuntimeWarning,
        stacklevel=2,
    )


def python_function(function: Any) -> Any:
    """The plain function behind a kernel (Numba has none to unwrap under NUMBA_DISABLE_JIT=1)."""
    return getattr(function, "py_func", function)


def fingerprint(functions: tuple[Any, ...]) -> str:
    """A digest of the code of functions, of all that they call, and of the constants that they name."""
    digest = hashlib.sha256()
    for part in _parts(functions, set()):
        digest.update(part)
    return digest.hexdigest()[:16]


def _parts(value: Any, seen: set[Any]) -> Iterator[bytes]:
    yield repr(getattr(value, "targetoptions", None)).encode()  # what Numba was told about a kernel
    value = python_function(value)
    if isinstance(value, types.FunctionType):
        if value not in seen:
            seen.add(value)
            yield from _parts(value.__code__, seen)
            for cell in value.__closure__ or ():
                yield from _parts(cell.cell_contents, seen)
            for name in value.__code__.co_names:
                yield name.encode()
                yield from _parts(value.__globals__.get(name), seen)
    elif isinstance(value, types.CodeType):
        yield value.co_code
        for constant in value.co_consts:
            yield from _parts(constant, seen)
    elif isinstance(value, np.ndarray):
        yield repr((value.dtype, value.shape)).encode()
        yield value.tobytes()
    elif isinstance(value, tuple):
        for item in value:
            yield from _parts(item, seen)
    elif isinstance(value, bool | int | float | str | np.generic):
        yield repr(value).encode()
    else:  # a class, a module, an intrinsic
        yield str(getattr(value, "__qualname__", type(value).__qualname__)).encode()


def entry(function: Any, *arguments: Any) -> Any:
    """The machine code of a kernel for arguments like these, to be called without Numba's search for their types.

    A call takes a third of the time, and arguments of other types are not noticed.
    """
    if SETTINGS.DISABLE_JIT:
        return function
    return function.compile(tuple(numba.typeof(argument) for argument in arguments))


if SETTINGS.DISABLE_JIT:

    class Game(NamedTuple):
        params: Any
        arrays: Any
        out: Any

    def borrowed(value: Any) -> Any:
        return value

else:

    @structref.register
    class GameType(machine.StructRef):
        def preprocess_fields(self, fields: Any) -> Any:
            return tuple((name, machine.unliteral(type)) for name, type in fields)

    class Game(structref.StructRefProxy):  # type: ignore[no-redef]
        """What loops work on, as one argument: to unpack a NamedTuple of arrays at each call takes microseconds."""

    structref.define_proxy(Game, GameType, ["params", "arrays", "out"])

    @intrinsic
    def borrowed(typing, value):
        """The same arrays, or tuple of arrays, without reference counts, for use inside a loop that outlives none.

        Numba counts references atomically at every access through a call; in a loop over games that is most of the
        time. Whoever calls keeps the arrays alive, and a borrowed array must not be returned to Python.
        """

        def generate(context, builder, signature, arguments):
            return _without_owner(context, builder, signature.args[0], arguments[0])

        return value(value), generate


def _without_owner(context, builder, type, value):
    """The machine code that forgets the owners of arrays, of which Numba counts references where there are any."""
    if isinstance(type, machine.Array):
        array = make_array(type)(context, builder, value)
        array.meminfo = cgutils.get_null_value(array.meminfo.type)
        array.parent = cgutils.get_null_value(array.parent.type)
        return array._getvalue()
    if isinstance(type, machine.BaseTuple):
        items = zip(type.types, cgutils.unpack_tuple(builder, value), strict=True)
        return context.make_tuple(builder, type, [_without_owner(context, builder, *item) for item in items])
    return value
