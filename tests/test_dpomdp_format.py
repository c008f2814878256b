"""The reader of .dpomdp files: everything that the format has, and every mistake by its line."""

import os
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coopgym.envs import dpomdp_format
from coopgym.envs.dec_pomdp_problems import PROBLEMS, Problem
from coopgym.envs.dpomdp_format import MOST_BYTES, read

TIGER = """# Dec-Tiger
agents: 2
discount: 1
values: reward
states: tiger-left tiger-right
start:
uniform
actions:
listen open-left open-right
listen open-left open-right
observations:
hear-left hear-right
hear-left hear-right
T: * :
uniform
T: listen listen :
identity
O: * :
uniform
O: listen listen : tiger-left : hear-left hear-left : 0.7225
O: listen listen : tiger-left : hear-left hear-right : 0.1275
O: listen listen : tiger-left : hear-right hear-left : 0.1275
O: listen listen : tiger-left : hear-right hear-right : 0.0225
O: listen listen : tiger-right :
0.0225 0.1275 0.1275 0.7225
R: listen listen : * : * : * : -2
R: open-left open-left : tiger-left : * : * : -50
R: open-right open-right : tiger-right : * : * : -50
R: open-left open-left : tiger-right : * : * : 20
R: open-right open-right : tiger-left : * : * : +20
R: 5 : * : * : * : -100
R: open-right open-left : * : * : * : -1e2
R: listen open-left : tiger-left : * : * : -101
R: listen open-left : tiger-right : * : * : 9
R: listen 2 : 1 : * : * : -101
R: listen 2 : 0 : * : * : 9
R: 1 0 : 0 : * : * : -101
R: 1 0 : 1 : * : * : 9
R: 6 : 1 : * : * : -101  # open-right listen
R: 6 : 0 : * : * : 9
"""

SMALL = """agents: 2
discount: 0.9
values: reward
states: 2
start: 0
actions:
2
go stay
observations:
2
3
T: * : identity
O: * : uniform
"""


def problem(text: str, tmp_path) -> Problem:
    path = tmp_path / "x.dpomdp"
    path.write_text(text)
    return read(path)


def test_dec_tiger_can_be_written_down(tmp_path):
    found, due = problem(TIGER, tmp_path), PROBLEMS["dec_tiger"]()
    for table, expected in zip(found[:4], due[:4], strict=True):
        np.testing.assert_allclose(table, expected, rtol=0, atol=1e-12)
    assert found[4:] == due[4:]


def test_empty_lines_comments_and_windows_line_ends_change_nothing(tmp_path):
    spaced = TIGER.replace("\n", "   # a comment: with a colon\r\n\r\n")
    for table, expected in zip(problem(spaced, tmp_path)[:4], problem(TIGER, tmp_path)[:4], strict=True):
        np.testing.assert_array_equal(table, expected)


def test_the_order_of_the_first_entries_does_not_matter(tmp_path):
    lines = SMALL.splitlines()
    mixed = "\n".join([*lines[5:8], *lines[4:5], *lines[8:11], *lines[:4], *lines[11:]])
    assert repr(problem(mixed, tmp_path)) == repr(problem(SMALL, tmp_path))


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("start: uniform", [0.25] * 4),
        ("start:\nuniform", [0.25] * 4),
        ("start: b", [0, 1, 0, 0]),
        ("start: 2", [0, 0, 1, 0]),
        ("start:\n0.1 0.2\n0.3 0.4", [0.1, 0.2, 0.3, 0.4]),
        ("start: 0.1 0.2 0.3 0.4", [0.1, 0.2, 0.3, 0.4]),
        ("start: 0.33333 0.33333 0.33333 0", [1 / 3, 1 / 3, 1 / 3, 0]),
        ("start include: a d", [0.5, 0, 0, 0.5]),
        ("start include: 3 b b", [0, 0.5, 0, 0.5]),
        ("start exclude: c", [1 / 3, 1 / 3, 0, 1 / 3]),
    ],
)
def test_a_start_can_be_told_in_many_ways(start, expected, tmp_path):
    text = SMALL.replace("states: 2", "states: a b c d").replace("start: 0", start)
    np.testing.assert_allclose(problem(text, tmp_path).start, expected, rtol=0, atol=1e-12)


