"""What the README and CONTRIBUTING tell a reader to do works as it is written there."""

import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import coopgym
from coopgym.cli import COMMANDS, main
from coopgym.envs import ENVIRONMENTS
from coopgym.envs.specification import anchors
from coopgym.envs.teams import RANDOM
from coopgym.options import parsed_line

ROOT = Path(__file__).resolve().parent.parent
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md")}


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", TEXTS[name], re.MULTILINE | re.DOTALL)
    return [code for of, code in found if of == language]


@pytest.fixture
def namespace(tmp_path, monkeypatch):
    """Where the snippets of a page run, one after the other, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("snippets")
    monkeypatch.setitem(sys.modules, "snippets", module)
    return vars(module)


def execute(code: str, namespace: dict) -> None:
    exec(compile(code, "snippet", "exec"), namespace)


def test_the_snippets_of_the_readme_run(namespace, capsys):
    coopgym.train("qmix", "predator_prey_v1", env_steps=8, evaluation_episodes=1, out="runs/demo")
    for code in blocks("README.md", "python"):
        execute(code, namespace)
    assert "predator_prey_v1" in capsys.readouterr().out
    assert namespace["actions"].shape == (64, 8)
    assert np.isfinite(namespace["run"].rows[-1]["mean_team_return"])
    namespace["env"].close()


def test_the_readmes_own_algorithm_is_trained_from_its_file(namespace):
    [code] = [code for code in blocks("README.md", "python") if "class RobustVDN" in code]
    Path("robust_vdn.py").write_text(code)
    line = "train robust_vdn.py matrix_game_v1 --delta 2 --seed 1 --env-steps 64 --out run"
    assert main(line.split()) == 0


def test_contributings_own_environment_can_be_made_and_trained_on(namespace, monkeypatch):
    monkeypatch.setattr("coopgym.envs._REGISTERED", {})
    for code in blocks("CONTRIBUTING.md", "python"):
        execute(code, namespace)
    env = namespace["env"]
    assert list(namespace["obs"]) == ["agent_0", "agent_1", "agent_2"]
    while env.agents:  # all go left until they are at the end of the line
        obs, rewards, terminations, *_ = env.step(dict.fromkeys(env.agents, 1))
    assert rewards["agent_0"] == 1.0
    assert all(terminations.values())
    assert all(env.observation_space(agent).contains(obs[agent]) for agent in obs)
    watched = coopgym.make("rendezvous_v1", length=4, render_mode="rgb_array")
    watched.reset(seed=0)
    before = watched.render()
    watched.step(dict.fromkeys(watched.agents, 2))
    assert not np.array_equal(before, watched.render())
    text = coopgym.make("rendezvous_v1", render_mode="ansi")
    text.reset(seed=1)
    assert re.search(r"^cells: \d, \d$", text.render(), re.MULTILINE)


def commands() -> list[str]:
    """Every `coopgym ...` that stands in a fenced block without a language."""
    lines = [line for name in TEXTS for block in blocks(name, "") for line in block.splitlines()]
    found = [line.split("#")[0].split("&&")[-1].strip() for line in lines]
    return [line for line in found if line.startswith("coopgym ")]


def test_commands_are_found():
    shown = {line.split()[1] for line in commands()}
    assert shown == {*COMMANDS} - {"list", "info"}


@pytest.mark.parametrize("line", commands())
def test_the_commands_exist(line):
    _, name, *rest = line.split()
    command = COMMANDS[name]
    line = parsed_line(name, command.usage, command.example, command.flags, rest, command.instead)
    assert not line.missing or command.instead in line.options


def test_the_table_of_commands_names_all_of_them():
    table = re.findall(r"^\| `coopgym (\w+)", TEXTS["README.md"], re.MULTILINE)
    assert sorted(table) == sorted(COMMANDS)


def test_the_readme_names_every_environment():
    assert all(f"| `{id}` |" in TEXTS["README.md"] for id in ENVIRONMENTS)


def test_the_table_of_environments_gives_the_random_returns_that_are_shipped():
    section, found = TEXTS["README.md"].split("### The environments\n")[1].split("\n## ")[0], {}
    for id, returns in re.findall(r"^\| `(\w+)` \|.*\| (.+) \|$", section, re.MULTILINE):
        for preset, mean in re.findall(r"(?:^|; )(?:`(\w+)` )?(-?[\d.]+)", returns):
            found[id, preset or None] = mean
    shipped = {game: {anchor.name: anchor.mean for anchor in anchors(*game)}[RANDOM] for game in found}
    assert found == {game: f"{mean:.1f}" for game, mean in shipped.items()}
    assert {id for id, _ in found} == {*ENVIRONMENTS} - {"matrix_game_v1"}  # whose return depends on the table


def test_pictures_and_pages_that_are_linked_exist_and_are_small():
    links = re.findall(r"\]\(([^)#:]+)\)", TEXTS["README.md"])
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).is_file()] == []
    assert [link for link in links if (ROOT / link).stat().st_size > 600_000] == []


def test_the_version_is_the_same_everywhere():
    assert f"version: {coopgym.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## {coopgym.__version__} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
