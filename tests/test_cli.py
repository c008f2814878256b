"""The command line: every command, its help, and one sentence for whatever goes wrong."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import coopgym
from coopgym.baselines import ALGORITHMS, algorithm, demo
from coopgym.baselines.train import Settings
from coopgym.cli import COMMANDS, main
from coopgym.envs import family
from coopgym.envs.teams import RandomTeam

GAME = "matrix_game_v1"
SHORT = [
    f"--{name}={value}"
    for name, value in {
        "env-steps": 64,
        "evaluate-every": 32,
        "evaluation-episodes": 4,
        "batch-size": 4,
        "buffer-size": 16,
    }.items()
]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run that the command line has made."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", "vdn", GAME, "--preset", "climbing", "--seed", "3", "--out", str(folder), *SHORT]) == 0
    return folder


def spelt(names) -> list[str]:
    return [f"--{name.replace('_', '-')}" for name in names]


def names(options) -> list[str]:
    return [field.name for field in fields(options)]


# Help.


def test_without_a_command_all_commands_are_shown(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert all(f"coopgym {name} {command.usage}" in printed for name, command in COMMANDS.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_every_option_of_a_command(name, capsys):
    assert main([name, "--help"]) == 0
    printed = capsys.readouterr().out
    assert COMMANDS[name].summary in printed
    assert all(option in printed for option in spelt(names(COMMANDS[name].options)))


def test_help_of_a_sweep_does_not_list_what_a_sweep_chooses(capsys):
    assert main(["sweep", "--algorithms", "vdn", "--help"]) == 0
    options = capsys.readouterr().out.split()
    assert "--seeds" in options and "--gamma" in options and not {"--seed", "--threads"} & set(options)


def test_help_of_what_reads_the_reference_names_what_the_reference_has(capsys):
    assert main(["reproduce", "--help"]) == 0
    printed = capsys.readouterr().out
    assert "ID is one of matrix_game_v1, spread_v1, predator_prey_v1." in printed
    assert "Python file" not in printed and "its parameters" not in printed


@pytest.mark.parametrize(
    ("name", "id"), [*((name, GAME) for name in ALGORITHMS), *(("qmix", id) for id in coopgym.ids())]
)
def test_help_of_training_lists_every_setting_field_and_parameter_with_its_text(name, id, capsys):
    assert main(["train", name, id, "--help"]) == 0
    printed = capsys.readouterr().out
    parameters = [f"env.{parameter}" for parameter in coopgym.spec(id).parameters]
    for option in spelt([*names(Settings), *names(algorithm(name).Config), *parameters]):
        assert f" {option} " in printed
    assert printed.count("(default:") == printed.count("  --") + printed.count("│ --")
    words = " ".join(line.strip("│ ") for line in printed.splitlines()).split()
    for parameter in coopgym.spec(id).parameters.values():
        assert parameter.declared.meaning.split()[0] in words


def test_help_shows_the_values_of_the_preset(capsys):
    assert main(["train", "qmix", "predator_prey_v1", "--preset", "stag_p-1.5", "--help"]) == 0
    assert "(default: -1.5)" in capsys.readouterr().out


# What the commands do.


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"coopgym {coopgym.__version__}\n"


def test_list_shows_ids_presets_and_algorithms_with_their_papers(capsys):
    assert main(["list"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    for id in coopgym.ids():
        assert f"{id}: " in words
        assert all(preset in words for preset in family(id).presets)
    for name in ALGORITHMS:
        assert f"{name}: " in words
        assert algorithm(name).paper in words


def test_list_and_info_import_neither_torch_nor_pygame_nor_matplotlib():
    code = f"""