def test_numbers_stand_for_names_and_agents_may_differ(tmp_path):
    found = problem(SMALL, tmp_path)
    assert found.states == ("0", "1") and found.actions == (("0", "1"), ("go", "stay"))
    assert found.observations == (("0", "1"), ("0", "1", "2")) and found.observation.shape == (2, 2, 2, 2, 3)
    assert (found.reward == 0).all() and found.reward.shape == (2, 2, 2)


def test_named_agents_are_counted(tmp_path):
    assert problem(SMALL.replace("agents: 2", "agents: tom jerry"), tmp_path).n_agents == 2


def test_transitions_are_told_by_number_row_or_matrix_and_the_last_entry_counts(tmp_path):
    entries = """T: 1 go : 0 : 1 : 0.25
T: 1 go : 0 : 0 : 0.75
T: 3 : 1 :
0.4
0.6
T: 0 * :
0.1 0.9
0.8 0.2
T: 0 stay : *
: 0.5 0.5
T: * stay : 1 : * : 0.5
"""
    text = SMALL + entries.replace("T: 0 stay : *\n: 0.5 0.5", "T: 0 stay : * : 0.5 0.5")
    transition = problem(text, tmp_path).transition  # [S, A1, A2, S]
    np.testing.assert_allclose(transition[:, 0, 0], [[0.1, 0.9], [0.8, 0.2]])
    np.testing.assert_allclose(transition[:, 0, 1], [[0.5, 0.5], [0.5, 0.5]])
    np.testing.assert_allclose(transition[:, 1, 0], [[0.75, 0.25], [0, 1]])
    np.testing.assert_allclose(transition[:, 1, 1], [[1, 0], [0.5, 0.5]])  # joint action 3, overwritten


def test_observations_are_told_by_number_row_or_matrix(tmp_path):
    entries = """O: 0 go : 1 :
0.1 0.1 0.1 0.2 0.2 0.3
O: 1 :
1 0 0 0 0 0
uniform
O: 1 0 : 0 : * : 0
O: 1 0 : 0 : 1 2 : 1
O: 1 1 : * : 0 * : 0.2
O: 1 1 : * : 1 * : 0
O: 1 1 : * : 4 : 0.4
"""
    with pytest.raises(ValueError, match=r"x\.dpomdp, line 18: 'uniform' stands where a number must stand"):
        problem(SMALL + entries, tmp_path)
    observation = problem(SMALL + entries.replace("uniform", "0 0 0 0 0 1"), tmp_path).observation
    np.testing.assert_allclose(observation[0, 0, 1], [[0.1, 0.1, 0.1], [0.2, 0.2, 0.3]])
    np.testing.assert_allclose(observation[0, 0, 0], np.full((2, 3), 1 / 6))
    np.testing.assert_allclose(observation[0, 1], [[[1, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 1]]])
    np.testing.assert_allclose(observation[1, 0, 0], [[0, 0, 0], [0, 0, 1]])
    np.testing.assert_allclose(observation[1, 1, 1], [[0.2, 0.2, 0.2], [0, 0.4, 0]])


