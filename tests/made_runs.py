"""Folders of runs that nobody has trained, with scores that a test chooses."""

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import coopgym
from coopgym.baselines import ALGORITHMS, algorithm
from coopgym.baselines.learner import Config
from coopgym.baselines.reference import TASKS, shipped_fields
from coopgym.baselines.train import FINAL_SEED, Settings, with_fields
from coopgym.envs import environment
from coopgym.envs.parameters import json_params

VERSIONS = {"python": "3.11.7", "numpy": "2.4.6", "torch": "2.13.0"}


def made_run(
    folder: Path,
    name: str = "qmix",
    id: str = "spread_v1",
    preset: str | None = None,
    seed: int = 0,
    final: float = -30.0,
    absolute: float | None = None,
    std: float = 1.0,
    curve: list[float] | None = None,
    finished: bool = True,
    params: dict[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """A run's folder: of a shipped configuration, where there is one, with changes of single fields or entries.

    curve: the mean returns of the evaluations; without it a straight line from -80 to `final`.
    """
    env = environment(id, preset, **(params or {}))
    known = {**asdict(Settings()), **asdict(Config())}
    if name in ALGORITHMS and (id, preset) in TASKS:
        shipped = shipped_fields(name, id, preset)
    else:
        common, _ = TASKS.get((id, preset), ({}, {}))
        shipped = {field: value for field, value in common.items() if field in known}
    fields = {field: value for field, value in changes.items() if field in known}
    config = algorithm(name).Config() if name in ALGORITHMS else Config()
    settings, config = with_fields(Settings(seed=seed), config, {**shipped, **fields})
    written = {
        "coopgym": coopgym.__version__,
        "algorithm": name,
        "algorithm_config": asdict(config),
        "environment": env.id,
        "preset": env.preset,
        "params": json_params(env),
        "return_definition": env.return_definition,
        **asdict(settings),
        "versions": VERSIONS,
        "machine": "x86_64",
        "processor": "a processor",
        **{entry: value for entry, value in changes.items() if entry not in fields},
    }
    returns = np.linspace(-80, final, 5).tolist() if curve is None else curve
    steps = np.linspace(0, settings.env_steps, len(returns) + 1)[1:].round().astype(int).tolist()
    per_update = getattr(config, "steps_per_update", 100)
    rows = [
        {
            "env_steps": step,
            "updates": round(step / per_update) if np.isfinite(per_update) else step // 40,
            "episodes": step // 25,
            "wall_seconds": step / 1000,
            "mean_team_return": value,
            "std_team_return": std,
            "epsilon": 0.05,
        }
        for step, value in zip(steps, returns, strict=True)
    ]
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(written))
    with (folder / "metrics.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, [*rows[0]])
        table.writeheader()
        table.writerows(rows)
    if finished:
        best = final if absolute is None else absolute
        scores = {metric: score(value, std) for metric, value in (("final", final), ("absolute", best))}
        (folder / "scores.json").write_text(json.dumps(scores))
    (folder / "policy.safetensors").write_bytes(f"{name} {seed}".encode())
    return folder


def score(mean: float, std: float) -> dict[str, Any]:
    return {"mean_team_return": mean, "std_team_return": std, "episodes": 320, "seed": FINAL_SEED}


def made_runs(folder: Path, finals: list[float], name: str = "qmix", **options: Any) -> Path:
    """A run for each score, with seeds from 0 on."""
    for seed, final in enumerate(finals):
        made_run(folder / f"{name}-{seed}", name, seed=seed, final=final, **options)
    return folder
