"""Fast, partially observable, cooperative multi-agent environments in Numba, with baselines in torch.

    env = coopgym.make("predator_prey_v1", sight=3)  # a PettingZoo ParallelEnv
    envs = coopgym.make_vec("predator_prey_v1", 64)  # a Gymnasium VectorEnv
    print(coopgym.spec("predator_prey_v1"))  # parameters, presets, layouts

Importing it makes the environments known to Gymnasium and PettingZoo, as coopgym/predator_prey-v1 and so on.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

_HERE = Path(__file__).resolve().parent
if not (_HERE / "envs").is_dir():  # a checkout: envs/, baselines/ and assets/ lie beside this folder
    __path__.append(str(_HERE.parent))

from coopgym.envs import environment, ids, register  # noqa: E402
from coopgym.envs.registries import announce  # noqa: E402
from coopgym.extras import needing  # noqa: E402

if TYPE_CHECKING:
    from gymnasium.vector import AutoresetMode

    from coopgym.baselines.comparison import Comparison
    from coopgym.baselines.contest import Contest
    from coopgym.baselines.policy import TrainedTeam
    from coopgym.baselines.reference import Reference
    from coopgym.baselines.reproduction import Reproduction
    from coopgym.baselines.rollout import Evaluation
    from coopgym.baselines.run import Run
    from coopgym.baselines.sweep import Outcome
    from coopgym.envs.core import Autoreset, Environment, IllegalAction
    from coopgym.envs.faces import RenderMode
    from coopgym.envs.parallel import ParallelEnv
    from coopgym.envs.specification import Spec
    from coopgym.envs.vector import VectorEnv

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "aec_env",
    "compare",
    "environment",
    "evaluate",
    "ids",
    "load_policy",
    "make",
    "make_vec",
    "parallel_env",
    "reference",
    "register",
    "reproduce",
    "resume",
    "spec",
    "sweep",
    "train",
]

for _id in ids():
    announce(_id)


def make(
    id: "str | Environment",
    preset: str | None = None,
    *,
    render_mode: "RenderMode | None" = None,
    illegal_action: "IllegalAction" = "noop",
    show_sight: bool = False,
    **params: Any,
) -> "ParallelEnv":
    """One game as a PettingZoo ParallelEnv.

    id: one of `ids()`; preset and params: see `spec(id)`; render_mode: None, "human", "rgb_array" or "ansi";
    illegal_action: "noop" or "raise"; show_sight: whether pictures show what the agents see.
    Raises ValueError for an unknown id or preset and for values that make no playable game, TypeError for an unknown
    parameter or a value of the wrong type.
    """
    from coopgym.envs.parallel import ParallelEnv

    return ParallelEnv(
        id, preset, render_mode=render_mode, illegal_action=illegal_action, show_sight=show_sight, **params
    )


parallel_env = make  # PettingZoo's name for it


def aec_env(id: "str | Environment", preset: str | None = None, **options: Any) -> Any:
    """The same game as a PettingZoo AECEnv, in which the agents act one after the other; options as in `make`."""
    from coopgym.envs.parallel import aec_env

    return aec_env(id, preset, **options)


def make_vec(
    id: "str | Environment",
    num_envs: int = 1,
    preset: str | None = None,
    *,
    autoreset_mode: "Autoreset | AutoresetMode" = "same_step",
    copy: bool = True,
    num_threads: int = 1,
    render_mode: "RenderMode | None" = None,
    illegal_action: "IllegalAction" = "noop",
    show_sight: bool = False,
    **params: Any,
) -> "VectorEnv":
    """num_envs games as one Gymnasium VectorEnv, with an axis for the agents.

    autoreset_mode: "same_step", "next_step" or "disabled", or Gymnasium's AutoresetMode; copy: False returns the
    engine's own arrays, which the next step overwrites; num_threads: worth it for thousands of games; the rest as in
    `make`, without the render mode "human".
    """
    from coopgym.envs.vector import VectorEnv

    return VectorEnv(
        id,
        num_envs,
        preset,
        autoreset_mode=autoreset_mode,
        copy=copy,
        num_threads=num_threads,
        render_mode=render_mode,
        illegal_action=illegal_action,
        show_sight=show_sight,
        **params,
    )


def spec(id: "str | Environment", preset: str | None = None, **params: Any) -> "Spec":
    """All that is declared about a game: parameters, presets, agents, actions, layouts. It prints as tables."""
    from coopgym.envs.specification import specification

    return specification(environment(id, preset, **params))


def load_policy(path: Any) -> "TrainedTeam":
    """A trained team: `reset(num_envs)`, then `act(obs, action_mask)`.

    path: the folder of a run, its file, or the name of a team that ships, such as qmix/predator_prey_v1.
    """
    return needing("baselines", "coopgym.baselines.policy").load_policy(path)  # type: ignore[no-any-return]


def evaluate(policy: Any, id: "str | Environment | None" = None, **options: Any) -> "Evaluation":
    """Scores a policy: a team's name, a run's folder, or what acts; see `coopgym.baselines.rollout.evaluate`."""
    return needing("baselines", "coopgym.baselines.rollout").evaluate(policy, id, **options)  # type: ignore[no-any-return]


def train(algorithm: Any, env: "str | Environment", **options: Any) -> "Run":
    """Trains a team and returns the run; see `coopgym.baselines.train.train`."""
    return needing("baselines", "coopgym.baselines.train").train(algorithm, env, **options)  # type: ignore[no-any-return]


def resume(folder: Any, algorithm: Any = None, **options: Any) -> "Run":
    """Goes on with a run that was stopped or killed; see `coopgym.baselines.resume.resume`."""
    return needing("baselines", "coopgym.baselines.resume").resume(folder, algorithm, **options)  # type: ignore[no-any-return]


def sweep(out: Any, *arguments: Any, **options: Any) -> "Outcome":
    """Trains algorithms in environments with many seeds, in many processes; see `coopgym.baselines.sweep.sweep`."""
    return needing("baselines", "coopgym.baselines.sweep").sweep(out, *arguments, **options)  # type: ignore[no-any-return]


def reference(algorithm: str, id: "str | Environment", preset: str | None = None) -> "Reference":
    """What a baseline reached on a task, seed by seed, as arrays; see `coopgym.baselines.reference`."""
    from coopgym.baselines.reference import reference

    return reference(algorithm, id, preset)


def compare(
    ours: Any,
    id: "str | Environment | None" = None,
    *,
    to: Any,
    out: str | Path | None = None,
    **options: Any,
) -> "Comparison | Contest":
    """Holds runs, or one policy, against the baselines; printed, the answer says in words what may be concluded.

    Without an id, ours are the folders of runs, or a pattern such as "runs/mine*"; to: algorithms by name, which stand
    for their reference runs, or other folders; see `coopgym.baselines.comparison`.
    With an id, ours is a policy, such as a function of (obs [E, N, O], action_mask [E, N, A]) that returns actions
    [E, N]; to: algorithms, or other policies; options: preset, episodes, seed and the environment's parameters; see
    `coopgym.baselines.contest`.
    out: a folder for pictures.
    """
    if id is None and (callable(ours) or hasattr(ours, "act")):
        raise TypeError(
            "a policy is compared on a game: give its id, such as compare(policy, 'spread_v1', to=['qmix'])"
        )
    to = [*to] if isinstance(to, list | tuple) else [] if to is None else [to]
    if id is None and options:
        raise TypeError(f"{', '.join(options)} is for a policy on a game; runs are compared by the scores they have")
    if id is None:
        from coopgym.baselines.comparison import compare_runs

        places = [ours] if isinstance(ours, str | Path) else ours
        found: Comparison | Contest = compare_runs(places, to)
    else:
        found = needing("baselines", "coopgym.baselines.contest").compare_policy(ours, id, to, **options)
    if out is not None:
        needing("baselines", "coopgym.baselines.comparison_plots").draw(found, out)
    return found


def reproduce(algorithm: str, id: str, preset: str | None = None, seed: int = 0, **options: Any) -> "Reproduction":
    """Trains a baseline again, as shipped, and says whether the score lies in the published band.

    See `coopgym.baselines.reproduction`.
    """
    module = needing("baselines", "coopgym.baselines.reproduction")
    return module.reproduce(algorithm, id, preset, seed, **options)  # type: ignore[no-any-return]
