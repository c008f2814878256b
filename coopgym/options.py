"""A command line in words and options, and options as instances of the dataclasses that declare them.

    coopgym COMMAND WORDS --option VALUE ...

An option takes a value; one that says yes or no may stand alone and then says yes. `tyro` turns the values into what
the dataclasses hold and writes the help from their docstrings. It answers mistakes by a box of text on the screen; here
they become a ValueError with one sentence.
"""

import contextlib
import dataclasses
import io
import itertools
import json
import re
import textwrap
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from coopgym.envs import environment
from coopgym.envs.core import Environment
from coopgym.envs.parameters import ParameterInfo, nearest, parameters_of

HIDDEN: Any = tyro.conf.Suppress  # from the help
WIDTH = 80  # of what is printed, characters; tyro's own


@dataclass(frozen=True)
class Line:
    """`coopgym name words ... --option value ...`"""

    name: str
    usage: str  # the words it takes, those in brackets optional; of one that ends in ..., any number
    words: list[str]
    options: dict[str, str | None]  # "_" stands for "-"; None for an option without a value
    help: bool

    @property
    def missing(self) -> list[str]:
        """The words that it still needs."""
        return [word for word in self.usage.split()[len(self.words) :] if not word.startswith("[")]

    @property
    def full(self) -> str:
        """The command with its words, given or not."""
        return " ".join(["coopgym", self.name, *self.words, *self.usage.split()[len(self.words) :]])


def parsed_line(
    name: str, usage: str, example: str, flags: set[str], arguments: list[str], instead: str | None = None
) -> Line:
    """Tells words from options. flags: options that may stand without a value; instead: one that may stand for words.

    Raises ValueError for too few words or too many.
    """
    line = Line(name, usage, [], {}, any(word in ("-h", "--help") for word in arguments))
    rest = [word for word in arguments if word not in ("-h", "--help")]
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            line.words.append(word)
            continue
        option, equals, value = word[2:].partition("=")
        option = option.replace("-", "_")
        follows = rest and (rest[0].lower() in ("true", "false") if option in flags else not rest[0].startswith("--"))
        if equals:
            line.options[option] = value
        else:
            line.options[option] = rest.pop(0) if follows else None
    if line.missing and not line.help and instead not in line.options:
        raise ValueError(f"{name} needs {' and '.join(line.missing)}, such as: coopgym {example}")
    if len(line.words) > len(usage.split()) and not usage.endswith("..."):
        raise ValueError(f"{line.words[len(usage.split())]!r} is one word too many; see coopgym {name} --help")
    return line


def parsed_options(line: Line, description: str, **parts: Any) -> Any:
    """The line's options as an object that holds each part. parts: dataclasses that hold the defaults.

    The options of the part `env` are spelt --env.NAME. Prints the help and leaves by SystemExit where the line asks for
    it; raises ValueError for options and values that do not fit.
    """
    schema = dataclasses.make_dataclass(
        "Options",
        [
            (part, Annotated[type(default), tyro.conf.arg(name="env" if part == "env" else "")], _constant(default))
            for part, default in parts.items()
        ],
    )
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                schema,
                prog=line.full,
                description=textwrap.fill(description, WIDTH),
                args=["--help"] if line.help else _arguments(line, parts),
                config=(tyro.conf.FlagConversionOff,),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
    raise ValueError(f"{_in_our_words(_first_paragraph(complaint.getvalue()))}; see {line.full} --help")


def without(defaults: Any, names: Iterable[str]) -> Any:
    """The same defaults, in a dataclass that takes no values for some of the fields."""
    fixed = [(name, HIDDEN[Any], dataclasses.field(default=getattr(defaults, name), init=False)) for name in names]
    return dataclasses.make_dataclass("Options", fixed, bases=(type(defaults),), frozen=True)()


def _constant(value: Any) -> Any:
    return dataclasses.field(default_factory=lambda: value)


def _arguments(line: Line, parts: dict[str, Any]) -> list[str]:
    """The line's options as tyro reads them, once it is sure that all of them exist and have values."""
    defaults = {
        spelt(f"env.{field.name}" if part == "env" else field.name): getattr(default, field.name)
        for part, default in parts.items()
        for field in dataclasses.fields(default)
        if field.init
    }
    arguments = []
    for name, value in line.options.items():
        option = spelt(name)
        check_option(line, option, defaults)
        if isinstance(defaults[option], bool):
            value = (value or "true").capitalize()
        if value is None:
            raise ValueError(f"{option} stands without a value; write {option} VALUE")
        arguments.append(f"{option}={value}")
    return arguments


def check_option(line: Line, option: str, known: Collection[str]) -> None:
    """Raises ValueError, with the nearest ones, for an option that is not known. All are spelt with their dashes."""
    if option not in known:
        hint = nearest(option, known)
        hint = hint if hint.startswith("did you mean") else f"see {line.full} --help"
        raise ValueError(f"{line.name} has no option {option}; {hint}")


def spelt(name: str) -> str:
    return f"--{name.replace('_', '-')}"


COMPLAINTS = (  # tyro's words for a value of the wrong type, and ours
    (r"(.*): invalid literal for int\(\) with base 10: (.*)", r"\1 is \2; it must be a whole number"),
    (r"(.*): could not convert string to float: (.*)", r"\1 is \2; it must be a number"),
    (
        r"(.*): no type matching \{None\}\|INT could be instantiated from \[(.*)\]",
        r"\1 is \2; it must be a whole number",
    ),
)


def _in_our_words(complaint: str) -> str:
    for theirs, ours in COMPLAINTS:
        complaint = re.sub(theirs, ours, complaint)
    return complaint


def _first_paragraph(box: str) -> str:
    """What stands in tyro's box between title and first rule, in one line without full stop.

    Where the screen takes no more than ASCII, the box has no frame, and a rule below its title.
    """
    lines = [line.strip("│╭╮╰╯ ").strip("─") for line in box.splitlines()[1:]]
    texts = ["" if not line.strip("-") else line for line in lines]
    paragraph = itertools.takewhile(bool, itertools.dropwhile(lambda text: not text, texts))
    return " ".join(paragraph).removeprefix("Error parsing ").rstrip(". ")


# The parameters of an environment as options.


def environment_options(env: Environment) -> Any:
    """The parameters of an environment as a dataclass: its defaults are the environment's values."""
    fields = [
        (name, Annotated[_option_type(info), tyro.conf.arg(help=_help(info))], _constant(getattr(env.params, name)))
        for name, info in parameters_of(env.Params).items()
    ]
    return dataclasses.make_dataclass("Params", fields)()


def with_options(env: Environment, options: Any) -> Environment:
    """The environment with the parameters that the options hold."""
    return environment(env.id, env.preset, **vars(options))


def _option_type(info: ParameterInfo) -> Any:
    if info.type in (int, float, bool, str | None) or info.choices:
        return info.type
    return Annotated[
        Any,
        tyro.constructors.PrimitiveConstructorSpec(
            nargs=1,
            metavar="JSON",
            instance_from_str=lambda words: _from_json(words[0]),
            is_instance=lambda value: True,
            str_from_instance=lambda value: [json.dumps(value, default=lambda array: array.tolist())],
        ),
    ]


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise ValueError(f"{text!r} is no JSON: write nested lists such as [[1,0],[0,2]]") from None


def _help(info: ParameterInfo) -> str:
    limits = ", ".join(part for part in (info.declared.unit, info.range) if part)
    return f"{info.declared.meaning}{f' [{limits}]' if limits else ''}"
