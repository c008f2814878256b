"""Set-up for all tests: compiled code is cached by the content of the rules, so that no stale loop is ever run, and
Ctrl-C means what it does at a terminal; a shell lets what it starts in the background ignore it.
"""

import hashlib
import os
import signal
import tempfile
from pathlib import Path

SOURCES = sorted((Path(__file__).resolve().parent.parent / "envs").glob("*.py"))
DIGEST = hashlib.sha256(b"".join(path.read_bytes() for path in SOURCES)).hexdigest()[:16]
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"coopgym-numba-{DIGEST}"))
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
signal.signal(signal.SIGINT, signal.default_int_handler)
