"""The command line: what `coopgym COMMAND` does.

Whatever a user can do wrong is answered by one sentence on the standard error stream and the exit code 2; with
COOPGYM_TRACEBACK=1 in the environment, by the traceback that a report of a bug needs.

Torch, pygame and matplotlib are imported by the commands that use them, and no sooner.
"""

import ast
import gc
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro

import coopgym
from coopgym.baselines import ALGORITHMS, algorithm
from coopgym.envs import environment, family, ids
from coopgym.envs.parameters import nearest
from coopgym.envs.teams import checked_team_name, named_team, team_names
from coopgym.extras import needing
from coopgym.options import (
    Line,
    check_option,
    environment_options,
    parsed_line,
    parsed_options,
    spelt,
    with_options,
    without,
)

EPISODE = Path("episode.gif")
PAGE = Path("report.html")
COMPARISON = Path("comparison")
PresetName = Annotated[str | None, tyro.conf.arg(metavar="NAME")]
TeamName = Annotated[str | None, tyro.conf.arg(metavar="RUN|TEAM")]
NewFolder = Annotated[Path | None, tyro.conf.arg(metavar="DIR")]
RunFolder = Annotated[Path | None, tyro.conf.arg(metavar="RUN")]


@dataclass(frozen=True)
class Options:
    """Of commands that are complete in their words."""


@dataclass(frozen=True)
class EnvironmentOptions(Options):
    preset: PresetName = None
    """Parameters by name; `coopgym list` shows the names."""


@dataclass(frozen=True)
class PlayOptions(EnvironmentOptions):
    policy: TeamName = None
    """Who plays the other agents: a run's folder, or a team's name such as heuristic; without it they act at random."""
    seed: int | None = None
    """Names the first game; without it, every call has other games."""


@dataclass(frozen=True)
class RecordOptions(EnvironmentOptions):
    policy: TeamName = None
    """Who plays: a run's folder, or a team's name such as heuristic; without it the agents act at random."""
    out: Path = EPISODE
    """The animation to write: a .gif, or an .mp4 where ffmpeg is installed."""
    seed: int = 0
    """Names the game."""
    show_sight: bool = False
    """Whether to draw what each agent sees."""
    show_trail: bool = False
    """Whether to draw the ways that the agents have come."""


@dataclass(frozen=True)
class TrainOptions(EnvironmentOptions):
    hyperparameters: PresetName = None
    """A published set in place of the defaults: pymarl, epymarl, pymarl2 or jaxmarl-mpe."""
    out: NewFolder = None
    """The run's folder; without it runs/ALGORITHM-ID-seedN, with a number added where that is taken."""
    resume: RunFolder = None
    """The folder of a run that was stopped or killed: it goes on as it began, and needs no other word. One of its
    checkpoints will do too."""


@dataclass(frozen=True)
class SweepOptions(Options):
    algorithms: Annotated[str | None, tyro.conf.arg(metavar="NAME,...")] = None
    """Names or Python files, with commas between. With them before --help, the fields of the first are listed too."""
    envs: Annotated[str | None, tyro.conf.arg(metavar="ID,...")] = None
    """Environments, with commas between: ID, ID/PRESET, and parameters behind them, such as spread_v1/n_agents=5."""
    seeds: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Runs of each algorithm in each environment, with the seeds 0 to N - 1; 10, unless told otherwise."""
    out: NewFolder = None
    """The sweep's folder. Alone, it goes on with a sweep that was begun; with more asked for, it extends it."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Processes on this machine; without it, one for each core."""
    ray: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """A Ray cluster that does the work instead: auto, or its address. Its machines must share the sweep's folder."""
    hyperparameters: PresetName = None
    """A published set in place of the defaults: pymarl, epymarl, pymarl2 or jaxmarl-mpe."""


@dataclass(frozen=True)
class ReportOptions(Options):
    out: Path = PAGE
    """The page to write; one that is there is replaced."""


@dataclass(frozen=True)
class EvaluateOptions(EnvironmentOptions):
    episodes: int = 320
    """Episodes to play."""
    seed: int = 0
    """Names the first game; those that follow have seed + 1, seed + 2, ..., whatever the policy."""
    json: bool = False
    """Whether to print JSON, which holds the return of every episode."""


@dataclass(frozen=True)
class ReferenceOptions(EnvironmentOptions):
    json: bool = False
    """Whether to print JSON, which holds every evaluation of every seed."""
    out: Path | None = None
    """A folder for a picture of the learning curves, as PNG and SVG; none is drawn without."""


