"""Sets of hyper-parameters that others have published, by name, to be taken in place of the defaults.

Where a set asks for one gradient step for each episode that was played, one is taken for each `horizon` environment
steps: where the rules end episodes early, there are somewhat fewer steps. The sets are of 2019 to 2024, for QMIX and
VDN; another algorithm takes the fields that it has.
"""

import dataclasses
from typing import Any

from coopgym.baselines.learner import Config
from coopgym.envs.core import Environment
from coopgym.envs.parameters import nearest

EPISODES_PER_UPDATE = "episodes_per_update"  # turned into steps_per_update for an environment

PYMARL: dict[str, Any] = {
    "gamma": 0.99,
    "td_lambda": 0.0,
    "optimiser": "rmsprop",
    "learning_rate": 5e-4,
    "learning_rate_end": 5e-4,
    "max_grad_norm": 10.0,
    "target_period": 200,
    "hidden": 64,
    "batch_size": 32,
    "buffer_size": 5000,
    "epsilon_steps": 50_000,
    "num_envs": 1,
    EPISODES_PER_UPDATE: 1,
}

SETS: dict[str, tuple[str, dict[str, Any]]] = {  # name -> whose, fields
    "pymarl": ("PyMARL (Samvelyan et al., 2019), its defaults", PYMARL),
    "epymarl": (
        "EPyMARL (Papoudakis et al., 2021), its defaults for QMIX and VDN",
        PYMARL | {"optimiser": "adam", "recurrent": False, "last_action": False, "standardise_rewards": True},
    ),
    "pymarl2": (
        "PyMARL2 (Hu et al., 2021), its defaults for QMIX",
        PYMARL
        | {
            "td_lambda": 0.6,
            "optimiser": "adam",
            "learning_rate": 1e-3,
            "learning_rate_end": 1e-3,
            "batch_size": 128,
            "epsilon_steps": 100_000,
            "num_envs": 8,
            EPISODES_PER_UPDATE: 8,
            "target_period": 25,
        },
    ),
    "jaxmarl-mpe": (
        "JaxMARL (Rutherford et al., 2024), its settings for QMIX and VDN on the particle worlds",
        PYMARL
        | {
            "gamma": 0.9,
            "optimiser": "radam",
            "learning_rate": 5e-3,
            "learning_rate_end": 0.0,
            "max_grad_norm": 25.0,
            "hyper_width": 128,
            "hyper_scale": 0.01,
            "epsilon_part": 0.1,
            "num_envs": 8,
            EPISODES_PER_UPDATE: 8,
        },
    ),
}


def published(name: str, config: type[Config], env: Environment) -> dict[str, Any]:
    """The fields of a set that a run of an algorithm with this config has. Raises ValueError for an unknown name."""
    from coopgym.baselines.train import Settings

    if name not in SETS:
        raise ValueError(f"no hyper-parameters {name!r}; {nearest(name, SETS)}")
    fields = dict(SETS[name][1])
    fields["steps_per_update"] = fields.pop(EPISODES_PER_UPDATE) * env.horizon
    known = {field.name for kind in (config, Settings) for field in dataclasses.fields(kind)}
    return {field: value for field, value in fields.items() if field in known}
