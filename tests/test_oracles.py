"""What the algorithms must learn, and must fail to learn, where the answer is known: matrix games under uniform data.

Data are all episodes that a game can show, each joint action as often as any other, as one batch for every gradient
step. So nothing is left to chance but the networks' first weights, which the seed sets.
"""

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from coopgym.baselines import algorithm
from coopgym.baselines.episodes import Episodes, best_available, taken
from coopgym.baselines.learner import Learner, Team
from coopgym.baselines.qmix import MonotonicMixer
from coopgym.baselines.qplex import Config as QPLEXConfig
from coopgym.baselines.qplex import DuellingMixer
from coopgym.baselines.replay import Replay
from coopgym.baselines.rollout import evaluate_policy
from coopgym.baselines.train import train
from coopgym.envs import environment
from coopgym.envs.core import Batch, Environment

ONE_SHOT = ("qtran3x3", "qplex_hard3x3", "climbing", "penalty_-25", "penalty_-100", "qplex_w3x3")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # networks this small lose by more
    yield
    torch.set_num_threads(threads)


def game(preset: str, **params: object) -> Environment:
    return environment("matrix_game_v1", preset=preset, **params)


def every_episode(env: Environment) -> Episodes:
    """Each sequence of joint actions up to the horizon, once from each start: played, stored, taken from the replay."""
    plans = np.array(list(itertools.product(range(env.n_actions), repeat=env.n_agents * env.horizon)))
    starts = Batch(env, 64, 0).reset().state
    seeds = np.unique(starts, axis=0, return_index=True)[1]  # one for each start
    plans = np.tile(plans.reshape(len(plans), env.horizon, env.n_agents), (len(seeds), 1, 1))
    batch = Batch(env, len(plans), 0)
    batch.seed(np.repeat(seeds, len(plans) // len(seeds)))
    replay = Replay(batch, len(plans), 0)
    batch.reset()
    replay.begin(batch, np.ones(len(plans), np.bool_))
    finished = 0
    for t in range(env.horizon):
        batch.step(plans[:, t])
        finished += replay.add(batch)
    assert finished == len(plans)  # no episode ends early in the games below
    return replay.episodes(np.array(replay.finished))


def trained(
    name: str,
    ep: Episodes,
    env: Environment,
    seed: int,
    updates: int,
    until: Callable[[Learner], bool] = lambda made: False,
    drawn: int = 0,
    **fields: float,
) -> Learner:
    """A learner after so many gradient steps on the batch, or as soon as `until` holds.

    With `drawn`, each step is on so many of its episodes, drawn at random.
    """
    kind = algorithm(name)
    chosen = {
        "gamma": 0.99,
        "td_lambda": 0.0,
        "learning_rate": 3e-3,
        "hidden": 32,
        "max_grad_norm": 10.0,
        "target_period": 100,
        **fields,
    }
    made = kind(env, kind.Config(**chosen), seed)
    random = torch.Generator().manual_seed(seed)
    while made.updates < updates and not (made.updates % 25 == 0 and made.updates > 0 and until(made)):
        rows = torch.randint(len(ep.reward), (drawn,), generator=random) if drawn else slice(None)
        made.update(Episodes(*(x[rows] for x in ep)))
    return made


@torch.no_grad()
def utilities(made: Learner, ep: Episodes) -> Tensor:
    """Those of the steps, [B, T, N, A]."""
    return made.live["agent"].unroll(ep)[0][:, :-1]


@torch.no_grad()
def team_value(made: Learner, ep: Episodes) -> Tensor:
    """Q_tot, QTRAN's Q_jt (QTRAN-alt's on average over the agents) or QPD's Q, of the joint actions taken: [B, T]."""
    if "critic" in made.live:
        return made.live["critic"](ep.obs[:, :-1], ep.action)
    q, h = made.live["agent"].unroll(ep)
    state, q_taken = ep.state[:, :-1], taken(q[:, :-1], ep.action)
    if made.name == "qtran":
        return made.live["joint"](h[:, :-1], state, ep.action)[1]
    if made.name == "qtran_alt":
        return taken(made.live["joint"](h[:, :-1], state, ep.action)[1], ep.action).mean(-1)
    if "duelling" in made.live:
        best = taken(q, best_available(q, ep.available))[:, :-1]
        return made.live["duelling"](q_taken, best, ep.action, state)
    return made.live["mixer"](q_taken, state) if "mixer" in made.live else q_taken.sum(-1)


@torch.no_grad()
def central_value(made: Learner, ep: Episodes) -> Tensor:
    """Weighted QMIX's Q* of the joint actions taken, [B, T]; for all others the team's value."""
    if "central" not in made.live:
        return team_value(made, ep)
    q, _ = made.live["central_agent"].unroll(ep)
    return made.live["central"](taken(q[:, :-1], ep.action), ep.state[:, :-1])


def greedy_return(made: Learner, env: Environment) -> float:
    """What the agents earn who act by themselves, on average over the starts of 16 episodes."""
    return evaluate_policy(Team(made.live["agent"]), env, 16, 0).mean


def lasting(holds: Callable[[Learner], bool]) -> Callable[[Learner], bool]:
    """Whether something held at four checks in a row, 100 gradient steps from the first to the last and one more."""
    kept = 0

    def held(made: Learner) -> bool:
        nonlocal kept
        kept = kept + 1 if holds(made) else 0
        return kept == 4

    return held


def final_payoff(name: str, preset: str, seed: int, updates: int, **fields: float) -> float:
    """What the greedy team earns in a one-shot game once it has the best payoff's value to 0.1, or else at the end."""
    env = game(preset)
    ep = every_episode(env)

    def found(made: Learner) -> bool:
        value, best = team_value(made, ep)[:, 0], ep.reward[:, 0].argmax()
        return bool((value[best] - ep.reward.max()).abs() < 0.1) and greedy_return(made, env) == ep.reward.max()

    return greedy_return(trained(name, ep, env, seed, updates, lasting(found), **fields), env)


def squared_error(made: Learner, ep: Episodes) -> float:
    """Summed over the joint actions of a one-shot game."""
    return float(((team_value(made, ep) - ep.reward) ** 2).sum())


def additive_fit(payoff: np.ndarray) -> np.ndarray:
    """The least squares fit of a sum over agents: row mean + column mean - grand mean."""
    return payoff.mean(1, keepdims=True) + payoff.mean(0, keepdims=True) - payoff.mean()


# One step: what each algorithm makes of a payoff table.


def test_the_data_are_every_joint_action_once_with_the_payoff_of_the_table() -> None:
    env = game("climbing")
    ep = every_episode(env)
    assert sorted(map(tuple, ep.action[:, 0].tolist())) == list(itertools.product(range(3), repeat=2))
    for (a, b), reward in zip(ep.action[:, 0].tolist(), ep.reward[:, 0].tolist(), strict=True):
        assert reward == [[11, -30, 0], [-30, 7, 6], [0, 0, 5]][a][b]
    assert ep.terminated.all()
    two_starts = every_episode(game("additive_ok"))
    assert len(two_starts.reward) == 18
    assert two_starts.state[:, 0, :2].sum(0).tolist() == [9, 9]
    two_states = every_episode(game("two_state_mmdp", horizon=3))
    assert len(two_states.reward) == 64
    assert not two_states.terminated.any()


@pytest.mark.parametrize("preset", ONE_SHOT)
def test_vdn_learns_the_additive_fit_of_the_payoffs(preset: str) -> None:
    env = game(preset)
    ep = every_episode(env)
    made = trained("vdn", ep, env, seed=0, updates=600, learning_rate=1e-2)
    table = team_value(made, ep)[:, 0].view(3, 3).numpy()
    np.testing.assert_allclose(table, additive_fit(env.payoff[0]), atol=0.15)


@pytest.mark.parametrize("preset", ONE_SHOT)
def test_iql_learns_the_means_of_rows_and_of_columns(preset: str) -> None:
    env = game(preset)
    ep = every_episode(env)
    made = trained("iql", ep, env, seed=0, updates=600, learning_rate=1e-2)
    first, second = utilities(made, ep)[0, 0].numpy()
    np.testing.assert_allclose(first, env.payoff[0].mean(1), atol=0.15)
    np.testing.assert_allclose(second, env.payoff[0].mean(0), atol=0.15)


def test_vdn_ends_at_payoff_zero_on_qtrans_game() -> None:
    env = game("qtran3x3")
    ep = every_episode(env)
    returns = [greedy_return(trained("vdn", ep, env, seed, 300, learning_rate=1e-2), env) for seed in range(10)]
    assert returns.count(0.0) >= 8


# QMIX's squared error where learning comes to rest: spec B.1, the plateau 3 of the four 6 and 0, the additive fit.
QMIX_RESTS = {"qtran3x3": 320.0, "qplex_hard3x3": 356.0, "climbing": 1575.8}


def qmix_runs(preset: str) -> list[float]:
    """The greedy payoffs of ten seeds that have learned what they can.

    Narrow agents, because the outcome depends on how fast utilities move beside the mixer: on climbing, agents of 64
    units end at 6 in about half of the seeds.
    """
    env = game(preset)
    ep = every_episode(env)

    def rests(made: Learner) -> bool:
        return squared_error(made, ep) < 1.01 * QMIX_RESTS[preset]

    runs = [trained("qmix", ep, env, seed, 1500, rests, learning_rate=2e-3, hidden=16) for seed in range(10)]
    assert [rests(made) for made in runs].count(True) >= 9
    return [greedy_return(made, env) for made in runs]


def test_qmix_ends_at_payoff_zero_on_qtrans_game() -> None:
    assert qmix_runs("qtran3x3").count(0.0) >= 8


def test_qmix_never_finds_the_optimum_of_qplexs_hard_game() -> None:
    assert 8.0 not in qmix_runs("qplex_hard3x3")


def test_qmix_ends_at_payoff_five_on_climbing() -> None:
    assert qmix_runs("climbing").count(5.0) >= 8


@torch.no_grad()
def residuals(made: Learner, ep: Episodes) -> tuple[float, float, float]:
    """Of a one-shot game: the largest |Q_jt - payoff|; Q'(ubar) + V - the optimum; the smallest Q' - Q_jt + V."""
    q_joint, q = team_value(made, ep)[:, 0], utilities(made, ep)[:, 0]
    v = made.live["v"](ep.state[:, 0]).squeeze(-1)
    v = v + made.live["joint"](made.live["agent"].unroll(ep)[1][:, :-1], ep.state[:, :-1])[0][:, 0]
    payoff = ep.reward[:, 0]
    best = q.max(-1).values.sum(-1) + v
    return (
        float((q_joint - payoff).abs().max()),
        float((best - payoff.max()).abs().max()),
        float((taken(q, ep.action[:, 0]).sum(-1) - q_joint + v).min()),
    )


def conditions_hold(made: Learner, ep: Episodes) -> bool:
    joint, best, smallest = residuals(made, ep)
    return joint <= 0.1 and best <= 0.1 and smallest >= -0.1


def test_qtran_reaches_the_optimum_of_its_game_with_its_conditions_met() -> None:
    env = game("qtran3x3")
    ep = every_episode(env)
    made = [trained("qtran", ep, env, s, 2000, lambda one: conditions_hold(one, ep)) for s in range(10)]
    reached = [conditions_hold(one, ep) and greedy_return(one, env) == 8.0 for one in made]
    assert reached.count(True) >= 9


@pytest.mark.parametrize(("preset", "best"), [("qtran3x3", 8.0), ("qplex_hard3x3", 8.0)])
@pytest.mark.parametrize("name", ["ow_qmix", "cw_qmix"])
def test_weighted_qmix_finds_the_optimum_that_qmix_misses(name: str, preset: str, best: float) -> None:
    assert [final_payoff(name, preset, seed, 1000, central_width=64) for seed in range(3)] == [best] * 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "best"), [("qtran3x3", 8.0), ("qplex_hard3x3", 8.0), ("climbing", 11.0), ("penalty_-25", 10.0)]
)
def test_central_weights_solve_all_four_games(preset: str, best: float) -> None:
    assert [final_payoff("cw_qmix", preset, seed, 1500) for seed in range(10)].count(best) >= 9