@dataclass(frozen=True)
class CompareOptions(Options):
    to: Annotated[str, tyro.conf.arg(metavar="NAMES")] = ""
    """What to compare to, with commas between: algorithms, which stand for their reference runs, or folders of runs."""
    out: Path = COMPARISON
    """The folder for pictures, as PNG and SVG."""


@dataclass(frozen=True)
class ReproduceOptions(EnvironmentOptions):
    seed: int = 0
    """The root of all randomness; a seed of the reference must give the same curve."""
    out: NewFolder = None
    """The run's folder; without it runs/reproduced-ALGORITHM-ID-seedN, with a number added where that is taken."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line, by default that of the process, and returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        run(arguments)
        sys.stdout.flush()
    except SystemExit as stop:  # after the help
        return int(stop.code or 0)
    except KeyboardInterrupt as stop:
        gc.freeze()  # whoever stops a process does not wait until it has looked for garbage in all of torch
        print(f"\ncoopgym: {str(stop) or 'stopped; what was written before stays as it is'}", file=sys.stderr)
        return 128 + getattr(stop, "signal", signal.SIGINT)
    except BrokenPipeError:  # whoever read the output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, TypeError, ImportError, OSError, RuntimeError) as error:
        if os.environ.get("COOPGYM_TRACEBACK") or _rose_in_own_file(error, arguments):
            raise
        print(f"coopgym: {_sentence(error)}", file=sys.stderr)
        return 2
    return 0


def run(arguments: Sequence[str]) -> None:
    """Runs a command line. Raises ValueError, TypeError, ImportError or OSError where it cannot be done."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
    elif arguments[0] == "--version":
        print(f"coopgym {coopgym.__version__}")
    elif arguments[0] not in COMMANDS:
        raise ValueError(f"no command {arguments[0]!r}; {nearest(arguments[0], COMMANDS)}")
    else:
        name, *rest = arguments
        command = COMMANDS[name]
        command.run(parsed_line(name, command.usage, command.example, command.flags, rest, command.instead))


def _overview() -> str:
    usages = {f"coopgym {name} {command.usage}": command.summary for name, command in COMMANDS.items()}
    width = max(map(len, usages))
    return "\n".join(
        [
            "Cooperative multi-agent environments, and teams that learn in them.",
            "",
            *(f"  {usage:{width}}  {summary}" for usage, summary in usages.items()),
            "",
            "coopgym COMMAND --help lists the options of a command; with ALGORITHM and ID in it, theirs too.",
            "coopgym --version names the version.",
        ]
    )


def _sentence(error: Exception) -> str:
    """What an error says, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename2 or error.filename}; choose another place"
    return " ".join(str(error).split())


def _rose_in_own_file(error: Exception, arguments: Sequence[str]) -> bool:
    """Whether the error comes from an algorithm's file that the line names: its author needs the traceback."""
    words = [word for argument in arguments for word in argument.split(",")]
    files = {str(Path(word).resolve()) for word in words if word.endswith(".py")}
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename not in files:
        trace = trace.tb_next
    return trace is not None


def _options(line: Line, env: Any = None, **parts: Any) -> Any:
    """The line's options: the command's own, those of other dataclasses, and an environment's parameters."""
    command = COMMANDS[line.name]
    description = [f"{command.summary}. Example: coopgym {command.example}."]
    if "ALGORITHM" in line.missing:
        own = ", or a Python file with one of your own" if not command.of_reference else ""
        description += [f"ALGORITHM is one of {', '.join(ALGORITHMS)}{own}."]
    if "ID" in line.missing:
        if command.of_reference:
            from coopgym.baselines.reference import TASKS

            description += [f"ID is one of {', '.join(dict.fromkeys(id for id, _ in TASKS))}."]
        else:
            description += [f"ID is one of {', '.join(ids())}; with it before --help, its parameters are listed too."]
    if env is not None:
        parts["env"] = environment_options(env)
    return parsed_options(line, " ".join(description), options=command.options(), **parts)


def _environment_of(line: Line, team: Any = None) -> Any:
    """The environment that the line's last word and its preset name; None where the word is missing.

    Without a preset, it is the one that the team was trained on, where that is of the same family.
    """
    if line.missing:
        return None
    id, preset = line.words[-1], line.options.get("preset")
    if team is not None and preset is None and family(id) is type(team.environment):
        return team.environment
    return environment(id, preset)


# The commands.


