"""Predator-prey on a grid: prey are caught by two predators at once, and trying alone may be punished.

A test of relative overgeneralisation: with a punishment, a predator that tries beside a partner who does not know yet
what to do loses, so teams learn never to try. The literature has several games of this name. They differ in all that
matters, so they are presets here, under three sets of rules: `rules="stag"`, the default, "qtran" and "ma_gym".

Rules
    A square board with walls (or a torus). An episode starts with the predators, then the prey, each on a free cell
    drawn uniformly. Two are beside each other where their cells share an edge.

    Rules "stag", the stag hunt. Predators catch by an action.

    1. The predators act in random order. A move succeeds where its cell is free at that moment; otherwise the predator
       stays where it is, at no cost.
    2. The prey follow in random order. For each, the playing predators that chose `catch` and now stand beside it are
       counted. `capture_size` or more capture it: the prey and all the counted predators leave the board, and the
       predators are frozen for the rest of the episode. Fewer, but at least one, earn `penalty`, once for this prey. A
       prey that is not captured moves to one of the free cells beside it, drawn uniformly, or stays where there is
       none.

    So a predator that tries alone between two prey is punished twice, and one that has just been frozen counts no more
    for the prey that follow.

    Rules "qtran". Predators catch by standing beside a prey.

    1. Each prey draws one of the five moves, all equally likely.
    2. Predators, then prey, move in the order of their numbers. Whoever wants to go to an occupied cell lets its
       occupant move first, if that has neither moved nor waits itself, and then moves if the cell has become free.
       Nobody moves twice. So a queue moves up in one step, and neither two that would change places move nor a ring.
    3. For each prey, the predators beside it are counted. `capture_size` or more capture it. Fewer, but at least one,
       earn `penalty`, in every step. A captured prey leaves the board or, with `respawn`, comes back at once on a free
       cell drawn uniformly (not the one that it held).

    Rules "ma_gym". Predators catch by standing beside a prey; careful prey.

    1. The predators move in the order of their numbers, where the cell is free at that moment.
    2. The prey follow in the order of their numbers. For each, the predators beside it are counted: `capture_size` or
       more capture it, fewer, but at least one, earn `penalty`. A prey that is not captured draws a move, each of the
       four directions with a chance of 0.175 and staying with 0.3, and draws again, five times at most, while a
       predator is beside the cell that it would go to. It goes there where the cell is free, and stays otherwise.

    These rules keep a slip of their source, since scores depend on it: nobody starts in the last row or column. No prey
    starts beside a predator, and a draw that leads into a wall counts as one that leads to where no predator is.

    `prey_policy` replaces the prey's own walk. Prey that are "resting" never move. Those that are "fleeing" choose,
    among their own cell and the free ones beside it, the farthest from the nearest predator, counted in moves; between
    equals the choice is random.

Actions (all legal always, except as said)

    ====== ============= ========== ==========
    number "stag"        "qtran"    "ma_gym"
    ====== ============= ========== ==========
    0      `right`       `up`       `down`
    1      `down`        `left`     `left`
    2      `left`        `stay`     `up`
    3      `up`          `right`    `right`
    4      `stay`        `down`     `stay`
    5      `catch`
    ====== ============= ========== ==========

    With the rules "stag" a move into a wall is unavailable; one into an occupied cell is available and may fail.
    `catch` is available beside a prey, `stay` always, and a frozen predator can only stay.

Observation (of each predator; "with" names the parameter that adds a field)

    ==================== ========= ============================================================ ================
    field                features  meaning                                                      with
    ==================== ========= ============================================================ ================
    `position`           2         its own row and column                                       observe_position
    `window`             C W W     of each cell of the window around it, W = 2 sight + 1 cells  view="window"
                                   to a side, row by row from the top left, C features: 1 where
                                   a predator stands (itself included), 1 where a prey stands,
                                   1 beyond a wall
    `predator_offsets`   2N        rows and columns from it to each predator, itself included   view="offsets"
    `prey_offsets`       2M        rows and columns from it to each prey                        view="offsets"
    `predators_visible`  N         1 where that predator can be seen                            view="offsets"
    `prey_visible`       M         1 where that prey can be seen                                view="offsets"
    `frozen`             1         1 once it is frozen, when it sees nothing more               rules="stag"
    `id`                 1         its number divided by the number of predators                observe_id
    `time`               1         steps so far divided by `horizon`                            observe_time
    ==================== ========= ============================================================ ================

    Sight is a square (Chebyshev distance). What lies beyond it is not in the window, and has offsets of 0 and is not
    visible in the other view; so have prey off the board. The fields `..._visible` are left out where nothing can be
    hidden. Predators are shown with `observe_predators`, walls with `observe_walls`; without, cells beyond a wall look
    like empty ones. `size` - 1 cells of sight show the whole board, on a torus half of `size`. On a torus windows and
    offsets go the shorter way round.

    Cells in windows are in [0, 1]. Rows and columns are counted from 0 and divided by `size` - 1, so they lie in
    [0, 1]; with the rules "qtran" half of `size` is subtracted and the rest divided by `size`, so they lie in
    [-0.5, 0.5). Offsets are differences of these.

State (the same whatever agents see)

    ==================== ========= ============================================================ ================
    field                features  meaning                                                      with
    ==================== ========= ============================================================ ================
    `board`              2 size^2  for each cell, row by row: 1 for a predator, 1 for a prey    rules="stag"
    `empty`              1         1 when nobody is left, where that can happen                 rules="stag"
    `predators`          2N        each predator's row and column                               other rules
    `prey`               2M        each prey's row and column; 0 and 0 off the board            other rules
    `captured`           M         1 for each prey off the board; left out with `respawn`       other rules
    ==================== ========= ============================================================ ================

Reward
    `capture_reward` for each capture plus `penalty` (zero or negative) for each prey beside which too few try, summed
    over the prey, plus `step_reward` (zero or negative), shared by the team. With the numbers of `stag_p...` the best
    return is 40: four captures take all eight predators. A team that never tries earns 0 with these, and one
    that is never beside a prey earns 0 with the presets `qtran_...`; but there prey walk up to predators, too.

End
    Terminated when no prey is left or all predators are frozen, so never with `respawn`. The time limit `horizon`
    truncates.

Presets
    `stag_p0` to `stag_p-2`: the stag hunt; they differ in the penalty alone. `qtran_code_5x5_p0.5` and so on: the
    authors' code of QTRAN, on 5 x 5 cells with two predators and one prey or on 7 x 7 with four and two, with a
    penalty of -0.5, -1 or -1.5; everybody sees everything. `qtran_paper_...`: the same game as the text of QTRAN's
    paper has it, as far as ma-gym quotes it: a sight of two cells, no view of the other predators, and captured prey
    that stay away. Where this text is silent they follow the code. `ma_gym_5x5` and `ma_gym_7x7`: PredatorPrey5x5-v0
    and PredatorPrey7x7-v0 of ma-gym, whose rewards of 5, -0.5 and -0.01 for each step and whose careful prey are not
    those of that text.

Known returns
    `coopgym.spec("predator_prey_v1", preset).anchors` has those of a random team and of the chaser, a team in
    `coopgym.envs.chaser` that hunts on what it sees and, where it can, waits for partners: with `stag_p0` 5 and 34,
    with `stag_p-2` -93 and 33. Where standing beside a prey is punished, as in all of `qtran_...`, chasing loses, and
    a return above 0 takes coordination. In `qtran_code_...`, where everybody sees everything, the team `pairs` earns
    it: 29 with `qtran_code_5x5_p0.5`, 27 with `qtran_code_7x7_p1.5`. Two predators stay out of a prey's reach until
    both can step beside it at once, which they work out ahead; it is the first of the scripted teams there, so
    `heuristic` stands for it.

    In `qtran_paper_...` predators do not see each other, and even to keep away from prey that walk up to them costs
    something. Two that knew where everybody is would earn 0.97, 0.94 and 0.91 in `qtran_paper_5x5_...` with the three
    penalties, for a capture there ends the game. The team `pair_by_touch` earns 0.74, 0.54 and 0.31 and stands for the
    heuristic: two keep away from the prey until they have met, which both notice when each wants to go where the other
    stands and neither can; from then on they follow one plan, so each knows where the other is without seeing it. In
    `qtran_paper_7x7_...`, where two pairs would have to meet amid two prey, no scripted team earns as much as 0, and
    whether one can is not known.

Sources
    Boehmer, Kurin and Whiteson, "Deep Coordination Graphs", ICML 2020, in the form of the authors' code, which Rashid
    et al., "Weighted QMIX", NeurIPS 2020, and Wang et al., "QPLEX", ICLR 2021, use too. Son et al., "QTRAN", ICML
    2019, in the authors' code (its scenario endless3) and in words that ma-gym quotes. Koul, "ma-gym", 2019, version
    0.0.14. Fed with the same random numbers, games under each set of rules are those of these three programs, step by
    step: `benchmarks/predator_prey_sources.py` plays them side by side.

Differences from the sources
    Starts and prey come from this package's random streams, so seeds name other games.

    Rules "stag": there are no hares, so their channel, always zero in these presets, is left out. `frozen` is new:
    without it the observation of a frozen predator would be all zeros. On a torus the window and the captures wrap
    around the edges as the moves do; in the authors' code only the moves do, and no published setting uses a torus.

    Rules "qtran": each predator's share of the reward, which the authors add up again, is not told apart. The code's
    state and each predator's input are the state and the observation here, in another order of fields.

    Rules "ma_gym": the team's reward is what each agent of ma-gym gets; its own examples add that up over the agents.
    The state is new; the source has none. The joint observations of its versions v1 and v3 are not offered; its
    resting prey (v2) are.

    Fleeing prey, and resting ones under the other rules, are new here.

Versions
    v1: first release.
"""