@pytest.mark.slow
def test_optimistic_weights_often_miss_the_optimum_of_climbing() -> None:
    assert [final_payoff("ow_qmix", "climbing", seed, 1000) for seed in range(10)].count(11.0) <= 8


QPLEX_FIELDS = {"heads": 1, "importance_layers": 3, "importance_width": 256, "hidden": 8, "learning_rate": 2e-3}


def best_is_greedy(made: Learner, ep: Episodes) -> bool:
    greedy = utilities(made, ep)[0, 0].argmax(-1)
    return bool((greedy == ep.action[ep.reward[:, 0].argmax(), 0]).all())


@pytest.mark.slow
def test_qplex_finds_the_optimum_of_qtrans_game_from_drawn_data() -> None:
    """Not from all data at once: to the gradient without noise, the agents' best actions never change places.

    While the wrong action is greedy, the importances of the right one's advantages grow and the advantages shrink, so
    that their product stays what the sum over agents cannot express. They tend to zero and do not cross it, until the
    noise of drawn episodes carries all agents over at once. Wide importances, narrow agents: the faster the importances
    learn beside the agents, the sooner it happens.
    """
    env = game("qtran3x3")
    ep = every_episode(env)

    def solved(seed: int) -> bool:
        until = lasting(lambda made: best_is_greedy(made, ep))
        return best_is_greedy(trained("qplex", ep, env, seed, 4000, until, drawn=9, **QPLEX_FIELDS), ep)

    assert [solved(seed) for seed in range(10)].count(True) >= 9


