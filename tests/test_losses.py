"""The losses against slow plain twins, and the properties that each paper promises. No training."""

import copy
import dataclasses
import itertools
import math
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from coopgym.baselines import ALGORITHMS, algorithm
from coopgym.baselines.dop import AgentValues
from coopgym.baselines.episodes import Episodes, best_available, lambda_returns, mean_over_steps, taken
from coopgym.baselines.learner import Learner, random_legal
from coopgym.baselines.networks import RecurrentAgent
from coopgym.baselines.qmix import MonotonicMixer
from coopgym.baselines.qpd import path_credits
from coopgym.baselines.qplex import DuellingMixer
from coopgym.baselines.qtran import ObservationJointValue, StateJointValue
from coopgym.envs.teams import RandomTeam

EVERY = pytest.mark.parametrize("name", list(ALGORITHMS))
QTRANS = pytest.mark.parametrize("name", ["qtran", "qtran_alt"])
FACTORED = pytest.mark.parametrize(  # greedy for each agent is greedy for the team, always
    "name", ["vdn", "qmix", "qplex", "ow_qmix", "cw_qmix", "dop"]
)
WEIGHTED = pytest.mark.parametrize("name", ["ow_qmix", "cw_qmix"])


class Sizes(NamedTuple):
    """An environment, as far as a learner asks."""

    n_agents: int = 2
    n_actions: int = 3
    obs_size: int = 5
    state_size: int = 4


SMALL = Sizes()


def offered(name: str, **fields: float) -> dict[str, float]:
    """The fields without those that are constants of the algorithm."""
    config = algorithm(name).Config
    constants = set(dir(config)) - {field.name for field in dataclasses.fields(config)}
    return {field: value for field, value in fields.items() if field not in constants}


def learner(name: str, sizes: Sizes = SMALL, seed: int = 0, **fields: float) -> Learner:
    """A learner in double precision, whose target differs from its live networks."""
    kind = algorithm(name)
    chosen = {"gamma": 0.9, "td_lambda": 0.0, "hidden": 6, "learning_rate": 1e-3, "target_period": 1000}
    chosen |= {"recurrent": True, **fields}
    made = kind(sizes, kind.Config(**offered(name, **chosen)), seed)
    made.live.double()
    made.target.double()
    random = torch.Generator().manual_seed(seed)
    for parameter in made.target.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=random, dtype=torch.float64), alpha=0.3)
    return made


def episodes(sizes: Sizes = SMALL, lengths: tuple[int, ...] = (4, 2, 3), ends: str = "tlt", seed: int = 0) -> Episodes:
    """Random episodes of these lengths, each terminated by the rules (t) or cut by the limit (l), padded with zeros."""
    random = np.random.default_rng(seed)
    b, t, (n, a, o, s) = len(lengths), max(lengths), sizes
    available = random.random((b, t + 1, n, a)) < 0.6
    available[..., 0] |= ~available.any(-1)
    happened = (np.arange(t) < np.array(lengths)[:, None]).astype(float)
    terminated = np.zeros((b, t))
    for row, (length, end) in enumerate(zip(lengths, ends, strict=True)):
        terminated[row, length - 1] = end == "t"
    seen = np.arange(t + 1) <= np.array(lengths)[:, None]  # [B, T + 1]: the last observation is seen too
    return Episodes(
        obs=torch.from_numpy(random.normal(size=(b, t + 1, n, o)) * seen[..., None, None]),
        state=torch.from_numpy(random.normal(size=(b, t + 1, s)) * seen[..., None]),
        available=torch.from_numpy(available),
        action=torch.from_numpy(random_legal(available[:, :-1], random)),
        reward=torch.from_numpy(random.normal(size=(b, t)) * happened),
        terminated=torch.from_numpy(terminated),
        happened=torch.from_numpy(happened),
    )


def gradients(loss: Tensor, module: nn.Module) -> dict[str, Tensor | None]:
    """The gradient of each parameter by name, None where it has none."""
    parameters = dict(module.named_parameters())
    found = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, allow_unused=True)
    return dict(zip(parameters, found, strict=True))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # what is this small is slower on several
    yield
    torch.set_num_threads(threads)


def moved(gradient: Tensor | None) -> bool:
    return gradient is not None and bool(gradient.abs().max() > 0)


@pytest.fixture
def targets(monkeypatch: pytest.MonkeyPatch) -> Callable[[Learner, Episodes], tuple[Tensor, Tensor]]:
    """What a learner's loss regresses to, y, and the value after each step that it contains."""

    def watch(made: Learner, ep: Episodes) -> tuple[Tensor, Tensor]:
        seen = []

        def watched(next_value: Tensor, *others: object) -> Tensor:
            seen.append((lambda_returns(next_value, *others), next_value))
            return seen[-1][0]

        monkeypatch.setattr(sys.modules[type(made).__module__], "lambda_returns", watched)
        made.loss(ep)
        ((y, next_value),) = seen
        return y, next_value

    return watch


# The plain twins: the equations of the papers in loops over episodes, steps and agents.


def affine(layer: nn.Linear, x: np.ndarray) -> np.ndarray:
    return layer.weight.detach().numpy() @ x + (0 if layer.bias is None else layer.bias.detach().numpy())


def perceptron(layers: nn.Sequential, x: np.ndarray) -> np.ndarray:
    """Linear layers with ReLU or ELU between them."""
    for layer in layers:
        if isinstance(layer, nn.Linear):
            x = affine(layer, x)
        elif isinstance(layer, nn.ReLU):
            x = np.maximum(x, 0)
        elif isinstance(layer, nn.ELU):
            x = np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)
        else:
            raise TypeError(layer)
    return x


def perceptron_slope(layers: nn.Sequential, x: np.ndarray, d: np.ndarray) -> np.ndarray:
    """The gradient of d . perceptron(layers, x) by x, through linear layers and ELU."""
    inputs = []
    for layer in layers:
        inputs.append(x)
        x = perceptron([layer], x)
    for layer, x in reversed(list(zip(layers, inputs, strict=True))):
        d = layer.weight.detach().numpy().T @ d if isinstance(layer, nn.Linear) else d * np.exp(np.minimum(x, 0))
    return d


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def plain_unroll(agent: nn.Module, ep: Episodes) -> tuple[np.ndarray, np.ndarray]:
    """The utilities [B, T + 1, N, A] and hidden states [B, T + 1, N, H], one agent and step after the other."""
    b, slots, n, _ = ep.obs.shape
    a, width = agent.n_actions, agent.hidden
    q, hs = np.zeros((b, slots, n, a)), np.zeros((b, slots, n, width))
    weights = {name: p.detach().numpy() for name, p in agent.memory.named_parameters()}
    for row, i in itertools.product(range(b), range(n)):
        h = np.zeros(width)
        for t in range(slots):
            last_action = np.zeros(a * agent.last_action)
            if t > 0 and agent.last_action:
                last_action[ep.action[row, t - 1, i]] = 1
            x = np.concatenate((ep.obs[row, t, i].numpy(), last_action, np.eye(n)[i]))
            x = np.maximum(affine(agent.encode, x), 0)
            of_x = weights["weight_ih_l0"] @ x + weights["bias_ih_l0"]
            of_h = weights["weight_hh_l0"] @ h + weights["bias_hh_l0"]
            reset = sigmoid(of_x[:width] + of_h[:width])
            update = sigmoid(of_x[width : 2 * width] + of_h[width : 2 * width])
            candidate = np.tanh(of_x[2 * width :] + reset * of_h[2 * width :])
            h = (1 - update) * candidate + update * h
            q[row, t, i], hs[row, t, i] = affine(agent.decode, h), h
    return q, hs


def length(ep: Episodes, row: int) -> int:
    return int(ep.happened[row].sum())


def steps(ep: Episodes) -> list[tuple[int, int]]:
    """(episode, step) of every step that happened."""
    return [(row, t) for row in range(len(ep.happened)) for t in range(length(ep, row))]


def plain_return(ep: Episodes, row: int, t: int, next_value: np.ndarray, gamma: float, td_lambda: float) -> float:
    """G_t = r_t + gamma ((1 - lambda) next_value_t + lambda G_{t+1}), as it stands, down to the episode's last step."""
    value = next_value[row, t]
    if t + 1 < length(ep, row):
        value = (1 - td_lambda) * value + td_lambda * plain_return(ep, row, t + 1, next_value, gamma, td_lambda)
    return float(ep.reward[row, t]) + gamma * (1 - float(ep.terminated[row, t])) * value


def greedy(ep: Episodes, q: np.ndarray, row: int, t: int, i: int) -> int:
    """The available action of the highest utility, by comparing one after the other."""
    best, value = -1, -math.inf
    for a in range(q.shape[-1]):
        if ep.available[row, t, i, a] and q[row, t, i, a] > value:
            best, value = a, q[row, t, i, a]
    return best


def plain_iql(made: Learner, ep: Episodes) -> float:
    q, _ = plain_unroll(made.live["agent"], ep)
    q_target, _ = plain_unroll(made.target["agent"], ep)
    errors = []
    for i in range(q.shape[2]):
        next_value = np.zeros(ep.reward.shape)
        for row, t in steps(ep):
            next_value[row, t] = q_target[row, t + 1, i, greedy(ep, q, row, t + 1, i)]
        for row, t in steps(ep):
            y = plain_return(ep, row, t, next_value, made.config.gamma, made.config.td_lambda)
            errors.append((y - q[row, t, i, ep.action[row, t, i]]) ** 2)
    return float(np.mean(errors))


def plain_sum(networks: nn.ModuleDict, q: list[float], state: np.ndarray) -> float:
    return sum(q)


def plain_mixer(networks: nn.ModuleDict, q: list[float], state: np.ndarray) -> float:
    mixer = networks["mixer"]
    w1, w2 = np.abs(perceptron(mixer.w1, state)), np.abs(perceptron(mixer.w2, state))
    b1, b2 = affine(mixer.b1, state), perceptron(mixer.b2, state)[0]
    q_tot = b2
    for unit in range(mixer.width):
        x = b1[unit] + sum(q[i] * w1[i * mixer.width + unit] for i in range(len(q)))
        q_tot += w2[unit] * (x if x > 0 else math.exp(x) - 1)
    return float(q_tot)


def plain_mixed(mix: Callable[[nn.ModuleDict, list[float], np.ndarray], float]) -> Callable[[Learner, Episodes], float]:
    """The loss of an algorithm that mixes the agents' utilities into one."""

    def loss(made: Learner, ep: Episodes) -> float:
        q, _ = plain_unroll(made.live["agent"], ep)
        q_target, _ = plain_unroll(made.target["agent"], ep)
        agents, state, next_value = range(q.shape[2]), ep.state.numpy(), np.zeros(ep.reward.shape)
        for row, t in steps(ep):
            best = [q_target[row, t + 1, i, greedy(ep, q, row, t + 1, i)] for i in agents]
            next_value[row, t] = mix(made.target, best, state[row, t + 1])
        errors = []
        for row, t in steps(ep):
            q_tot = mix(made.live, [q[row, t, i, ep.action[row, t, i]] for i in agents], state[row, t])
            y = plain_return(ep, row, t, next_value, made.config.gamma, made.config.td_lambda)
            errors.append((y - q_tot) ** 2)
        return float(np.mean(errors))

    return loss


