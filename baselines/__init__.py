"""The baseline algorithms, by name. A new algorithm is one file and one line here."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coopgym.baselines.learner import Learner

ALGORITHMS: dict[str, str] = {  # name -> module:class, imported when first used
    "iql": "coopgym.baselines.iql:IQL",
    "vdn": "coopgym.baselines.vdn:VDN",
    "qmix": "coopgym.baselines.qmix:QMIX",
    "qtran": "coopgym.baselines.qtran:QTRAN",
    "qtran_alt": "coopgym.baselines.qtran_alt:QTRANAlt",
    "qpd": "coopgym.baselines.qpd:QPD",
    "qplex": "coopgym.baselines.qplex:QPLEX",
    "ow_qmix": "coopgym.baselines.ow_qmix:OWQMIX",
    "cw_qmix": "coopgym.baselines.cw_qmix:CWQMIX",
    "dop": "coopgym.baselines.dop:DOP",
    "ippo": "coopgym.baselines.ippo:IPPO",
    "mappo": "coopgym.baselines.mappo:MAPPO",
}


def algorithm(name: str) -> "type[Learner]":
    """The learner behind a name, or the one that a Python file defines: a name that ends in .py.

    Raises ValueError, with the nearest names, for another name and for a file that does not define one learner,
    FileNotFoundError for a file that is not there, ImportError without torch.
    """
    from coopgym.envs.parameters import nearest
    from coopgym.extras import needing

    if name.endswith(".py"):
        return needing("baselines", "coopgym.baselines.own").learner_in(name)  # type: ignore[no-any-return]
    if name not in ALGORITHMS:
        raise ValueError(f"no algorithm {name!r}; {nearest(name, ALGORITHMS)}")
    module, class_name = ALGORITHMS[name].split(":")
    return getattr(needing("baselines", module), class_name)  # type: ignore[no-any-return]
