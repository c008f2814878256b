"""Reads `.dpomdp` files, the text format in which problems of decentralised control are exchanged.

The format is that of the MADP toolbox (Oliehoek, Spaan, Terwijn, Robbel and Messias, JMLR 2017), after Cassandra's for
POMDPs:

    agents: 2                             or names
    discount: 1
    values: reward                        or cost
    states: tiger-left tiger-right        names, or how many
    start: uniform                        or a probability for each, a state, include: STATES or exclude: STATES
    actions:                              a line for each agent: names, or how many
    listen open-left open-right
    listen open-left open-right
    observations:                         likewise
    hear-left hear-right
    hear-left hear-right
    T: ACTIONS : STATE : NEXT STATE : p   or T: ACTIONS : STATE : and a row, or T: ACTIONS : and a matrix
    O: ACTIONS : NEXT STATE : OBSERVATIONS : p          likewise
    R: ACTIONS : STATE : NEXT STATE : OBSERVATIONS : r  or without observations a row, or without next state a matrix

What begins with # is a comment. ACTIONS is an action of each agent, or the number of the joint action, the first
agent's action the slowest; OBSERVATIONS likewise. Each name may be a number, counted from 0, or * for all; a single *
stands for all joint ones. Rows and matrices begin on the next line; `uniform` stands for one, and after T: also
`identity`. Of entries that meet, the last one counts. What is never given is 0.

More than the toolbox, this reader takes: empty lines, comments behind entries, rows and matrices broken into lines at
will or begun on the line of the entry, and the entries before the first T:, O: or R: in any order.

A file is text and nothing in it is run. It may have up to 8 MB, and tables of up to 16 million numbers.
"""

import math
import os
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from coopgym.envs.dec_pomdp_problems import MOST_AGENTS, Problem, first_wrong_row, with_sums_of_one
from coopgym.envs.parameters import nearest

MOST_BYTES = 8_000_000
MOST_NUMBERS = 2**24  # of a table
MOST_WRITTEN = 2**30  # numbers, one over another, while a table is read: some seconds
MOST_NAMES = 2**12  # of states, so that transitions fit, or of one agent's actions or observations

PREAMBLE = ("agents", "discount", "values", "states", "start", "actions", "observations")
TABLES = ("T", "O", "R")
Names = dict[str, int]  # in order, with their numbers
Place = tuple[int | slice, ...]  # in a table, as an index


class Line(NamedTuple):
    number: int
    text: str  # without comment


class Entry(NamedTuple):
    """A keyword, what stands between the colons behind it, and the lines up to the next keyword."""

    number: int  # of its line
    keyword: str
    fields: list[list[str]]  # words; the last one is what stands behind the last colon
    below: list[Line]


class Given(NamedTuple):
    """Numbers for a part of a table."""

    number: int  # of the line
    place: Place
    value: np.ndarray  # of one number, a row or a matrix


def read(path: str | os.PathLike[str]) -> Problem:
    """The problem in a file. Raises ValueError, with the number of the line, for a file that holds none."""
    return _Reader(Path(path).name, _text(Path(path))).problem()


def _text(path: Path) -> str:
    try:
        if not path.is_file():  # a folder, a device and a pipe are none
            raise ValueError(f"file is {str(path)!r}; there is no such file")
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"file {path.name} has more than {MOST_BYTES // 10**6} MB, which is more than is read")
        return content.decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(f"file {path.name}, line {line}: this is no UTF-8 text") from None
    except OSError as error:
        raise ValueError(f"file {str(path)!r} cannot be read: {error.strerror}") from None


