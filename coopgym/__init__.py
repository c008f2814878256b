"""Fast, partially observable, cooperative multi-agent environments in Numba, with baselines in torch."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
if not (_HERE / "envs").is_dir():  # a checkout: envs/, baselines/ and assets/ lie beside this folder
    __path__.append(str(_HERE.parent))

__version__ = "0.1.0"