@pytest.mark.parametrize(
    ("entries", "shape", "checks"),
    [
        ("R: 0 go : 1 : * : * : 3\nR: * : 0 : * : * : 2", (2, 2, 2), {(1, 0, 0): 3, (0, 1, 1): 2, (1, 1, 1): 0}),
        ("R: 0 go : * : 1 : * : 3", (2, 2, 2, 2), {(0, 0, 0, 1): 3, (0, 0, 0, 0): 0, (1, 0, 0, 1): 3}),
        ("R: * : * : * : 1 * : 3", (2, 2, 2, 2, 2, 3), {(0, 1, 1, 0, 1, 2): 3, (0, 1, 1, 0, 0, 2): 0}),
        ("R: * : 1 : 0 :\n1 2 3 4 5 6", (2, 2, 2, 2, 2, 3), {(1, 0, 1, 0, 1, 1): 5, (1, 0, 1, 1, 1, 1): 0}),
        ("R: 2 : 1 :\n1 2 3 4 5 6\n7 8 9 10 11 12", (2, 2, 2, 2, 2, 3), {(1, 1, 0, 1, 0, 2): 9, (0, 1, 0, 1, 0, 2): 0}),
    ],
)
def test_rewards_have_axes_for_what_they_depend_on(entries, shape, checks, tmp_path):
    reward = problem(SMALL + entries, tmp_path).reward
    assert reward.shape == shape
    assert {place: reward[place] for place in checks} == checks
    costs = problem(SMALL.replace("reward", "cost") + entries, tmp_path).reward
    np.testing.assert_array_equal(costs, -reward)


def test_a_problem_of_one_agent_is_a_pomdp(tmp_path):
    text = "agents: 1\ndiscount: 1\nvalues: reward\nstates: 2\nstart: 1\nactions:\n2\nobservations:\n2\n"
    text += "T: * : uniform\nT: 1 : identity\nO: * : * : 0 : 1\nR: 1 : 0 : * : * : 5\n"
    found = problem(text, tmp_path)
    assert found.transition.tolist() == [[[0.5, 0.5], [1, 0]], [[0.5, 0.5], [0, 1]]]
    assert found.reward.tolist() == [[0, 5], [0, 0]] and found.observation[..., 0].min() == 1


