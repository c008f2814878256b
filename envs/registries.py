"""Makes the environments known to Gymnasium and PettingZoo, under ids such as coopgym/spread-v1."""

import gymnasium
import pettingzoo


def announce(id: str) -> None:
    """Enters an environment into both registries, once. Nothing of it is imported before it is made."""
    name, version = id.rsplit("_v", 1)
    public = f"coopgym/{name}-v{version}"
    if public not in gymnasium.registry:
        gymnasium.register(
            public,
            entry_point="coopgym.envs.joint:JointEnv",
            vector_entry_point="coopgym.envs.vector:VectorEnv",
            kwargs={"environment": id},
        )
    if hasattr(pettingzoo, "register") and public not in pettingzoo.parallel_registry:  # from PettingZoo 1.26 on
        pettingzoo.register("parallel", public, "coopgym.envs.parallel:ParallelEnv", kwargs={"environment": id})
        pettingzoo.register("aec", public, "coopgym.envs.parallel:aec_env", kwargs={"environment": id})