import sys
from coopgym.cli import main
assert main(["list"]) == main(["info", "{GAME}"]) == 0
print([name for name in ("torch", "pygame", "matplotlib", "PIL") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("[]\n")


ROOT = Path(coopgym.__file__).resolve().parent.parent


@pytest.mark.parametrize("id", coopgym.ids())
def test_info_prints_the_page_and_the_numbers(id, capsys):
    assert main(["info", id]) == 0
    printed = capsys.readouterr().out
    assert coopgym.spec(id).docstring in printed
    assert str(coopgym.spec(id)) in printed


def test_a_run_holds_its_preset_its_seed_and_its_scores(run):
    config = json.loads((run / "config.json").read_text())
    assert (config["environment"], config["preset"], config["algorithm"], config["seed"]) == (
        GAME,
        "climbing",
        "vdn",
        3,
    )
    assert len((run / "metrics.csv").read_text().splitlines()) == 3  # a header and two evaluations


def test_without_out_runs_are_numbered(capsys):
    for _ in range(2):
        assert main(["train", "iql", GAME, *SHORT]) == 0
    assert sorted(path.name for path in Path("runs").iterdir()) == [f"iql-{GAME}-seed0", f"iql-{GAME}-seed0-2"]
    assert f"coopgym evaluate {Path('runs', f'iql-{GAME}-seed0-2')}" in capsys.readouterr().out


def test_fields_and_parameters_reach_the_run():
    payoff = [[8, -12], [-12, 0]]
    line = [
        "train",
        "vdn",
        GAME,
        "--gamma",
        "0.5",
        "--env.payoff",
        json.dumps(payoff),
        "--env.horizon=3",
        "--out",
        "run",
    ]
    assert main([*line, *SHORT]) == 0
    config = json.loads(Path("run", "config.json").read_text())
    assert config["params"]["payoff"] == payoff
    assert config["params"]["horizon"] == 3
    assert config["algorithm_config"]["gamma"] == 0.5


def test_evaluate_prints_a_score_with_its_interval(run, capsys):
    assert main(["evaluate", str(run), "--episodes", "8"]) == 0
    printed = capsys.readouterr().out
    assert "95 % CI" in printed
    assert "8 episodes" in printed
    assert "seeds 0 to 7" in printed


def test_a_single_episode_has_no_interval(capsys):
    assert main(["evaluate", "best", "matrix_game_v1", "--episodes", "1"]) == 0
    assert "(1 episode), 1.0 steps an episode" in capsys.readouterr().out
    assert main(["evaluate", "best", "matrix_game_v1", "--episodes", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["interval_95"] is None


def test_evaluate_as_json_holds_every_return(run, capsys):
    assert main(["evaluate", str(run), "--episodes", "8", "--seed", "5", "--json"]) == 0
    score = json.loads(capsys.readouterr().out)
    assert len(score["team_returns"]) == 8
    assert score["mean_team_return"] == pytest.approx(sum(score["team_returns"]) / 8)
    assert score["seed"] == 5


def test_evaluate_takes_a_random_team_and_other_parameters(capsys):
    assert main(["evaluate", "--json", "random", GAME, "--env.payoff", "[[1,1],[1,1]]", "--env.horizon", "4"]) == 0
    score = json.loads(capsys.readouterr().out)
    assert set(score["team_returns"]) == {4.0}


def test_a_run_is_scored_on_its_own_game_unless_another_is_named(run, capsys):
    best = {None: 11.0, "penalty_0": 10.0}  # of climbing, on which it was trained, and of the other game
    for preset, top in best.items():
        assert main(["evaluate", str(run), "--json", *(["--preset", preset] if preset else [])]) == 0
        score = json.loads(capsys.readouterr().out)
        payoff = coopgym.environment(GAME, preset or "climbing").payoff
        assert payoff.max() == top
        assert set(score["team_returns"]) <= set(payoff.ravel().tolist())
        assert str(payoff[0, 0, 0].item()).split(".")[0] in score["environment"]


@pytest.mark.parametrize("policy", [False, True])
def test_record_writes_an_animation(policy, run, capsys):
    from PIL import Image

    line = ["record", GAME, "--env.horizon", "3", "--out", "film.gif", "--seed", "1"]
    assert main(line + ["--policy", str(run)] * policy) == 0
    assert "team return" in capsys.readouterr().out
    with Image.open("film.gif") as film:
        assert film.n_frames == 4


def test_play_gets_the_game_the_team_and_the_seed(run, monkeypatch):
    played = []
    monkeypatch.setattr("coopgym.envs.play.play", lambda env, team, seed: played.append((env, team, seed)))
    assert main(["play", GAME, "--policy", str(run), "--seed", "2"]) == 0
    [(env, team, seed)] = played
    assert (env.params.payoff[0][0], team.algorithm, seed) == (11, "vdn", 2)


# Teams by name.


class Second:
    """Both agents always take the second action."""

    def __init__(self, env):
        self.env = env

    def reset(self, num_envs):
        pass

    def act(self, obs, action_mask):
        return np.ones(action_mask.shape[:2], np.int64)


class First(Second):
    def act(self, obs, action_mask):
        return super().act(obs, action_mask) - 1


@pytest.fixture
def scripted(monkeypatch):
    """The game has two scripted teams, of which the first earns 8 in the default game."""
    monkeypatch.setattr(family(GAME), "scripted", {"firsts": First, "seconds": Second})


@pytest.mark.parametrize(("name", "payoff"), [("firsts", 11), ("seconds", 7), ("heuristic", 11)])
def test_a_scripted_team_is_scored_by_its_name(name, payoff, scripted, capsys):
    assert main(["evaluate", name, GAME, "--preset", "climbing", "--json"]) == 0
    score = json.loads(capsys.readouterr().out)
    assert (score["policy"], set(score["team_returns"])) == (name, {payoff})
    assert coopgym.evaluate(name, GAME, preset="climbing", episodes=3).returns.tolist() == [payoff] * 3


@pytest.mark.parametrize(("name", "payoff"), [("seconds", 7), ("heuristic", 11)])
def test_a_scripted_team_is_filmed_by_its_name(name, payoff, scripted, capsys):
    assert main(["record", GAME, "--policy", name, "--preset", "climbing", "--out", "film.gif"]) == 0
    assert f"team return {payoff}.00" in capsys.readouterr().out


def test_a_scripted_team_plays_beside_a_person_in_the_game_that_the_line_names(scripted, monkeypatch):
    played = []
    monkeypatch.setattr("coopgym.envs.play.play", lambda env, team, seed: played.append((env, team)))
    assert main(["play", GAME, "--policy", "seconds", "--preset", "climbing", "--env.horizon", "7"]) == 0
    assert main(["play", GAME, "--policy", "random", "--seed", "1"]) == 0
    (env, team), (_, random) = played
    assert type(team) is Second and team.env is env and env.params.horizon == 7
    assert type(random) is RandomTeam


def test_a_team_that_nobody_knows_gets_the_nearest_names(scripted, capsys):
    for line, words in {
        f"evaluate frists {GAME}": "there is no trained policy at frists; did you mean firsts",
        f"evaluate nobody {GAME}": f"a team that plays {GAME}: random, heuristic, firsts, seconds",
        f"play {GAME} --policy heurisitc": "did you mean heuristic",
        "evaluate seconds": f"the team 'seconds' needs an ID, such as: coopgym evaluate seconds {GAME}",
    }.items():
        assert main(line.split()) == 2
        assert words in sentence(capsys)
    with pytest.raises(FileNotFoundError, match="did you mean seconds"):
        coopgym.evaluate("second", GAME)


def test_a_family_without_scripted_teams_has_no_best_one(monkeypatch, capsys):
    monkeypatch.setattr(family(GAME), "scripted", {})
    assert main(["evaluate", "heuristic", GAME]) == 2
    assert f"a team that plays {GAME}: random" in sentence(capsys)


def test_a_folder_may_bear_the_name_of_a_team(run, scripted, capsys):
    Path("firsts").symlink_to(run)
    for line, played in ((["evaluate", "./firsts", GAME], "./firsts"), (["evaluate", "firsts"], "firsts")):
        assert main([*line, "--preset", "climbing", "--episodes", "2", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["policy"] == played
    assert main(["evaluate", "firsts", "spread_v1"]) == 2
    assert "the team was trained on" in sentence(capsys)


NO_TORCH = """
import sys
from coopgym.cli import main
from coopgym.envs import family, ids
for id in ids():
    for name in ("random", *family(id).scripted):
        assert main(["evaluate", name, id, "--episodes", "1", "--env.horizon", "2"]) == 0
print([name for name in ("torch", "pygame", "matplotlib") if name in sys.modules])
"""


def test_teams_by_name_need_neither_torch_nor_pygame():
    done = subprocess.run([sys.executable, "-c", NO_TORCH], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("[]\n")


def test_a_report_is_one_page_on_all_runs_in_a_folder(run, capsys):
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out == f"report.html shows the runs in {run}: 1 finished, 0 not\n"
    assert Path("report.html").read_text().endswith("</html>\n")
    assert main(["report", str(run), "--out", "nowhere/page.html"]) == 2
    assert "there is no folder 'nowhere'; make it first" in sentence(capsys)


# The demo.


@pytest.fixture
def short_demo(monkeypatch):
    monkeypatch.setattr(demo, "ENVIRONMENT", GAME)
    monkeypatch.setattr(
        demo.demo,
        "__defaults__",
        (
            demo.FOLDER,
            demo.Config(batch_size=4),
            Settings(env_steps=64, evaluate_every=32, evaluation_episodes=4),
            16,
        ),
    )


def test_the_demo_scores_films_and_keeps_a_team(short_demo, capsys):
    assert main(["demo"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("95 % CI") == 2
    assert {path.name for path in Path("runs", "demo").iterdir()} == demo.FILES
    assert [path.name for path in Path("runs").iterdir()] == ["demo"]
    assert Path("runs/demo/learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert coopgym.load_policy("runs/demo").algorithm == "qmix"


def test_a_second_demo_replaces_the_first_and_nothing_else(short_demo, capsys):
    assert main(["demo"]) == 0
    first = Path("runs/demo/config.json").stat().st_ino
    assert main(["demo"]) == 0
    assert Path("runs/demo/config.json").stat().st_ino != first
    Path("runs/demo/notes.txt").write_text("mine")
    capsys.readouterr()
    assert main(["demo"]) == 2
    assert "move it away" in capsys.readouterr().err
    assert Path("runs/demo/notes.txt").read_text() == "mine"


# Mistakes.

MISTAKES = {  # a command line: what the sentence must hold
    "trian": "did you mean train",
    "train": "needs ALGORITHM and ID, such as: coopgym train",
    "train qmix": "needs ID, such as: coopgym train",
    f"train qmx {GAME}": "did you mean qmix",
    "train qmix matrix_gam_v1": "did you mean matrix_game_v1",
    f"train qmix {GAME} more": "one word too many",
    f"train qmix {GAME} --gama 1": "did you mean --gamma",
    f"train qmix {GAME} --gamma": "write --gamma VALUE",
    f"train qmix {GAME} --gamma x": "--gamma is 'x'; it must be a number; see coopgym train qmix",
    f"train qmix {GAME} --gamma 2": "gamma is 2.0; it must lie in [0, 1]",
    f"train qmix {GAME} --env-steps 1.5": "--env-steps is '1.5'; it must be a whole number",
    f"train qmix {GAME} --env-steps 0": "it must be 1 or more",
    f"train qmix {GAME} --seed -1": "seed is -1; it must lie in [0, 2**63)",
    f"train qmix {GAME} --preset climbin": "did you mean climbing",
    f"train qmix {GAME} --preset": "write --preset VALUE",
    f"train qmix {GAME} --tensorboard perhaps": "--tensorboard",
    f"train qmix {GAME} --env.payof 1": "did you mean --env.payoff",
    f"train qmix {GAME} --env.payoff [[1,2": "is no JSON",
    f"train qmix {GAME} --env.payoff [[1,2],[3]]": "payoff must be",
    f"train qmix {GAME} --env.horizon 0": "horizon is 0; it must be",
    f"train qmix {GAME} --batch-size 64 --buffer-size 8": "buffer_size is 8",
    "train qmix spread_v1 --env.reward-mode per": "team_sum",
    "train qmix spread_v1 --env.reward-mode per_agent": "take team_sum",
    "train nowhere.py spread_v1": "there is no file nowhere.py; give",
    "sweep": "sweep needs a folder, such as: coopgym sweep",
    "sweep --out a": "a holds no sweep; begin one with: coopgym sweep",
    f"sweep --out a --algorithms vdn,qmx --envs {GAME}": "did you mean qmix",
    f"sweep --out a --algorithms vdn --envs {GAME}/climbin": "did you mean climbing",
    f"sweep --out a --algorithms vdn,qmix --envs {GAME} --mixer-widht 8": "did you mean --mixer-width",
    f"sweep --out a --algorithms vdn,qmix --envs {GAME} --mixer-width x": "--mixer-width is 'x'; it must be a whole",
    "sweep --out a --seeds x": "--seeds is 'x'; it must be a whole number",
    f"sweep --out a --algorithms vdn --envs {GAME} --mixer-width 8": "has no option --mixer-width",
    f"sweep --out a --algorithms vdn --envs {GAME} --seed 1": "did you mean --seeds",
    f"sweep --out a --algorithms vdn --envs {GAME} --gamma 2": "gamma is 2.0; it must lie in [0, 1]",
    "sweep a": "one word too many",
    "info": "needs ID, such as: coopgym info",
    "info spred_v1": "did you mean spread_v1",
    "play": "needs ID",
    f"play {GAME} --policy nowhere": "there is no trained policy at nowhere; give",
    "record": "needs ID",
    f"record {GAME} --out film.avi": "must end in .gif or .mp4",
    f"record {GAME} --out nowhere/film.gif": "there is no folder",
    "evaluate": "such as: coopgym evaluate",
    "evaluate random": "needs an ID, such as: coopgym evaluate random",
    "evaluate nowhere": "there is no trained policy at nowhere; give",
    f"evaluate random {GAME} --episodes 0": "episodes is 0; it must be 1 or more",
    f"evaluate random {GAME} --gamma 1": "has no option --gamma",
    "report": "needs FOLDER, such as: coopgym report",
    "report nowhere": "nowhere holds no run",
    "report . more": "one word too many",
    "reference": "needs ID, such as: coopgym reference spread_v1",
    "reference spred_v1": "did you mean spread_v1",
    "reference spread_v1 --preset openai": "there are no reference runs of spread_v1/openai",
    "compare": "needs RUNS..., such as: coopgym compare",
    "compare nowhere --to qmix": "there is nothing at nowhere; give folders of runs",
    "compare nowhere": "needs --to, such as: coopgym compare",
    "reproduce qmix": "needs ID, such as: coopgym reproduce",
    "reproduce qmx spread_v1": "did you mean qmix",
    "reproduce qmix spread_v1 --preset openai": "no reference configuration for spread_v1/openai; there are",
    "evaluate qmx/spread_v1": "there is no trained policy at qmx/spread_v1; did you mean",
    "list all": "one word too many",
    "demo --fast": "has no option --fast",
}


def sentence(capsys) -> str:
    """What stands on the standard error stream, which must be one sentence."""
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("coopgym: ")
    assert printed.err.count("\n") == 1
    assert "Traceback" not in printed.err
    assert not set("│╭╰─") & set(printed.err)
    return printed.err


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_answered_by_one_sentence_with_a_remedy(line, capsys):
    assert main(line.split()) == 2
    assert MISTAKES[line] in sentence(capsys)
    assert not list(Path().iterdir())


def test_a_folder_in_the_way_of_a_file_is_named(run, capsys):
    assert main(["report", str(run), "--out", str(run)]) == 2
    assert sentence(capsys) == f"coopgym: Is a directory: {run}; choose another place\n"


def test_what_is_reproduced_takes_no_run_s_place(run, capsys):
    assert main(["reproduce", "vdn", GAME, "--preset", "climbing", "--out", str(run)]) == 2
    assert sentence(capsys).startswith(f"coopgym: {run} holds a run already, with another env_steps and another seed")


def test_a_team_is_not_put_into_a_game_that_it_does_not_fit(run, capsys):
    for line in (["evaluate", str(run), "spread_v1"], ["record", "spread_v1", "--policy", str(run)]):
        assert main(line) == 2
        assert "the team was trained on" in sentence(capsys)


def test_a_folder_that_holds_a_run_is_not_overwritten(run, capsys):
    before = (run / "policy.safetensors").read_bytes()
    assert main(["train", "vdn", GAME, "--out", str(run), *SHORT]) == 2
    assert "choose another folder" in sentence(capsys)
    assert (run / "policy.safetensors").read_bytes() == before


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"x" * 100])
def test_a_damaged_run_is_named(damage, run, capsys):
    Path("damaged").mkdir()
    Path("damaged", "policy.safetensors").write_bytes(damage((run / "policy.safetensors").read_bytes()))
    assert main(["evaluate", "damaged"]) == 2
    assert "damaged" in sentence(capsys)


def test_a_place_that_cannot_be_written_is_named(capsys):
    Path("file").write_text("")
    assert main(["train", "vdn", GAME, "--out", "file", *SHORT]) == 2
    assert "file" in sentence(capsys)


def test_without_a_screen_play_says_so(monkeypatch, capsys):
    monkeypatch.setenv("SDL_VIDEODRIVER", "none such")
    assert main(["play", GAME]) == 2
    assert "no window can be opened" in sentence(capsys)


@pytest.mark.parametrize(
    ("missing", "line", "extra"),
    [
        ("torch", f"train qmix {GAME}", "baselines"),
        ("torch", "evaluate nowhere", "baselines"),
        ("torch", "demo", "baselines"),
        ("torch", "reproduce qmix spread_v1", "baselines"),
        ("pygame", "demo", "render"),
        ("pygame", f"record {GAME}", "render"),
        ("pygame", "report nowhere", "render"),
        ("torch", "report nowhere", "baselines"),
    ],
)
def test_a_missing_extra_is_named_with_the_command_that_installs_it(missing, line, extra):
    code = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "{missing}":
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from coopgym.cli import main
sys.exit(main({line.split()!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert f'pip install "coopgym[{extra}]"' in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_report_of_a_bug_can_have_the_traceback(monkeypatch):
    monkeypatch.setenv("COOPGYM_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError, match="there is no trained policy"):
        main(["evaluate", "nowhere"])


def test_ctrl_c_ends_with_130_and_a_sentence(monkeypatch, capsys):
    def interrupted(line):
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, "list", COMMANDS["list"]._replace(run=interrupted))
    assert main(["list"]) == 130
    assert "stopped" in capsys.readouterr().err


# An algorithm of the user's own.

OWN = """
from dataclasses import dataclass
from coopgym.baselines import learner, vdn

@dataclass(frozen=True)
class Config(learner.Config):
    boldness: float = 1.0
    \"\"\"How bold it is.\"\"\"

class Bold(vdn.VDN):
    name = "bold"
    paper = "mine"
    Config = Config

    def loss(self, ep):
        if self.config.boldness > 1:
            raise ValueError("too bold")
        return super().loss(ep)
"""


def test_an_algorithm_of_ones_own_is_trained_from_its_file(capsys):
    Path("bold.py").write_text(OWN)
    assert main(["train", "bold.py", GAME, "--help"]) == 0
    assert "How bold it is." in capsys.readouterr().out
    assert main(["train", "bold.py", GAME, "--boldness", "0.5", *SHORT]) == 0
    assert (
        json.loads(Path("runs", f"bold-{GAME}-seed0", "config.json").read_text())["algorithm_config"]["boldness"] == 0.5
    )
    assert main(["evaluate", f"runs/bold-{GAME}-seed0", "--episodes", "2"]) == 0


def test_a_file_is_trained_from_python_too():
    Path("bold.py").write_text(OWN)
    run = coopgym.train("bold.py", GAME, env_steps=64, evaluation_episodes=2, boldness=0.5)
    assert (run.config["algorithm"], run.config["algorithm_config"]["boldness"]) == ("bold", 0.5)


def test_an_error_in_ones_own_algorithm_keeps_its_traceback():
    Path("bold.py").write_text(OWN)
    with pytest.raises(ValueError, match="too bold"):
        main(["train", "bold.py", GAME, "--boldness", "2", "--steps-per-update", "1", *SHORT])


def test_a_file_without_an_algorithm_is_refused(capsys):
    Path("empty.py").write_text("x = 1\n")
    assert main(["train", "empty.py", GAME]) == 2
    assert "define one" in sentence(capsys)