# --- mistakes ---


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("agents: 2", "agents: 0", 1, "there are 0 agents; there must be 1 to 30"),
        ("agents: 2", "agents: 999999999999999", 1, "'999999999999999' is too large a number"),
        ("agents: 2", "agents:", 1, "nothing stands behind 'agents:'"),
        ("agents: 2", "agents: 2\n3", 2, "'3' does not belong to 'agents:'"),
        ("agents: 2", "agents: 2 : 3", 1, "second colon"),
        ("agents: 2", "hello\nagents: 2", 1, "'hello' stands before the first entry"),
        ("agents: 2", "agent: 2", 1, "'agent:' begins no entry; there are agents:"),
        ("agents: 2", "Agents: 2", 1, "'Agents:' begins no entry"),
        ("discount: 0.9", "discount: 1.5", 2, r"the discount is '1.5'; it must be a number in \[0, 1\]"),
        ("discount: 0.9", "discount: nan", 2, "'nan' stands where a number must stand"),
        ("discount: 0.9", "discount: 0_1", 2, "'0_1' stands where a number must stand"),
        ("values: reward", "values: money", 3, "values are 'money'; they must be reward or cost"),
        ("values: reward", "values: reward\nvalues: reward", 4, "'values:' stands here for the second time"),
        ("states: 2", "states: 0", 4, "there are 0 states"),
        ("states: 2", "states: 1000000", 4, "there are 1000000 states; there must be 1 to 4096"),
        ("states: 2", "states: a a", 4, "two states have the name 'a'"),
        ("states: 2", "states: a 2b", 4, "'2b' is no name of a state; names begin with a letter"),
        ("states: 2", "states: *", 4, r"'\*' is no name of a state"),
        ("start: 0", "start: 2", 5, "2 is no state; they are numbered 0 to 1"),
        ("start: 0", "start: b", 5, "'b' is no state"),
        ("start: 0", "start: *", 5, r"'\*' is no state"),
        ("start: 0", "start: 0.5 0.4", 5, r"the probabilities sum to 0.9"),
        ("start: 0", "start: -0.5 1.5", 5, r"they must be in \[0, 1\]"),
        ("start: 0", "start:\n0.5 0.5\n0.5", 7, "'start:' of line 5 needs 2 numbers, and has more"),
        ("start: 0", "start:\n0.5", 5, "'start:' needs 2 numbers, and has 1"),
        ("start: 0", "start include:", 5, "stand states, on the same line"),
        ("start: 0", "start exclude: 0 1", 5, "no state is left to start in"),
        ("start: 0", "start maybe: 0", 5, "'start maybe:' begins no entry"),
        ("go stay", "go stay\ngo", 6, "'actions:' has 3 lines below; 2 agents need one each"),
        ("go stay", "go go", 8, "two actions have the name 'go'"),
        ("go stay", "go !", 8, "'!' is no name of an action"),
        ("\n3\nT", "\nT", 9, "'observations:' has 1 lines below"),
        (
            "T: * : identity",
            "T: *",
            12,
            "there are 1 colons; a whole entry reads T: ACTIONS : STATE : NEXT STATE : NUM",
        ),
        ("T: * : identity", "T: * : * : * : * : 1", 12, "there are 5 colons"),
        ("T: * : identity", "T: fly go : * : * : 1", 12, "'fly' is no action of agent 0"),
        ("T: * : identity", "T: 2 go : * : * : 1", 12, "2 is no action of agent 0; they are numbered 0 to 1"),
        ("T: * : identity", "T: 4 : * : * : 1", 12, "there are 4 joint actions, from 0 on; 4 is none"),
        ("T: * : identity", "T: 0 go 1 : * : * : 1", 12, "'0 go 1' stands where actions of 2 agents must"),
        ("T: * : identity", "T: : * : * : 1", 12, "nothing stands where actions of 2 agents must"),
        ("T: * : identity", "T: * : 0 1 : * : 1", 12, "'0 1' stands where one state must stand"),
        ("T: * : identity", "T: * : 2 : * : 1", 12, "2 is no state"),
        ("T: * : identity", "T: * : * : * : high", 12, "'high' stands where a number must stand"),
        ("T: * : identity", "T: * : * : * : inf", 12, "'inf' stands where a number must stand"),
        ("T: * : identity", "T: * : * : * : 0.5 0.5", 12, "'T:' of line 12 needs 1 number, and has more"),
        ("T: * : identity", "T: * : * : * :", 12, "'T:' needs 1 number, and has 0"),
        ("T: * : identity", "T: * :\n1 0 0\nx 1", 14, "'x' stands where a number must stand"),
        ("T: * : identity", "T: * :\n1 0 0", 12, "'T:' needs 4 numbers, and has 3"),
        ("T: * : identity", "T: * :\n1 0 0\n1\n0", 15, "'T:' of line 12 needs 4 numbers, and has more"),
        ("T: * : identity", "T: * : 0 : identity", 12, "'identity' stands where a number must stand"),
        ("O: * : uniform", "O: * : identity", 13, "'identity' stands where a number must stand"),
        ("O: * : uniform", "O: * : uniform\nO: * : 0 : 6 : 1", 14, "there are 6 joint observations"),
        ("O: * : uniform", "O: * : uniform\nO: * : 0 : 0 3 : 1", 14, "3 is no observation of agent 1"),
        (
            "O: * : uniform",
            "O: * : uniform\nR: * : 1",
            14,
            "there are 2 colons; a whole entry reads R: ACTIONS : STATE : ",
        ),
        ("O: * : uniform", "O: * : uniform\nstates: 2", 14, "stands here for the second time"),
        (
            "T: * : identity",
            "T: * : identity\nT: 1 stay : 0 : 0 : 0.7\nT: 0 0 : 0 : 0 : 1",
            13,
            "with this entry, the probabilities of T: 1 stay : 0 sum to 0.7, not to 1",
        ),
        ("T: * : identity", "T: * : identity\nT: 1 1 : 1 : -1 2", 13, "T: 1 stay : 1 has the probability -1"),
        (
            "O: * : uniform",
            "O: * : uniform\nO: * go : 1 : * : 0.5",
            14,
            "with this entry, the probabilities of O: 0 go : 1 sum to 3, not to 1",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(old, new, line, words, tmp_path):
    assert SMALL.count(old) == 1
    with pytest.raises(ValueError, match=rf"^file x\.dpomdp, line {line}: .*({words})"):
        problem(SMALL.replace(old, new), tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("discount: 0.9\n", "", "has no line 'discount:'"),
        (SMALL, "", "has no line 'agents:'"),
        ("T: * : identity\n", "", "no entry tells T: 0 go : 0"),
        ("O: * : uniform\n", "O: 0 * : uniform\n", "no entry tells O: 1 go : 0"),
        ("states: 2", "states: 4096", "the table of T: would hold 67108864 numbers; there can be 16777216"),
    ],
)
def test_what_is_missing_or_too_large_is_named(old, new, words, tmp_path):
    with pytest.raises(ValueError, match=rf"^file x\.dpomdp.* {re.escape(words)}"):
        problem(SMALL.replace(old, new), tmp_path)


