"""Which runs a report is on: those below a folder and, where it holds a sweep, those that are under way."""

from contextlib import suppress
from pathlib import Path

from coopgym.baselines.report.words import counted
from coopgym.baselines.results import Result, find_runs, read_run
from coopgym.baselines.sweep_jobs import PLAN, Standing, read_plan, standings


def gathered(place: Path) -> tuple[list[Result], list[str]]:
    """All runs below a folder, and sentences on those that a sweep lacks as yet.

    Raises FileNotFoundError where there is no run, ValueError for damaged files.
    """
    waiting = _waiting(place)
    under_way = [run for one in waiting if (run := _begun(one)) is not None]
    try:
        runs = find_runs([place])
    except FileNotFoundError:
        if not under_way:
            raise
        runs = []
    return [*runs, *under_way], _lacking(place, waiting)


def _waiting(place: Path) -> list[Standing]:
    """The jobs of a sweep that are not done; none where there is no sweep."""
    if not (place / PLAN).is_file():
        return []
    return [one for one in standings(place, read_plan(place).jobs) if one.status != "done"]


def _begun(standing: Standing) -> Result | None:
    """What a job has come to so far."""
    if standing.claim is not None:
        with suppress(FileNotFoundError):  # nothing yet, or it has just been done
            return read_run(standing.claim.work.resolve())
    return None


def _lacking(place: Path, waiting: list[Standing]) -> list[str]:
    failed = [one.job for one in waiting if one.status == "failed"]
    sentences = [f"{job} has failed; {job.error(place).relative_to(place).as_posix()} says why." for job in failed]
    open_ones = len(waiting) - len(failed)
    if open_ones:
        sentences.append(f"The sweep is under way: {counted(open_ones, 'run')} not finished.")
    return sentences
