"""A run's folder: config.json, metrics.csv, policy.safetensors, and TensorBoard's events if asked for.

best.safetensors is the team as it was at its best evaluation. scores.json, written when the run is done, holds the
returns of both teams on ten times as many episodes, from other seeds than those that chose the best: `final` for the
last one, and `absolute` for the best (the absolute metric of Gorsane et al., NeurIPS 2022). While the run is under way
there may be checkpoints beside all this, see `checkpoint.py`.
"""

import csv
import io
import json
import math
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import coopgym
from coopgym.baselines.files import BEST, CONFIG, METRICS, SCORES, atomic, write_text
from coopgym.baselines.learner import Learner
from coopgym.baselines.policy import FILE, TrainedTeam, load_policy, save_policy
from coopgym.baselines.rollout import Evaluation
from coopgym.envs.core import Environment
from coopgym.envs.parameters import json_params

COLUMNS = ("env_steps", "updates", "episodes", "wall_seconds", "mean_team_return", "std_team_return", "epsilon")
TEAMS = (FILE, BEST)  # the run's last one and its best one
LIBRARIES = ("numpy", "numba", "gymnasium", "pettingzoo", "torch", "safetensors")


class Run:
    """One training run, in memory and in its folder `path` (None: in memory only).

    rows: one dictionary for each evaluation; the columns of metrics.csv.
    """

    def __init__(self, path: Path | None, learner: Learner, env: Environment, settings: Mapping[str, Any]) -> None:
        self.path, self.learner, self.environment = path, learner, env
        self.rows: list[dict[str, Any]] = []
        self.config = {
            "coopgym": coopgym.__version__,
            "algorithm": learner.name,
            "algorithm_config": asdict(learner.config),
            "environment": env.id,
            "preset": env.preset,
            "params": json_params(env),
            "return_definition": env.return_definition,
            **settings,
            "versions": {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}},
            "machine": platform.machine(),
            "processor": _processor(),
        }

    def begin(self) -> None:
        """Makes the folder, with config.json in it."""
        if self.path is not None:
            self.path.mkdir(parents=True, exist_ok=True)
            write_text(self.path / CONFIG, json.dumps(self.config, indent=2, sort_keys=True) + "\n")

    def go_back(self, rows: list[dict[str, Any]], teams: Mapping[str, bytes]) -> None:
        """Makes the folder what it was after these evaluations. teams: the content of their files by name, if any."""
        assert self.path is not None
        self.rows = rows
        for name in TEAMS:
            if name in teams:
                with atomic(self.path / name) as temporary:
                    temporary.write_bytes(teams[name])
            else:
                (self.path / name).unlink(missing_ok=True)
        if rows:
            self._write_metrics(self.path)
        else:
            (self.path / METRICS).unlink(missing_ok=True)

    def log(self, row: dict[str, Any]) -> None:
        """Adds a row to metrics.csv and writes the policy as it is now."""
        best = max((one["mean_team_return"] for one in self.rows), default=-math.inf)
        self.rows.append(row)
        if self.path is None:
            return
        self._write_metrics(self.path)
        if row["mean_team_return"] > best:
            save_policy(self.path / BEST, self.learner, self.environment)
        save_policy(self.path / FILE, self.learner, self.environment)

    def _write_metrics(self, path: Path) -> None:
        table = io.StringIO()
        columns = dict.fromkeys(name for row in self.rows for name in row)
        writer = csv.DictWriter(table, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(path / METRICS, table.getvalue())

    def finish(self, evaluate: Callable[[TrainedTeam], Evaluation]) -> None:
        """Scores the last team and the best one."""
        if self.path is None:
            return
        teams = {"final": FILE, "absolute": BEST}
        scores = {name: evaluate(load_policy(self.path / file)).to_dict() for name, file in teams.items()}
        write_text(self.path / SCORES, json.dumps(scores, sort_keys=True) + "\n")

    def policy(self) -> TrainedTeam:
        """The trained team as the folder holds it."""
        if self.path is None:
            raise ValueError("the run was kept in memory only; give `out` a folder to load its policy from")
        return load_policy(self.path)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """The processor's name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