def test_an_entry_before_the_tables_may_not_stand_behind_them(tmp_path):
    with pytest.raises(ValueError, match="line 13: 'values:' must stand before the first T:, O: or R:"):
        problem(SMALL.replace("values: reward\n", "") + "values: reward\n", tmp_path)


def test_what_is_no_file_of_text_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none.dpomdp", "/dev/zero", "a\0b"):
        with pytest.raises(ValueError, match=r"there is no such file|cannot be read"):
            read(path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ValueError, match="there is no such file"):
            read(tmp_path / "pipe")
    large = tmp_path / "large.dpomdp"
    with large.open("wb") as stream:
        stream.truncate(MOST_BYTES + 1)
    with pytest.raises(ValueError, match=r"large\.dpomdp has more than 8 MB"):
        read(large)
    binary = tmp_path / "binary.dpomdp"
    binary.write_bytes(b"agents: 2\n\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"binary\.dpomdp, line 2: this is no UTF-8 text"):
        read(binary)


def test_a_file_that_would_keep_the_reader_busy_is_refused(tmp_path, monkeypatch):
    """Each entry fills all 16 numbers; the fourth, in line 16, is one too many for 48."""
    monkeypatch.setattr(dpomdp_format, "MOST_WRITTEN", 48)
    with pytest.raises(ValueError, match=r"line 16: the entries of T: up to here fill more than 48 numbers"):
        problem(SMALL + "T: * : * : * : 0.5\n" * 9, tmp_path)


def test_nothing_in_a_file_is_run(tmp_path):
    for code in ("__import__('os').system('x')", "[0]*10**10", "9**9**9", "{}"):
        with pytest.raises(ValueError, match=r"line 13: .* stands where a number must stand"):
            problem(SMALL.replace("O: * : uniform", f"O: * : * : * : {code.replace(' ', '')}"), tmp_path)


WORDS = [
    *TIGER.split(),
    *SMALL.split(),
    ":",
    "\n",
    "*",
    "-1",
    "1e400",
    "0x10",
    "99999999999999999999",
    "\0",
    "é",
    "²",
    "#",
]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_text_is_a_problem_or_refused_with_the_name_of_the_file(data, tmp_path_factory):
    words = re.findall(r"\n|[^ \n]+", data.draw(st.sampled_from([TIGER, SMALL])))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(words) - 1))
        words[place : place + data.draw(st.integers(0, 2))] = data.draw(st.lists(st.sampled_from(WORDS), max_size=2))
        words = words or ["\n"]
    try:
        found = problem(" ".join(words), tmp_path_factory.getbasetemp())
    except ValueError as error:
        assert "file x.dpomdp" in str(error)
    else:
        np.testing.assert_allclose(found.transition.sum(-1), 1, rtol=0, atol=1e-9)