def _list(line: Line) -> None:
    from coopgym.envs.specification import anchors, docstring

    _options(line)
    print("Environments and their presets, with the mean returns of known teams; coopgym info ID tells more\n")
    for id in ids():
        print(f"{id}: {_first_line(docstring(family(id)))}")
        for preset in (None, *family(id).presets):
            known = ", ".join(map(str, anchors(id, preset)))
            print(f"    {preset or 'without a preset'}{f': {known}' if known else ''}")
    print("\nAlgorithms; coopgym train ALGORITHM ID --help tells more\n")
    for name, place in ALGORITHMS.items():
        page, paper = _read(*place.split(":"))
        print(f"{name}: {_first_line(page)}\n    {paper}")


def _first_line(page: str) -> str:
    return page.split("\n", 1)[0]


def _read(module: str, class_name: str) -> tuple[str, str]:
    """An algorithm's docstring and paper, without the seconds that an import of torch takes."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    [learner] = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)
    values = {ast.unparse(node.targets[0]): node.value for node in learner.body if isinstance(node, ast.Assign)}
    return ast.get_docstring(tree) or "", ast.literal_eval(values["paper"])


def _info(line: Line) -> None:
    env = _environment_of(line)
    spec = coopgym.spec(with_options(env, _options(line, env).env))
    print(f"{spec.docstring}\n\n{spec}")


def _play(line: Line) -> None:
    env, team, options = _game(line)

    from coopgym.envs.play import play

    play(env, team, seed=options.seed)


def _record(line: Line) -> None:
    env, team, options = _game(line)

    from coopgym.envs.recording import record

    shown = {"show_sight": options.show_sight, "show_trail": options.show_trail}
    team_return = record(env, options.out, team, seed=options.seed, **shown)
    print(f"{options.out} shows an episode of {env!r}, seed {options.seed}: team return {team_return:.2f}")


def _game(line: Line) -> tuple[Any, Any, Any]:
    """The environment, the team that --policy names (None without it) and the command's own options."""
    name = line.options.get("policy")
    known = name if name and not line.missing and checked_team_name(name, family(line.words[-1])) else None
    team = _loaded(name) if name and known is None else None
    env = _environment_of(line, team)
    parsed = _options(line, env)
    env = with_options(env, parsed.env)
    if known is not None:
        team = named_team(known, env, parsed.options.seed)
    elif team is not None:
        team.check_fits(env)
    return env, team, parsed.options


def _loaded(folder: str) -> Any:
    """The trained team in a run's folder."""
    team = coopgym.load_policy(folder)
    _use_one_thread()
    return team


def _use_one_thread() -> None:
    """Networks as small as a team's gain nothing from torch's threads, and lose much where others compute as well."""
    needing("baselines", "torch").set_num_threads(1)


def _train(line: Line) -> None:
    if "resume" in line.options and not line.help:
        return _resume(line)
    env = _environment_of(line)
    learner: Any = algorithm(line.words[0]) if line.words else None
    training = needing("baselines", "coopgym.baselines.train")
    config = learner.Config() if learner else training.Config()
    options, env, config, settings = _asked(line, env, config, training.Settings())
    out = options.out or _free_folder(f"{learner.name}-{env.id}-seed{settings.seed}")
    _report(training.train(learner, env, config, settings, out, progress=True))


def _asked(line: Line, env: Any, config: Any, settings: Any) -> tuple[Any, Any, Any, Any]:
    """The options of the command, the environment, the config and the settings that the line asks for.

    What it leaves open is as it is here.
    """
    if env is not None and (name := line.options.get("hyperparameters")):
        training = needing("baselines", "coopgym.baselines.train")
        settings, config = training.with_fields(settings, config, training.published(name, type(config), env))
    parsed = _options(line, env, settings=settings, config=config)
    return parsed.options, with_options(env, parsed.env), parsed.config, parsed.settings


def _resume(line: Line) -> None:
    """Goes on with a run. The line may say again what it began with, and nothing else."""
    resuming = needing("baselines", "coopgym.baselines.resume")
    if line.options["resume"] is None:
        raise ValueError("--resume stands without a value; write --resume RUN")
    place = Path(line.options["resume"])
    run = resuming.run_of(place)
    learner = algorithm(line.words[0]) if line.words else None
    began = resuming.parts_of(run, learner)
    env, preset = began.env, line.options.get("preset")
    if len(line.words) > 1 and family(line.words[1]) is not type(env):
        raise ValueError(f"{run} holds a run on {env.id}, not on {line.words[1]}; a run goes on as it began")
    asked_env = env if preset is None else environment(env.id, preset)
    options, asked_env, config, settings = _asked(line, asked_env, began.config, began.settings)
    if options.out not in (None, run):
        raise ValueError(f"--out is {options.out}, but the run stays in {run}; leave --out away")
    now = resuming.flat(asked_env, config, settings)
    for name, value in resuming.flat(env, began.config, began.settings).items():
        if now[name] != value:
            raise ValueError(
                f"{name} is {value} in {run}, and cannot become {now[name]}: a run goes on as it began, since its "
                f"schedules and its games depend on all of that"
            )
    _report(resuming.resume(place, learner, progress=True))


