"""Makes the reference from the folders of runs, and the README's tables and its picture from the reference.

    python benchmarks/reference.py [FOLDER ...] [--out assets/reference]

adds all finished runs in these folders and below them to what is there, each once, and chooses the teams that ship. A
run must have been trained with the shipped configuration, `coopgym.baselines.reference`. Without a folder, only the
README's tables and picture are made anew. The same runs give the same bytes, in whatever order they come.

    python benchmarks/reference.py FOLDER --train ID[/PRESET] [--algorithms A,B] [--seeds 10]

first trains the runs of a task that the folder does not hold, one after the other; stop it and call it again at will.
"""

import argparse
import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coopgym.baselines import ALGORITHMS
from coopgym.baselines.comparison_plots import reference_figure
from coopgym.baselines.files import CONFIG, SCORES, atomic, write_text
from coopgym.baselines.policy import FILE
from coopgym.baselines.reference import (
    FOLDER,
    MATRIX_GAMES,
    SEEDS,
    SMALL_HUNTS,
    TASKS,
    Reference,
    ReferenceRun,
    configuration,
    from_result,
    read_reference,
    reference_file,
    reference_of,
    reference_runs,
    score_of,
    shipped_fields,
    task_name,
    trained_with,
    write_reference,
)
from coopgym.baselines.results import OF_A_MACHINE, Result, find_runs
from coopgym.baselines.resume import resume
from coopgym.baselines.shipped import MANIFEST, policies
from coopgym.baselines.train import train
from coopgym.envs import environment

README = Path(__file__).resolve().parent.parent / "README.md"
CURVES = README.parent / "docs" / "figures" / "learning-curves.png"
DRAWN = [("spread_v1", None), ("predator_prey_v1", None), ("predator_prey_v1", "stag_p-2")]
BEGIN, END = "<!-- reference: begin -->\n", "<!-- reference: end -->\n"
SHIPPED_TASKS = [(id, preset) for id, preset in TASKS if preset not in MATRIX_GAMES[1:]]


def add(places: Sequence[str | Path], out: Path = FOLDER) -> list[str]:
    """Adds the runs in these places and returns what there is to say. Raises ValueError for runs that do not belong."""
    said, new = [], []
    for run in find_runs(places) if places else ():
        if run.scores is None:
            said.append(f"{run.path} is not finished and left out")
        else:
            check_configuration(run)
            new.append(from_result(run))
    out.mkdir(parents=True, exist_ok=True)
    for id in sorted({run.environment.id for run in new}):
        file = reference_file(id, out)
        known = {key_of(run): run for run in (read_reference(file) if file.is_file() else ())}
        added = {key_of(run): run for run in new if run.environment.id == id}
        for key, run in added.items():
            if key in known and known[key].to_dict() != run.to_dict():
                said.append(f"{run.path} takes the place of another run of {' '.join(map(str, key))}")
        write_reference(file, [*{**known, **added}.values()])
        said.append(f"{file}: {len(added)} runs given, {len({**known, **added})} in all")
    if new:
        ship(new, out)
    return said


def train_missing(folder: Path, task: str, algorithms: Sequence[str], seeds: int) -> None:
    """Trains what a folder does not hold of a task, as shipped, and goes on with what was begun."""
    [(id, preset)] = (known for known in TASKS if task_name(*known) == task)
    for seed in range(seeds):
        for name in algorithms:
            out = folder / task.replace("/", "-") / f"{name}-{seed}"
            if (out / SCORES).is_file():
                continue
            if (out / CONFIG).is_file():
                run = resume(out)
            else:
                run = train(name, environment(id, preset), seed=seed, out=out, **shipped_fields(name, id, preset))
            print(f"{out}: {run.rows[-1]['mean_team_return']:.4g}", flush=True)


def key_of(run: Result) -> tuple[str, str, int]:
    return run.task, run.algorithm, run.seed


def check_configuration(run: Result) -> None:
    """Raises ValueError unless a run was trained as the reference is."""
    id, preset = run.config["environment"], run.config["preset"]
    if run.algorithm not in ALGORITHMS or (id, preset) not in TASKS or run.task != task_name(id, preset):
        raise ValueError(f"{run.path} is {run.algorithm} on {run.task}, which the reference does not hold")
    found = trained_with(run)
    for name, value in configuration(run.algorithm, id, preset).items():
        if name not in ("seed", *OF_A_MACHINE) and found.get(name) != value:
            raise ValueError(f"{run.path} was trained with {name} {found.get(name)}; the reference has {value}")