import itertools
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from coopgym.envs.boards import BESIDE, MOVES, OUTSIDE, STAY, painting, targets
from coopgym.envs.chaser import Chaser
from coopgym.envs.core import Environment, Field, Kernels, Preset, Scene, slices
from coopgym.envs.hunting import CATCH, KERNELS, VIEWS, Rules, State
from coopgym.envs.pairs import Pairs
from coopgym.envs.parameters import Parameter, encoded
from coopgym.envs.rendering import (
    FAINT,
    GREEN,
    GREY,
    INK,
    LINE,
    VERMILLION,
    Canvas,
    Colour,
    agent_colour,
    signed,
)
from coopgym.envs.touch import PairByTouch

ACTIONS = {
    "stag": ("right", "down", "left", "up", "stay", "catch"),
    "qtran": ("up", "left", "stay", "right", "down"),
    "ma_gym": ("down", "left", "up", "right", "stay"),
}
RADIUS = 0.38  # of a predator in a picture, cells
PREY_SIDE = 0.85  # of a prey's picture, cells


class Params(NamedTuple):
    rules: Annotated[Literal["stag", "qtran", "ma_gym"], Parameter("whose rules the game follows")] = "stag"
    size: Annotated[int, Parameter("side of the board", "cells", 3, 100)] = 10
    n_predators: Annotated[int, Parameter("predators, which are the agents", "predators", 1, 1000)] = 8
    n_prey: Annotated[int, Parameter("prey at the start", "prey", 1, 1000)] = 8
    sight: Annotated[int, Parameter("how far a predator sees on both axes", "cells", 1, 100)] = 2
    capture_size: Annotated[int, Parameter("predators that must catch a prey together", "predators", 1, 4)] = 2
    capture_reward: Annotated[float, Parameter("for each capture", "reward", 0, 1000)] = 10.0
    penalty: Annotated[float, Parameter("for each prey that too few try to catch; added", "reward", -1000, 0)] = 0.0
    step_reward: Annotated[float, Parameter("for each step; added", "reward", -1000, 0)] = 0.0
    respawn: Annotated[bool, Parameter("whether captured prey come back, under the rules 'qtran'")] = False
    prey_policy: Annotated[
        Literal["random", "resting", "fleeing"], Parameter("how prey move: as the rules say, never, or away")
    ] = "random"
    toroidal: Annotated[bool, Parameter("whether the edges are joined instead of walled")] = False
    view: Annotated[
        Literal["window", "offsets"], Parameter("whether a predator sees cells, or how far away each actor is")
    ] = "window"
    observe_predators: Annotated[bool, Parameter("whether predators see each other")] = True
    observe_walls: Annotated[bool, Parameter("whether a window shows what lies beyond the walls")] = False
    observe_position: Annotated[bool, Parameter("whether a predator sees its own row and column")] = False
    observe_id: Annotated[bool, Parameter("whether a predator sees its own number")] = False
    observe_time: Annotated[bool, Parameter("whether a predator sees how much of the horizon has passed")] = False
    horizon: Annotated[int, Parameter("time limit", "steps", 1, 1_000_000)] = 200