def plain_joint(networks: nn.ModuleDict, h: np.ndarray, action: list[int], state: np.ndarray) -> tuple[float, float]:
    """What the situation is worth, and the joint action in it; h: what is remembered, or seen."""
    joint = networks["joint"]
    if isinstance(joint, ObservationJointValue):
        hot = np.eye(joint.first.in_features - h.shape[-1])[action]
        layers = [joint.first, *joint.encode]
        together = sum(perceptron(layers, np.concatenate(one)) for one in zip(h, hot, strict=True))
        return 0.0, perceptron(joint.rest, np.concatenate((together, state)))[0]
    if isinstance(joint, StateJointValue):
        hot = np.eye(joint.n_actions)[action].ravel()
        return 0.0, perceptron([joint.first, *joint.rest], np.concatenate((state, hot)))[0]
    scales, shifts = (embedding.weight.detach().numpy() for embedding in (joint.scale, joint.shift))

    def of_actions(scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
        encoded = [affine(joint.encode, x) for x in h]
        together = sum(perceptron([nn.ELU()], x * a + b) for x, a, b in zip(encoded, scale, shift, strict=True))
        return np.concatenate((state, affine(joint.merge, together)))

    mean = of_actions(np.tile(scales.mean(0), (len(h), 1)), np.tile(shifts.mean(0), (len(h), 1)))
    base, of_mean = perceptron(joint.situation, mean)[0], perceptron(joint.actions, mean)[0]
    alone = sum(row[a] - row.mean() for row, a in zip((affine(joint.alone, x) for x in h), action, strict=True))
    return base, base + perceptron(joint.actions, of_actions(scales[action], shifts[action]))[0] - of_mean + alone


def plain_qtran(made: Learner, ep: Episodes) -> float:
    q, h = plain_unroll(made.live["agent"], ep)
    q_target, h_target = plain_unroll(made.target["agent"], ep)
    agents, state, next_value = range(q.shape[2]), ep.state.numpy(), np.zeros(ep.reward.shape)
    if made.config.joint_reads == "observations":
        h = h_target = ep.obs.numpy()
    for row, t in steps(ep):
        best = [greedy(ep, q, row, t + 1, i) for i in agents]
        next_base, next_value[row, t] = plain_joint(made.target, h_target[row, t + 1], best, state[row, t + 1])
        if made.config.bootstrap == "sum":
            next_v = next_base + perceptron(made.target["v"], state[row, t + 1])[0]
            next_value[row, t] = sum(q_target[row, t + 1, i, best[i]] for i in agents) + next_v
    networks, histories = (made.target, h_target) if made.config.held == "target" else (made.live, h)
    td, opt, nopt = [], [], []
    for row, t in steps(ep):
        action, best = ep.action[row, t].tolist(), [greedy(ep, q, row, t, i) for i in agents]
        _, joint = plain_joint(made.live, h[row, t], action, state[row, t])
        base, held = plain_joint(networks, histories[row, t], action, state[row, t])
        _, held_best = plain_joint(networks, histories[row, t], best, state[row, t])
        v = base + perceptron(made.live["v"], state[row, t])[0] if made.config.use_v else 0.0
        y = plain_return(ep, row, t, next_value, made.config.gamma, made.config.td_lambda)
        td.append((joint - y) ** 2)
        opt.append((sum(q[row, t, i, best[i]] for i in agents) - held_best + v) ** 2)
        nopt.append(min(sum(q[row, t, i, action[i]] for i in agents) - held + v, 0) ** 2)
    return float(np.mean(td) + made.config.lambda_opt * np.mean(opt) + made.config.lambda_nopt * np.mean(nopt))


def plain_counterfactual(
    networks: nn.ModuleDict, h: np.ndarray, action: list[int], i: int, state: np.ndarray
) -> tuple[float, np.ndarray]:
    """B, and Q_i_jt(., u_-i) for each action of agent i."""
    joint = networks["joint"]
    scales, shifts = joint.scale.weight.detach().numpy(), joint.shift.weight.detach().numpy()
    encoded = [affine(joint.encode, x) for x in h]
    mean = [perceptron([nn.ELU()], x * scales.mean(0) + shifts.mean(0)) for x in encoded]
    acting = [perceptron([nn.ELU()], x * scales[a] + shifts[a]) for x, a in zip(encoded, action, strict=True)]
    alone = [row - row.mean() for row in (affine(joint.alone, x) for x in h)]
    rest = [j for j in range(len(h)) if j != i]

    def of_others(them: list[np.ndarray]) -> np.ndarray:
        x = affine(joint.own, mean[i]) + affine(joint.others, sum(them[j] for j in rest))
        return perceptron(joint.actions, np.concatenate((state, x)))

    base = perceptron(joint.situation, np.concatenate((state, sum(affine(joint.own, x) for x in mean))))[0]
    others = sum(alone[j][action[j]] for j in rest)
    return base, base + of_others(acting) - of_others(mean).mean() + alone[i] + others


def plain_qtran_alt(made: Learner, ep: Episodes) -> float:
    q, h = plain_unroll(made.live["agent"], ep)
    _, h_target = plain_unroll(made.target["agent"], ep)
    agents, state, next_value = range(q.shape[2]), ep.state.numpy(), np.zeros(ep.reward.shape)
    for row, t in steps(ep):
        best = [greedy(ep, q, row, t + 1, i) for i in agents]
        there = h_target[row, t + 1], best
        slices = [plain_counterfactual(made.target, *there, i, state[row, t + 1])[1] for i in agents]
        if made.config.max_bootstrap:
            next_value[row, t] = max(slices[i][a] for i in agents for a in np.flatnonzero(ep.available[row, t + 1, i]))
        else:
            next_value[row, t] = np.mean([slices[i][best[i]] for i in agents])
    networks, histories = (made.target, h_target) if made.config.held == "target" else (made.live, h)
    td, opt, nopt = [], [], []
    for row, t in steps(ep):
        action, best = ep.action[row, t].tolist(), [greedy(ep, q, row, t, i) for i in agents]
        y = plain_return(ep, row, t, next_value, made.config.gamma, made.config.td_lambda)
        for i in agents:
            _, joint = plain_counterfactual(made.live, h[row, t], action, i, state[row, t])
            base, held = plain_counterfactual(networks, histories[row, t], action, i, state[row, t])
            _, held_best = plain_counterfactual(networks, histories[row, t], best, i, state[row, t])
            v = base + perceptron(made.live["v"], state[row, t])[0] if made.config.use_v else 0.0
            td.append((joint[action[i]] - y) ** 2)
            opt.append((sum(q[row, t, j, best[j]] for j in agents) - held_best[best[i]] + v) ** 2)
            others = sum(q[row, t, j, action[j]] for j in agents if j != i)
            own = np.flatnonzero(ep.available[row, t, i])
            nopt.append(min(q[row, t, i, a] + others - held[a] + v for a in own) ** 2)
    return float(np.mean(td) + made.config.lambda_opt * np.mean(opt) + made.config.lambda_nopt * np.mean(nopt))


def plain_critic(networks: nn.ModuleDict, x: np.ndarray) -> float:
    """The critic before anything is subtracted, of x [N, O + A]."""
    critic = networks["critic"]
    channels = [perceptron(critic.channel, affine(critic.embed, x[i])) for i in range(len(x))]
    return float(perceptron(critic.merge, np.concatenate(channels))[0])


def plain_critic_slope(networks: nn.ModuleDict, x: np.ndarray) -> np.ndarray:
    """Its gradient by x, [N, O + A]."""
    critic = networks["critic"]
    z = [affine(critic.embed, x[i]) for i in range(len(x))]
    channels = [perceptron(critic.channel, z[i]) for i in range(len(x))]
    d = np.split(perceptron_slope(critic.merge, np.concatenate(channels), np.ones(1)), len(x))
    weight = critic.embed.weight.detach().numpy()
    return np.stack([weight.T @ perceptron_slope(critic.channel, z[i], d[i]) for i in range(len(x))])


def plain_input(ep: Episodes, row: int, t: int, action: list[int]) -> np.ndarray:
    """x [N, O + A]: the agents' observations and these actions."""
    return np.concatenate((ep.obs[row, t].numpy(), np.eye(ep.available.shape[-1])[action]), 1)


def plain_credits(made: Learner, ep: Episodes, row: int) -> np.ndarray:
    """Each agent's credit at each step of an episode, [T, N]: from each step anew, over each segment up to the end.

    Of a critic that is a sum over agents: how much less it were without what the agent sees and does.
    """
    c, end = made.config, length(ep, row)
    path = [plain_input(ep, row, t, ep.action[row, t].tolist()) for t in range(end)]
    found = np.zeros((end, ep.action.shape[2]))
    if not c.joint_width:
        for t, i in itertools.product(range(end), range(found.shape[1])):
            without = np.where(np.arange(len(path[t]))[:, None] == i, 0, path[t])
            found[t, i] = plain_critic(made.live, path[t]) - plain_critic(made.live, without)
        return found
    path.append(np.zeros_like(path[0]))
    for t in range(end):
        for k in range(t, end):
            for j in range(c.path_points):
                point = path[k] + (j + c.path_offset) / c.path_points * (path[k + 1] - path[k])
                slope = plain_critic_slope(made.live, point)
                found[t] += (slope * (path[k] - path[k + 1])).sum(1) / c.path_points
    return found


def plain_qpd(made: Learner, ep: Episodes) -> float:
    q, _ = plain_unroll(made.live["agent"], ep)
    agents, next_value = range(q.shape[2]), np.zeros(ep.reward.shape)
    nothing = np.zeros((q.shape[2], ep.obs.shape[-1] + q.shape[3]))
    for row, t in steps(ep):
        last = t + 1 == length(ep, row)
        after = [greedy(ep, q, row, t + 1, i) for i in agents] if last else ep.action[row, t + 1].tolist()
        x = plain_input(ep, row, t + 1, after)
        next_value[row, t] = plain_critic(made.target, x) - plain_critic(made.target, nothing)
    td, actor = [], []
    for row in range(len(ep.reward)):
        credit = plain_credits(made, ep, row)
        for t in range(length(ep, row)):
            action = ep.action[row, t].tolist()
            y = plain_return(ep, row, t, next_value, made.config.gamma, made.config.td_lambda)
            q_tot = plain_critic(made.live, plain_input(ep, row, t, action)) - plain_critic(made.live, nothing)
            td.append((q_tot - y) ** 2)
            actor += [(q[row, t, i, action[i]] - credit[t, i]) ** 2 for i in agents]
    return float(np.mean(td) + np.mean(actor))


def plain_heads(heads: nn.Module, k: int, x: np.ndarray) -> np.ndarray:
    """The output of the k-th of several perceptrons."""
    layers = [
        (w[k].detach().numpy(), b[k, 0].detach().numpy()) for w, b in zip(heads.weights, heads.biases, strict=True)
    ]
    for weight, bias in layers[:-1]:
        x = np.maximum(x @ weight + bias, 0)
    weight, bias = layers[-1]
    return x @ weight + bias


def plain_duelling(
    networks: nn.ModuleDict, q: list[float], best: list[float], action: list[int], state: np.ndarray
) -> float:
    """V_tot + A_tot, as QPLEX's paper has it."""
    mixer = networks["duelling"]
    w, v = np.abs(perceptron(mixer.w, state)) + 1e-10, perceptron(mixer.v, state)
    importance, one_hots = mixer.importance, np.concatenate([np.eye(mixer.importance.n_actions)[a] for a in action])
    q_tot = 0.0
    for i in range(len(q)):
        weight = 0.0
        for k in range(len(importance.key.weights[0])):
            key = abs(plain_heads(importance.key, k, state)[0]) + 1e-10
            agent = sigmoid(plain_heads(importance.agent, k, state)[i])
            weight += key * agent * sigmoid(plain_heads(importance.action, k, np.concatenate((state, one_hots)))[i])
        q_tot += (w[i] * best[i] + v[i]) + weight * ((w[i] * q[i] + v[i]) - (w[i] * best[i] + v[i]))
    return float(q_tot)


def plain_qplex(made: Learner, ep: Episodes) -> float:
    q, _ = plain_unroll(made.live["agent"], ep)
    q_target, _ = plain_unroll(made.target["agent"], ep)
    agents, state, next_value = range(q.shape[2]), ep.state.numpy(), np.zeros(ep.reward.shape)
    for row, t in steps(ep):
        chosen = [greedy(ep, q, row, t + 1, i) for i in agents]
        value = [q_target[row, t + 1, i, chosen[i]] for i in agents]
        best = [q_target[row, t + 1, i, greedy(ep, q_target, row, t + 1, i)] for i in agents]
        next_value[row, t] = plain_duelling(made.target, value, best, chosen, state[row, t + 1])
    errors = []
    for row, t in steps(ep):
        action = ep.action[row, t].tolist()
        value = [q[row, t, i, action[i]] for i in agents]
        best = [q[row, t, i, greedy(ep, q, row, t, i)] for i in agents]
        q_tot = plain_duelling(made.live, value, best, action, state[row, t])
        y = plain_return(ep, row, t, next_value, made.config.gamma, made.config.td_lambda)
        errors.append((y - q_tot) ** 2)
    return float(np.mean(errors))


def plain_central(networks: nn.ModuleDict, q: list[float], state: np.ndarray) -> float:
    central = networks["central"]
    return float((perceptron(central.joint, np.concatenate((state, q))) + perceptron(central.v, state))[0])


class PlainStep(NamedTuple):
    """What the weight of a step may depend on."""

    q_tot: float
    y: float
    q_star_of_greedy: float  # by the target
    is_greedy: bool


def optimistic(alpha: float, step: PlainStep) -> float:
    return 1 if step.q_tot < step.y else alpha


def central(alpha: float, step: PlainStep) -> float:
    return 1 if step.is_greedy or step.y > step.q_star_of_greedy else alpha


def plain_terms(made: Learner, ep: Episodes, weight: Callable[[float, PlainStep], float]) -> dict[str, float]:
    """The means over steps of both losses of Weighted QMIX and of its weights."""
    q, _ = plain_unroll(made.live["agent"], ep)
    q_central, _ = plain_unroll(made.live["central_agent"], ep)
    q_target, _ = plain_unroll(made.target["central_agent"], ep)
    agents, state = range(q.shape[2]), ep.state.numpy()

    def q_star_of_greedy(row: int, t: int) -> float:
        best = [q_target[row, t, i, greedy(ep, q, row, t, i)] for i in agents]
        return plain_central(made.target, best, state[row, t])

    next_value = np.zeros(ep.reward.shape)
    for row, t in steps(ep):
        next_value[row, t] = q_star_of_greedy(row, t + 1)
    terms: dict[str, list[float]] = {"weighted": [], "central": [], "w": []}
    for row, t in steps(ep):
        action = ep.action[row, t].tolist()
        y = plain_return(ep, row, t, next_value, made.config.gamma, made.config.td_lambda)
        q_tot = plain_mixer(made.live, [q[row, t, i, action[i]] for i in agents], state[row, t])
        q_star = plain_central(made.live, [q_central[row, t, i, action[i]] for i in agents], state[row, t])
        is_greedy = action == [greedy(ep, q, row, t, i) for i in agents]
        w = weight(made.config.alpha, PlainStep(q_tot, y, q_star_of_greedy(row, t), is_greedy))
        terms["weighted"].append(w * (y - q_tot) ** 2)
        terms["central"].append((y - q_star) ** 2)
        terms["w"].append(w)
    return {name: float(np.mean(values)) for name, values in terms.items()}


def plain_weighted(weight: Callable[[float, PlainStep], float]) -> Callable[[Learner, Episodes], float]:
    def loss(made: Learner, ep: Episodes) -> float:
        terms = plain_terms(made, ep, weight)
        return terms["weighted"] + terms["central"]

    return loss


def plain_policy(ep: Episodes, logits: np.ndarray, epsilon: float = 0.0) -> np.ndarray:
    """The probabilities [B, T + 1, N, A] of a softmax over the available actions, mixed with uniform play."""
    pi = np.zeros(logits.shape)
    for where in itertools.product(*map(range, logits.shape[:-1])):
        available = [a for a in range(logits.shape[-1]) if ep.available[(*where, a)]]
        total = sum(math.exp(logits[(*where, a)]) for a in available)
        for a in available:
            pi[(*where, a)] = (1 - epsilon) * math.exp(logits[(*where, a)]) / total + epsilon / len(available)
    return pi


def plain_values(networks: nn.ModuleDict, ep: Episodes) -> np.ndarray:
    """The values [B, T + 1, N] of the agents, where the critic sees what they see, or of the state."""
    if hasattr(networks["critic"], "unroll"):
        return plain_unroll(networks["critic"], ep)[0][..., 0]
    b, slots, n, _ = ep.obs.shape
    values = [[perceptron(networks["critic"], ep.state[row, t].numpy()) for t in range(slots)] for row in range(b)]
    return np.tile(np.array(values), n)


def plain_ppo(made: Learner, ep: Episodes) -> float:
    c = made.config
    pi, pi_old = (plain_policy(ep, plain_unroll(one["agent"], ep)[0]) for one in (made.live, made.target))
    v, v_old = (plain_values(one, ep) for one in (made.live, made.target))
    y, advantages = {}, {}
    for (row, t), i in itertools.product(steps(ep), range(v.shape[2])):
        y[row, t, i] = plain_return(ep, row, t, v_old[:, 1:, i], c.gamma, c.td_lambda)
        advantages[row, t, i] = y[row, t, i] - v_old[row, t, i]
    mean, deviation = np.mean([*advantages.values()]), np.std([*advantages.values()])
    losses = []
    for (row, t, i), advantage in advantages.items():
        u, advantage = int(ep.action[row, t, i]), (advantage - mean) / deviation
        rho = pi[row, t, i, u] / pi_old[row, t, i, u]
        gain = min(rho * advantage, min(max(rho, 1 - c.clip), 1 + c.clip) * advantage)
        entropy = -sum(p * math.log(p) for p in pi[row, t, i] if p > 0)
        error = (y[row, t, i] - v[row, t, i]) ** 2
        losses.append(-gain - c.entropy_weight * entropy + c.value_weight * error)
    return float(np.mean(losses))


def plain_k(mixer: nn.Module, state: np.ndarray) -> np.ndarray:
    w1, w2 = np.abs(affine(mixer.w1, state)), np.abs(affine(mixer.w2, state))
    k = np.array([sum(w1[i * mixer.width + e] * w2[e] for e in range(mixer.width)) for i in range(mixer.n_agents)])
    return k / k.sum() if mixer.normalise_k else k


def plain_agent_values(networks: nn.ModuleDict, ep: Episodes, row: int, t: int) -> np.ndarray:
    """DOP's values [N, A] of one step."""
    critic, state, n = networks["critic"], ep.state[row, t].numpy(), ep.obs.shape[2]
    inputs = [np.concatenate((state, ep.obs[row, t, i].numpy(), np.eye(n)[i])) for i in range(n)]
    return np.array([perceptron(critic.value, affine(critic.encode, x)) for x in inputs])


def plain_backup(
    ep: Episodes, row: int, t: int, q: np.ndarray, q_pi: np.ndarray, c: np.ndarray, config: object
) -> float:
    """The tree backup of one step as the paper has it: a sum over the steps ahead."""
    y, weight = q[row, t], 1.0
    for ahead in range(min(config.backup_steps, length(ep, row) - t)):
        at = t + ahead
        weight *= config.gamma * config.backup_lambda * c[row, at] if ahead else 1.0
        goes_on = config.gamma * (1 - float(ep.terminated[row, at]))
        y += weight * (float(ep.reward[row, at]) + goes_on * q_pi[row, at + 1] - q[row, at])
    return float(y)


def plain_dop(made: Learner, ep: Episodes) -> float:
    b, slots, n, _ = ep.obs.shape
    state = ep.state.numpy()
    logits = plain_unroll(made.live["agent"], ep)[0]
    pi, softmax = plain_policy(ep, logits, made.epsilon), plain_policy(ep, logits, 0.0)

    def bias(networks: nn.ModuleDict, row: int, t: int) -> float:
        mixer = networks["mixer"]
        return float(perceptron(mixer.b, state[row, t])[0]) if mixer.b is not None else 0.0

    q_pi, q_target, c = np.zeros((b, slots)), np.zeros((b, slots)), np.zeros((b, slots))
    for row in range(b):
        for t in range(length(ep, row) + 1):
            values, k = plain_agent_values(made.target, ep, row, t), plain_k(made.target["mixer"], state[row, t])
            q_pi[row, t] = sum(k[i] * sum(pi[row, t, i] * values[i]) for i in range(n)) + bias(made.target, row, t)
            if t < length(ep, row):
                u = ep.action[row, t].tolist()
                q_target[row, t] = sum(k[i] * values[i, u[i]] for i in range(n)) + bias(made.target, row, t)
                c[row, t] = math.prod(pi[row, t, i, u[i]] for i in range(n))
    policy, gains, entropies, critic = [], [], [], []
    for row, t in steps(ep):
        u, values = ep.action[row, t].tolist(), plain_agent_values(made.live, ep, row, t)
        k = plain_k(made.live["mixer"], state[row, t])
        if row < made.config.latest:
            y = plain_return(ep, row, t, q_pi[:, 1:], made.config.gamma, made.config.td_lambda)
            for i in range(n):
                gains.append(k[i] * (values[i, u[i]] - sum(pi[row, t, i] * values[i])))
                policy.append(-gains[-1] * math.log(pi[row, t, i, u[i]]))
                entropies.append(-sum(p * math.log(p) for p in softmax[row, t, i] if p > 0))
        else:
            y = plain_backup(ep, row, t, q_target, q_pi, c, made.config)
        critic.append((y - sum(k[i] * values[i, u[i]] for i in range(n)) - bias(made.live, row, t)) ** 2)
    bonus = made.config.entropy_weight * np.sqrt(np.mean(np.square(gains))) * np.mean(entropies)
    return float(np.mean(policy) - bonus + np.mean(critic))


PLAIN: dict[str, Callable[[Learner, Episodes], float]] = {
    "iql": plain_iql,
    "vdn": plain_mixed(plain_sum),
    "qmix": plain_mixed(plain_mixer),
    "qtran": plain_qtran,
    "qtran_alt": plain_qtran_alt,
    "qpd": plain_qpd,
    "qplex": plain_qplex,
    "ow_qmix": plain_weighted(optimistic),
    "cw_qmix": plain_weighted(central),
    "dop": plain_dop,
    "ippo": plain_ppo,
    "mappo": plain_ppo,
}


def test_every_algorithm_has_a_plain_twin() -> None:
    assert set(PLAIN) == set(ALGORITHMS)


@EVERY
@pytest.mark.parametrize("td_lambda", [0.0, 0.7])
def test_loss_equals_its_plain_twin(name: str, td_lambda: float) -> None:
    for seed in range(3):
        made, ep = learner(name, seed=seed, td_lambda=td_lambda), episodes(seed=seed)
        loss, terms = made.loss(ep)
        assert loss.item() == pytest.approx(PLAIN[name](made, ep), rel=1e-6, abs=1e-6)
        assert loss.item() > 0.01
        assert all(np.isfinite(term.item()) for term in terms.values())


@QTRANS
def test_the_weights_of_qtrans_conditions_are_those_of_the_config(name: str) -> None:
    made, ep = learner(name, lambda_opt=0.3, lambda_nopt=5.0), episodes()
    made.live["v"][-1].bias.data -= 3.0  # so that the inequality is broken somewhere
    loss, terms = made.loss(ep)
    assert loss.item() == pytest.approx(PLAIN[name](made, ep), rel=1e-6)
    assert min(terms["opt"].item(), terms["nopt"].item()) > 0.001


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("qtran", {"use_v": False}),
        ("qtran", {"bootstrap": "sum"}),
        ("qtran", {"held": "live"}),
        ("qtran", {"joint_reads": "observations"}),
        ("qtran", {"joint_reads": "observations", "held": "live"}),
        ("qtran", {"joint_reads": "state"}),
        ("qtran", {"joint_reads": "state", "bootstrap": "sum"}),
        ("qtran_alt", {"use_v": False}),
        ("qtran_alt", {"max_bootstrap": True}),
        ("qtran_alt", {"held": "live"}),
        ("qpd", {"joint_width": 64}),
        ("qpd", {"joint_width": 64, "path_points": 3, "path_offset": 0.0}),
    ],
)
def test_the_other_forms_equal_their_plain_twins_too(name: str, fields: dict[str, float]) -> None:
    made, ep = learner(name, **fields), episodes()
    loss = made.loss(ep)[0].item()
    assert loss == pytest.approx(PLAIN[name](made, ep), rel=1e-6)
    assert abs(loss - learner(name).loss(ep)[0].item()) > 1e-4