@pytest.mark.parametrize("preset", ["qtran3x3", "qplex_hard3x3", "climbing"])
def test_qplexs_mixer_fits_any_table_around_its_best_joint_action(preset: str) -> None:
    """For utilities that are fixed and name that joint action, by the gradient of Q_tot as it stands."""
    env = game(preset)
    ep = every_episode(env)
    greedy = ep.action[ep.reward[:, 0].argmax(), 0]
    q = torch.nn.functional.one_hot(greedy, 3).float().expand(9, 1, 2, 3)
    torch.manual_seed(0)
    mixer = DuellingMixer(env, QPLEXConfig(stop_gradient=False))
    optimiser = torch.optim.Adam(mixer.parameters(), 3e-3)
    for _ in range(1000):
        error = mixer(taken(q, ep.action), torch.ones(9, 1, 2), ep.action, ep.state[:, :-1]) - ep.reward
        optimiser.zero_grad()
        (error**2).mean().backward()
        optimiser.step()
    assert error.abs().max() < 0.1


@torch.no_grad()
def smallest_differences(made: Learner, ep: Episodes) -> Tensor:
    """QTRAN-alt's min_a D_i(a) in a one-shot game, beside all actions of the others: [B, N]."""
    q, h = made.live["agent"].unroll(ep)
    base, q_joint = made.live["joint"](h[:, :-1], ep.state[:, :-1], ep.action)  # [B, 1], [B, 1, N, A]
    q_taken = taken(q[:, 0], ep.action[:, 0])
    others = q_taken.sum(-1, keepdim=True) - q_taken + base + made.live["v"](ep.state[:, 0])
    return (q[:, 0] + others.unsqueeze(-1) - q_joint[:, 0]).amin(-1)


