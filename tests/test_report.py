"""The report on a folder of runs: what it says, that it needs nothing but itself, and that its episodes play."""

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coopgym.baselines.policy import load_policy
from coopgym.baselines.report import write_report
from coopgym.baselines.report.charts import COLOURS, Line, line_chart, series_class, tick_words, ticks
from coopgym.baselines.report.summary import Group, Task, improvements, summarised
from coopgym.baselines.report.words import caveats, decimal, decimals, duration, listed, verdict, whole_verdict
from coopgym.baselines.results import Result, find_runs, read_run
from coopgym.baselines.statistics import estimate, iqm
from coopgym.baselines.sweep_jobs import Asked, Plan, write_plan
from coopgym.baselines.train import FINAL_SEED, train
from coopgym.envs import environment
from coopgym.envs.parameters import json_params
from coopgym.envs.rendering import MINUS
from coopgym.envs.sketching import Reel, drawn_episode
from coopgym.envs.teams import RandomTeam
from tests.games import FEW_GAMES, name_of

BRIEF = {"env_steps": 64, "num_envs": 4, "evaluate_every": 32, "evaluation_episodes": 2, "hidden": 4}
REPORT = Path(__file__).resolve().parent.parent / "baselines" / "report"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two algorithms on two games, two seeds each, of which one run is not finished."""
    folder = tmp_path_factory.mktemp("sweep") / "a & b"
    games = {
        "matrix_game_v1-climbing": environment("matrix_game_v1", "climbing"),
        "spread_v1": environment("spread_v1"),
    }
    for algorithm in ("qmix", "vdn"):
        for name, env in games.items():
            for seed in (0, 1):
                train(algorithm, env, out=folder / algorithm / name / f"seed{seed}", seed=seed, **BRIEF)
    (folder / "qmix" / "spread_v1" / "seed1" / "scores.json").unlink()
    return folder


@pytest.fixture(scope="module")
def page(sweep: Path) -> str:
    out = sweep.parent / "report.html"
    write_report(sweep, out)
    return out.read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Reads a page and sees that its elements are closed in order."""

    VOID = {"meta", "link", "br", "input"}

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data

    def named(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


def films(page: str) -> dict[str, Any]:
    """The data that the page's player plays."""
    [data] = re.findall(r'<script type="application/json" id="films">(.*?)</script>', page, re.DOTALL)
    return json.loads(data)


def unpacked(frames: list[list[int]]) -> list[list[int]]:
    """What `unpacked` of player.js does."""
    whole: list[list[int]] = [[]]
    for head, tail, *between in frames:
        before = whole[-1]
        whole.append([*before[:head], *between, *before[len(before) - tail :]])
    return whole[1:]


# The page.


def test_the_same_runs_give_the_same_bytes(sweep: Path, page: str) -> None:
    write_report(sweep, sweep.parent / "again.html")
    assert (sweep.parent / "again.html").read_text(encoding="utf-8") == page


def test_the_page_is_whole_and_needs_nothing_but_itself(page: str) -> None:
    reader = Reader(page)
    assert reader.open == []
    names = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(names) == len(set(names))
    links = [attributes["href"] or "" for attributes in reader.named("a", "link")]
    assert all(link == "data:," or link[1:] in names for link in links) and len(links) > 6
    assert not [attributes for _, attributes in reader.elements if "src" in attributes]
    assert re.findall(r"https?:|//[a-z]|url\(|@import|fetch\(|XMLHttp", page.replace("// ", "")) == []
    [policy] = [one["content"] for one in reader.named("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert (policy or "").startswith("default-src 'none'")


def test_every_run_is_named_with_its_state(sweep: Path, page: str) -> None:
    rows = re.findall(r'<tr><th scope="row">([^<]*/seed\d)</th>(.*?)</tr>', page)
    assert len(rows) == 8
    for folder, cells in rows:
        assert (sweep / folder).is_dir()
        assert ("unfinished: 100" if folder == "qmix/spread_v1/seed1" else "finished") in cells


def test_pictures_and_controls_say_what_they_are(page: str) -> None:
    reader = Reader(page)
    pictures = reader.named("svg", "canvas")
    assert all(one.get("aria-label") or one.get("aria-hidden") == "true" for one in pictures)
    assert len(reader.named("canvas")) == 4
    assert all(one.get("aria-label") for one in reader.named("input", "select"))
    assert all(one.get("tabindex") == "0" and one.get("aria-label") for one in reader.named("div") if "role" in one)
    assert reader.named("html") == [{"lang": "en"}] and len(reader.named("h1")) == len(reader.named("main")) == 1


def test_scores_stand_between_the_teams_that_bound_them(sweep: Path, page: str) -> None:
    scores = [read_run(sweep / f"vdn/spread_v1/seed{seed}").scores for seed in (0, 1)]
    mean = np.mean([one["final"]["mean_team_return"] for one in scores if one is not None])
    [_, row] = re.findall(r'<th scope="row">vdn <span class="badge">provisional</span></th><td>([^<]*)</td>', page)
    value, low, high = (float(figure) for figure in re.findall(r"[-\d.]+", row.replace(MINUS, "-")))
    assert low <= value <= high and value == pytest.approx(mean, abs=0.05)
    assert "assignment (not trained)" in page and "optimal (not trained)" in page


def test_a_run_that_is_not_finished_has_no_score_but_a_curve(sweep: Path) -> None:
    _, spread = summarised(find_runs([sweep])).tasks
    [qmix] = [group for group in spread.groups if group.label == "qmix"]
    assert len(qmix.runs) == 2 and len(qmix.scores) == 1 and qmix.score.low == -np.inf
    assert qmix.curve is not None and qmix.curve.steps.tolist() == [32, 64]
    assert (
        caveats(spread.groups) == "Provisional: 1 to 2 finished seeds where 10 are asked for and one run not finished."
    )


def test_a_sweep_under_way_shows_what_it_has_and_what_it_lacks(sweep: Path, tmp_path: Path) -> None:
    folder = tmp_path / "climbing"
    folder.mkdir()
    write_plan(folder, Plan((Asked(("vdn", "qmix"), ("matrix_game_v1/climbing",), 2),), None, {}))
    claim = folder / "vdn" / "matrix_game_v1-climbing" / ".seed0.3"
    shutil.copytree(sweep / "vdn" / "matrix_game_v1-climbing" / "seed0", claim / "run")
    (claim / "run" / "scores.json").unlink()
    write_report(folder, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "The sweep is under way: 4 runs not finished." in page
    assert '<th scope="row">vdn/matrix_game_v1-climbing/.seed0.3/run</th>' in page
    assert len(Reader(page).named("canvas")) == 1 and "no run of this game is finished" in page.lower()

    shutil.copytree(sweep / "vdn" / "matrix_game_v1-climbing", claim.parent, dirs_exist_ok=True)
    (folder / "qmix" / "matrix_game_v1-climbing").mkdir(parents=True)
    (folder / "qmix" / "matrix_game_v1-climbing" / "seed1.error.txt").write_text("the disk is full")
    write_report(folder, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "The sweep is under way: one run not finished." in page and ".seed0.3" not in page
    failed = (
        "qmix on matrix_game_v1/climbing, seed 1 has failed; qmix/matrix_game_v1-climbing/seed1.error.txt says why."
    )
    assert failed in page


def test_names_are_never_taken_for_html(sweep: Path, tmp_path: Path) -> None:
    folder = tmp_path / "<b>"
    shutil.copytree(sweep / "vdn" / "matrix_game_v1-climbing" / "seed0", folder / "<i>")
    config = json.loads((folder / "<i>" / "config.json").read_text())
    config["algorithm"] = "</script><script>alert(1)</script>"
    (folder / "<i>" / "config.json").write_text(json.dumps(config))
    write_report(folder, tmp_path / "report.html")
    reader = Reader((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len(reader.named("script")) == 2 and not reader.named("b", "i")
    assert "alert(1)" in reader.text


def test_a_place_for_the_page_must_be_there(sweep: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        write_report(sweep, sweep / "nowhere" / "report.html")


# The episodes.


def test_the_page_holds_what_the_teams_played(sweep: Path, page: str) -> None:
    matrix, spread = films(page)["games"]
    team = load_policy(sweep / "vdn" / "spread_v1" / "seed0")
    drawn = [drawn_episode(environment("spread_v1"), team, FINAL_SEED)]
    frames = unpacked(spread["episodes"][0]["frames"])
    played = [[spread["commands"][k] for k in frame] for frame in frames]
    others = [load_policy(sweep / "vdn" / "spread_v1" / "seed1")]
    drawn += [drawn_episode(environment("spread_v1"), team, FINAL_SEED) for team in others]
    assert played in [one.drawings for one in drawn]
    assert len(frames) == 26 and len(spread["episodes"][0]["returns"]) == 25
    assert [len(episode["frames"]) for episode in matrix["episodes"]] == [2, 2]


def test_an_episode_ends_with_the_return_that_scored_its_team(sweep: Path) -> None:
    scores = read_run(sweep / "vdn" / "spread_v1" / "seed0").scores
    drawn = drawn_episode(environment("spread_v1"), load_policy(sweep / "vdn" / "spread_v1" / "seed0"), FINAL_SEED)
    assert scores is not None and drawn.returns[-1] == pytest.approx(scores["final"]["team_returns"][0])
    assert drawn.returns == pytest.approx(np.cumsum(drawn.rewards).tolist())


@pytest.mark.parametrize("game", FEW_GAMES, ids=name_of)
def test_whatever_a_family_draws_can_be_played(game: Any) -> None:
    env = environment(*game, horizon=12)
    drawn = drawn_episode(env, RandomTeam(0, env.action_bounds), 0)
    assert 2 <= len(drawn.drawings) == len(drawn.actions) + 1 <= 13
    reel = Reel()
    frames = reel.packed(drawn.drawings)
    commands = json.loads(json.dumps(reel.commands, allow_nan=False))
    assert [[commands[k] for k in frame] for frame in unpacked(frames)] == drawn.drawings
    assert len(commands) == len({json.dumps(command) for command in commands})
    player = (REPORT / "player.js").read_text(encoding="utf-8")
    for kind in {command[0] for command in commands}:
        assert f"    {kind}(pen" in player
    assert drawn.drawings[0] != drawn.drawings[1]


def test_a_long_hunt_takes_little_room() -> None:
    reel = Reel()
    drawn = drawn_episode(environment("predator_prey_v1"), RandomTeam(0), 0)
    assert len(drawn.drawings) == 201
    size = len(json.dumps(reel.packed(drawn.drawings))) + len(json.dumps(reel.commands))
    assert size < 150_000


# The statistics in words.


def group(label: str, *scores: float, unfinished: int = 0, env_steps: int = 100, game: Any = ("spread_v1",)) -> Group:
    """Runs that have these scores, and some that have none."""
    config = {"environment": game[0], "params": json_params(environment(*game)), "env_steps": env_steps}
    done = [{name: {"mean_team_return": score} for name in ("final", "absolute")} for score in scores]
    return Group(label, [Result(Path(label), config, {}, one) for one in [*done, *[None] * unfinished]])


def task(*groups: Group) -> Task:
    return Task("spread_v1", environment("spread_v1"), groups)


def test_a_verdict_says_what_is_shown_and_what_may_be_luck() -> None:
    tens = [*range(10)]
    lone = verdict(task(group("lone", -29.0), group("low", -60.0, -61.0), group("none", unfinished=2)))
    assert lone[0] == f"lone has the highest score, {MINUS}29.0 [one run], the interquartile mean of one run."
    assert lone[2].startswith("Ahead of low (1.00 [one run]) it may be by luck, or not at all.")
    few = verdict(task(group("high", -29.0, -28.0), group("low", -60.0, -61.0)))
    assert few[2].startswith("Ahead of low (1.00 [1.00, 1.00]) it may be by luck, or not at all.")  # 2 of 6 orders
    words = " ".join(
        verdict(
            task(
                group("low", *(score - 60.0 for score in tens)),
                group("near", *(score - 30.5 for score in tens)),
                group("top", *(score - 30.0 for score in tens)),
            )
        )
    )
    assert words.startswith(f"top has the highest score, {MINUS}25.5 [")
    assert "the interquartile mean of 10 runs. That is 99\N{NARROW NO-BREAK SPACE}% of the way from the random" in words
    assert "It is better than low (1.00 [1.00, 1.00]); ahead of near (0.55 [" in words
    assert "it may be by luck" in words and words.endswith("one of its runs earns more than one of theirs.")
    many = verdict(task(*(group(f"team{k}", *(score - 40.0 - 12 * k for score in tens)) for k in range(9))))
    assert many[2:] == ["It is better than team1, team2, team3, team4, team5, team6, team7 and team8."]


def test_unequal_budgets_are_named() -> None:
    long, short = group("long", -30.0, -31.0, env_steps=2000), group("short", -40.0, -41.0)
    [*_, last] = verdict(task(long, short))
    assert (
        last
        == "Their budgets differ, from 100 to 2\N{NARROW NO-BREAK SPACE}000 steps: mind that when you compare them."
    )
    assert "budgets" not in " ".join(verdict(task(short)))


def test_a_wide_interval_is_cut_off_rather_than_the_lines_made_flat() -> None:
    x = np.arange(3.0)
    drawn = line_chart("", [Line("a", 0, x, x - 20.0, x - 900.0, x + 900.0)], [], [], "x", "y")
    assert f">{MINUS}20<" in drawn and ">500<" not in drawn and f">{MINUS}500<" not in drawn
    assert "-" not in drawn.split('class="band')[1].split('d="M')[1].split('"')[0]  # no place outside of the picture


def test_an_interval_does_not_go_beyond_the_optimum() -> None:
    one = group("qplex", 8, 8, 8, 8, 6, 6, game=("matrix_game_v1", "qtran3x3"))
    assert one.score.high == one.best_score.high == 8
    assert estimate(iqm, one.scores[:, None]).high > 8  # the bootstrap alone does


def test_a_tie_is_no_win() -> None:
    words = verdict(task(group("one", -25.0, -25.0), group("low", -60.0, -60.0), group("two", -25.0, -25.0)))
    assert words[0].startswith(f"one has the highest score, and so has two, {MINUS}25.0 [")


def test_without_a_finished_run_there_is_no_verdict() -> None:
    assert verdict(task(group("none", unfinished=2))) == [
        "No run of this game is finished yet, so there is no verdict."
    ]


def test_ten_finished_seeds_are_not_provisional() -> None:
    full = group("full", *range(10))
    assert caveats([full]) == "" and not full.provisional
    assert caveats([full, group("nine", *range(9))]) == "Provisional: 9 finished seeds where 10 are asked for."
    assert caveats([group("more", *range(10), unfinished=1)]) == "Provisional: one run not finished."


def test_numbers_are_as_fine_as_their_spread_asks_for() -> None:
    assert [decimals([0, spread]) for spread in (0, 0.5, 1, 15, 35, 130, 5000)] == [2, 3, 3, 2, 1, 1, 0]
    assert decimal(-0.04, 1) == "0.0" and decimal(-31.26, 1) == f"{MINUS}31.3"
    assert decimal(1234567, 0) == "1\N{NARROW NO-BREAK SPACE}234\N{NARROW NO-BREAK SPACE}567"
    assert [duration(seconds) for seconds in (7, 90, 5400)] == ["7 s", "1.5 min", "1.5 h"]
    assert listed(["a"]) == "a" and listed(["a", "b", "c"], "or") == "a, b or c"


def test_teams_are_told_apart_by_the_fields_in_which_they_were_varied(sweep: Path, tmp_path: Path) -> None:
    shutil.copytree(sweep / "vdn", tmp_path / "vdn")
    for seed in (0, 1):
        shutil.copytree(sweep / "vdn" / "spread_v1" / f"seed{seed}", tmp_path / "lower" / f"seed{seed}")
        file = tmp_path / "lower" / f"seed{seed}" / "config.json"
        file.write_text(file.read_text().replace('"gamma": 0.9', '"gamma": 0.5'))
    shutil.copytree(sweep / "vdn" / "spread_v1" / "seed0", tmp_path / "vdn" / "spread_v1" / "seed0-2")
    summary = summarised(find_runs([tmp_path]))
    assert summary.labels == ["vdn", "vdn gamma=0.5"]
    matrix, spread = summary.tasks
    assert [(one.label, len(one.runs)) for one in matrix.groups] == [("vdn", 2)]
    assert [(one.label, len(one.runs)) for one in spread.groups] == [("vdn", 2), ("vdn gamma=0.5", 2)]
    [(left_out, first)] = summary.repeated
    assert (left_out.path.name, first.path.name) == ("seed0-2", "seed0")
    assert summary.whole.left_out == ["vdn gamma=0.5 is left out: it has no finished run on some of the games."]


def test_all_games_together_are_measured_between_the_random_and_the_best_team(sweep: Path) -> None:
    whole = summarised(find_runs([sweep])).whole
    climbing, spread = whole.tasks
    assert (climbing.best_known.mean, spread.best_known.name) == (11.0, "assignment")  # type: ignore[union-attr]
    assert {label: scores.shape for label, scores in whole.scores.items()} == {"vdn": (2, 2), "qmix": (1, 2)}
    [run] = [one for one in find_runs([sweep / "vdn" / "matrix_game_v1-climbing"]) if one.seed == 1]
    assert run.scores is not None and climbing.random is not None
    expected = (run.scores["final"]["mean_team_return"] - climbing.random.mean) / (11.0 - climbing.random.mean)
    assert whole.scores["vdn"][1, 0] == pytest.approx(expected)
    assert "Of qmix, 1 of the runs on each game count" in " ".join(whole.left_out)
    assert whole_verdict(whole)[0].startswith("Over 2 games, ")


def test_chances_of_improvement_are_counted_both_ways() -> None:
    chances = improvements({"a": np.array([[1.0], [3.0]]), "b": np.array([[2.0], [2.0]])})
    assert chances["a", "b"].value == chances["b", "a"].value == 0.5


# The charts.


def test_ticks_are_round_and_few() -> None:
    assert ticks(-79.6, -24.8) == [-60, -40] and ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert [tick_words(value) for value in (0, -60, 0.2, 20_000, 2_500_000)] == [
        "0",
        f"{MINUS}60",
        "0.2",
        "20k",
        "2.5M",
    ]


def test_series_differ_by_colour_and_by_dash() -> None:
    classes = [series_class(k).split() for k in range(36)]
    assert len({tuple(one) for one in classes}) == 36
    assert all(len({one[kind] for one in classes[:COLOURS]}) == COLOURS for kind in (0, 1))


LINEAR = np.array(
    [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
)  # sRGB to LMS of Oklab
OKLAB = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])
SIGHT = {  # Machado, Oliveira and Fernandes, IEEE TVCG 2009, severity 1
    "usual": np.eye(3),
    "protanopia": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    "deuteranopia": np.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
    "tritanopia": np.array([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
}


def linear(colour: str) -> np.ndarray:
    """The light of a colour "#rrggbb", [3]."""
    parts = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_stand_out_from_the_page_and_from_each_other_for_every_eye(scheme: int) -> None:
    style = (REPORT / "style.css").read_text(encoding="utf-8")
    paper, ink = (re.findall(rf"--{name}: (#\w{{6}})", style)[scheme] for name in ("paper", "ink"))
    colours = [re.findall(rf"--c{k}: (#\w{{6}})", style)[scheme] for k in range(COLOURS)]
    light = [float(linear(colour) @ (0.2126, 0.7152, 0.0722)) + 0.05 for colour in (paper, ink, *colours)]
    contrasts = [max(light[0], one) / min(light[0], one) for one in light[1:]]
    assert contrasts[0] > 7 and min(contrasts[1:]) > 3  # as WCAG 2.2 asks of texts and of graphics
    for sight in SIGHT.values():
        seen = [OKLAB @ np.cbrt(LINEAR @ (sight @ linear(colour)).clip(0, 1)) for colour in colours]
        apart = [np.linalg.norm(one - other) for k, one in enumerate(seen) for other in seen[:k]]
        assert min(apart) > 0.1


# In a browser.

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed; apt-get install chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=30000", "--dump-dom"),
)
TOOLS = """
const wait = (milliseconds) => new Promise((go) => setTimeout(go, milliseconds));
const picture = (player) => player.querySelector("canvas").toDataURL();
const step = (player) => Number(player.dataset.step);
addEventListener("load", async () => {
  await wait(100);
  document.body.dataset.seen = JSON.stringify(await look([...document.querySelectorAll(".player")]));
});
"""


def browsed(page: str, folder: Path, script: str, *flags: str) -> Any:
    """What `look(players)` of a script returns in a browser that shows the page. Nothing may be said on its console."""
    (folder / "page.html").write_text(page.replace("</body>", f"<script>{TOOLS}{script}</script></body>"), "utf-8")
    command = [CHROMIUM or "", *FLAGS, f"--user-data-dir={folder / 'browser'}", "--enable-logging=stderr", *flags]
    done = subprocess.run(
        [*command, (folder / "page.html").as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    [seen] = re.findall(r'<body data-seen="([^"]*)"', done.stdout)
    return json.loads(html.unescape(seen))


PLAY = """
async function look(players) {
  const [player, other] = players.slice(2);  // both on spread_v1
  const [button, slider, speed] = ["button", "input", "select"].map((name) => player.querySelector(name));
  const seen = { players: players.length, starts: players.map(step), start: picture(player), same: picture(other) };
  speed.value = "10";
  button.click();
  seen.label = button.textContent;
  await wait(1050);
  seen.played = step(player);
  seen.picture = picture(player);
  seen.said = player.querySelector(".now").textContent;
  button.click();
  await wait(1000);
  seen.paused = [step(player), player.dataset.state, button.textContent];
  slider.value = 3;
  slider.dispatchEvent(new Event("input"));
  seen.scrubbed = [step(player), picture(player) !== seen.picture, slider.getAttribute("aria-valuetext")];
  button.click();
  await wait(5000);
  seen.end = [step(player), player.dataset.state];
  button.click();
  seen.again = step(player);
  document.querySelector('.all[data-game="1"]').click();
  await wait(450);
  seen.together = [step(player), step(other)];
  return seen;
}
"""


@in_a_browser
def test_episodes_play_pause_and_are_scrubbed_in_a_browser(page: str, tmp_path: Path) -> None:
    seen = browsed(page, tmp_path, PLAY)
    assert seen["players"] == 4 and seen["starts"] == [1, 1, 0, 0]
    assert seen["start"] == seen["same"] != seen["picture"] and len(seen["start"]) > 5000
    assert seen["label"] == "Pause" and seen["played"] == 10 and f"Step 10 of 25: reward {MINUS}" in seen["said"]
    assert seen["paused"] == [10, "paused", "Play"]
    step, moved, said = seen["scrubbed"]
    assert step == 3 and moved and said.startswith("Step 3 of 25")
    assert seen["end"] == [25, "paused"] and seen["again"] == 0
    assert seen["together"] == [4, 2]  # ten steps in a second, and five


LAYOUT = """
async function look(players) {
  document.querySelectorAll("details").forEach((one) => { one.open = true; });
  const wide = [...document.querySelectorAll("main *")].filter((one) => one.getBoundingClientRect().right > 391);
  const small = [...document.querySelectorAll("button, select")].filter((one) => one.offsetHeight < 40);
  return {
    wide: wide.filter((one) => !one.closest(".table")).map((one) => one.outerHTML.slice(0, 80)),
    small: small.length,
    paper: getComputedStyle(document.body).backgroundColor,
    drawn: players.map((one) => one.querySelector("canvas").width),
    hidden: document.querySelector(".skip").getBoundingClientRect().right < 0,
  };
}
"""


@in_a_browser
def test_the_page_fits_a_phone_in_the_dark(page: str, tmp_path: Path) -> None:
    narrow = page.replace('<html lang="en">', '<html lang="en" style="width: 390px">')  # windows are wider than that
    seen = browsed(narrow, tmp_path, LAYOUT, "--window-size=500,900", "--force-dark-mode")
    assert seen["wide"] == [] and seen["small"] == 0 and seen["hidden"]
    assert seen["paper"] == "rgb(21, 24, 29)"
    assert seen["drawn"] == [356] * 4