DCG = "Boehmer et al., Deep Coordination Graphs, ICML 2020; authors' code"
QTRAN = "Son et al., QTRAN, ICML 2019"
QTRAN_CODE, QTRAN_TEXT = f"{QTRAN}; authors' code, endless3", f"{QTRAN}; its text, as quoted by ma-gym 0.0.14"
SMALL, LARGE = {"size": 5, "n_predators": 2, "n_prey": 1}, {"size": 7, "n_predators": 4, "n_prey": 2}
BOARDS = {"5x5": SMALL, "7x7": LARGE}
QTRAN_GAME = {
    "rules": "qtran", "horizon": 100, "capture_reward": 1.0, "view": "offsets", "observe_position": True,
    "observe_id": True,
}  # fmt: skip


def _qtran_presets(name: str, source: str, params: dict[str, Any]) -> dict[str, Preset]:
    return {
        f"{name}_{board}_p{penalty:g}": Preset(
            {**QTRAN_GAME, **sizes, "penalty": -penalty, "sight": sizes["size"] - 1, **params}, source
        )
        for board, sizes in BOARDS.items()
        for penalty in (0.5, 1.0, 1.5)
    }


PRESETS = {
    "stag_p0": Preset({"penalty": 0.0}, DCG),
    "stag_p-0.5": Preset({"penalty": -0.5}, "seen beside the others in later comparisons; no source confirmed"),
    "stag_p-1": Preset({"penalty": -1.0}, DCG),
    "stag_p-1.25": Preset({"penalty": -1.25}, DCG),
    "stag_p-1.5": Preset({"penalty": -1.5}, DCG),
    "stag_p-2": Preset({"penalty": -2.0}, f"{DCG}; Rashid et al., Weighted QMIX, NeurIPS 2020, authors' code"),
    **_qtran_presets("qtran_code", QTRAN_CODE, {"respawn": True}),
    **_qtran_presets("qtran_paper", QTRAN_TEXT, {"sight": 2, "observe_predators": False}),
    **{
        f"ma_gym_{board}": Preset(
            {
                "rules": "ma_gym", **sizes, "horizon": 100, "capture_reward": 5.0, "penalty": -0.5,
                "step_reward": -0.01, "observe_predators": False, "observe_position": True, "observe_time": True,
            },
            f"Koul, ma-gym 0.0.14, PredatorPrey{board}-v0",
        )
        for board, sizes in BOARDS.items()
    },
}  # fmt: skip