def _report(run: Any) -> None:
    """Says what a run has come to."""
    last = run.rows[-1]
    print(f"greedy team return {last['mean_team_return']:.2f} after {last['env_steps']} steps")
    print(f"{run.path} holds the run; to score it on other games: coopgym evaluate {run.path}")


def _sweep(line: Line) -> None:
    training, jobs = (needing("baselines", f"coopgym.baselines.{name}") for name in ("train", "sweep_jobs"))
    names = (line.options.get("algorithms") or "").split(",")
    configs: list[Any] = [algorithm(name.strip()).Config() for name in names if name] or [training.Config()]
    options, chosen = _chosen(line, without(training.Settings(), jobs.OF_THE_SWEEP), configs)
    if options.out is None:
        raise ValueError(f"sweep needs a folder, such as: coopgym {COMMANDS['sweep'].example}")
    outcome = coopgym.sweep(**vars(options), **chosen, progress=True)
    print(f"{options.out} holds {len(outcome.done)} runs that are done")
    if outcome.failed:
        (file, error), count = next(iter(outcome.failed.items())), len(outcome.failed)
        have = f"{count} of {count + len(outcome.done)} runs {'has' if count == 1 else 'have'} failed"
        raise RuntimeError(f"{have}: {error}; {file} holds more, and the same command tries again")


def _chosen(line: Line, settings: Any, configs: list[Any]) -> tuple[Any, dict[str, Any]]:
    """The command's own options, and the fields that the line gives: each to the algorithms whose config has it."""
    of_algorithms = {field.name for config in configs for field in fields(config)}
    of_all = {field.name for part in (COMMANDS[line.name].options, settings) for field in fields(part) if field.init}
    chosen: dict[str, Any] = {}
    for name in line.options:
        check_option(line, spelt(name), [*map(spelt, of_algorithms | of_all)])
    for config in configs:
        known = of_all | {field.name for field in fields(config)}
        own = {name: value for name, value in line.options.items() if name in known}
        parsed = _options(replace(line, options=own), settings=settings, config=config)
        values = {**vars(parsed.settings), **vars(parsed.config)}
        chosen |= {name: values[name] for name in own if name in values}
    return parsed.options, chosen


def _free_folder(name: str) -> Path:
    """runs/name, or the first of runs/name-2, runs/name-3, ... that does not exist."""
    folder, number = Path("runs", name), 2
    while folder.exists():
        folder, number = Path("runs", f"{name}-{number}"), number + 1
    return folder


def _evaluate(line: Line) -> None:
    name, id = (*line.words, None, None)[:2]
    game = _game_of(name) if name is not None and id is None else None
    if game is not None and not line.help:
        raise ValueError(f"the team {name!r} needs an ID, such as: coopgym evaluate {name} {game}")
    by_name = game is not None or (name is not None and id is not None and checked_team_name(name, family(id)))
    team = None if by_name or name is None else _loaded(name)
    env: Any = team.environment if team is not None else None
    if id is not None or (env is not None and "preset" in line.options):
        env = environment(id or env.id, line.options.get("preset"))
    parsed = _options(line, env)
    options, env = parsed.options, with_options(env, parsed.env)
    score = coopgym.evaluate(name if by_name else team, env, episodes=options.episodes, seed=options.seed)
    if options.json:
        print(json.dumps({"policy": name, **score.to_dict()}))
        return
    print(f"{name} on {env!r}, seeds {options.seed} to {options.seed + options.episodes - 1}")
    deviation = f", standard deviation {score.std:.2f}" if score.episodes > 1 else ""
    print(f"mean team return {score}{deviation}, {score.lengths.mean():.1f} steps an episode")
    print(f"return: {env.return_definition}")


def _game_of(name: str) -> str | None:
    """An environment that has a team of this name; None for a name that is a place, or nothing."""
    if Path(name).exists():
        return None
    return next((id for id in ids() if name in team_names(family(id))), None)


