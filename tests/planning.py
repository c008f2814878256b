"""Exact plans for two agents and a few steps, with which the tests compare what ships.

A team's past matters only through the joint distribution of the hidden state and of what each agent has seen. The
search goes forward over joint decision rules, which give an action to each of an agent's pasts, depth first, and leaves
out what cannot beat the best so far even if the agents could share all that they see. Pasts of an agent that say the
same about the rest are made one: they have the same best action (Oliehoek, Whiteson and Spaan, "Lossless clustering of
histories in decentralized POMDPs", AAMAS 2009).
"""

import heapq
import itertools
from typing import Any

import numpy as np

SAME = 1e-9
Tree = Any  # (action, (the tree after each of the agent's observations)); None where that cannot be seen, or at the end


class Planner:
    """problem: two agents' tables, as in `envs/dec_pomdp_problems.py`."""

    def __init__(self, problem: Any) -> None:
        self.transition, self.observation = problem.transition, problem.observation
        self.reward, self.start = expected_reward(problem), problem.start
        self.n_actions, self.n_seen = self.reward.shape[1:], self.observation.shape[3:]
        self.shared: dict[Any, np.ndarray] = {}

    def plan(self, horizon: int) -> tuple[float, Tree, Tree]:
        """The greatest expected return, undiscounted, and what each agent does for it."""
        value, (one, other) = self._best(self.start[:, None, None], horizon, -np.inf)
        return value, one[0], other[0]

    def _best(self, joint: np.ndarray, steps: int, least: float) -> tuple[float, Any]:
        """The best expected return of so many steps and each agent's trees, by pasts; least and None if not above it.

        joint: [S, C, D], the probability of the state and of each agent's past.
        """
        bounds = self._bounds(joint, steps)
        rules = list(itertools.product(range(self.n_actions[0]), repeat=bounds.shape[0]))  # of agent 0
        answers = bounds[range(bounds.shape[0]), :, np.array(rules)].sum(1)  # [rules, D, A2]
        promises, trees = answers.max(2).sum(1), None
        if steps == 1:
            r = promises.argmax()
            return float(promises[r]), [[(a, ()) for a in rule] for rule in (rules[r], answers[r].argmax(1).tolist())]
        waiting = [(-promise, r, ()) for r, promise in enumerate(promises.tolist())]  # agent 0's rule, agent 1's so far
        heapq.heapify(waiting)
        while waiting and -waiting[0][0] > least + SAME:
            loss, r, rule = heapq.heappop(waiting)
            if len(rule) < bounds.shape[1]:
                answer = answers[r, len(rule)]
                for a, gap in enumerate((answer.max() - answer).tolist()):
                    heapq.heappush(waiting, (loss + gap, r, (*rule, a)))
                continue
            earned, following, groups = self._after(joint, rules[r], rule)
            value, later = self._best(following, steps - 1, least - earned)
            if earned + value > least + SAME:
                least = earned + value
                trees = [
                    [(a, tuple(None if k is None else then[k] for k in group[c])) for c, a in enumerate(own)]
                    for own, group, then in zip((rules[r], rule), groups, later, strict=True)
                ]
        return least, trees

    def _bounds(self, joint: np.ndarray, steps: int) -> np.ndarray:
        """[C, D, A1, A2], no less than what each joint action can be worth after each pair of pasts."""
        found = np.zeros(joint.shape[1:] + self.n_actions)
        for c, d in np.argwhere(joint.sum(0) > 0).tolist():
            chance = joint[:, c, d].sum()
            found[c, d] = chance * self._shared_values(joint[:, c, d] / chance, steps)
        return found

    def _shared_values(self, belief: np.ndarray, steps: int) -> np.ndarray:
        """[A1, A2], what each joint action is worth to agents that share all that they see. belief: [S]."""
        key = steps, np.round(belief, 9).tobytes()
        if key not in self.shared:
            values = np.einsum("s,sab->ab", belief, self.reward)
            if steps > 1:
                reached = np.einsum("s,sabu->abu", belief, self.transition)
                joint = np.einsum("abu,abuop->abopu", reached, self.observation)
                for a, b, o, p in np.argwhere(joint.sum(-1) > 0).tolist():
                    chance = joint[a, b, o, p].sum()
                    values[a, b] += chance * self._shared_values(joint[a, b, o, p] / chance, steps - 1).max()
            self.shared[key] = values
        return self.shared[key]

    def _after(self, joint: np.ndarray, rule: Any, other: Any) -> tuple[float, np.ndarray, Any]:
        """The reward of a joint decision rule, the joint distribution after it, and which pasts became which."""
        a, b = np.array(rule)[:, None], np.array(other)
        earned = np.einsum("scd,scd->", joint, self.reward[:, a, b])
        reached = np.einsum("scd,scdu->ucd", joint, self.transition[:, a, b])
        following = np.einsum("ucd,cduop->ucodp", reached, self.observation[a, b])
        states, c, o, d, p = following.shape
        following, groups = merged(following.reshape(states, c * o, d * p))
        following, others = merged(following.swapaxes(1, 2))
        by_past = [[labels[k : k + n] for k in range(0, len(labels), n)] for labels, n in ((groups, o), (others, p))]
        return float(earned), following.swapaxes(1, 2), by_past