class PredatorPrey(Environment):
    id = "predator_prey_v1"
    Params = Params
    presets = PRESETS
    agent_name = "predator"
    scripted = {"chaser": Chaser}

    @property
    def kernels(self) -> Kernels:  # type: ignore[override]
        return KERNELS[self.params.rules]._replace(observe=VIEWS[self.params.view])

    @property
    def noop(self) -> int:  # type: ignore[override]
        return self.action_names.index("stay")

    @property
    def masks_change(self) -> bool:  # type: ignore[override]
        return bool(self.params.rules == "stag")

    def check(self) -> None:
        self._check_room()
        self._check_view()
        p = self.params
        if p.capture_size > p.n_predators:
            raise ValueError(
                f"capture_size is {p.capture_size}; it must be at most n_predators, {p.n_predators}, to allow a capture"
            )
        if p.respawn and p.rules != "qtran":
            raise ValueError(f"respawn is True; only under the rules 'qtran' prey come back, and rules is {p.rules!r}")
        for name, team in (("pairs", Pairs), ("pair_by_touch", PairByTouch)):
            if team.can_play(p):
                self.scripted = {name: team, **type(self).scripted}  # type: ignore[misc]  # of this game alone
        self.n_agents = p.n_predators
        self.action_names = ACTIONS[p.rules]
        self.observation_layout = tuple(self._observation_layout())
        self.state_layout = tuple(self._state_layout())

    def _check_room(self) -> None:
        p = self.params
        needed, room, where = p.n_predators + p.n_prey, p.size**2, f"a board of size {p.size}"
        if p.respawn:
            needed += 1  # to come back to
        if p.rules == "ma_gym":  # prey start beside no predator, so each predator may take five cells
            needed, room = 5 * p.n_predators + p.n_prey, (p.size - 1) ** 2
            where += " without its last row and column"
        if needed > room:
            raise ValueError(
                f"{p.n_predators} predators and {p.n_prey} prey need {needed} cells in all; {where} has {room} cells"
            )

    def _check_view(self) -> None:
        p = self.params
        if p.toroidal and p.sight > p.size // 2:
            raise ValueError(
                f"sight is {p.sight}; on a torus of size {p.size} it must be at most {p.size // 2}, "
                "with which all of it is seen"
            )
        if p.observe_walls and (p.toroidal or p.view != "window"):
            reason = "a torus has none" if p.toroidal else f"they show in a window only, and view is {p.view!r}"
            raise ValueError(f"observe_walls is True; {reason}")

    @property
    def _coordinates(self) -> tuple[float, float]:
        """Scale and shift: the row r is r * scale + shift to agents."""
        p = self.params
        return (1 / p.size, -0.5) if p.rules == "qtran" else (1 / (p.size - 1), 0.0)

    @property
    def _channels(self) -> list[str]:
        """What a cell of a window shows."""
        p = self.params
        channels = {"a predator": p.observe_predators, "a prey": True, "beyond a wall": p.observe_walls}
        return [name for name, shown in channels.items() if shown]

    def _observation_layout(self) -> Iterator[Field]:
        p = self.params
        scale, shift = self._coordinates
        if p.observe_position:
            high = (p.size - 1) * scale + shift
            yield Field("position", 2, min(shift, 0.0), high, "the predator's own row and column, see Observation")
        if p.view == "window":
            window = (2 * p.sight + 1) ** 2
            shown = ", ".join(f"1 for {channel}" for channel in self._channels)
            yield Field("window", len(self._channels) * window, 0.0, 1.0, f"each cell in sight, row by row: {shown}")
        else:
            farthest = p.size // 2 if p.toroidal else p.size - 1
            reach = min(p.sight, farthest) * scale
            groups = {"predator": p.n_predators, "prey": p.n_prey}
            plural = {"predator": "predators", "prey": "prey"}
            if not p.observe_predators:
                del groups["predator"]
            for name, number in groups.items():
                meaning = f"rows and columns to each {name}, see Observation"
                yield Field(f"{name}_offsets", 2 * number, -reach, reach, meaning)
            if p.sight < farthest or not p.respawn:
                for name, number in groups.items():
                    yield Field(f"{plural[name]}_visible", number, 0.0, 1.0, f"1 where the {name} can be seen")
        if p.rules == "stag":
            yield Field("frozen", 1, 0.0, 1.0, "1 once the predator is frozen")
        if p.observe_id:
            yield Field("id", 1, 0.0, 1.0, "the predator's number divided by the number of predators")
        if p.observe_time:
            yield Field("time", 1, 0.0, 1.0, "steps so far, as a share of the horizon")

    def _state_layout(self) -> Iterator[Field]:
        p = self.params
        if p.rules == "stag":
            yield Field("board", 2 * p.size**2, 0.0, 1.0, "each cell, row by row: 1 for a predator, 1 for a prey")
            if p.capture_size * p.n_prey <= p.n_predators <= 4 * p.n_prey:
                yield Field("empty", 1, 0.0, 1.0, "1 when nobody is left on the board")
            return
        scale, shift = self._coordinates
        high = (p.size - 1) * scale + shift
        yield Field("predators", 2 * p.n_predators, shift, high, "each predator's row and column, see State")
        yield Field("prey", 2 * p.n_prey, shift, high, "each prey's row and column, 0 and 0 off the board")
        if not p.respawn:
            yield Field("captured", p.n_prey, 0.0, 1.0, "1 for each prey off the board")

    def kernel_params(self) -> Rules:
        p, cells = encoded(self.params), self.params.size**2
        channels = self._channels
        first = {part.name: place.start for part, place in slices(self.observation_layout)}
        scale, shift = self._coordinates
        place = np.stack(np.divmod(np.arange(cells), p.size), axis=1)
        coordinate = np.zeros((cells + 1, 2))
        coordinate[:-1] = place * scale + shift
        board = painting(
            p.size, p.sight, len(channels), p.toroidal, channels.index("beyond a wall") if p.observe_walls else None
        )
        return Rules(
            beside=targets(p.size, BESIDE, p.toroidal),
            leads=targets(p.size, [MOVES.get(name, STAY) for name in self.action_names], p.toroidal),
            place=place.astype(np.int32),
            coordinate=coordinate,
            scale=scale,
            marks=board.marks,
            corner=board.corner,
            blank=board.blank,
            board_width=board.width,
            window_width=len(channels) * (2 * p.sight + 1),
            window_rows=2 * p.sight + 1,
            predator_channel=0 if p.observe_predators else -1,
            prey_channel=channels.index("a prey"),
            first=2 * p.observe_position,
            frozen=first.get("frozen", -1),
            id=first.get("id", -1),
            time=first.get("time", -1),
            visible=first.get("predators_visible", first.get("prey_visible", -1)),
            sight=p.sight,
            size=p.size,
            toroidal=p.toroidal,
            prey_policy=p.prey_policy,
            respawn=p.respawn,
            capture_size=p.capture_size,
            capture_reward=p.capture_reward,
            penalty=p.penalty,
            step_reward=p.step_reward,
            horizon=p.horizon,
        )

    def allocate(self, num_envs: int) -> State:
        p = self.params
        n, m, off = p.n_predators, p.n_prey, p.size**2
        in_turn = n + m if p.rules == "qtran" else 0
        return State(
            t=np.zeros(num_envs, np.int32),
            rng=np.zeros(num_envs, np.uint64),
            grid=np.full((num_envs, off + 1), OUTSIDE, np.int16),
            predator=np.full((num_envs, n), off, np.int16),
            prey=np.full((num_envs, m), off, np.int16),
            predator_order=np.zeros((num_envs, n), np.int16),
            prey_order=np.zeros((num_envs, m), np.int16),
            board=np.tile(self.kernel_params().blank, (num_envs, 1)),
            tried_in=np.full((num_envs, m), off, np.int16),
            tried_at=np.zeros((num_envs, m), np.int32),
            tried_by=np.zeros((num_envs, m), np.int8),
            frozen_in=np.full((num_envs, n), off, np.int16),
            came_back=np.zeros(num_envs, np.int32),
            target=np.zeros((num_envs, in_turn), np.int16),
            asked=np.zeros((num_envs, in_turn), np.int8),
            waiting=np.zeros((num_envs, in_turn), np.int16),
        )

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """The board after the step; whoever the step took off it is a ghost where it stood last."""
        p, prey, predator = self.params, scene.arrays.prey[scene.e], scene.arrays.predator[scene.e]
        off = p.size**2
        playing, tries = np.flatnonzero(predator < off).tolist(), self._tries(scene)
        if scene.viewer is not None and not p.observe_predators:
            playing = [i for i in playing if i == scene.viewer]
        canvas.view(0, 0, p.size, p.size, below=40)
        self._draw_board(canvas)
        for i in playing if scene.show_sight else ():
            self._draw_sight(canvas, i, predator[i])
        if scene.viewer is None or p.observe_predators:
            canvas.trail(scene.trail, RADIUS, longest=1.5)
        for cell in [cell for cell, caught, _ in tries if caught]:
            canvas.sprite("prey", *self._middle(cell), PREY_SIDE, 0.3)
        if p.rules == "stag":
            just_frozen = (predator == off) & (scene.action == CATCH)  # whoever was frozen before could only stay
            for i in np.flatnonzero(just_frozen).tolist():
                canvas.agent(*self._middle(scene.arrays.frozen_in[scene.e, i]), RADIUS, i, 0.4)
        for cell, caught, hunted_from in tries:
            for start in hunted_from if scene.viewer is None or p.observe_predators else ():
                self._draw_try(canvas, start, cell, GREEN if caught else VERMILLION)
        for cell in prey[prey < off]:
            canvas.sprite("prey", *self._middle(cell), PREY_SIDE)
        for i in playing:
            canvas.agent(*self._middle(predator[i]), RADIUS, i)
        for cell, caught, _ in tries:
            x, y = self._middle(cell)
            earned, colour = (p.capture_reward, GREEN) if caught else (p.penalty, VERMILLION)
            height = min(max(0.4, 14 / canvas.scale), 26 / canvas.scale)
            canvas.flag(x, y - 0.4, signed(earned), height, colour if earned else GREY)
        if scene.viewer is not None:
            seen = self._window(predator[scene.viewer]) if predator[scene.viewer] < off else []
            canvas.fog((0, 0, p.size, p.size), seen)
            return
        width = canvas.foot(40)
        canvas.text(20, 24, self._score(scene), 16, FAINT, "left")
        if p.rules == "stag":
            canvas.tally(width - 20, 24, "frozen:", np.flatnonzero(predator == off).tolist())

    def _score(self, scene: Scene) -> str:
        """How many prey have been caught, in words."""
        if self.params.respawn:
            return f"prey caught: {scene.arrays.came_back[scene.e]}, and come back"
        gone = np.sum(scene.arrays.prey[scene.e] == self.params.size**2)
        return f"prey caught: {gone} of {self.params.n_prey}"

    def _tries(self, scene: Scene) -> list[tuple[int, bool, list[int]]]:
        """For each prey tried in the last step, in order: its cell, whether it was caught, and from which cells."""
        s, e, off = scene.arrays, scene.e, self.params.size**2
        stood = np.where(s.predator[e] < off, s.predator[e], s.frozen_in[e])
        hunting = scene.action == CATCH if self.params.rules == "stag" else stood < off
        beside, tries = targets(self.params.size, BESIDE, self.params.toroidal), []
        for j in s.prey_order[e]:
            if scene.steps > 0 and s.tried_at[e, j] == scene.steps:
                cell, caught = int(s.tried_in[e, j]), bool(s.tried_by[e, j] >= self.params.capture_size)
                trying = hunting & np.isin(stood, beside[cell])
                if self.params.rules == "stag":
                    hunting = hunting & ~(trying & caught)  # whoever catches a prey counts for none after it
                tries.append((cell, caught, stood[trying].tolist()))
        return tries

    def _middle(self, cell: int) -> tuple[float, float]:
        """The middle of a cell: x grows with the column, y with the row."""
        row, column = divmod(int(cell), self.params.size)
        return column + 0.5, row + 0.5

    def _draw_board(self, canvas: Canvas) -> None:
        """The cells, within a thick wall or, on a torus, a thin edge."""
        size, wall = self.params.size, 3 / canvas.scale
        for k in range(self.params.size + 1):
            canvas.line(k, 0, k, size, LINE, 1)
            canvas.line(0, k, size, k, LINE, 1)
        if not self.params.toroidal:
            canvas.rectangle(-wall, -wall, size + wall, size + wall, INK, width=3)

    def _draw_sight(self, canvas: Canvas, i: int, cell: int) -> None:
        """The window of predator i."""
        for box in self._window(cell):
            canvas.rectangle(*box, agent_colour(i), 0.1)
            canvas.rectangle(*box, agent_colour(i), width=1.5)

    def _window(self, cell: int) -> list[tuple[float, float, float, float]]:
        """What a predator at a cell sees of the board, in boxes: on a torus it goes on at the opposite edge."""
        p, (x, y), reach = self.params, self._middle(cell), self.params.sight + 0.5
        shifts, boxes = (-p.size, 0, p.size) if p.toroidal else (0,), []
        for across, down in itertools.product(shifts, shifts):
            left, right = max(0, x + across - reach), min(p.size, x + across + reach)
            top, bottom = max(0, y + down - reach), min(p.size, y + down + reach)
            if left < right and top < bottom:
                boxes.append((left, top, right, bottom))
        return boxes

    def places(self, scene: Scene) -> np.ndarray:
        cells = scene.arrays.predator[scene.e].astype(float)
        cells[cells == self.params.size**2] = np.nan
        return np.stack((cells % self.params.size, cells // self.params.size), axis=1) + 0.5

    def _draw_try(self, canvas: Canvas, start: int, cell: int, colour: Colour) -> None:
        """A bar from a predator's cell to a prey's; on a torus it may point over the edge."""
        (x, y), beside = self._middle(start), targets(self.params.size, BESIDE, self.params.toroidal)
        down, right = BESIDE[beside[start].tolist().index(cell)]
        canvas.ring(x, y, RADIUS + 4 / canvas.scale, colour, 3)
        canvas.line(x + RADIUS * right, y + RADIUS * down, x + 0.8 * right, y + 0.8 * down, colour, 4)

    def describe(self, scene: Scene) -> str:
        p, s, e, off = self.params, scene.arrays, scene.e, self.params.size**2
        width = len(str(p.n_predators - 1))
        signs = ["."] * (off + 1)
        for cell, sign in [(cell, "*") for cell in s.prey[e]] + [
            (cell, str(i)) for i, cell in enumerate(s.predator[e])
        ]:
            signs[cell] = sign
        lines = [" ".join(f"{sign:>{width}}" for sign in signs[k : k + p.size]) for k in range(0, off, p.size)]
        frozen = np.flatnonzero(s.predator[e] == off)
        if frozen.size:
            lines.append(f"frozen: {', '.join(map(str, frozen))}")
        lines.append(self._score(scene))
        if scene.action is not None:
            lines.append(
                f"last actions: {', '.join(f'{i} {self.action_names[a]}' for i, a in enumerate(scene.action))}"
            )
        lines.append(f"step {scene.steps}, reward {scene.reward:g}, team return {scene.team_return:g}")
        return "\n".join(lines)

    def keys(self) -> dict[str, int]:
        keys = {"stay": "space", "catch": "c"}
        return {keys.get(name, name): number for number, name in enumerate(self.action_names)}