@pytest.mark.parametrize("preset", ["qtran3x3", "qplex_hard3x3"])
def test_qtran_alt_reaches_the_optimum_with_each_agents_smallest_difference_at_zero(preset: str) -> None:
    env = game(preset)
    ep = every_episode(env)

    def met(made: Learner) -> bool:
        return conditions_hold(made, ep) and float(smallest_differences(made, ep).abs().max()) <= 0.15

    made = [trained("qtran_alt", ep, env, seed, 2000, met, learning_rate=6e-3) for seed in range(10)]
    assert [met(one) and greedy_return(one, env) == 8.0 for one in made].count(True) >= 9


# QPD under uniform data, by theory: its critic learns what random play is worth, and each agent the mean of its credits
# over what the others do. So nothing makes it look for the best joint action.


@pytest.mark.parametrize(("preset", "payoff"), [("qtran3x3", 0.0), ("climbing", 5.0)])
def test_qpd_with_a_critic_that_is_a_sum_over_agents_learns_the_additive_fit(preset: str, payoff: float) -> None:
    """Credits of f_1(x_1) + f_2(x_2) are f_i(x_i) - f_i(0) whatever the path, and the best such critic is VDN's fit."""
    env = game(preset)
    ep = every_episode(env)
    made = trained("qpd", ep, env, seed=0, updates=600, learning_rate=1e-2)
    table = taken(utilities(made, ep), ep.action).sum(-1)[:, 0].view(3, 3).numpy()
    np.testing.assert_allclose(table, additive_fit(env.payoff[0]), atol=0.25)
    assert greedy_return(made, env) == payoff