@pytest.mark.parametrize("reads", ["histories", "observations", "state"])
def test_qtran_checks_its_inequality_at_the_drawn_actions_as_at_the_taken_ones(reads: str, monkeypatch) -> None:
    fields = {"joint_reads": reads, "held": "live", "last_action": False}  # actions leave what agents remember as it is
    made, drawing, ep = learner("qtran", **fields), learner("qtran", **fields, drawn_actions=2), episodes()
    for one in (made, drawing):
        one.live["v"][-1].bias.data -= 3.0  # so that the inequality is broken somewhere
    _, alone = made.loss(ep)
    others = [(ep.action + shift) % ep.available.shape[-1] for shift in (1, 2)]
    nopt = [made.loss(ep._replace(action=action))[1]["nopt"] for action in (ep.action, *others)]
    draws = iter(others)
    monkeypatch.setattr(drawing, "draw_actions", lambda ep: next(draws))
    loss, terms = drawing.loss(ep)
    assert len({round(one.item(), 9) for one in nopt}) > 1
    assert terms["nopt"].item() == pytest.approx(sum(one.item() for one in nopt) / 3)
    for name in ("td", "opt"):
        assert terms[name].item() == pytest.approx(alone[name].item())
    assert loss.item() == pytest.approx(sum(terms[name].item() for name in ("td", "opt", "nopt")))


