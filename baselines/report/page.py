"""The page as a whole: what it says in short, its sections, and the data of the episodes, laid into `page.html`."""

import json
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import coopgym
from coopgym.baselines.report.episodes import Film, sprites
from coopgym.baselines.report.games import game_section, whole_section
from coopgym.baselines.report.markup import paragraph, section
from coopgym.baselines.report.runs import configuration_section, runs_section
from coopgym.baselines.report.summary import ENOUGH_SEEDS, Summary
from coopgym.baselines.report.words import PROVISIONAL, caveats, counted, verdict, whole_verdict

# What browsers hold the page to: it fetches nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
TERMS = {
    "Team return": "what an episode pays: the sum over its steps of the team's reward, counted once, undiscounted.",
    "Last team, best team": "the team at the end of training, and as it was at its best evaluation. Both are scored on "
    "ten times as many episodes as an evaluation has, from seeds that chose neither. Scores without another word are "
    "those of the last team.",
    "Interquartile mean (IQM)": "the mean of the middle half of the runs: no single lucky or unlucky run moves it far.",
    "95 % interval": "of a stratified bootstrap over runs: what the figure might have been with other seeds. It says "
    "little where there are few runs, and nothing where there is one.",
    "Probability of improvement": "the chance that a run of one algorithm earns more than one of another, ties "
    "counting half. One is called better where the interval of that chance lies above one half.",
    "Performance profile": "for each level, the share of runs that score above it.",
    "Normalised score": "the return with the random team at 0 and the optimal one, or the best team known, at 1.",
    "Optimality gap": "by how much normalised scores fall short of 1, on average.",
    "Provisional": f"fewer than {ENOUGH_SEEDS} finished seeds, or runs that have not used their budget. Such figures "
    "hint at something; they do not show it.",
}


def page(place: Path, summary: Summary, films: Sequence[Film]) -> str:
    """place: the folder of the runs; films: one for each task of the summary."""
    series = {label: k for k, label in enumerate(summary.labels)}
    anchors = [f"game-{k + 1}" for k in range(len(summary.tasks))]
    whole = whole_section("all-games", summary, series)
    links = {"all-games": "All games"} if whole else {}
    links |= {anchor: task.name for anchor, task in zip(anchors, summary.tasks, strict=True)}
    links |= {"configurations": "Configurations", "runs": "Runs", "terms": "How to read this page"}
    games = zip(anchors, range(len(films)), summary.tasks, films, strict=True)
    sections = [
        _short(summary, anchors, bool(whole)),
        whole,
        *(game_section(*game, series) for game in games),
        configuration_section("configurations", summary),
        runs_section("runs", place, summary),
        section("terms", "How to read this page", "", _terms()),
    ]
    return Template(_resource("page.html")).substitute(
        policy=POLICY,
        title=escape(place.name),
        style=_resource("style.css"),
        about=paragraph(_about(summary), "about"),
        links="".join(f"<li>{_link(anchor, words)}</li>" for anchor, words in links.items()),
        sections="\n".join(sections),
        films=_json({"sprites": sprites(films), "games": [film.data for film in films]}),
        player=_resource("player.js"),
    )


def _resource(name: str) -> str:
    return (resources.files("coopgym.baselines.report") / name).read_text(encoding="utf-8")


def _json(data: dict[str, Any]) -> str:
    """Data as a script element can hold it: with nothing that looks like its end."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _link(anchor: str, words: str) -> str:
    return f'<a href="#{anchor}">{escape(words)}</a>'


def _about(summary: Summary) -> str:
    """How much there is, in one line."""
    runs, done = summary.runs, sum(run.scores is not None for run in summary.runs)
    versions = sorted({str(run.config.get("coopgym")) for run in runs})
    return (
        f"{counted(len(runs), 'run')}, {done} finished: {counted(len(summary.labels), 'team')} on "
        f"{counted(len(summary.tasks), 'game')}, trained with coopgym {', '.join(versions)}. "
        f"This page was made by coopgym {coopgym.__version__}."
    )


def _short(summary: Summary, anchors: Sequence[str], has_whole: bool) -> str:
    """Who has the highest score on all games together, and on each."""
    found = {_link("all-games", "All games"): whole_verdict(summary.whole)[0]} if has_whole else {}
    for anchor, task in zip(anchors, summary.tasks, strict=True):
        found[_link(anchor, task.name)] = verdict(task)[0]
    items = "".join(f"<li>{link}: {escape(sentence)}</li>" for link, sentence in found.items())
    caveat = caveats([group for task in summary.tasks for group in task.groups])
    lacking = "".join(paragraph(sentence, "caveat") for sentence in summary.lacking)
    return section("short", "In short", PROVISIONAL * bool(caveat), f'<ul class="short">{items}</ul>{lacking}')


def _terms() -> str:
    return f"<dl>{''.join(f'<dt>{term}</dt><dd>{said}</dd>' for term, said in TERMS.items())}</dl>"
