"""Set-up for all tests: compiled code is cached by the content of the rules, so that no stale loop is ever run."""

import hashlib
import os
import tempfile
from pathlib import Path

SOURCES = sorted((Path(__file__).resolve().parent.parent / "envs").glob("*.py"))
DIGEST = hashlib.sha256(b"".join(path.read_bytes() for path in SOURCES)).hexdigest()[:16]
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"coopgym-numba-{DIGEST}"))
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