def test_qtran_draws_each_legal_action_as_often_as_any_other_and_no_other() -> None:
    made, ep = learner("qtran", drawn_actions=1), episodes()
    available = ep.available[:, :-1]
    counts = sum(F.one_hot(made.draw_actions(ep), available.shape[-1]) for _ in range(3000))
    assert not counts[~available].any()
    expected = 3000 * available / available.sum(-1, keepdim=True)
    assert ((counts - expected).abs() < 5 * expected.sqrt())[available].all()


# Steps that count, steps that do not, and how an episode ends.


def with_garbage(ep: Episodes, seed: int) -> Episodes:
    """The same episodes with noise wherever nothing happened, and behind a terminal step."""
    random = np.random.default_rng(seed)
    noise = copy.deepcopy(ep)
    for row in range(len(ep.happened)):
        end = length(ep, row)
        unseen = end + 1 - int(ep.terminated[row, end - 1])  # what is seen after a terminal step has no value
        noise.obs[row, unseen:] = torch.from_numpy(random.normal(0, 100, noise.obs[row, unseen:].shape))
        noise.state[row, unseen:] = torch.from_numpy(random.normal(0, 100, noise.state[row, unseen:].shape))
        noise.available[row, unseen:] = torch.from_numpy(random.random(noise.available[row, unseen:].shape) < 0.5)
        noise.action[row, end:] = torch.from_numpy(
            random.integers(0, ep.available.shape[-1], noise.action[row, end:].shape)
        )
        noise.reward[row, end:] = torch.from_numpy(random.normal(0, 100, noise.reward[row, end:].shape))
        noise.terminated[row, end:] = torch.from_numpy(
            random.integers(0, 2, noise.reward[row, end:].shape).astype(float)
        )
    return noise


@EVERY
@pytest.mark.parametrize("td_lambda", [0.0, 0.7, 1.0])
def test_garbage_after_the_end_changes_neither_loss_nor_gradients(name: str, td_lambda: float) -> None:
    made, ep = learner(name, td_lambda=td_lambda), episodes(lengths=(5, 1, 3, 2), ends="tltl")
    loss, terms = made.loss(ep)
    expected = gradients(loss, made.live)
    for seed in range(3):
        noise = with_garbage(ep, seed)
        assert not torch.equal(noise.obs, ep.obs)
        noisy, noisy_terms = made.loss(noise)
        assert noisy.item() == loss.item()
        assert noisy_terms == terms
        for parameter, gradient in gradients(noisy, made.live).items():
            before = expected[parameter]
            assert before is not None and gradient is not None, parameter
            assert torch.equal(gradient, before), parameter


@EVERY
@pytest.mark.parametrize("td_lambda", [0.0, 0.7])
def test_longer_padding_changes_nothing(name: str, td_lambda: float) -> None:
    made, ep = learner(name, td_lambda=td_lambda), episodes()
    padded = with_garbage(
        Episodes(*(torch.cat((x, torch.zeros_like(x[:, :1]).expand(-1, 3, *x.shape[2:])), 1) for x in ep)), seed=0
    )
    loss, _ = made.loss(ep)
    longer, _ = made.loss(padded)
    assert longer.item() == pytest.approx(loss.item(), rel=1e-12)
    for before, after in zip(gradients(loss, made.live).values(), gradients(longer, made.live).values(), strict=True):
        torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-12)


@EVERY
def test_a_time_limit_differs_from_a_terminal_step_by_the_discounted_value_after_it(name: str, targets) -> None:
    made = learner(name, gamma=0.8)
    cut, ended = episodes(lengths=(4, 2), ends="ll"), episodes(lengths=(4, 2), ends="tt")
    y_cut, next_value = targets(made, cut)
    y_ended, _ = targets(made, ended)
    for row, last in ((0, 3), (1, 1)):
        assert torch.equal(y_ended[row, last], cut.reward[row, last].expand_as(y_ended[row, last]))
        torch.testing.assert_close(y_cut[row, last], y_ended[row, last] + 0.8 * next_value[row, last])
        assert next_value[row, last].abs().min() > 1e-3
        assert torch.equal(y_cut[row, :last], y_ended[row, :last])
    assert made.loss(cut)[0].item() == pytest.approx(PLAIN[name](made, cut), rel=1e-6)
    assert made.loss(ended)[0].item() == pytest.approx(PLAIN[name](made, ended), rel=1e-6)


@EVERY
def test_targets_are_constants_made_by_the_target_networks(name: str, targets) -> None:
    made, ep = learner(name), episodes()
    y, _ = targets(made, ep)
    assert not y.requires_grad
    made.loss(ep)[0].backward()
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in made.target.parameters())
    with torch.no_grad():
        for parameter in made.target.parameters():
            parameter.mul_(1.1)
    changed, _ = targets(made, ep)
    goes_on = (ep.happened * (1 - ep.terminated)).bool()
    assert (changed - y)[goes_on].abs().min() > 1e-6
    assert torch.equal(changed[ep.terminated.bool()], y[ep.terminated.bool()])


@EVERY
def test_every_live_parameter_learns(name: str) -> None:
    made, ep = learner(name), episodes()
    for parameter, gradient in gradients(made.loss(ep)[0], made.live).items():
        assert moved(gradient), parameter


# Agents that change places.


def reorder(part: Tensor, order: list[int], dim: int) -> None:
    """Moves the agents' shares of a parameter, which lie along one axis: in blocks, one for each agent."""
    by_agent = part.unflatten(dim, (len(order), -1)).movedim(dim, 0)
    by_agent.copy_(by_agent[order].clone())


def change_places(made: Learner, order: list[int]) -> None:
    """Moves what belongs to one agent alone: the weights of its index and those of its utility in what mixes them."""
    n = len(order)
    for networks in (made.live, made.target):
        for name, part in networks.items():
            if isinstance(part, RecurrentAgent | AgentValues):
                reorder(part.encode.weight.data[:, -n:], order, 1)
            if name == "mixer":
                last = [*part.w1.modules()][-1]
                reorder(last.weight.data, order, 0)
                reorder(last.bias.data, order, 0)
            if name == "critic" and hasattr(part, "merge"):
                reorder(part.merge[0].weight.data, order, 1)
            if name == "central":
                reorder(part.joint[0].weight.data[:, -n:], order, 1)
            if name == "duelling":
                for layer in (part.w[-1], part.v[-1]):
                    reorder(layer.weight.data, order, 0)
                    reorder(layer.bias.data, order, 0)
                for heads in (part.importance.agent, part.importance.action):
                    reorder(heads.weights[-1].data, order, 2)
                    reorder(heads.biases[-1].data, order, 2)
                reorder(part.importance.action.weights[0].data[:, SMALL.state_size :], order, 1)


@EVERY
def test_agents_that_change_places_with_their_ids_change_nothing(name: str) -> None:
    sizes, order = Sizes(n_agents=3), [2, 0, 1]
    made, ep = learner(name, sizes), episodes(sizes)
    loss, _ = made.loss(ep)
    permuted = ep._replace(obs=ep.obs[:, :, order], available=ep.available[:, :, order], action=ep.action[:, :, order])
    without_ids, _ = made.loss(permuted)
    assert abs(without_ids.item() - loss.item()) > 1e-6  # the index tells agents apart
    change_places(made, order)
    after, _ = made.loss(permuted)
    assert after.item() == pytest.approx(loss.item(), rel=1e-9)


# Actions that are not available.


