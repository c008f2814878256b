"""What is asked of a sweep: checked as a whole, and then added to what its folder asks for already."""

import itertools
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from coopgym.baselines import algorithm
from coopgym.baselines.files import write_text
from coopgym.baselines.learner import Learner
from coopgym.baselines.sweep_claims import Watch, bury, newest_claim, take
from coopgym.baselines.sweep_jobs import OF_THE_SWEEP, PLAN, Asked, Plan, fields_of, game, read_plan, recipe, write_plan
from coopgym.baselines.train import check_learnable
from coopgym.envs.parameters import nearest

SEEDS = 10  # of each algorithm in each environment, unless told otherwise


def ask(
    out: Path,
    algorithms: str | Sequence[str] | None,
    envs: str | Sequence[str] | None,
    seeds: int | None,
    hyperparameters: str | None,
    fields: dict[str, Any],
) -> None:
    """Writes into a sweep's folder what is to be done, once it is sure that it can be; see `sweep` for the words.

    Without algorithms or envs, all that is left open is as the folder's sweep was begun, for each part of it.
    Raises ValueError, TypeError or FileNotFoundError for what no run can be, and for what does not go with the folder.
    """
    if algorithms is not None and envs is not None:
        _ask(out, algorithms, envs, SEEDS if seeds is None else seeds, Plan((), hyperparameters, {}), fields)
        return
    begun = read_plan(out)
    for part in begun.asked:
        names = [str(out / name) if name.endswith(".py") else name for name in part.algorithms]
        _ask(
            out,
            names if algorithms is None else algorithms,
            part.envs if envs is None else envs,
            part.seeds if seeds is None else seeds,
            Plan((), begun.hyperparameters if hyperparameters is None else hyperparameters, begun.fields),
            fields,
        )


def _ask(
    out: Path,
    algorithms: str | Sequence[str],
    envs: str | Sequence[str],
    seeds: int,
    common: Plan,
    fields: dict[str, Any],
) -> None:
    """common: what goes for all runs, whatever the fields are that were given."""
    algorithms, envs = _words("algorithms", algorithms), _words("envs", envs)
    if seeds < 1:
        raise ValueError(f"seeds is {seeds}; it must be 1 or more")
    learners = {word: algorithm(word) for word in algorithms}
    given = _checked(fields, list(learners.values()))
    plan = Plan((), common.hyperparameters, {**common.fields, **given})
    for env, learner in itertools.product(envs, learners.values()):
        check_learnable(game(env))
        plan.fields.update(_plain(learner, env, plan))
    names = {word: _name(word, learner) for word, learner in learners.items()}
    out.mkdir(parents=True, exist_ok=True)
    with _alone_with(out / PLAN):
        if (out / PLAN).exists():
            plan = _same(out, plan)
        asked = Asked(tuple(names.values()), tuple(envs), seeds)
        extended = plan.extended(asked)
        _keep_files(out, extended, names)
        if extended is not plan:
            write_plan(out, extended)


def _words(name: str, value: str | Sequence[str]) -> list[str]:
    """The words of a list, or of a text with commas between."""
    words = value.split(",") if isinstance(value, str) else list(value)
    for word in words:
        if not isinstance(word, str):
            raise TypeError(f"{name} holds {word!r}; other processes know names and files only: give such a word")
    words = [word.strip() for word in words]
    if not all(words) or not words:
        raise ValueError(f"{name} is {value!r}; it must be names with commas between")
    return list(dict.fromkeys(words))


def _checked(fields: dict[str, Any], learners: list[type[Learner]]) -> dict[str, Any]:
    """The fields, each known to an algorithm."""
    known = [name for learner in learners for name in fields_of(learner)]
    for name in fields:
        if name in OF_THE_SWEEP:
            raise TypeError(f"a sweep chooses the {name} of its runs; leave it out, or train single runs")
        if name not in known:
            raise TypeError(f"no field {name!r}; {nearest(name, set(known))}")
    return dict(fields)


def _plain(learner: type[Learner], env: str, plan: Plan) -> dict[str, Any]:
    """The plan's fields as a run has them: in range, and of the types that were declared, which JSON can hold."""
    settings, config = recipe(learner, game(env), plan)
    return {name: value for name, value in {**asdict(settings), **asdict(config)}.items() if name in plan.fields}


def _name(word: str, learner: type[Learner]) -> str:
    """What the sweep's folder calls an algorithm."""
    if not re.fullmatch(r"\w[\w.-]*", learner.name):
        raise ValueError(f"the algorithm in {word} is named {learner.name!r}; it must be a word, as a folder bears it")
    return f"{learner.name}.py" if word.endswith(".py") else word


def _same(out: Path, plan: Plan) -> Plan:
    """The plan that the folder holds, where the one that is asked for goes with it."""
    earlier = read_plan(out)
    begun, asked = ({"hyperparameters": one.hyperparameters, **one.fields} for one in (earlier, plan))
    for name in {**begun, **asked}:
        if begun.get(name) != asked.get(name):
            had, wants = ("its default" if one.get(name) is None else one[name] for one in (begun, asked))
            raise ValueError(
                f"{out} was begun with {name} {had}, and this asks for {wants}; give the same, or choose another folder"
            )
    return earlier


def _keep_files(out: Path, plan: Plan, names: dict[str, str]) -> None:
    """Copies algorithms of the user's own, so that all runs are trained by the same lines."""
    known = {name for one in plan.asked for name in one.algorithms}
    for name in known:
        if f"{name}.py" in known:
            raise ValueError(f"two algorithms of the sweep are named {name!r}; give your own class another `name`")
    for word, name in names.items():
        if word.endswith(".py"):
            text, copy = Path(word).read_text(encoding="utf-8"), out / name
            if copy.exists() and copy.read_text(encoding="utf-8") != text:
                raise ValueError(f"{word} is not what {out} was begun with, {copy}; choose another folder, or undo it")
            write_text(copy, text)


@contextmanager
def _alone_with(file: Path) -> Iterator[None]:
    """Within it, no other call changes the file."""
    watch, call = Watch(), uuid.uuid4().hex
    while (claim := take(file, call)) is None:
        other = newest_claim(file)
        if other is not None and other.held and watch.dead(other):
            bury(other, call, 0)
        time.sleep(0.01)
    try:
        yield
    finally:
        claim.give_up()