def merged(joint: np.ndarray) -> tuple[np.ndarray, list[int | None]]:
    """The distribution [S, C, D] with the pasts C made one that say the same about S and D, and where each has gone."""
    groups: list[np.ndarray] = []
    labels: list[int | None] = []
    for here in joint.swapaxes(0, 1):
        total = here.sum()
        if total <= 0:
            labels.append(None)
            continue
        alike = (k for k, one in enumerate(groups) if np.allclose(one / one.sum(), here / total, rtol=0, atol=SAME))
        k = next(alike, len(groups))
        groups[k:] = [groups[k] + here, *groups[k + 1 :]] if k < len(groups) else [here]
        labels.append(k)
    return np.stack(groups, axis=1), labels


def expected_reward(problem: Any) -> np.ndarray:
    """[S, A1, A2], whatever the reward depends on."""
    n, reward = problem.n_agents, problem.reward
    if reward.ndim == 2 * n + 2:
        reward = np.einsum("sabuop,abuop->sabu", reward, problem.observation)
    return np.einsum("sabu,sabu->sab", reward, problem.transition) if reward.ndim == n + 2 else reward


def written(tree: Tree, n_seen: int) -> str:
    """A tree as plans ship: a word for each step, and in it a digit for each past, no longer than it must be.

    0 stands where nothing matters.
    """
    words, row = [], [tree]
    while row:
        actions = [node and node[0] for node in row]
        length = 1
        while length < len(row) and any(len({*actions[k::length]} - {None}) > 1 for k in range(length)):
            length *= n_seen
        words.append("".join(str(max({*actions[k::length]} - {None}, default=0)) for k in range(length)))
        last = all(node is None or not node[1] for node in row)
        row = [] if last else [then for node in row for then in (node[1] if node else [None] * n_seen)]
    return " ".join(words)


def worth(problem: Any, team: Any) -> float:
    """The expected return of two agents who act on all that each has seen, exactly.

    team: a Planned of `envs/dec_pomdp.py`, of which its words are read: begins [T], widths [T, 2] and actions.
    """
    chances = {(s, 0, 0): float(chance) for s, chance in enumerate(problem.start) if chance > 0}
    reward, total, longest = expected_reward(problem), 0.0, np.max(team.widths)  # what is older than that is not read
    for begins, widths, words in zip(team.begins, team.widths, team.actions, strict=True):
        following: dict[Any, float] = {}
        for (s, *pasts), chance in chances.items():
            one, other = (0, 0) if begins else pasts
            a, b = words[0, one % widths[0]], words[1, other % widths[1]]
            total += chance * reward[s, a, b]
            joint = problem.transition[s, a, b][:, None, None] * problem.observation[a, b]
            for u, o, p in np.argwhere(joint > 0).tolist():
                key = (u, (one * joint.shape[1] + o) % longest, (other * joint.shape[2] + p) % longest)
                following[key] = following.get(key, 0.0) + chance * joint[u, o, p]
        chances = following
    return total


def best_by_trying(problem: Any, horizon: int) -> float:
    """The greatest expected return, found by trying every pair of plans, as long as one can wait for it."""
    reward = expected_reward(problem)
    plans = [
        _every_plan(own, seen, horizon)
        for own, seen in zip(reward.shape[1:], problem.observation.shape[3:], strict=True)
    ]

    def value(s: int, one: Tree, other: Tree) -> float:
        (a, then), (b, after) = one, other
        total = float(reward[s, a, b])
        if then:
            joint = problem.transition[s, a, b][:, None, None] * problem.observation[a, b]
            total += sum(joint[u, o, p] * value(u, then[o], after[p]) for u, o, p in np.argwhere(joint > 0).tolist())
        return total

    return max(
        sum(chance * value(s, one, other) for s, chance in enumerate(problem.start.tolist()))
        for one, other in itertools.product(*plans)
    )


def _every_plan(n_actions: int, n_seen: int, horizon: int) -> list[Tree]:
    if horizon == 1:
        return [(a, ()) for a in range(n_actions)]
    later = _every_plan(n_actions, n_seen, horizon - 1)
    return [(a, then) for a in range(n_actions) for then in itertools.product(later, repeat=n_seen)]