@EVERY
def test_the_utility_of_an_action_that_is_never_available_is_used_nowhere(name: str) -> None:
    made, ep = learner(name, td_lambda=0.5), episodes()
    ep.available[..., 1] = False
    ep.available[..., 0] |= ~ep.available.any(-1)
    ep.action[ep.action == 1] = 0
    loss, _ = made.loss(ep)
    head = gradients(loss, made.live["agent"])["decode.bias"]
    assert head is not None
    assert head[1] == 0
    assert head.abs().max() > 0
    for networks in (made.live, made.target):
        for part in networks.values():
            if isinstance(part, RecurrentAgent) and part.n_actions > 1:  # not a critic
                part.decode.bias.data[1] += 1000.0  # by far the best, were it available
    assert made.loss(ep)[0].item() == loss.item()


@EVERY
@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0])
def test_behaviour_takes_available_actions_only(name: str, epsilon: float) -> None:
    sizes = Sizes(n_agents=3, n_actions=4)
    made = learner(name, sizes, epsilon_start=epsilon, epsilon_end=epsilon)
    made.live.float()
    made.live["agent"].decode.bias.data[2] = 1000.0
    random, behaviour = np.random.default_rng(0), made.behaviour()
    behaviour.reset(50)
    seen = set()
    for _ in range(10):
        mask = (random.random((50, 3, 4)) < 0.4).astype(np.int8)
        mask[..., 3] |= ~mask.any(-1)
        action = behaviour.act(random.normal(size=(50, 3, 5)).astype(np.float32), mask)
        assert np.take_along_axis(mask, action[..., None], -1).all()
        seen |= set(action.flat)
        if epsilon == 0:
            assert (action[mask[..., 2] == 1] == 2).all()
    assert seen == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "draw", [random_legal, lambda mask, random: RandomTeam(int(random.integers(99))).act(mask, mask)]
)
def test_random_actions_are_uniform_over_the_available_ones(draw) -> None:
    mask = np.zeros((30_000, 2, 4), np.int8)
    mask[:, 0, [0, 2, 3]] = 1
    mask[:, 1, 1] = 1
    action = draw(mask, np.random.default_rng(1))
    assert action.shape == (30_000, 2)
    assert (action[:, 1] == 1).all()
    shares = np.bincount(action[:, 0], minlength=4) / 30_000
    assert shares[1] == 0
    assert np.abs(shares[[0, 2, 3]] - 1 / 3).max() < 0.012  # 4.4 standard deviations


# What each paper promises.


class Given(nn.Module):
    """An agent whose utilities q [B, T + 1, N, A] are what the test says, whatever it sees."""

    def __init__(self, q: Tensor) -> None:
        super().__init__()
        self.q = nn.Parameter(q)

    def unroll(self, ep: Episodes) -> tuple[Tensor, Tensor]:
        return self.q, torch.zeros(*self.q.shape[:3], 1, dtype=self.q.dtype)


def q_tot(made: Learner, q: Tensor, action: Tensor, state: Tensor) -> Tensor:
    """The team's value of actions [B, N] by the utilities q [B, N, A] in states [B, S]."""
    q, action, state = q.unsqueeze(1), action.unsqueeze(1), state.unsqueeze(1)  # one step
    if "duelling" in made.live:
        return made.live["duelling"](taken(q, action), q.max(-1).values, action, state).squeeze(1)
    if "mixer" in made.live:
        return made.live["mixer"](taken(q, action), state).squeeze(1)
    return taken(q, action).sum(-1).squeeze(1)


@FACTORED
def test_the_agents_greedy_actions_are_the_best_joint_action(name: str) -> None:
    n, a = 3, 4
    made, random = learner(name, Sizes(n, a)), torch.Generator().manual_seed(0)
    joint = torch.tensor(list(itertools.product(range(a), repeat=n)))  # [A^N, N]
    draws, alone = 0, 0
    while draws < 500:
        if draws % 10 == 0:
            for parameter in made.live.parameters():
                parameter.data.copy_(torch.randn(parameter.shape, generator=random, dtype=torch.float64))
        q = torch.randn(n, a, generator=random, dtype=torch.float64)
        state = torch.randn(1, 4, generator=random, dtype=torch.float64).expand(len(joint), -1)
        first, second = q.topk(2, -1).values.unbind(-1)
        if (first - second).min() <= 1e-3:
            continue
        value = q_tot(made, q.expand(len(joint), n, a), joint, state)
        best = value >= value.max() - 1e-12 * value.abs().max()  # a weight may be too small for the last digits
        assert best[(joint == q.argmax(-1)).all(-1)]
        draws, alone = draws + 1, alone + int(best.sum() == 1)
    assert alone > 450


def test_iql_of_one_agent_is_vdn_of_one_agent_bit_for_bit() -> None:
    sizes = Sizes(n_agents=1)
    iql, vdn = (learner(name, sizes, td_lambda=0.4, target_period=2) for name in ("iql", "vdn"))
    for seed in range(5):
        ep = episodes(sizes, seed=seed)
        a, b = iql.update(ep), vdn.update(ep)
        assert a["loss"] == b["loss"]
    for ours, theirs in zip(iql.live.parameters(), vdn.live.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_an_agents_loss_in_iql_does_not_depend_on_what_the_others_do() -> None:
    """Only agent i moves the weights of index i. In one step, as the agents' later inputs hold their last actions."""
    sizes = Sizes(n_agents=3)
    made, ep = learner("iql", sizes), episodes(sizes, lengths=(1, 1), ends="tl")
    ep.available[:] = True

    def of_index(some: Episodes) -> Tensor:
        gradient = gradients(made.loss(some)[0], made.live["agent"])["encode.weight"]
        assert gradient is not None
        return gradient[:, -3:]

    before = of_index(ep)
    other = copy.deepcopy(ep)
    other.action[:, 0, 1] = (other.action[:, 0, 1] + 1) % 3
    after = of_index(other)
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    assert not torch.equal(before[:, 1], after[:, 1])


def test_vdns_team_value_grows_one_for_one_with_each_taken_utility() -> None:
    made, ep = learner("vdn"), episodes(lengths=(3, 3), ends="ll")
    made.live["agent"] = Given(torch.randn(2, 4, 2, 3, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(made.loss(ep)[1]["q_mean"] * 6, made.live["agent"].q)  # 6 steps in the mean
    expected = torch.zeros_like(gradient)
    expected[:, :-1].scatter_(-1, ep.action.unsqueeze(-1), 1.0)
    torch.testing.assert_close(gradient, expected)


def test_vdn_does_not_notice_a_constant_moved_from_one_agent_to_another() -> None:
    made, ep = learner("vdn", td_lambda=0.5), episodes(lengths=(3, 2), ends="lt")
    q = torch.randn(2, 4, 2, 3, dtype=torch.float64)
    shift = torch.tensor([[5.0], [-5.0]], dtype=torch.float64)
    losses = []
    for live in (q, q + shift, q + shift.abs()):
        made.live["agent"] = Given(live)
        losses.append(made.loss(ep)[0].item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-9)
    assert losses[2] != pytest.approx(losses[0], rel=0.01)


def random_mixer(random: torch.Generator) -> MonotonicMixer:
    mixer = MonotonicMixer(3, 4, 8, 16).double()
    for parameter in mixer.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=random, dtype=torch.float64) / 2)
    return mixer


def test_qmixs_team_value_never_falls_when_a_utility_grows() -> None:
    random, step, smallest = torch.Generator().manual_seed(0), 1e-6, math.inf
    for _ in range(50):  # 50 mixers of 20 states: 1,000 draws
        mixer = random_mixer(random)
        q = (3 * torch.randn(20, 1, 3, generator=random, dtype=torch.float64)).requires_grad_()
        state = torch.randn(20, 1, 4, generator=random, dtype=torch.float64)
        assert q.min() < 0 < q.max()
        value = mixer(q, state)
        (slope,) = torch.autograd.grad(value.sum(), q)
        assert slope.min() >= 0
        smallest = min(smallest, slope.max().item())
        for i in range(3):
            bump = torch.eye(3, dtype=torch.float64)[i] * step
            difference = (mixer(q + bump, state) - mixer(q - bump, state)) / (2 * step)
            torch.testing.assert_close(difference.squeeze(1), slope[:, 0, i], rtol=1e-4, atol=1e-4)
    assert smallest > 0.1


def test_qmixs_state_and_biases_move_the_team_value_both_ways() -> None:
    random = torch.Generator().manual_seed(0)
    mixer, q = random_mixer(random), torch.full((200, 1, 3), 0.1, dtype=torch.float64)
    value = mixer(q, torch.randn(200, 1, 4, generator=random, dtype=torch.float64))
    assert value.min() < -1
    assert value.max() > 1
    state = torch.ones(1, 1, 4, dtype=torch.float64)
    before = mixer(q[:1], state).item()
    for shift in (-7.0, 7.0):
        mixer.b2[-1].bias.data += shift
        assert mixer(q[:1], state).item() == pytest.approx(before + shift)
        mixer.b2[-1].bias.data -= shift
    for shift, lower in ((-50.0, True), (50.0, False)):
        mixer.b1.bias.data += shift
        assert (mixer(q[:1], state).item() < before) is lower
        mixer.b1.bias.data -= shift


def test_a_mixer_without_weights_returns_its_last_bias() -> None:
    random = torch.Generator().manual_seed(0)
    mixer = random_mixer(random)
    for layers in (mixer.w1, mixer.w2):
        layers[-1].weight.data.zero_()
        layers[-1].bias.data.zero_()
    q, state = torch.randn(9, 2, 3, dtype=torch.float64), torch.randn(9, 2, 4, dtype=torch.float64)
    assert torch.equal(mixer(q, state), mixer.b2(state).squeeze(-1))


def test_qmix_mixes_with_the_state_of_the_same_time() -> None:
    made, ep = learner("qmix"), episodes(lengths=(2,), ends="t")
    made.live["agent"] = Given(torch.randn(1, 3, 2, 3, dtype=torch.float64))
    before = made.loss(ep)[1]["q_mean"].item()
    ep.state[:, 2] += 1  # after the last step: of no account for the values of the steps
    assert made.loss(ep)[1]["q_mean"].item() == before
    ep.state[:, 1] += 1
    assert made.loss(ep)[1]["q_mean"].item() != before


def random_duelling(random: torch.Generator, **fields: int) -> DuellingMixer:
    sizes = Sizes(n_agents=3, n_actions=4)
    mixer = DuellingMixer(sizes, algorithm("qplex").Config(**fields)).double()
    for parameter in mixer.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=random, dtype=torch.float64) / 2)
    return mixer


HEADS = pytest.mark.parametrize("fields", [{"heads": 4, "importance_layers": 1}, {"heads": 3, "importance_layers": 3}])


@HEADS
def test_qplexs_advantage_is_zero_at_the_greedy_joint_action_and_below_zero_elsewhere(fields: dict[str, int]) -> None:
    random = torch.Generator().manual_seed(0)
    joint = torch.tensor(list(itertools.product(range(4), repeat=3))).unsqueeze(1)  # [A^N, 1, N]
    for _ in range(50):
        mixer = random_duelling(random, **fields)
        q = 3 * torch.randn(3, 4, generator=random, dtype=torch.float64)
        state = torch.randn(1, 1, 4, generator=random, dtype=torch.float64).expand(64, -1, -1)
        best = q.max(-1).values.expand(64, 1, 3)
        value = mixer(taken(q.expand(64, 1, 3, 4), joint), best, joint, state)[:, 0]
        v_tot = (mixer.w(state[0, 0]).abs() * best[0, 0] + mixer.v(state[0, 0])).sum()
        is_greedy = (joint[:, 0] == q.argmax(-1)).all(-1)
        assert is_greedy.sum() == 1
        torch.testing.assert_close(value[is_greedy][0], v_tot)
        assert (value[~is_greedy] < v_tot).all()