class _Reader:
    """Goes through the lines once for each table, so that a large file takes little memory."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.lines = name, text.split("\n")

    def wrong(self, number: int, what: str) -> NoReturn:
        raise ValueError(f"file {self.name}, line {number}: {what}")

    def problem(self) -> Problem:
        known = self.preamble()
        self.n_agents = self.agents(known["agents"])
        self.discount(known["discount"])
        sign = self.sign(known["values"])
        self.states = self.names_or_number(known["states"].number, self.one_line(known["states"]), "state")
        self.actions = self.by_agent(known["actions"], "action")
        self.seen = self.by_agent(known["observations"], "observation")
        start = self.start(known["start"])
        n, sizes, seen = len(self.states), tuple(map(len, self.actions)), tuple(map(len, self.seen))
        transition = self.probabilities("T", (*sizes, n, n), 1)
        observation = self.probabilities("O", (*sizes, n, *seen), len(seen))
        reward = sign * self.rewards((*sizes, n, n, *seen))
        state_axis = len(sizes)  # which comes first in a Problem
        return Problem(
            np.ascontiguousarray(np.moveaxis(transition, state_axis, 0)),
            observation,
            np.ascontiguousarray(np.moveaxis(reward, state_axis, 0)),
            start,
            tuple(self.states),
            tuple(map(tuple, self.actions)),
            tuple(map(tuple, self.seen)),
        )

    # Lines.

    def preamble(self) -> dict[str, Entry]:
        """The entries before the tables, by keyword."""
        known: dict[str, Entry] = {}
        tables = False
        for entry in self.entries((*PREAMBLE, *TABLES)):
            tables = tables or entry.keyword in TABLES
            if entry.keyword in TABLES:
                continue
            if len(entry.fields) > 1:
                self.wrong(entry.number, f"there is a second colon behind '{entry.keyword}:'")
            if entry.keyword in known:
                self.wrong(entry.number, f"'{entry.keyword}:' stands here for the second time")
            if tables:
                self.wrong(entry.number, f"'{entry.keyword}:' must stand before the first T:, O: or R:")
            known[entry.keyword] = entry
        for keyword in PREAMBLE:
            if keyword not in known:
                raise ValueError(f"file {self.name} has no line '{keyword}:'; it must tell {', '.join(PREAMBLE)}")
        return known

    def entries(self, wanted: tuple[str, ...]) -> Iterator[Entry]:
        """The entries with these keywords, in order."""
        entry, begun = None, False
        for number, raw in enumerate(self.lines, 1):
            line = raw.partition("#")[0].strip()
            if not line:
                continue
            if ":" not in line:
                if not begun:
                    self.wrong(number, f"{_cut(line)} stands before the first entry; begin with 'agents:'")
                if entry is not None:
                    entry.below.append(Line(number, line))
                continue
            if entry is not None:
                yield entry
            begun, before, *fields = True, *line.split(":")
            words = before.split()
            if words in (["start", "include"], ["start", "exclude"]):
                fields[0] = f"{words.pop()} {fields[0]}"
            if len(words) != 1 or words[0] not in (*PREAMBLE, *TABLES):
                known = ", ".join(f"{one}:" for one in (*PREAMBLE, *TABLES))
                self.wrong(number, f"{_cut(f'{before}:')} begins no entry; there are {known}")
            entry = Entry(number, words[0], [field.split() for field in fields], []) if words[0] in wanted else None
        if entry is not None:
            yield entry

    def one_line(self, entry: Entry) -> list[str]:
        """The words of an entry that is complete in its line."""
        if entry.below:
            self.wrong(entry.below[0].number, f"{_cut(entry.below[0].text)} does not belong to '{entry.keyword}:'")
        if not entry.fields[0]:
            self.wrong(entry.number, f"nothing stands behind '{entry.keyword}:'")
        return entry.fields[0]

    # What stands before the tables.

    def agents(self, entry: Entry) -> int:
        words = self.one_line(entry)
        number = self.whole(entry.number, words[0]) if _is_whole(words[0]) and len(words) == 1 else len(words)
        if not 1 <= number <= MOST_AGENTS:
            self.wrong(entry.number, f"there are {number} agents; there must be 1 to {MOST_AGENTS}")
        return number

    def discount(self, entry: Entry) -> None:
        words = self.one_line(entry)
        if len(words) != 1 or not 0 <= self.real(entry.number, words[0]) <= 1:
            self.wrong(entry.number, f"the discount is {_cut(' '.join(words))}; it must be a number in [0, 1]")

    def sign(self, entry: Entry) -> float:
        words = self.one_line(entry)
        if words not in (["reward"], ["cost"]):
            self.wrong(entry.number, f"values are {_cut(' '.join(words))}; they must be reward or cost")
        return 1.0 if words == ["reward"] else -1.0

    def names_or_number(self, number: int, words: list[str], what: str) -> Names:
        """The names, or for a number as many names that are numbers."""
        if len(words) == 1 and _is_whole(words[0]):
            count = self.whole(number, words[0])
            if not 1 <= count <= MOST_NAMES:
                self.wrong(number, f"there are {count} {what}s; there must be 1 to {MOST_NAMES}")
            return {str(k): k for k in range(count)}
        if len(words) > MOST_NAMES:
            self.wrong(number, f"there are {len(words)} {what}s; there must be 1 to {MOST_NAMES}")
        for word in words:
            if not word[0].isalpha():
                self.wrong(number, f"{_cut(word)} is no name of {_a(what)}; names begin with a letter")
        if len({*words}) < len(words):
            twice = next(word for k, word in enumerate(words) if word in words[:k])
            self.wrong(number, f"two {what}s have the name {_cut(twice)}")
        return {word: k for k, word in enumerate(words)}

    def by_agent(self, entry: Entry, what: str) -> list[Names]:
        lines = [Line(entry.number, " ".join(entry.fields[0]))] if entry.fields[0] else []
        lines += entry.below
        if len(lines) != self.n_agents:
            self.wrong(
                entry.number, f"'{entry.keyword}:' has {len(lines)} lines below; {self.n_agents} agents need one each"
            )
        return [self.names_or_number(line.number, line.text.split(), what) for line in lines]

    def start(self, entry: Entry) -> np.ndarray:
        """[S]"""
        words, n = list(entry.fields[0]), len(self.states)
        chosen = words[:1] in (["include"], ["exclude"])
        if chosen or (len(words) == 1 and words != ["uniform"]):
            wanted = words[1:] if chosen else words
            if entry.below or not wanted:
                self.wrong(entry.number, "behind 'start include:' and 'start exclude:' stand states, on the same line")
            which = np.zeros(n, bool)
            for word in wanted:
                which[self.which(entry.number, word, self.states, "state")] = True
            which = ~which if words[0] == "exclude" and chosen else which
            if not which.any():
                self.wrong(entry.number, "no state is left to start in")
            return np.asarray(which / which.sum())
        start = self.numbers(entry, words, (n,))
        if first_wrong_row(start, 1) is not None:
            self.wrong(entry.number, f"the probabilities sum to {start.sum():g}; they must be in [0, 1] and sum to 1")
        return with_sums_of_one(start, 1)

    # Tables.

    def given(self, keyword: str) -> Iterator[Given]:
        """What the entries of T:, O: or R: tell. The axes: actions, state, next state, observations, as it has them."""
        kinds = {
            "T": ("actions", "state", "next state"),
            "O": ("actions", "next state", "observations"),
            "R": ("actions", "state", "next state", "observations"),
        }[keyword]
        row = (len(self.states),) if keyword == "T" else tuple(map(len, self.seen))
        for entry in self.entries((keyword,)):
            number, missing = entry.number, len(kinds) - len(entry.fields) + 1  # kinds that are not told
            if not 0 <= missing <= 2:
                form = " : ".join(kinds).upper()
                self.wrong(
                    number, f"there are {len(entry.fields)} colons; a whole entry reads {keyword}: {form} : NUMBER"
                )
            index: list[int | slice] = []
            for kind, words in zip(kinds, entry.fields[:-1], strict=False):
                index += self.place(number, kind, words)
            shape = ((), row, (len(self.states), *row))[missing]
            yield Given(number, tuple(index), self.numbers(entry, entry.fields[-1], shape))

    def place(self, number: int, kind: str, words: list[str]) -> list[int | slice]:
        """Where the words of a field lie, on one axis or on one for each agent."""
        if kind in ("state", "next state"):
            if len(words) != 1:
                self.wrong(number, f"{_cut(' '.join(words))} stands where one {kind} must stand")
            return [self.which(number, words[0], self.states, "state", all_too=True)]
        by_agent = self.actions if kind == "actions" else self.seen
        if words == ["*"]:
            return [slice(None)] * self.n_agents
        if len(words) == 1 and self.n_agents > 1 and _is_whole(words[0]):
            joint, sizes = self.whole(number, words[0]), tuple(map(len, by_agent))
            if joint >= math.prod(sizes):
                self.wrong(number, f"there are {math.prod(sizes)} joint {kind}, from 0 on; {joint} is none")
            return [int(one) for one in np.unravel_index(joint, sizes)]
        if len(words) != self.n_agents:
            self.wrong(number, f"{_cut(' '.join(words))} stands where {kind} of {self.n_agents} agents must")
        return [
            self.which(number, word, own, f"{kind[:-1]} of agent {i}", all_too=True)
            for i, (word, own) in enumerate(zip(words, by_agent, strict=True))
        ]

    def numbers(self, entry: Entry, first: list[str], shape: tuple[int, ...]) -> np.ndarray:
        """The number, row or matrix that stands behind an entry and below it."""
        words = [*first, *(line.text for line in entry.below)]
        if len(shape) and entry.keyword != "R" and words == ["uniform"]:
            matrix = entry.keyword != "start" and len(entry.fields) == 2
            return np.full(shape, 1 / math.prod(shape[1:] if matrix else shape))
        if entry.keyword == "T" and len(entry.fields) == 2 and words == ["identity"]:
            return np.eye(shape[0])
        needed, values = math.prod(shape), array("d")
        for line in (Line(entry.number, " ".join(first)), *entry.below):
            values.extend(self.real(line.number, word) for word in line.text.split())
            if len(values) > needed:
                self.wrong(
                    line.number, f"'{entry.keyword}:' of line {entry.number} needs {_count(needed)}, and has more"
                )
        if len(values) < needed:
            self.wrong(entry.number, f"'{entry.keyword}:' needs {_count(needed)}, and has {len(values)}")
        return np.array(values).reshape(shape)

    def probabilities(self, keyword: str, shape: tuple[int, ...], axes: int) -> np.ndarray:
        """A table of probabilities, whose last axes are of the outcomes."""
        table = self.filled(keyword, shape)
        row = first_wrong_row(table, axes)
        if row is not None:
            numbers = [one.number for one in self.given(keyword) if _covers(one.place, row)]
            what = self.row_in_words(keyword, row)
            if not numbers:
                raise ValueError(f"file {self.name}: no entry tells {what}")
            if table[row].min() < 0:
                self.wrong(numbers[-1], f"{what} has the probability {table[row].min():g}")
            self.wrong(
                numbers[-1], f"with this entry, the probabilities of {what} sum to {table[row].sum():g}, not to 1"
            )
        return with_sums_of_one(table, axes)

    def row_in_words(self, keyword: str, row: tuple[int, ...]) -> str:
        actions = " ".join([*own][a] for own, a in zip(self.actions, row, strict=False))
        return f"{keyword}: {actions} : {[*self.states][row[-1]]}"

    def rewards(self, shape: tuple[int, ...]) -> np.ndarray:
        """The rewards, with axes for the next state, and for it and the observations, only where they matter."""
        axes = self.n_agents + 1
        for one in self.given("R"):
            fixed = [k for k, at in enumerate(one.place) if isinstance(at, int)]
            last = len(shape) if one.value.ndim else max(fixed, default=0) + 1
            axes = max(axes, last if last <= self.n_agents + 2 else len(shape))
        return self.filled("R", shape[:axes])

    def filled(self, keyword: str, shape: tuple[int, ...]) -> np.ndarray:
        """A table with what the entries tell."""
        if math.prod(shape) > MOST_NUMBERS:
            raise ValueError(
                f"file {self.name}: the table of {keyword}: would hold {math.prod(shape)} numbers; "
                f"there can be {MOST_NUMBERS}"
            )
        table, written = np.zeros(shape), 0
        for one in self.given(keyword):
            part = table[one.place[: len(shape)]]
            written += part.size
            if written > MOST_WRITTEN:
                self.wrong(one.number, f"the entries of {keyword}: up to here fill more than {MOST_WRITTEN} numbers")
            table[one.place[: len(shape)]] = one.value
        return table

    # Words.

    def which(self, number: int, word: str, names: Names, what: str, all_too: bool = False) -> int | slice:
        if word == "*" and all_too:
            return slice(None)
        if _is_whole(word):
            place = self.whole(number, word)
            if place >= len(names):
                self.wrong(number, f"{place} is no {what}; they are numbered 0 to {len(names) - 1}")
            return place
        if word not in names:
            self.wrong(number, f"{_cut(word)} is no {what}; {nearest(word, [*names][:100])}")
        return names[word]

    def whole(self, number: int, word: str) -> int:
        if len(word) > 12:
            self.wrong(number, f"{_cut(word)} is too large a number")
        return int(word)

    def real(self, number: int, word: str) -> float:
        try:
            value = float(word) if "_" not in word else math.nan
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self.wrong(number, f"{_cut(word)} stands where a number must stand")
        return value


def _is_whole(word: str) -> bool:
    return word.isascii() and word.isdigit()


def _a(what: str) -> str:
    return f"an {what}" if what[0] in "aeiou" else f"a {what}"


def _cut(words: str) -> str:
    """Words of the file as an error quotes them."""
    if not words:
        return "nothing"
    return repr(words if len(words) <= 40 else words[:37] + "...")


def _count(numbers: int) -> str:
    return "1 number" if numbers == 1 else f"{numbers} numbers"


def _covers(place: Place, row: tuple[int, ...]) -> bool:
    return all(isinstance(one, slice) or one == at for one, at in zip(place, row, strict=False))
