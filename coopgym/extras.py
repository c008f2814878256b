"""Parts of the package that need more than the core dependencies."""

import importlib
from typing import Any


def needing(extra: str, module: str) -> Any:
    """The module, imported. Where one that it needs is missing, an ImportError names the extra to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "coopgym":
            raise
        raise ImportError(
            f'{module} needs {error.name}, which is not installed; install it with: pip install "coopgym[{extra}]"'
        ) from None