@pytest.mark.parametrize("preset", ["qtran3x3", pytest.param("climbing", marks=pytest.mark.slow)])
def test_qpds_utilities_have_the_mean_payoff_between_them(preset: str) -> None:
    """However the critic shares a payoff out: credits add up to it, and utilities are the means of credits."""
    env = game(preset)
    ep = every_episode(env)

    def fits(made: Learner) -> bool:
        return squared_error(made, ep) < 0.05

    own = {"joint_width": 64, "path_points": 16}  # the sum of the credits is right to 0.1
    made = trained("qpd", ep, env, 0, 1500, fits, learning_rate=1e-2, **own)
    assert squared_error(made, ep) < 0.5  # the critic represents any payoffs
    mean = float(taken(utilities(made, ep), ep.action).sum(-1).mean())
    assert mean == pytest.approx(env.payoff[0].mean(), abs=0.2)


@pytest.mark.parametrize("name", ["vdn", "qmix", "qtran", pytest.param("qtran_alt", marks=pytest.mark.slow), "qpd"])
def test_additive_tables_are_learned_exactly(name: str) -> None:
    env = game("additive_ok")
    ep = every_episode(env)

    def learned(made: Learner) -> bool:
        return bool((team_value(made, ep) - ep.reward).abs().max() < 0.1) and greedy_return(made, env) == 10.0

    assert all(learned(trained(name, ep, env, seed, 3000, learned)) for seed in range(3))


# Two steps: the safe 7 or the joint 8 (spec B.2).


TWO_STEP = {  # (state, joint action AA, AB, BA, BB) -> value with gamma = 0.99
    "exact": {0: [6.93, 6.93, 7.92, 7.92], 1: [7.0] * 4, 2: [0.0, 1.0, 1.0, 8.0]},
    "additive": {0: [6.93, 6.93, 6.435, 6.435], 1: [7.0] * 4, 2: [-1.5, 2.5, 2.5, 6.5]},
    "random play": {0: [6.93, 6.93, 2.475, 2.475], 1: [7.0] * 4, 2: [0.0, 1.0, 1.0, 8.0]},  # 2.475 = 0.99 (0+1+1+8)/4
}


def two_step_error(made: Learner, ep: Episodes, table: dict[int, list[float]]) -> float:
    """The largest difference from the table over all steps of all episodes."""
    state = ep.state[:, :-1].argmax(-1)
    joint = 2 * ep.action[..., 0] + ep.action[..., 1]
    expected = torch.tensor([table[s] for s in range(3)])[state, joint]
    return float((team_value(made, ep) - expected).abs().max())


@pytest.mark.parametrize(
    ("name", "table", "team_return"),
    [
        ("vdn", "additive", 7.0),
        ("qmix", "exact", 8.0),
        ("qtran", "exact", 8.0),
        ("qtran_alt", "exact", 8.0),
        ("qplex", "exact", 8.0),
        pytest.param("ow_qmix", "exact", 8.0, marks=pytest.mark.slow),
        pytest.param("cw_qmix", "exact", 8.0, marks=pytest.mark.slow),
        ("qpd", "random play", 7.0),
    ],
)
def test_the_two_step_game_is_learned_as_far_as_the_mixing_allows(name: str, table: str, team_return: float) -> None:
    env = game("two_step")
    ep = every_episode(env)

    def learned(made: Learner) -> bool:
        return two_step_error(made, ep, TWO_STEP[table]) < 0.2 and greedy_return(made, env) == team_return

    fields = {"joint_width": 64} if name == "qpd" else {}
    assert all(learned(trained(name, ep, env, seed, 3000, learned, **fields)) for seed in range(3))


# Two states and a time limit that bootstraps: additive learning from uniform data diverges.

