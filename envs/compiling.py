"""How rules become machine code: one decorator, and one way to bind a loop to the rules of a family.

Everything that Numba is told stands here, so that all kernels agree. Threads are never started unless a user asks for
them, and a cache folder that cannot be written costs time, not correctness.
"""

import types
import warnings
from collections.abc import Callable
from typing import Any

import numba

OPTIONS = {"error_model": "numpy", "nogil": True}


def kernel(function: Callable[..., Any], **options: Any) -> Any:
    """The function compiled by Numba, cached on disk where a cache can be written."""
    try:
        return numba.njit(cache=True, **OPTIONS, **options)(function)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
    warnings.warn(
        "no folder for compiled code can be written, so each process compiles anew; "
        "set NUMBA_CACHE_DIR to a folder that can be written",
        RuntimeWarning,
        stacklevel=2,
    )
    return numba.njit(**OPTIONS, **options)(function)


def python_function(function: Any) -> types.FunctionType:
    """The plain function behind a kernel (Numba has none to unwrap under NUMBA_DISABLE_JIT=1)."""
    return getattr(function, "py_func", function)


def bind(template: types.FunctionType, owner: Any, names: dict[str, Any], **options: Any) -> Any:
    """The template with its free names bound to the kernels of a family, compiled and cached.

    Numba caches neither a loop that takes kernels as arguments nor a closure over them, and it looks for changes in
    one file only, the one that the compiled function claims to come from. So every family gets its own copy of the
    template, which claims to come from the family's file.
    """
    owner = python_function(owner)
    name = f"{owner.__qualname__}{template.__name__}{'_parallel' * options.get('parallel', False)}"  # names its cache
    code = template.__code__.replace(co_filename=owner.__code__.co_filename, co_name=name)
    copy = types.FunctionType(code, {"__builtins__": __builtins__, **names}, name)
    copy.__module__, copy.__qualname__ = owner.__module__, name
    return kernel(copy, **options)