@HEADS
def test_qplexs_importances_are_positive_and_differ_between_joint_actions(fields: dict[str, int]) -> None:
    random = torch.Generator().manual_seed(0)
    for _ in range(20):
        importance = random_duelling(random, **fields).importance
        state = 3 * torch.randn(1, 1, 4, generator=random, dtype=torch.float64).expand(64, -1, -1)
        joint = torch.tensor(list(itertools.product(range(4), repeat=3))).unsqueeze(1)
        weights = importance(joint, state)
        assert weights.shape == (64, 1, 3)
        assert weights.min() > 0
        assert (weights.amax(0) > 1.001 * weights.amin(0)).any()


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_qplexs_agents_learn_through_the_advantage_only_without_stop_gradient(stop_gradient: bool) -> None:
    """Q_tot = sum w V + v + sum lambda w (q - V): with the gradient stopped, dQ_tot / dq is w, as of sum w q + v."""
    made, ep = learner("qplex", stop_gradient=stop_gradient), episodes(lengths=(3, 3), ends="ll")
    agent = Given(torch.randn(2, 4, 2, 3, dtype=torch.float64))
    made.live["agent"] = agent
    total = made.loss(ep)[1]["q_mean"] * 6  # 6 steps in the mean
    (gradient,) = torch.autograd.grad(total, agent.q, retain_graph=True)
    mixer, state = made.live["duelling"], ep.state[:, :-1]
    w, importance = mixer.w(state).abs(), mixer.importance(ep.action, state)
    expected = torch.zeros_like(gradient)
    of_steps, greedy_action = expected[:, :-1], best_available(agent.q, ep.available)[:, :-1]
    if stop_gradient:
        of_steps.scatter_add_(-1, ep.action.unsqueeze(-1), w.unsqueeze(-1))
    else:
        of_steps.scatter_add_(-1, ep.action.unsqueeze(-1), (importance * w).unsqueeze(-1))
        of_steps.scatter_add_(-1, greedy_action.unsqueeze(-1), ((1 - importance) * w).unsqueeze(-1))
    torch.testing.assert_close(gradient, expected)
    assert (ep.action != greedy_action).any()
    assert all(moved(one) for one in gradients(total, mixer).values())  # w, v and lambda


def test_qplexs_importances_learn_nothing_from_greedy_actions() -> None:
    made, ep = learner("qplex"), episodes(lengths=(3, 3), ends="ll")
    made.live["agent"] = Given(F.pad(F.one_hot(ep.action, 3), (0, 0, 0, 0, 0, 1)).double())
    found = gradients(made.loss(ep)[0], made.live["duelling"])
    assert {name for name, one in found.items() if moved(one)} == {
        name for name in found if not name.startswith("importance")
    }


class Sum(nn.Module):
    """A mixer that adds, so that values can be worked out by hand."""

    def forward(self, q: Tensor, state: Tensor) -> Tensor:
        return q.sum(-1)


@pytest.mark.parametrize(("name", "weights"), [("ow_qmix", [1, 0.1, 1, 1]), ("cw_qmix", [1, 0.1, 1, 0.1])])
def test_the_weights_of_weighted_qmix_are_those_worked_out_by_hand(name: str, weights: list[float]) -> None:
    # Q_tot = [[3, 1], [4, 2]], greedy (1, 0); y = [[5, 0], [4.5, 2.5]]; Q* = [[1.6, 0], [4.6, 3]], 4.6 at (1, 0).
    sizes = Sizes(2, 2, 1, 1)
    made = learner(name, sizes, alpha=0.1)
    ep = episodes(sizes, lengths=(1, 1, 1, 1), ends="tttt")
    ep.available[:] = True
    ep = ep._replace(
        action=torch.tensor([[[0, 0]], [[0, 1]], [[1, 0]], [[1, 1]]]),
        reward=torch.tensor([[5.0], [0.0], [4.5], [2.5]], dtype=torch.float64),
    )

    def given(utilities: list[list[float]]) -> Given:
        return Given(torch.tensor(utilities, dtype=torch.float64).expand(4, 2, 2, 2).clone())

    made.live["agent"], made.live["mixer"] = given([[1, 2], [2, 0]]), Sum()
    for networks in (made.live, made.target):
        networks["central_agent"], networks["central"] = given([[0, 3], [1.6, 0]]), Sum()
    loss, terms = made.loss(ep)
    errors = [-2, 1, -0.5, -0.5]  # Q_tot - y
    assert terms["w"].item() == pytest.approx(sum(weights) / 4)
    assert terms["weighted"].item() == pytest.approx(sum(w * e**2 for w, e in zip(weights, errors, strict=True)) / 4)
    assert terms["central"].item() == pytest.approx((3.4**2 + 0 + 0.1**2 + 0.5**2) / 4)
    assert loss.item() == pytest.approx(terms["weighted"].item() + terms["central"].item())
    (gradient,) = torch.autograd.grad(terms["weighted"], made.live["agent"].q)
    for row, (a, b) in enumerate(ep.action[:, 0].tolist()):  # w is a constant: each agent gets 2 w (Q_tot - y) / 4
        expected = weights[row] * errors[row] / 2
        assert gradient[row, 0, 0, a].item() == pytest.approx(expected)
        assert gradient[row, 0, 1, b].item() == pytest.approx(expected)
        assert gradient[row, 0, 0, 1 - a] == gradient[row, 0, 1, 1 - b] == 0


@WEIGHTED
def test_central_agents_see_and_remember_what_the_others_do(name: str) -> None:
    made = learner(name, Sizes(2, 2, 1, 1), recurrent=False, last_action=False)
    of_agent, of_central = (
        {key: value.shape for key, value in made.live[part].state_dict().items()} for part in ("agent", "central_agent")
    )
    assert of_central == of_agent


@pytest.mark.parametrize(("name", "weight"), [("ow_qmix", optimistic), ("cw_qmix", central)])
@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_the_weights_of_weighted_qmix_equal_their_plain_twin(
    name: str, weight: Callable[[float, PlainStep], float], alpha: float
) -> None:
    for seed in range(3):
        made, ep = learner(name, seed=seed, td_lambda=0.5, alpha=alpha), episodes(seed=seed)
        ep = ep._replace(reward=100 * ep.reward)  # so that Q_tot is too high in some steps and too low in others
        _, terms = made.loss(ep)
        for term, expected in plain_terms(made, ep, weight).items():
            assert terms[term].item() == pytest.approx(expected, rel=1e-6, abs=1e-6), term
        assert alpha < terms["w"].item() < 1


@WEIGHTED
def test_weighted_qmix_with_equal_weights_and_qmixs_own_target_is_qmix(name: str) -> None:
    qmix, made, ep = learner("qmix", td_lambda=0.5), learner(name, td_lambda=0.5, alpha=1.0), episodes()
    made.live["agent"], made.live["mixer"] = qmix.live["agent"], qmix.live["mixer"]
    made.target["central_agent"], made.target["central"] = qmix.target["agent"], qmix.target["mixer"]
    ep = ep._replace(reward=100 * ep.reward)  # so that Q_tot is too high in some steps and too low in others
    loss, _ = qmix.loss(ep)
    weighted = made.loss(ep)[1]["weighted"]
    assert weighted.item() == loss.item()
    for ours, theirs in zip(gradients(weighted, qmix.live).values(), gradients(loss, qmix.live).values(), strict=True):
        assert ours is not None and theirs is not None
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    without = learner(name, td_lambda=0.5, alpha=0.5)
    without.live, without.target = made.live, made.target
    assert without.loss(ep)[1]["weighted"].item() < loss.item()


@WEIGHTED
def test_weighted_qmixs_gradients_go_where_its_table_says(name: str) -> None:
    made, ep = learner(name), episodes()
    _, terms = made.loss(ep)
    for term, learns in (("weighted", ("agent", "mixer")), ("central", ("central_agent", "central"))):
        for parameter, gradient in gradients(terms[term], made.live).items():
            assert moved(gradient) is parameter.startswith(learns), f"{term}: {parameter}"
    assert not terms["w"].requires_grad