MMDP_GAMMA = 0.9  # the values of 100 at 0.99 take 300 copies of the target; those of 10 take 30, and 0.9 > 0.8 as well
MMDP = torch.tensor([1 + 9.0, 9.0, 9.0, 0.0])  # 1 + gamma v, gamma v, gamma v, 0 with v = 1 / (1 - gamma) = 10


def test_the_additive_fit_of_the_two_state_game_grows_with_each_copy_of_the_target() -> None:
    """By arithmetic alone: v <- 3/4 + 5/4 gamma v."""
    for gamma, grows in ((0.99, True), (MMDP_GAMMA, True), (0.79, False)):
        v = 0.0
        for _ in range(30):
            fit = additive_fit(np.array([[1 + gamma * v, gamma * v], [gamma * v, 0.0]]))
            assert fit.max() == pytest.approx(0.75 + 1.25 * gamma * v)
            v = fit.max()
        assert bool(v > 10 / (1 - gamma)) is grows


def mmdp_values(value: Tensor, ep: Episodes) -> tuple[Tensor, Tensor]:
    """Of values [B, T]: those of the joint actions AA, AB, BA, BB at the start, and all of the state without reward."""
    joint = 2 * ep.action[..., 0] + ep.action[..., 1]
    start = ep.state[:, :-1, 0] == 1
    first = torch.stack([value[:, 0][joint[:, 0] == k].mean() for k in range(4)])
    return first, value[~start]


def mmdp_learned(name: str) -> tuple[bool, bool, float]:
    """Whether the values came within 5 % of the exact ones, whether they grew beyond ten times, and the return."""
    env = game("two_state_mmdp", horizon=3)
    ep = every_episode(env)

    def learned(made: Learner) -> bool:
        first, rest = mmdp_values(central_value(made, ep), ep)
        return bool((first - MMDP).abs().max() < 0.05 * 10 and rest.abs().max() < 0.05 * 10)

    def diverged(made: Learner) -> bool:
        return bool(team_value(made, ep).abs().max() > 10 * 10)

    made = trained(
        name, ep, env, 0, 6000, lambda made: learned(made) or diverged(made), gamma=MMDP_GAMMA, target_period=50
    )
    return learned(made), diverged(made), greedy_return(made, game("two_state_mmdp"))


def test_vdn_diverges_in_the_two_state_game() -> None:
    assert mmdp_learned("vdn")[:2] == (False, True)


@pytest.mark.parametrize("name", ["qtran", pytest.param("qtran_alt", marks=pytest.mark.slow)])
def test_qtran_learns_the_two_state_game(name: str) -> None:
    assert mmdp_learned(name) == (True, False, 100.0)


def test_qpd_learns_what_random_play_is_worth_in_the_two_state_game() -> None:
    """Of 64 episodes of 3 steps, 64, 48 and 36 are in the state that pays at their first, second and third step.

    After the first two, the next action is as likely any of the four: (1 + 3 g x) / 4; after the third the agents' own,
    1 + g x. So x = 28/37 (1 + 3 g x) / 4 + 9/37 (1 + g x) with g = 0.9: x = 1.6.
    """
    env = game("two_state_mmdp", horizon=3)
    ep = every_episode(env)
    expected = torch.tensor([1 + 0.9 * 1.6, 0.9 * 1.6, 0.9 * 1.6, 0.0])

    def learned(made: Learner) -> bool:
        first, rest = mmdp_values(team_value(made, ep), ep)
        return bool((first - expected).abs().max() < 0.1 and rest.abs().max() < 0.1)

    fields = {"gamma": MMDP_GAMMA, "target_period": 50, "joint_width": 64}
    made = trained("qpd", ep, env, 0, 3000, learned, **fields)
    assert learned(made)
    assert greedy_return(made, game("two_state_mmdp")) == 100.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qplex", "ow_qmix", "cw_qmix"])
def test_values_beside_the_utilities_of_the_two_state_game_are_learned(name: str) -> None:
    assert mmdp_learned(name) == (True, False, 100.0)


@pytest.mark.xfail(reason="the paper's mixer cannot represent values in which a second A adds less than the first")
def test_qmix_learns_the_two_state_game() -> None:
    assert mmdp_learned("qmix") == (True, False, 100.0)