def ship(new: Sequence[ReferenceRun], out: Path) -> None:
    """Chooses the team of each algorithm and task: the median of the seeds or, where its folder is not at hand, the
    nearest to it of those that were given and the one that ships already."""
    manifest = policies(out)
    files = {key_of(run): (run.path / FILE).read_bytes() for run in new}
    for known in manifest.values():
        key = (task_name(known["environment"], known["preset"]), known["algorithm"], known["seed"])
        files.setdefault(key, (out / known["file"]).read_bytes())
    for task in SHIPPED_TASKS:
        for name, runs in reference_runs(environment(*task), out).items():
            at_hand = [run for run in runs if key_of(run) in files]
            if at_hand:
                chosen = nearest_to_median(runs, at_hand)
                data = files[key_of(chosen)]
                file = f"{name}-{'-'.join(filter(None, task))}.safetensors"
                (out / file).write_bytes(data)
                manifest[f"{name}/{task_name(*task)}"] = described(chosen, file, data)
    write_text(out / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def nearest_to_median(runs: Sequence[ReferenceRun], at_hand: Sequence[ReferenceRun]) -> ReferenceRun:
    """Of the runs at hand, the one whose final score is nearest to the lower median of all."""
    median = sorted(score_of(run, "final") for run in runs)[(len(runs) - 1) // 2]
    return min(at_hand, key=lambda run: (abs(score_of(run, "final") - median), run.seed))


def described(run: ReferenceRun, file: str, data: bytes) -> dict[str, Any]:
    assert run.scores is not None
    return {
        "algorithm": run.algorithm,
        "environment": run.config["environment"],
        "preset": run.config["preset"],
        "seed": run.seed,
        "final": score_of(run, "final"),
        "episodes": run.scores["final"]["episodes"],
        "file": file,
        "sha256": hashlib.sha256(data).hexdigest(),
    }


# The README's table.


def readme_tables(folder: Path = FOLDER) -> str:
    """Three tables: of the matrix games, of the larger tasks, and of the small hunts."""
    known = {task: reference_runs(environment(*task), folder) for task in TASKS}
    found = {task: {name: reference_of(runs) for name, runs in by.items()} for task, by in known.items()}
    matrix = [task for task in TASKS if task[0] == "matrix_game_v1" and found[task]]
    small = [task for task in TASKS if task[1] in SMALL_HUNTS and found[task]]
    others = [task for task in TASKS if task not in matrix + small and found[task]]
    parts = []
    for id, tasks, cell in (
        ("matrix_game_v1", matrix, with_success),
        ("", others, with_interval),
        ("predator_prey_v1", small, with_interval),
    ):
        titles = [f"`{preset if id else task_name(own, preset)}`" for own, preset in tasks]
        if tasks:
            parts.append(markdown([f"`{id}`" if id else "", *titles], [found[task] for task in tasks], cell))
    return "\n".join(parts)


def markdown(header: Sequence[str], columns: Sequence[dict[str, Reference]], cell: Any) -> str:
    names = [name for name in ALGORITHMS if any(name in column for column in columns)]
    rows = [[f"`{name}`", *(cell(column[name]) if name in column else "" for column in columns)] for name in names]
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def with_success(reference: Reference) -> str:
    """The final IQM, and how many seeds reach the optimum."""
    assert reference.reached is not None
    return f"{with_interval(reference)}, {reference.reached.sum()}/{len(reference.seeds)}"


def with_interval(reference: Reference) -> str:
    one = reference.iqm()
    spread = f" [{figure(one.low)}, {figure(one.high)}]" if math.isfinite(one.low) else ""
    few = f" ({len(reference.seeds)})" if len(reference.seeds) < SEEDS else ""
    return f"{figure(one.value)}{spread}{few}{' *' if reference.provisional else ''}"


def figure(value: float) -> str:
    return f"{np.round(value, 1) + 0.0:.4g}"  # no minus before nought


def write_readme(folder: Path = FOLDER) -> None:
    """Puts the tables between the README's two marks."""
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    write_text(README, before + BEGIN + readme_tables(folder) + END + after)


def draw_curves(file: Path = CURVES) -> None:
    """The README's picture: what was earned over the steps of training, with every seed."""
    with atomic(file) as temporary:
        reference_figure([environment(*task) for task in DRAWN]).savefig(temporary, format="png", dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--train", metavar="ID[/PRESET]", choices=[task_name(*task) for task in TASKS])
    parser.add_argument("--algorithms", type=lambda names: names.split(","), default=list(ALGORITHMS))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    options = parser.parse_args()
    if options.train:
        train_missing(options.folders[0], options.train, options.algorithms, options.seeds)
    print("\n".join(add(options.folders, options.out)))
    if options.out == FOLDER:
        write_readme()
        draw_curves()
