"""An algorithm of the user's own, in a Python file outside the package."""

import importlib.util
import sys
from pathlib import Path

from coopgym.baselines import ALGORITHMS
from coopgym.baselines.learner import Learner


def learner_in(name: str) -> type[Learner]:
    """The learner that a Python file defines. Raises FileNotFoundError without the file, ValueError for two or none."""
    if not Path(name).is_file():
        raise FileNotFoundError(f"there is no file {name}; give a Python file, or one of {', '.join(ALGORITHMS)}")
    spec = importlib.util.spec_from_file_location(f"own_{Path(name).stem}", Path(name).resolve())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses and the help look for it
    spec.loader.exec_module(module)
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    own = [one for one in classes if one.__module__ == module.__name__ and issubclass(one, Learner)]
    if len(own) != 1:
        raise ValueError(f"{name} defines {len(own)} subclasses of coopgym.baselines.learner.Learner; define one")
    return own[0]
