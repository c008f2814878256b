"""Numbers and findings as a reader wants them: few digits, whole sentences, and no more certainty than there is."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from coopgym.baselines.comparison import LEVEL
from coopgym.baselines.report.summary import ENOUGH_SEEDS, Group, Task, Whole, improvements
from coopgym.baselines.statistics import Estimate, luck
from coopgym.envs.rendering import MINUS

PROVISIONAL = "provisional"
FEW = 4  # teams whose chances fit a sentence
NARROW = "\N{NARROW NO-BREAK SPACE}"
Chances = dict[tuple[str, str], Estimate]


def decimals(values: Iterable[float]) -> int:
    """How many decimals tell values apart that lie so far from each other."""
    finite = [value for value in values if math.isfinite(value)]
    spread = max(finite, default=0.0) - min(finite, default=0.0)
    return 2 if spread == 0 else min(max(2 - math.floor(math.log10(spread / 3)), 0), 4)


def decimal(value: float, places: int) -> str:
    """A number with so many decimals, a true minus sign and thousands apart."""
    text = f"{abs(value):,.{places}f}".replace(",", NARROW)
    return MINUS + text if value < 0 and text.strip("0.") else text


def interval(estimate: Estimate, places: int) -> str:
    """A figure with its interval; a single run has none."""
    if not math.isfinite(estimate.low):
        return f"{decimal(estimate.value, places)} [one run]"
    low, high = decimal(estimate.low, places), decimal(estimate.high, places)
    return f"{decimal(estimate.value, places)} [{low}, {high}]"


def count(number: float) -> str:
    """A whole number with its thousands apart."""
    return decimal(number, 0)


def counted(number: int, thing: str) -> str:
    """So many things, in words where they are one."""
    return f"one {thing}" if number == 1 else f"{count(number)} {thing}s"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Words as a sentence lists them."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, as suits."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def task_places(task: Task) -> int:
    """The decimals with which the returns of a game are shown."""
    scores = [float(score) for group in task.scored for score in group.scores]
    return decimals([*scores, *(anchor.mean for anchor in task.anchors)])


def verdict(task: Task) -> list[str]:
    """What the finished runs of a game say, in sentences."""
    if not task.scored:
        return ["No run of this game is finished yet, so there is no verdict."]
    places, leader = task_places(task), task.scored[0]
    sentences = [_leading(leader, task.scored, places)]
    if task.bounds is not None:
        low, high = task.bounds
        share = (leader.score.value - low.mean) / (high.mean - low.mean)
        sentences.append(
            f"That is {decimal(100 * share, 0)}{NARROW}% of the way from the random team ({decimal(low.mean, places)}) "
            f"to the {_known_as(high.name)} ({decimal(high.mean, places)})."
        )
    sentences += _against_others({group.label: group.scores[:, None] for group in task.scored})
    budgets = {group.runs[0].config["env_steps"] for group in task.scored}
    if len(budgets) > 1:
        least, most = count(min(budgets)), count(max(budgets))
        sentences.append(f"Their budgets differ, from {least} to {most} steps: mind that when you compare them.")
    return sentences


def _leading(leader: Group, scored: Sequence[Group], places: int) -> str:
    runs = len(leader.finished)
    has = _has_the_most({group.label: group.score for group in scored}, places)
    return f"{has} {interval(leader.score, places)}, the interquartile mean of {counted(runs, 'run')}."


def _has_the_most(scores: Mapping[str, Estimate], places: int) -> str:
    """Who has the highest score, or shares it with whom, as far as these decimals show; the first one leads."""
    leader, score = next(iter(scores.items()))
    level = decimal(score.value, places)
    equal = [label for label, one in scores.items() if label != leader and decimal(one.value, places) == level]
    if equal:
        return f"{leader} has the highest score, and so {'has' if len(equal) == 1 else 'have'} {listed(equal)},"
    return f"{leader} {'has the highest score,' if len(scores) > 1 else 'earns'}"


def _known_as(name: str) -> str:
    return "optimum" if name == "optimal" else f"scripted team {name}"


def whole_verdict(whole: Whole) -> list[str]:
    """What the scores on all games together say, in sentences; the first label leads."""
    iqms = whole.iqms
    games = counted(len(whole.tasks), "game")
    said = f"Over {games}, {_has_the_most(iqms, 2)} {interval(next(iter(iqms.values())), 2)}, "
    said += "where 0 is the random team and 1 the best team known."
    return [said, *_against_others({label: whole.scores[label] for label in iqms})]


def _against_others(scores: dict[str, np.ndarray]) -> list[str]:
    """How surely the first is better than each other; scores [R, K] by label."""
    leader, *others = scores
    if not others:
        return []
    chances = improvements(scores)
    better = [
        other for other in others if chances[leader, other].low > 0.5 and luck(scores[leader], scores[other]) < LEVEL
    ]
    unsure = [other for other in others if other not in better]
    findings = []
    if better:
        findings.append(f"it is better than {_with_chances(chances, leader, better, 'and')}")
    if unsure:
        findings.append(f"ahead of {_with_chances(chances, leader, unsure, 'or')} it may be by luck, or not at all")
    said = "; ".join(findings)
    explained = "In brackets: the chance that one of its runs earns more than one of theirs." if "(" in said else ""
    return [f"{said[0].upper()}{said[1:]}.", *([explained] if explained else [])]


def _with_chances(chances: Chances, leader: str, others: Sequence[str], last: str) -> str:
    """Names, each with its chance in brackets where they are few."""
    if len(others) > FEW:
        return listed(others, last)
    return listed([f"{other} ({interval(chances[leader, other], 2)})" for other in others], last)


def caveats(groups: Sequence[Group]) -> str:
    """Why the scores of these groups are provisional; empty where they are not."""
    few = {len(group.finished) for group in groups if len(group.finished) < ENOUGH_SEEDS}
    unfinished = sum(len(group.runs) - len(group.finished) for group in groups)
    reasons = []
    if few:
        seeds = str(min(few)) if len(few) == 1 else f"{min(few)} to {max(few)}"
        reasons.append(f"{seeds} finished seed{'s' * (few != {1})} where {ENOUGH_SEEDS} are asked for")
    if unfinished:
        reasons.append(f"{counted(unfinished, 'run')} not finished")
    return f"Provisional: {listed(reasons)}." if reasons else ""