def _report_on(line: Line) -> None:
    options = _options(line).options
    needing("render", "pygame")  # now rather than after the statistics
    _use_one_thread()
    report = needing("baselines", "coopgym.baselines.report")
    summary = report.write_report(line.words[0], options.out)
    runs, done = len(summary.runs), sum(run.scores is not None for run in summary.runs)
    print(f"{options.out} shows the runs in {line.words[0]}: {done} finished, {runs - done} not")


def _reference(line: Line) -> None:
    options = _options(line).options

    from coopgym.baselines.reference import reference_table, references

    found = references(line.words[0], options.preset)
    print(json.dumps([one.to_dict() for one in found]) if options.json else reference_table(found))
    if options.out is not None:
        from coopgym.baselines.comparison_plots import draw_reference

        draw_reference(environment(line.words[0], options.preset), options.out)
        print(
            f"\n{options.out} holds the picture of the learning curves", file=sys.stderr if options.json else sys.stdout
        )


def _compare(line: Line) -> None:
    options = _options(line).options
    to = [name.strip() for name in options.to.split(",") if name.strip()]
    if not to:
        raise ValueError(f"compare needs --to, such as: coopgym {COMMANDS['compare'].example}")
    print(coopgym.compare(line.words, to=to, out=options.out))
    print(f"\n{options.out} holds the pictures: sample efficiency and performance profiles")


def _reproduce(line: Line) -> None:
    options = _options(line).options
    name, id = line.words
    out = options.out or _free_folder(f"reproduced-{name}-{id}-seed{options.seed}")
    made = coopgym.reproduce(name, id, options.preset, options.seed, out=out, progress=True)
    print(made)
    if made.inside is False:
        sys.exit(1)


def _demo(line: Line) -> None:
    _options(line)
    for module in ("pygame", "PIL.Image"):  # now rather than after the training
        needing("render", module)
    _use_one_thread()
    needing("baselines", "coopgym.baselines.demo").demo()


class Command(NamedTuple):
    usage: str  # the words it takes
    example: str
    summary: str
    options: type[Options]
    run: Callable[[Line], None]
    instead: str | None = None  # an option that may stand in place of the words
    of_reference: bool = False  # whether it takes only algorithms and environments that the reference has

    @property
    def flags(self) -> set[str]:
        """The options that say yes or no."""
        return {field.name for field in fields(self.options) if field.type is bool}


COMMANDS = {
    "list": Command("", "list", "Lists environments with their presets, and algorithms", Options, _list),
    "info": Command(
        "ID", "info spread_v1", "Shows the rules, parameters and layouts of an environment", EnvironmentOptions, _info
    ),
    "play": Command("ID", "play spread_v1", "Lets the keyboard drive one agent", PlayOptions, _play),
    "record": Command(
        "ID", "record spread_v1 --out episode.gif", "Writes an episode as an animation", RecordOptions, _record
    ),
    "train": Command(
        "ALGORITHM ID",
        "train qmix predator_prey_v1",
        "Trains a team and keeps the run",
        TrainOptions,
        _train,
        instead="resume",
    ),
    "sweep": Command(
        "",
        "sweep --algorithms vdn,qmix --envs spread_v1 --seeds 10 --out sweeps/a",
        "Trains many teams: algorithms, environments, seeds",
        SweepOptions,
        _sweep,
    ),
    "evaluate": Command(
        "RUN|TEAM [ID]", "evaluate runs/demo", "Scores a trained team, or one with a name", EvaluateOptions, _evaluate
    ),
    "report": Command("FOLDER", "report sweeps/a", "Writes a page on all runs in a folder", ReportOptions, _report_on),
    "reference": Command(
        "ID",
        "reference spread_v1",
        "Shows what the baselines reached on a task",
        ReferenceOptions,
        _reference,
        of_reference=True,
    ),
    "compare": Command(
        "RUNS...",
        "compare runs/mine* --to qmix,vdn",
        "Says whether runs are better than others",
        CompareOptions,
        _compare,
    ),
    "reproduce": Command(
        "ALGORITHM ID",
        "reproduce qmix predator_prey_v1 --seed 0",
        "Trains a baseline again and holds it against its published band",
        ReproduceOptions,
        _reproduce,
        of_reference=True,
    ),
    "demo": Command("", "demo", "Trains QMIX on predator_prey_v1 and shows what it learnt", Options, _demo),
}

if __name__ == "__main__":
    sys.exit(main())
