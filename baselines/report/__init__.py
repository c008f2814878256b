"""A folder of runs as one page: scores, curves, profiles, configurations, and an episode of each trained team.

The page needs nothing but itself, and the same runs give the same bytes.
"""

from pathlib import Path

from coopgym.baselines.files import write_text
from coopgym.baselines.report.episodes import film
from coopgym.baselines.report.gathering import gathered
from coopgym.baselines.report.page import page
from coopgym.baselines.report.summary import Summary, summarised
from coopgym.envs.rendering import pygame_module


def write_report(place: str | Path, out: str | Path) -> Summary:
    """Writes the page on all runs in a folder and below it; returns what it says.

    Unfinished runs are shown as such. Raises FileNotFoundError for a place without runs or an `out` in no folder,
    ValueError for damaged runs, ImportError without pygame.
    """
    pygame_module()
    place, out = Path(place), Path(out)
    if not out.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(out.parent)!r}; make it first")
    summary = summarised(*gathered(place))
    films = [film(task) for task in summary.tasks]
    write_text(out, page(place.resolve(), summary, films))
    return summary