@WEIGHTED
def test_weighted_qmixs_targets_come_from_the_central_value_alone(name: str, targets) -> None:
    made, ep = learner(name), episodes()
    y, _ = targets(made, ep)
    for unused in ("agent", "mixer"):
        for parameter in made.target[unused].parameters():
            parameter.zero_()
    same, _ = targets(made, ep)
    assert torch.equal(same, y)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("qplex", "heads", 0),
        ("qplex", "importance_layers", 0),
        ("ow_qmix", "alpha", 1.5),
        ("cw_qmix", "alpha", -0.1),
        ("cw_qmix", "central_width", 0),
    ],
)
def test_fields_out_of_range_are_named_with_what_would_do(name: str, field: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{field} is {value}; it must"):
        algorithm(name).Config(**{field: value})


class Table(nn.Module):
    """A joint value with base 0, or V, that the test wrote down: a number for each joint action, or one for all."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.tensor(values, dtype=torch.float64))

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        if len(inputs) == 1:  # V: [B, T, S] -> [B, T, 1]
            return self.values.expand(*inputs[0].shape[:2], 1)
        _, state, *actions = inputs
        base = self.values.new_zeros(state.shape[:2])
        return base, *(self.values[2 * action[..., 0] + action[..., 1]] for action in actions)  # two agents of two


def qtran_by_hand(utilities: list[list[float]], joint: list[float], v: float, payoff: list[float]) -> dict[str, float]:
    """The terms of QTRAN's loss in a one-shot game of 2 x 2 actions, all joint actions once."""
    sizes = Sizes(2, 2, 1, 1)
    made = learner("qtran", sizes, lambda_opt=2.0, lambda_nopt=3.0)
    made.live["agent"] = Given(torch.tensor(utilities, dtype=torch.float64).expand(4, 2, 2, 2).clone())
    made.live["joint"], made.target["joint"], made.live["v"] = Table(joint), Table(joint), Table([v])
    ep = episodes(sizes, lengths=(1, 1, 1, 1), ends="tttt")
    ep.available[:] = True
    ep = ep._replace(
        action=torch.tensor([[[0, 0]], [[0, 1]], [[1, 0]], [[1, 1]]]),
        reward=torch.tensor(payoff, dtype=torch.float64).unsqueeze(1),
    )
    loss, terms = made.loss(ep)
    return {"loss": loss.item(), **{name: term.item() for name, term in terms.items()}}


def test_qtrans_terms_are_those_worked_out_by_hand() -> None:
    # Q' = [[3, 1], [4, 2]], greedy (1, 0); brackets Q' - Q_jt + V: [[1, 3], [-2, -1]].
    terms = qtran_by_hand([[1, 2], [2, 0]], joint=[1, -3, 5, 2], v=-1.0, payoff=[2, -3, 5, 0])
    assert terms["td"] == pytest.approx((1 + 0 + 0 + 4) / 4)
    assert terms["opt"] == pytest.approx((4 - 5 - 1) ** 2)
    assert terms["nopt"] == pytest.approx((0 + 0 + 4 + 1) / 4)
    assert terms["loss"] == pytest.approx(1.25 + 2 * 4 + 3 * 1.25)


def test_qtrans_inequality_costs_nothing_where_it_holds() -> None:
    for v in (0.0, 0.5, 100.0):  # Q' - Q_jt = [[0, 1], [2, 3]]: with equality at (0, 0)
        terms = qtran_by_hand([[1, 2], [2, 0]], joint=[3, 0, 2, -1], v=v, payoff=[3, 0, 2, -1])
        assert terms["nopt"] == 0
        assert terms["td"] == 0
    assert qtran_by_hand([[1, 2], [2, 0]], joint=[3, 0, 2, -1], v=-0.5, payoff=[0] * 4)["nopt"] == pytest.approx(1 / 16)


@QTRANS
def test_qtrans_gradients_go_where_its_table_says(name: str) -> None:
    made, ep = learner(name), episodes()
    made.live["v"][-1].bias.data -= 3.0  # so that the inequality is broken somewhere
    _, terms = made.loss(ep)
    assert terms["nopt"] > 0.1
    head, trunk = ("agent.decode",), ("agent.encode", "agent.memory")
    for term, learns, rests in (
        ("td", ("joint", *trunk), ("v", *head)),
        ("opt", ("v", *head, *trunk), ("joint",)),
        ("nopt", ("v", *head, *trunk), ("joint",)),
    ):
        for parameter, gradient in gradients(terms[term], made.live).items():
            assert moved(gradient) is parameter.startswith(learns), f"{term}: {parameter}"
            assert moved(gradient) is not parameter.startswith(rests), f"{term}: {parameter}"


def one_shot(sizes: Sizes, payoff: list[float], **fields: float) -> tuple[Learner, Episodes]:
    """A learner of QTRAN-alt and all joint actions of a game of 2 x 2 actions, once each."""
    ep = episodes(sizes, lengths=(1, 1, 1, 1), ends="tttt")
    ep.available[:] = True
    return learner("qtran_alt", sizes, **fields), ep._replace(
        action=torch.tensor([[[0, 0]], [[0, 1]], [[1, 0]], [[1, 1]]]),
        reward=torch.tensor(payoff, dtype=torch.float64).unsqueeze(1),
    )


class CounterfactualTable(Table):
    """The same number for a joint action, whichever agent's own action it is read along."""

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        _, state, *actions = inputs
        own, each = torch.arange(2), [action.unsqueeze(-1).unbind(-2) for action in actions]  # pairs of [B, T, 1]
        slices = ((self.values[2 * own + second], self.values[2 * first + own]) for first, second in each)
        return self.values.new_zeros(state.shape[:2]), *(torch.stack(pair, -2) for pair in slices)


def test_qtran_alts_terms_are_those_worked_out_by_hand() -> None:
    made, ep = one_shot(Sizes(2, 2, 1, 1), [2, -3, 5, 0], lambda_opt=2.0, lambda_nopt=3.0)
    utilities = torch.tensor([[1, 2], [2, 0]], dtype=torch.float64)
    made.live["agent"] = Given(utilities.expand(4, 2, 2, 2).clone())
    for networks in (made.live, made.target):
        networks["joint"] = CounterfactualTable([1, -3, 5, 2])
    made.live["v"] = Table([-1.0])
    loss, terms = made.loss(ep)
    # Q' = [[3, 1], [4, 2]], greedy (1, 0); D = Q' - Q_jt + V = [[1, 3], [-2, -1]]. Its columns' minima, which are
    # those along the first agent's action, are -2 and -1; its rows', along the second's, 1 and -2.
    assert terms["td"].item() == pytest.approx((1 + 0 + 0 + 4) / 4)
    assert terms["opt"].item() == pytest.approx((4 - 5 - 1) ** 2)
    assert terms["nopt"].item() == pytest.approx((2 * (4 + 1) + 2 * (1 + 4)) / 8)
    assert loss.item() == pytest.approx(1.25 + 2 * 4 + 3 * 2.5)


def test_qtran_alts_minimum_costs_nothing_where_zero_is_touched_and_something_where_all_is_above() -> None:
    for payoff, nopt in (
        ([3.0, 1.0, 4.0, 2.0], 0.0),  # Q_jt = Q' everywhere
        ([3.0, -9.0, -9.0, 2.0], 0.0),  # D = [[0, 10], [13, 0]]: zero once in each row and column
        ([3.0, 1.0, 3.0, 1.0], 2 / 8),  # D = [[0, 0], [1, 1]]: 1 along the second agent's actions in the second row
    ):
        made, ep = one_shot(Sizes(2, 2, 1, 1), payoff)
        made.live["agent"] = Given(torch.tensor([[1.0, 2], [2, 0]], dtype=torch.float64).expand(4, 2, 2, 2).clone())
        for networks in (made.live, made.target):
            networks["joint"] = CounterfactualTable(payoff)
        made.live["v"] = Table([0.0])
        _, terms = made.loss(ep)
        assert terms["td"].item() == 0
        assert terms["nopt"].item() == pytest.approx(nopt)


def test_qtran_alts_joint_value_is_blind_to_the_own_action_and_sees_the_others() -> None:
    sizes = Sizes(n_agents=3)
    joint, ep = learner("qtran_alt", sizes).live["joint"], episodes(sizes)
    h = torch.randn(3, 4, 3, 6, dtype=torch.float64)
    _, before = joint(h, ep.state[:, :-1], ep.action)
    assert before.shape == (3, 4, 3, 3)
    for i in range(3):
        other = ep.action.clone()
        other[..., i] = (other[..., i] + 1) % 3
        change = (joint(h, ep.state[:, :-1], other)[1] - before).abs().amin(-1)
        assert (change[..., i] == 0).all()
        assert (change[..., [j for j in range(3) if j != i]] > 1e-6).all()


@pytest.mark.parametrize("max_bootstrap", [False, True])
def test_qtran_alts_joint_value_of_an_unavailable_action_is_used_nowhere(max_bootstrap: bool) -> None:
    made, ep = learner("qtran_alt", max_bootstrap=max_bootstrap), episodes()
    ep.available[..., 1] = False
    ep.available[..., 0] |= ~ep.available.any(-1)
    ep.action[ep.action == 1] = 0
    loss = made.loss(ep)[0].item()
    more = torch.zeros(3, dtype=torch.float64)
    for networks in (made.live, made.target):  # the smallest difference, and the highest value
        networks["joint"].register_forward_hook(lambda *call: (call[2][0], *(values + more for values in call[2][1:])))
    more[1] = 1000.0
    assert made.loss(ep)[0].item() == loss
    more[0] = 1.0
    assert made.loss(ep)[0].item() != loss


# QPD: credits along the path.


def smooth(x: Tensor) -> Tensor:
    """A value of x [..., 3, 4] in which agents and features depend on each other."""
    weight = torch.randn(12, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64) / 4
    return x.sum((-2, -1)) + torch.tanh(x.flatten(-2) @ weight).sum(-1)


def paths(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """x [3, 5, 3, 4] of three episodes of 5, 2 and 4 steps, where each ends [3, 4], and which steps happened."""
    random = torch.Generator().manual_seed(seed)
    happened = (torch.arange(5) < torch.tensor([5, 2, 4])[:, None]).double()
    x = torch.randn(3, 5, 3, 4, generator=random, dtype=torch.float64) / 2
    return x, torch.randn(3, 4, generator=random, dtype=torch.float64) / 2, happened


def test_a_linear_critic_gives_exact_credits_with_any_number_of_points() -> None:
    x, end, happened = paths()
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = (weight * (x - end)).sum(-1) * happened.unsqueeze(-1)
    for points, offset in itertools.product((1, 2, 7), (0.0, 0.5)):
        credit = path_credits(lambda z: (weight * z).sum((-2, -1)), x, end, happened, points, offset)
        torch.testing.assert_close(credit, expected)
    assert expected.abs().min(-1).values[happened.bool()].max() > 0.1


@pytest.mark.parametrize(("offset", "factor"), [(0.0, 2.0), (0.5, 4.0)])
def test_credits_add_up_to_the_value_ever_more_closely(offset: float, factor: float) -> None:
    """The error of a sum at the left ends halves when the points double; at the middles it falls to a quarter."""
    x, end, happened = paths()
    whole = (smooth(x) - smooth(end)) * happened
    errors = [
        float((path_credits(smooth, x, end, happened, points, offset).sum(-1) - whole).abs().sum() / whole.abs().sum())
        for points in (32, 64, 128)
    ]
    assert errors[1] < 0.01
    for one, next_one in itertools.pairwise(errors):
        assert one / next_one == pytest.approx(factor, rel=0.05)


def test_qpds_credits_add_up_to_the_critics_value_within_a_fiftieth() -> None:
    made, ep = learner("qpd", joint_width=64), episodes(lengths=(9, 4, 6), ends="tlt")
    q_tot = (made.live["critic"](ep.obs[:, :-1], ep.action) * ep.happened).detach()
    error = (credits_of(made, ep).sum(-1) - q_tot).abs().sum() / q_tot.abs().sum()
    assert 0 < error < 0.02
    gap = made.loss(ep)[1]["gap"].item()
    assert gap == pytest.approx(float(((credits_of(made, ep).sum(-1) - q_tot) ** 2).sum() / ep.happened.sum()))


def test_a_path_stops_at_the_end_of_its_own_episode() -> None:
    x, end, happened = paths()
    expected = path_credits(smooth, x, end, happened, 5)
    assert (expected[~happened.bool()] == 0).all()
    garbage = torch.where(happened.bool()[..., None, None], x, 100.0)
    assert torch.equal(path_credits(smooth, garbage, end, happened, 5), expected)
    for row, steps_made in enumerate((5, 2, 4)):  # each alone, without padding
        alone = path_credits(smooth, x[row : row + 1, :steps_made], end, happened[row : row + 1, :steps_made], 5)
        torch.testing.assert_close(alone[0], expected[row, :steps_made])


def test_agents_that_change_places_exchange_their_credits_and_nobodys_is_zero() -> None:
    sizes, order = Sizes(n_agents=3), [2, 0, 1]
    made, ep = learner("qpd", sizes, joint_width=64), episodes(sizes)
    permuted = ep._replace(obs=ep.obs[:, :, order], action=ep.action[:, :, order])
    before = credits_of(made, ep)
    change_places(made, order)
    torch.testing.assert_close(credits_of(made, permuted), before[:, :, order])
    assert before[ep.happened.bool()].abs().min() > 1e-6
    made.live["critic"].merge[0].weight.data[:, 64:128] = 0  # the channel of the second agent leads nowhere
    silent = credits_of(made, permuted)
    assert (silent[..., 1] == 0).all()
    assert silent[ep.happened.bool()][:, [0, 2]].abs().min() > 1e-6


def credits_of(made: Learner, ep: Episodes, points: int = 5) -> Tensor:
    critic = made.live["critic"]
    x = critic.embedded(ep.obs[:, :-1], ep.action).detach()
    return path_credits(critic.value, x, critic.nothing.detach(), ep.happened, points, made.config.path_offset)


def test_credits_of_a_single_step_add_up_to_its_value_and_nothing_is_worth_nothing() -> None:
    made, ep = learner("qpd", joint_width=64), episodes(lengths=(1, 1, 1), ends="tlt")
    critic = made.live["critic"]
    q_tot = critic(ep.obs[:, :-1], ep.action)
    torch.testing.assert_close(credits_of(made, ep, 256).sum(-1), q_tot, rtol=1e-3, atol=1e-5)
    assert q_tot.abs().min() > 0.01
    x = torch.zeros(2, SMALL.obs_size + SMALL.n_actions, dtype=torch.float64)
    assert torch.equal(critic.embed(x), critic.nothing)


def test_credits_of_a_critic_that_is_a_sum_are_those_along_the_path_without_their_error() -> None:
    made, ep = learner("qpd"), episodes()
    critic, happened = made.live["critic"], ep.happened.bool()
    x = critic.embedded(ep.obs[:, :-1], ep.action)
    credit = critic.parts(x) - critic.parts(critic.nothing)
    torch.testing.assert_close(credit[happened], credits_of(made, ep, 256)[happened], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(credit.sum(-1), critic(ep.obs[:, :-1], ep.action))
    assert credit[happened].abs().min() > 1e-6
    _, terms = made.loss(ep)
    q = taken(made.live["agent"].unroll(ep)[0][:, :-1], ep.action)
    assert terms["actor"].item() == pytest.approx(((q - credit) ** 2)[happened].mean().item())
    assert terms["gap"].item() == pytest.approx(0, abs=1e-12)


def test_qpds_agents_learn_from_the_credits_alone_and_its_critic_from_the_rewards_alone() -> None:
    made, ep = learner("qpd"), episodes()
    terms = made.loss(ep)[1]
    for term, learns in (("td", "critic"), ("actor", "agent")):
        for parameter, gradient in gradients(terms[term], made.live).items():
            assert moved(gradient) is parameter.startswith(learns), f"{term}: {parameter}"


def test_the_gradients_of_qpds_critic_and_of_its_agents_are_cut_each_for_itself() -> None:
    made, ep = learner("qpd", max_grad_norm=0.01), episodes()
    assert made.update(ep)["grad_norm"] > 0.01  # as it was before
    for part in ("agent", "critic"):
        norm = torch.cat([parameter.grad.flatten() for parameter in made.live[part].parameters()]).norm()
        assert norm.item() == pytest.approx(0.01, rel=1e-3)
    made = learner("qpd", max_grad_value=0.001)
    made.update(ep)
    assert max(parameter.grad.abs().max().item() for parameter in made.live.parameters()) == 0.001


def test_qpds_weight_penalty_pulls_weights_to_zero() -> None:
    made, ep = learner("qpd", weight_penalty=100.0, max_grad_norm=1e-9), episodes()
    before = made.live["critic"].embed.weight.detach().clone()
    made.update(ep)
    after = made.live["critic"].embed.weight.detach()
    torch.testing.assert_close(after, before - 1e-3 * before.sign(), atol=1e-6, rtol=0)  # Adam's first step: 1e-3


@pytest.mark.parametrize(
    ("name", "field", "choices"),
    [
        ("qtran", "joint_reads", "histories or observations or state"),
        ("qtran", "bootstrap", "joint or sum"),
        ("qtran", "held", "target or live"),
        ("qtran_alt", "held", "target or live"),
    ],
)
def test_words_that_a_field_of_qtran_does_not_know_are_named(name: str, field: str, choices: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is 'other'; it must be {choices}"):
        algorithm(name).Config(**{field: "other"})


@pytest.mark.parametrize(
    ("field", "value", "low"),
    [("joint_width", 0, 1), ("drawn_actions", -1, 0), ("lambda_opt", math.nan, 0), ("lambda_nopt", -0.5, 0)],
)
def test_numbers_of_qtran_out_of_range_are_named(field: str, value: float, low: int) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}; it must be at least {low}"):
        algorithm("qtran").Config(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"), [("path_points", 0), ("path_offset", 1.5), ("joint_width", -1), ("weight_penalty", -0.1)]
)
def test_qpds_fields_out_of_range_are_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}; it must lie in"):
        algorithm("qpd").Config(**{field: value})


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("qtran", {}),
        ("qtran", {"joint_reads": "observations"}),
        ("qtran", {"joint_reads": "state"}),
        ("qtran_alt", {}),
        ("qpd", {}),
    ],
)
def test_a_team_value_that_nothing_restricts_learns_a_batch_by_heart(name: str, fields: dict[str, str]) -> None:
    ep = episodes(lengths=(1,) * 32, ends="t" * 32)
    made = learner(name, **fields, gamma=0.0, learning_rate=3e-3, learning_rate_end=3e-3, hidden=16)
    errors = [made.update(ep)["td"].item()]
    while errors[-1] > 1e-3 and len(errors) < 800:
        errors.append(made.update(ep)["td"].item())
    assert errors[0] > 0.1
    assert errors[-1] <= 1e-3


