"""Draws the figures of `value-decomposition.md`, each from runs of its own.

    python docs/figures.py [--out docs/figures] [--part 1.0]

`part` shortens the runs; with less than 1 the figures show teams that have not learnt. Takes some minutes.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch

import coopgym
from coopgym.baselines.episodes import Episodes, taken
from coopgym.baselines.qpd import path_credits
from coopgym.baselines.replay import Replay
from coopgym.envs.core import Batch

COLOURS = ("#0072b2", "#e69f00", "#cc79a7", "#56b4e9")  # of the agents, as in the pictures of the games
NAMES = "ABC"
PAYOFF = {
    "climbing": np.array([[11, -30, 0], [-30, 7, 6], [0, 0, 5]]),
    "qtran3x3": np.array([[8, -12, -12], [-12, 0, 0], [-12, 0, 0]]),
}
ONE_SHOT = {"td_lambda": 0.0, "evaluation_episodes": 1, "num_envs": 8, "steps_per_update": 8, "buffer_size": 500}


def trained(name: str, game: Any, env_steps: int, **fields: Any) -> Any:
    """The learner of a run."""
    return coopgym.train(name, game, env_steps=env_steps, seed=0, **fields).learner


def every_joint_action(preset: str) -> Episodes:
    """One episode of a one-shot game for each joint action of two agents with three actions."""
    env = coopgym.environment("matrix_game_v1", preset)
    batch = Batch(env, 9, seed=0)
    replay = Replay(batch, 9, seed=0)
    batch.reset()
    replay.begin(batch, np.ones(9, np.bool_))
    batch.step(np.stack(np.divmod(np.arange(9), 3), axis=1))
    replay.add(batch)
    return replay.episodes(np.array(replay.finished))


def moving_mate(part: float) -> Any:
    """What each action is worth to the first agent, given how the second behaves at that moment."""
    payoff, ep, seen = PAYOFF["climbing"], every_joint_action("climbing"), []

    def note(run: Any) -> None:
        with torch.no_grad():
            q, _ = run.learner.live["agent"].unroll(ep)
        epsilon = run.learner.epsilon
        mate = np.full(3, epsilon / 3) + (1 - epsilon) * (np.arange(3) == int(q[0, 0, 1].argmax()))
        seen.append((run.rows[-1]["env_steps"], *(payoff @ mate)))

    steps = round(8000 * part)
    game = coopgym.environment("matrix_game_v1", "climbing")
    coopgym.train("iql", game, env_steps=steps, evaluate_every=max(steps // 80, 1), on_evaluation=note, **ONE_SHOT)
    figure, axes = plt.subplots(figsize=(7, 3.2))
    table = np.array(seen)
    for a, colour in enumerate(COLOURS[:3]):
        axes.plot(table[:, 0], table[:, 1 + a], color=colour, label=f"action {NAMES[a]}", linewidth=2)
    axes.set(
        xlabel="environment steps",
        ylabel="expected payoff",
        title="the first agent's world, as its mate learns",
    )
    axes.legend(frameon=False)
    return figure


def decompositions(part: float) -> Any:
    """The payoffs of qtran3x3, and what VDN, QMIX and QTRAN make of them."""
    ep, steps = every_joint_action("qtran3x3"), round(20_000 * part)
    tables = [("payoff", PAYOFF["qtran3x3"].astype(float))]
    for name in ("vdn", "qmix", "qtran"):
        game = coopgym.environment("matrix_game_v1", "qtran3x3")
        made: Any = trained(name, game, steps, epsilon_end=1.0, evaluate_every=steps, **ONE_SHOT)
        live = made.live
        with torch.no_grad():
            q, h = live["agent"].unroll(ep)
            utilities, state = taken(q[:, :-1], ep.action), ep.state[:, :-1]
            if name == "vdn":
                tables.append(("VDN: $Q_{tot}$", utilities.sum(-1)))
            elif name == "qmix":
                tables.append(("QMIX: $Q_{tot}$", live["mixer"](utilities, state)))
            else:
                base, q_joint = live["joint"](h[:, :-1], state, ep.action)
                tables.append(("QTRAN: $Q_{jt}$", q_joint))
                tables.append(("QTRAN: $Q'_{jt} + V$", utilities.sum(-1) + made.v(live, base, state)))
    figure, row = plt.subplots(1, 5, figsize=(12, 2.9))
    for axes, (title, values) in zip(row, tables, strict=True):
        draw_table(axes, title, np.asarray(values).reshape(3, 3))
    return figure


def draw_table(axes: Any, title: str, values: np.ndarray) -> None:
    """Nine cells with their numbers, the best one framed."""
    axes.imshow(values, cmap="cividis", vmin=-12, vmax=8)
    for (i, j), value in np.ndenumerate(values):
        colour = "white" if value < 0 else "black"
        axes.text(j, i, f"{round(value, 1) + 0.0:.1f}", ha="center", va="center", color=colour)
    i, j = np.unravel_index(values.argmax(), values.shape)
    axes.add_patch(plt.Rectangle((j - 0.47, i - 0.47), 0.94, 0.94, fill=False, edgecolor="#d55e00", linewidth=3))
    axes.set(title=title, xticks=range(3), yticks=range(3), xticklabels=NAMES, yticklabels=NAMES)
    axes.tick_params(length=0)


def credits(part: float) -> Any:
    """The agents' shares of the critic's value, along one episode of a small hunt."""
    env = coopgym.environment("predator_prey_v1", size=5, n_predators=3, n_prey=1, horizon=30)
    fields = {"evaluate_every": 10_000, "evaluation_episodes": 8, "batch_size": 16, "joint_width": 64}
    learner = trained("qpd", env, round(40_000 * part), **fields)
    ep = longest_hunt(learner, env)
    critic = learner.live["critic"]
    with torch.no_grad():
        x, end = critic.embedded(ep.obs[:, :-1], ep.action), critic.nothing
        q = critic(ep.obs[:, :-1], ep.action)[0]
    shares = path_credits(critic.value, x, end, ep.happened, 64, 0.5)[0].detach()
    figure, axes = plt.subplots(figsize=(7, 3.2))
    for i, colour in enumerate(COLOURS[: env.n_agents]):
        axes.plot(shares[:, i], color=colour, linewidth=2, label=f"predator {i}")
    axes.plot(q, color="black", linewidth=1.5, linestyle="--", label="$Q(x_t)$")
    axes.plot(shares.sum(1), color="grey", linewidth=4, alpha=0.4, label="sum of the shares")
    axes.set(xlabel="step", ylabel="value", title="QPD: who is behind the value of an episode")
    axes.legend(frameon=False)
    return figure


def longest_hunt(learner: Any, env: Any) -> Episodes:
    """Of some episodes of the trained team that end with a capture, the longest; any, where none does."""
    batch = Batch(env, 32, seed=1)
    replay, team = Replay(batch, 64, seed=0), learner.behaviour()
    learner.env_steps = learner.progress = 10**9  # explore as little as at the end of the run
    out = batch.reset()
    team.reset(32)
    replay.begin(batch, np.ones(32, np.bool_))
    while len(replay) < 32:
        batch.step(team.act(out.obs, out.action_mask))
        replay.add(batch)
        team.restart(out.terminated | out.truncated)
    slots = np.array(replay.finished)
    caught = replay.terminated[slots].any(1)
    return replay.episodes(slots[[np.argmax(np.where(caught, replay.length[slots], 0))]])


def pulls(part: float) -> Any:
    """What pulls at the policies of two agents that learn climbing with DOP, early and late."""
    ep, seen, steps = every_joint_action("climbing"), [], round(8000 * part)

    def note(run: Any) -> None:
        learner = run.learner
        with torch.no_grad():
            pi, state = learner.policy(ep)[0][:1, :1], ep.state[:1, :1]
            q = learner.live["critic"](ep.obs[:1, :1], state)
            pull = learner.live["mixer"].k(state).unsqueeze(-1) * (q - (pi * q).sum(-1, keepdim=True))
        seen.append((run.rows[-1]["env_steps"], pull[0, 0].numpy(), pi[0, 0].numpy()))

    game = coopgym.environment("matrix_game_v1", "climbing")
    fields = {**ONE_SHOT, "evaluate_every": max(steps // 8, 1)}
    coopgym.train("dop", game, env_steps=steps, on_evaluation=note, **fields)
    figure, row = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
    for axes, (when, pull, pi) in zip(row, (seen[0], seen[-1]), strict=True):
        for i, colour in enumerate(COLOURS[:2]):
            places = np.arange(3) + 0.4 * i - 0.2
            axes.bar(places, pull[i], 0.38, color=colour, label=f"agent {i}")
            for x, y, chance in zip(places, pull[i], pi[i], strict=True):
                axes.text(x, max(float(y), 0), f"{100 * float(chance):.0f} %", ha="center", va="bottom", fontsize=8)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set(title=f"after {when} steps", xticks=range(3), xticklabels=NAMES, xlabel="action")
    row[0].set_ylabel("$k_i A_i$ (above: chance)")
    row[0].legend(frameon=False)
    return figure


FIGURES: dict[str, Callable[[float], Any]] = {
    "moving-mate": moving_mate,
    "decompositions": decompositions,
    "credits": credits,
    "pulls": pulls,
}


def draw(out: Path, part: float = 1.0) -> None:
    """Draws all figures into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    for name, make in FIGURES.items():
        figure = make(part)
        for axes in figure.axes:
            axes.spines[["top", "right"]].set_visible(False)
        figure.tight_layout()
        figure.savefig(out / f"{name}.png", dpi=110)
        plt.close(figure)
        print(out / f"{name}.png", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "figures")
    parser.add_argument("--part", type=float, default=1.0)
    options = parser.parse_args()
    draw(options.out, options.part)
