"""The sections on what went into the runs: configurations, versions, and the runs one by one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coopgym.baselines.report.games import short
from coopgym.baselines.report.markup import Cell, details, listing, paragraph, section, table
from coopgym.baselines.report.summary import Group, Summary, evaluations
from coopgym.baselines.report.words import count, counted, decimal, duration, task_places
from coopgym.baselines.results import Result, differing, fields

Fields = dict[str, Any]
ABSENT = "\N{EN DASH}"
OF_A_PLACE = ("coopgym", "machine", "processor", "device", "threads")


def configuration_section(anchor: str, summary: Summary) -> str:
    """The fields of all algorithms beside each other; those that differ on one game come first and stand out."""
    table_of = {(task.name, group.label): fields(group.runs[0]) for task in summary.tasks for group in task.groups}
    names = list(dict.fromkeys(name for one in table_of.values() for name in one))
    own = [name for name in names if not all(name in one for one in table_of.values())]
    games = [[one for (game, _), one in table_of.items() if game == task.name] for task in summary.tasks]
    differ = [name for name in names if name not in own and any(name in differing(game) for game in games)]
    by_game = [name for name in differing(list(table_of.values())) if name not in (*own, *differ)]
    same = [name for name in names if name not in (*own, *differ, *by_game)]
    parts = [paragraph("What went into the runs beside the game and the seed.")]
    if differ:
        parts += ["<h3>Fields that differ</h3>", _by_label(summary, table_of, differ, "differs")]
    if by_game:
        values = {game: one for (game, _), one in table_of.items()}
        parts += ["<h3>Fields that differ between games alone</h3>", _values(values, by_game)]
    if own:
        parts += ["<h3>Fields that only some algorithms have</h3>", _by_label(summary, table_of, own, "")]
    alike = _values({"": next(iter(table_of.values()))}, same)
    parts.append(details(f"{counted(len(same), 'field')} with one value in all runs", alike))
    parts.append(_machines(summary.runs))
    return section(anchor, "Configurations", "", "".join(parts))


def _by_label(summary: Summary, table_of: dict[tuple[str, str], Fields], names: Sequence[str], classes: str) -> str:
    """A column for each label; values that are rarer than others stand out by the classes."""
    rows = []
    for name in names:
        cells = [
            _value({game: one for (game, of), one in table_of.items() if of == label}, name) for label in summary.labels
        ]
        usual = max(cells, key=cells.count)
        rows.append([Cell(name), *(Cell(cell, classes if cell != usual else "") for cell in cells)])
    return table("Fields by algorithm", ("field", *summary.labels), rows)


def _values(by_game: dict[str, Fields], names: Sequence[str]) -> str:
    rows = [(name, _value(by_game, name)) for name in names]
    return table("Fields that all algorithms share", ("field", "value"), rows)


def _value(by_game: dict[str, Fields], name: str) -> str:
    """A field's value; where it is not the same on all games, game by game."""
    values = {game: short(one[name]) if name in one else ABSENT for game, one in by_game.items()}
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    return "\n".join(f"{game}: {value}" for game, value in values.items())


def _machines(runs: Sequence[Result]) -> str:
    """Versions and processors, with the number of runs where they differ."""
    tables = [{**{name: run.config.get(name) for name in OF_A_PLACE}, **run.config.get("versions", {})} for run in runs]
    rows = []
    for name in tables[0]:
        values = [short(of.get(name)) for of in tables]
        kinds = dict.fromkeys(values)
        if len(kinds) == 1:
            rows.append([Cell(name), Cell(values[0])])
        else:
            lines = [f"{value} ({counted(values.count(value), 'run')})" for value in kinds]
            rows.append([Cell(name), Cell("\n".join(lines), "differs")])
    return "<h3>Versions and machines</h3>" + table("Versions and machines", ("what", "value"), rows)


def runs_section(anchor: str, place: Path, summary: Summary) -> str:
    """Every run by its folder."""
    rows = []
    for task in summary.tasks:
        places = task_places(task)
        for group in task.groups:
            rows += [_run_row(place, task.name, group, run, places) for run in group.runs]
    header = ("folder", "game", "team", "seed", "state", "last team", "best team", "steps", "time")
    notes = [
        f"{_folder(place, one)} repeats {_folder(place, other)} and is left out." for one, other in summary.repeated
    ]
    said = listing(notes, "small faint") if notes else ""
    return section(anchor, "Runs", "", said + table("Runs", header, rows))


def _folder(place: Path, run: Result) -> str:
    """Where a run lies, seen from the folder of all."""
    below = place in run.path.parents
    return run.path.relative_to(place).as_posix() if below else run.path.name


def _run_row(place: Path, game: str, group: Group, run: Result, places: int) -> Sequence[str]:
    steps, seconds = (run.curve[name][-1] if evaluations(run) else 0 for name in ("env_steps", "wall_seconds"))
    scores: dict[str, Any] = run.scores or {}
    last, best = (decimal(scores[name]["mean_team_return"], places) if scores else "" for name in ("final", "absolute"))
    state = "finished" if scores else f"unfinished: {100 * steps / run.config['env_steps']:.0f} %"
    return _folder(place, run), game, group.label, str(run.seed), state, last, best, count(steps), duration(seconds)