# The helpers that every loss uses.


def test_lambda_returns_equal_their_recursion() -> None:
    for seed, td_lambda in itertools.product(range(5), (0.0, 0.3, 0.9, 1.0)):
        ep = episodes(lengths=(6, 2, 4, 1, 5), ends="tlltt", seed=seed)
        next_value = torch.randn(5, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        g = lambda_returns(next_value, ep, 0.9, td_lambda)
        for row, t in steps(ep):
            expected = plain_return(ep, row, t, next_value.numpy(), 0.9, td_lambda)
            assert g[row, t].item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_lambda_returns_treat_each_agent_by_itself() -> None:
    ep, next_value = episodes(), torch.randn(3, 4, 2, dtype=torch.float64)
    for td_lambda in (0.0, 0.6):
        both = lambda_returns(next_value, ep, 0.9, td_lambda)
        assert both.shape == (3, 4, 2)
        for i in range(2):
            torch.testing.assert_close(both[..., i], lambda_returns(next_value[..., i], ep, 0.9, td_lambda))


def test_lambda_zero_is_the_one_step_target_exactly() -> None:
    ep, next_value = episodes(), torch.randn(3, 4, dtype=torch.float64)
    expected = ep.reward + 0.9 * (1 - ep.terminated) * next_value
    assert torch.equal(lambda_returns(next_value, ep, 0.9, 0.0), expected)
    happened = ep.happened.bool()  # the recursion itself, with a weight too small to matter
    torch.testing.assert_close(lambda_returns(next_value, ep, 0.9, 1e-300)[happened], expected[happened])


def test_lambda_one_is_the_discounted_return_and_after_a_time_limit_the_value_that_follows() -> None:
    ep, next_value = episodes(lengths=(3, 2), ends="tl"), torch.randn(2, 3, dtype=torch.float64)
    g = lambda_returns(next_value, ep, 0.5, 1.0)
    r = ep.reward
    assert g[0, 0].item() == pytest.approx((r[0, 0] + 0.5 * r[0, 1] + 0.25 * r[0, 2]).item())
    assert g[0, 2].item() == pytest.approx(r[0, 2].item())
    assert g[1, 0].item() == pytest.approx((r[1, 0] + 0.5 * r[1, 1] + 0.25 * next_value[1, 1]).item())


def test_taken_best_available_and_the_mean_are_those_of_a_small_example() -> None:
    q = torch.tensor([[[1.0, 5.0, 3.0], [-2.0, -4.0, -3.0]]])  # [1, 2, 3]
    assert taken(q, torch.tensor([[2, 1]])).tolist() == [[3.0, -4.0]]
    available = torch.tensor([[[True, False, True], [False, True, True]]])
    assert best_available(q, available).tolist() == [[2, 2]]
    assert best_available(q, torch.ones(1, 2, 3, dtype=torch.bool)).tolist() == [[1, 0]]
    ep = episodes(lengths=(2, 1), ends="tt")
    x = torch.tensor([[1.0, 3.0], [8.0, 1000.0]], dtype=torch.float64)
    assert mean_over_steps(x, ep).item() == 4.0
    assert mean_over_steps(torch.stack((x, x + 2), -1), ep).item() == 5.0  # over steps and agents


# What learners do beside their losses.


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if offered(name, target_period=3)])
def test_the_target_is_copied_every_target_period_and_rests_between(name: str) -> None:
    made, ep = learner(name, target_period=3, learning_rate=0.01), episodes()
    before = copy.deepcopy(made.target.state_dict())
    for update in range(1, 7):
        made.update(ep)
        same = {key: torch.equal(value, made.live.state_dict()[key]) for key, value in made.target.state_dict().items()}
        if update % 3 == 0:
            assert all(same.values())
            before = copy.deepcopy(made.target.state_dict())
        else:
            assert not any(same.values())
            assert all(torch.equal(value, before[key]) for key, value in made.target.state_dict().items())


@EVERY
def test_the_same_seed_gives_the_same_networks_and_leaves_torchs_own_alone(name: str) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, same, other = (learner(name, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.rand(3), expected)
    for a, b in zip(one.live.parameters(), same.live.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(next(one.live.parameters()), next(other.live.parameters()))


def test_long_gradients_are_cut_to_the_given_norm() -> None:
    made, ep = learner("vdn", max_grad_norm=0.01), episodes()
    assert made.update(ep)["grad_norm"] > 0.01  # as it was before
    norm = torch.cat([parameter.grad.flatten() for parameter in made.live.parameters()]).norm()
    assert norm.item() == pytest.approx(0.01, rel=1e-3)


def test_gradient_steps_are_owed_for_environment_steps_and_fractions_are_kept() -> None:
    made, asked = learner("vdn", steps_per_update=10, batch_size=3), []

    def sample(batch_size: int) -> Episodes:
        asked.append(batch_size)
        return episodes()

    done = [len(made.learn(SimpleNamespace(sample=sample), steps)) for steps in (4, 4, 4, 0, 25, 3)]
    assert done == [0, 0, 1, 0, 2, 1]
    assert made.updates == 4
    assert asked == [3, 3, 3, 3]


def test_the_learning_rate_goes_in_a_straight_line_from_the_first_to_the_last() -> None:
    made, ep = learner("vdn", learning_rate=0.3, learning_rate_end=0.1), episodes()
    for progress, rate in ((0.0, 0.3), (0.5, 0.2), (1.0, 0.1)):
        made.progress = progress
        made.update(ep)
        assert made.optimiser.param_groups[0]["lr"] == pytest.approx(rate)


def test_epsilon_falls_in_a_straight_line_and_then_stays() -> None:
    made, seen = learner("vdn", epsilon_start=1.0, epsilon_end=0.2, epsilon_steps=100), []
    for made.env_steps in (0, 50, 100, 10_000):
        seen.append(made.epsilon)
    assert seen == pytest.approx([1.0, 0.6, 0.2, 0.2])


def test_epsilon_falls_over_half_of_the_run_unless_told_otherwise() -> None:
    made, seen = learner("vdn", epsilon_start=1.0, epsilon_end=0.2), []
    for made.progress in (0.0, 0.25, 0.5, 1.0):
        seen.append(made.epsilon)
    assert seen == pytest.approx([1.0, 0.6, 0.2, 0.2])