def test_qmixs_mixer_makes_each_agents_best_action_worth_more_beside_the_others() -> None:
    """Weights that are not negative and ELU, which is convex: f(x, x) + f(y, y) >= f(x, y) + f(y, x) for x > y.

    So no table of a state is closer to [[1 + g v, g v], [g v, 0]] with g v > 1 than its additive fit, and QMIX diverges
    in the two-state game as VDN does, although the table is monotone.
    """
    random, strict = torch.Generator().manual_seed(0), 0
    for _ in range(50):
        mixer = MonotonicMixer(2, 3, 8, 16).double()
        for parameter in mixer.parameters():
            parameter.data.copy_(torch.randn(parameter.shape, generator=random, dtype=torch.float64))
        state = torch.randn(20, 1, 3, generator=random, dtype=torch.float64)
        y = torch.randn(20, 1, 2, generator=random, dtype=torch.float64)
        x = y + torch.rand(20, 1, 2, generator=random, dtype=torch.float64)
        both, neither = mixer(x, state), mixer(y, state)
        one, other = (mixer(torch.stack(pair, -1), state) for pair in ((x[..., 0], y[..., 1]), (y[..., 0], x[..., 1])))
        more = both + neither - one - other
        assert more.min() > -1e-9
        strict += int((more > 1e-3).sum())
    assert strict > 500


# 32 fixed episodes and rewards that nothing explains: whoever can represent every joint value learns them by heart.


@pytest.mark.parametrize(
    ("name", "term", "learning_rate"),
    [("qtran", "td", 1e-3), ("qplex", "loss", 3e-3), ("ow_qmix", "central", 3e-3), ("cw_qmix", "central", 3e-3)],
)
def test_an_unrestricted_value_learns_one_batch_by_heart(name: str, term: str, learning_rate: float) -> None:
    env = environment("spread_v1", horizon=3)
    batch = Batch(env, 32, 0)
    replay, random = Replay(batch, 32, 0), np.random.default_rng(0)
    batch.reset()
    replay.begin(batch, np.ones(32, np.bool_))
    while len(replay) < 32:
        batch.step(random.integers(env.n_actions, size=(32, env.n_agents)))
        replay.add(batch)
    ep = replay.sample(32)
    ep = ep._replace(reward=torch.from_numpy(random.normal(size=ep.reward.shape)).float())
    kind = algorithm(name)
    made = kind(env, kind.Config(gamma=0.0, learning_rate=learning_rate), 0)
    error = 1.0
    while error >= 1e-3 and made.updates < 2000:
        error = float(made.update(ep)[term])
    assert error < 1e-3


# The same through the trainer: collection, replay, target copies.


RANDOM_PLAY = {
    "evaluate_every": 10_000,
    "evaluation_episodes": 8,
    "num_envs": 8,
    "epsilon_start": 1.0,
    "epsilon_end": 1.0,
    "gamma": 0.99,
    "td_lambda": 0.0,
    "hidden": 32,
    "learning_rate": 3e-3,
    "learning_rate_end": 3e-4,
    "target_period": 100,
    "batch_size": 32,
    "buffer_size": 500,
    "steps_per_update": 8,
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "team_return"), [("vdn", 7.0), ("qmix", 8.0), ("qtran", 8.0), ("qtran_alt", 8.0), ("qpd", 7.0)]
)
def test_training_on_random_play_solves_the_two_step_game_as_far_as_the_mixing_allows(
    name: str, team_return: float, seed: int
) -> None:
    run = train(name, game("two_step"), seed=seed, env_steps=20_000, **RANDOM_PLAY)
    assert run.rows[-1]["mean_team_return"] == team_return


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("name", "payoff"), [("vdn", 0.0), ("qmix", 0.0), ("qtran", 8.0), ("qtran_alt", 8.0)])
def test_training_on_random_play_ends_on_qtrans_game_as_on_all_its_data(name: str, payoff: float, seed: int) -> None:
    run = train(name, game("qtran3x3"), seed=seed, env_steps=20_000, **RANDOM_PLAY)
    assert run.rows[-1]["mean_team_return"] == payoff
