"""What a sweep shows while it runs: a table that is drawn anew on a terminal, and elsewhere a line for what happens."""

import csv
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import TextIO

from coopgym.baselines.run import METRICS
from coopgym.baselines.sweep_jobs import Job, Standing, Status

CLEAR = "\x1b[J"  # from the cursor on
UP = "\x1b[{}F"  # to the beginning of the line so many lines above

Row = Mapping[str, float]


class Table:
    """The state of a sweep, for people. env_steps: of each run."""

    def __init__(self, out: Path, env_steps: int, stream: TextIO) -> None:
        self.out, self.env_steps, self.stream = out, env_steps, stream
        self.rows: dict[Job, Row] = {}  # the last evaluation of each run that has one
        self.before: dict[Job, Status] = {}  # the status of each job when it was last shown
        self.drawn: list[str] = []

    def show(self, standings: list[Standing]) -> None:
        """Shows where the jobs stand now."""
        self._read(standings)
        if self.stream.isatty():
            self._draw(standings)
        else:
            self._tell(standings)
        self.stream.flush()

    def _read(self, standings: list[Standing]) -> None:
        for job, status, claim in standings:
            if status == "done" and self.before.get(job) != "done":
                self.rows[job] = last_row(job.place(self.out))
            elif status == "running" and claim is not None:
                self.rows[job] = last_row(claim.work)

    def _part(self, job: Job) -> float:
        """How much of a run that is under way is done."""
        return min(self.rows[job].get("env_steps", 0.0) / self.env_steps, 1.0) if job in self.rows else 0.0

    def _summary(self, standings: list[Standing]) -> str:
        count = Counter(one.status for one in standings)
        parts = [f"{count['done']} of {len(standings)} done", f"{count['running']} running"]
        if count["failed"]:
            parts.append(f"{count['failed']} failed")
        left = self.seconds_left(standings)
        if left is not None:
            parts.append(f"about {duration(left)} left")
        return ", ".join(parts)

    def seconds_left(self, standings: list[Standing]) -> float | None:
        """How long it takes yet, at the pace of the runs so far; None where nothing is left, or nothing known."""
        costs = {job: row["wall_seconds"] / self._part(job) for job, row in self.rows.items() if self._part(job) > 0}
        undone = [one.job for one in standings if one.status in ("open", "running")]
        if not costs or not undone:
            return None
        seconds = sum(_cost(job, costs) * (1 - self._part(job)) for job in undone)
        return seconds / max(sum(one.status == "running" for one in standings), 1)

    def _tell(self, standings: list[Standing]) -> None:
        now = {one.job: one.status for one in standings}
        news = {job: status for job, status in now.items() if self.before and self.before.get(job, "open") != status}
        first, self.before = not self.before, now
        for job, status in news.items():
            self.stream.write(f"{status}: {job}{self._result(job) if status == 'done' else ''}\n")
        if first or any(status in ("done", "failed") for status in news.values()):
            self.stream.write(f"{self._summary(standings)}\n")

    def _result(self, job: Job) -> str:
        row = self.rows[job]
        return f": greedy team return {row['mean_team_return']:.2f} after {duration(row['wall_seconds'])}"

    def _draw(self, standings: list[Standing]) -> None:
        self.before = {one.job: one.status for one in standings}
        size = shutil.get_terminal_size()
        lines = self._lines(standings)
        if len(lines) >= size.lines:  # more than can be drawn anew: those that change
            lines = [lines[0], *(line for line in lines[2:] if "%" in line)][: size.lines - 1]
        lines = [line[: size.columns - 1] for line in lines]
        if lines != self.drawn:
            back = UP.format(len(self.drawn)) if self.drawn else ""
            self.stream.write(back + CLEAR + "".join(f"{line}\n" for line in lines))
            self.drawn = lines

    def _lines(self, standings: list[Standing]) -> list[str]:
        """A summary, a header, and a line for each algorithm in each environment."""
        groups: dict[tuple[str, str], list[Standing]] = {}
        for one in standings:
            groups.setdefault((one.job.name, one.job.env), []).append(one)
        cells = [("algorithm", "environment", "done", "failed", "running")]
        for (name, env), jobs in groups.items():
            count = Counter(one.status for one in jobs)
            running = [f"seed {one.job.seed} {self._part(one.job):.0%}" for one in jobs if one.status == "running"]
            cells.append((name, env, f"{count['done']} of {len(jobs)}", str(count["failed"] or ""), ", ".join(running)))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        rows = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in cells)
        return [self._summary(standings), *(row.rstrip() for row in rows)]


def _cost(job: Job, costs: Mapping[Job, float]) -> float:
    """Seconds that a job takes: the mean of those most like it."""
    alike = [cost for other, cost in costs.items() if other[:2] == job[:2]]
    alike = alike or [cost for other, cost in costs.items() if other.env == job.env]
    return fmean(alike or costs.values())


def last_row(folder: Path) -> Row:
    """The steps, seconds and return of a run's last evaluation; empty where there is none yet."""
    try:
        rows = list(csv.DictReader((folder / METRICS).read_text(encoding="utf-8").splitlines()))
        return {name: float(rows[-1][name]) for name in ("env_steps", "wall_seconds", "mean_team_return")}
    except (FileNotFoundError, IndexError):
        return {}


def duration(seconds: float) -> str:
    """Seconds in words."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
