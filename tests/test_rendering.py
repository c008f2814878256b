"""Pictures, windows, animations and games played by hand. Windows open on SDL's dummy driver."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pygame
import pytest
from PIL import Image

from coopgym.envs import environment, ids
from coopgym.envs.core import Batch, Environment
from coopgym.envs.play import Game, play
from coopgym.envs.recording import COLOURS, LAST_FRAME, NAMED, record, save_gif, save_mp4, scenes
from coopgym.envs.rendering import (
    BAND,
    FOG,
    HEIGHT,
    INK,
    PAPER,
    STRIP,
    TRAIL,
    VERMILLION,
    WIDTH,
    Canvas,
    Renderer,
    Trail,
    number,
    picture,
    pixels,
    signed,
)
from coopgym.envs.teams import RandomTeam, named_team
from tests.games import EVERY_GAME, name_of

ROOT = Path(__file__).resolve().parent.parent
UNUSUAL = [
    environment("gaussian_squeeze_v1", n_agents=1, n_actions=1000),
    environment("gaussian_squeeze_v1", "mgs_own", n_agents=30),
    environment("gaussian_squeeze_v1", n_agents=1000, horizon=5),
    environment("matrix_game_v1", payoff=[1, 2.5, -3]),
    environment("matrix_game_v1", payoff=np.arange(-6, 6).reshape(2, 3, 2), horizon=5),
    environment("matrix_game_v1", payoff=np.eye(30) * 1e6, horizon=5),
    environment("matrix_game_v1", payoff=np.arange(1024).reshape((2,) * 10), n_states=2, horizon=5),
    environment("matrix_game_v1", "additive_one_informed", noise=2.0),
    environment("predator_prey_v1", size=3, n_predators=2, n_prey=1, toroidal=True, sight=1),
    environment("predator_prey_v1", size=100, n_predators=50, n_prey=50),
    environment("spread_v1", n_agents=1),
    environment("spread_v1", n_agents=30, sight=0.5),
    environment("switch_v1", n_agents=4, corridor=60),
    environment("checkers_v1", columns=1),
    environment("checkers_v1", columns=60, sight=9),
    environment("tag_v1", n_agents=1, n_obstacles=0, sight=0.3),
    environment("tag_v1", n_agents=20, n_prey=10, n_obstacles=20),
]

every_id = pytest.mark.parametrize("id", ids())
every_game = pytest.mark.parametrize("game", EVERY_GAME, ids=name_of)


@pytest.fixture(autouse=True)
def no_display_is_left_behind():
    yield
    assert not pygame.display.get_init()


def batch_of(env: Environment, seed: int = 0) -> Batch:
    batch = Batch(env, 1, seed, autoreset="disabled")
    batch.reset()
    return batch


def act_at_random(batch: Batch, team: RandomTeam) -> None:
    batch.step(team.act(batch.out.obs, batch.out.action_mask))


def frame(batch: Batch, show_sight: bool = False) -> np.ndarray:
    return Renderer(batch.env).render(batch.scene(show_sight=show_sight))


def run_alone(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a process of its own that knows of no screen and no sound."""
    silent = {
        name: value for name, value in os.environ.items() if not name.startswith("SDL_") and "DISPLAY" not in name
    }
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**silent, **variables}, capture_output=True, text=True, check=False
    )


def key_down(name: str) -> None:
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.key.key_code(name)))


def key_up(name: str) -> None:
    pygame.event.post(pygame.event.Event(pygame.KEYUP, key=pygame.key.key_code(name)))


# Pictures


@every_game
def test_a_picture_is_a_fresh_array_of_bytes_that_changes_with_the_game_and_only_with_it(game):
    batch, other = batch_of(environment(*game)), batch_of(environment(*game))
    before = frame(batch)
    assert before.shape == (HEIGHT, WIDTH, 3) and before.dtype == np.uint8
    assert np.array_equal(before, frame(other))
    copy = before.copy()
    before[:] = 0
    assert np.array_equal(frame(batch), copy)

    for played in (batch, other):
        team = RandomTeam(0)
        for _ in range(2):  # in one step it may be that nobody moves
            if not played.out.ended[0]:
                act_at_random(played, team)
    after = frame(batch)
    assert np.array_equal(after, frame(other))
    scene = np.s_[BAND : HEIGHT - BAND]
    assert not np.array_equal(copy[scene], after[scene])


@every_id
def test_an_episode_can_be_drawn_to_its_end_with_and_without_sight(id):
    env = environment(id, horizon=30)
    batch, team = batch_of(env), RandomTeam(0)
    while not batch.out.ended[0]:
        act_at_random(batch, team)
        assert frame(batch, show_sight=True).shape == (HEIGHT, WIDTH, 3)
    assert frame(batch).min() < 50  # something dark has been drawn


@pytest.mark.parametrize("env", UNUSUAL, ids=repr)
def test_unusual_sizes_can_be_drawn_and_leave_the_margins_free(env):
    batch, team = batch_of(env), RandomTeam(0)
    for _ in range(4):
        picture = frame(batch, show_sight=True)
        for margin in (np.s_[BAND : BAND + 8], np.s_[HEIGHT - BAND - 8 : HEIGHT - BAND]):
            assert (picture[margin] == PAPER).all()
        for margin in (np.s_[BAND : HEIGHT - BAND, :8], np.s_[BAND : HEIGHT - BAND, -8:]):
            assert (picture[margin] == PAPER).all()
        if not batch.out.ended[0]:
            act_at_random(batch, team)


@pytest.mark.parametrize("game", [("predator_prey_v1", None), ("spread_v1", "sight_0.5")], ids=name_of)
def test_what_agents_see_is_shown_on_request_only(game):
    batch = batch_of(environment(*game))
    plain = frame(batch)
    assert not np.array_equal(plain, frame(batch, show_sight=True))
    assert not np.array_equal(plain, Renderer(batch.env, show_sight=True).render(batch.scene()))


def test_the_end_of_a_one_shot_game_shows_the_cell_that_was_played():
    pictures = []
    for actions in ([0, 0], [1, 2]):
        batch = batch_of(environment("matrix_game_v1", "climbing"))
        batch.step(np.array([actions]))
        assert batch.out.terminated[0]
        pictures.append(frame(batch)[BAND : HEIGHT - BAND])
    assert not np.array_equal(*pictures)


def test_a_lone_try_is_marked_where_the_prey_stood():
    env = environment("predator_prey_v1", size=3, n_predators=2, n_prey=1, penalty=-1.5)
    vermillion = []
    for seed in range(50):
        batch = batch_of(env, seed)
        catching = np.flatnonzero(batch.out.action_mask[0, :, 5])
        if len(catching) == 1:
            actions = np.full((1, 2), env.noop)
            actions[0, catching] = 5
            batch.step(actions)
            assert batch.out.reward[0] == -1.5
            vermillion.append(int((frame(batch) == VERMILLION).all(axis=2).sum()))
    assert vermillion and min(vermillion) > 200  # neither of the agents 0 and 1 has this colour


def test_numbers_are_short_and_carry_a_true_minus():
    assert [number(x) for x in (0.0, -0.0, 7.0, -0.5, 1 / 3, 1e-5, -2.5e7)] == [
        "0",
        "0",
        "7",
        "\N{MINUS SIGN}0.5",
        "0.333",
        "1e-05",
        "\N{MINUS SIGN}2.5e+07",
    ]
    assert [signed(x) for x in (10.0, -1.5, 0.0)] == ["+10", "\N{MINUS SIGN}1.5", "0"]


def test_a_canvas_puts_the_world_where_it_should():
    canvas = Canvas(100, 60)
    canvas.view(-1, 1, 1, -1)  # 60 pixels for 2 units, in the middle
    canvas.rectangle(0, 1, 1, 0, INK)  # the upper right quarter of the world, since y grows upwards
    canvas.view(0, 0, 10, 6)
    canvas.circle(1, 3, 0.5, STRIP, alpha=0.5)
    picture = pygame.surfarray.array3d(canvas.finished()).swapaxes(0, 1)
    assert tuple(picture[15, 65]) == INK and tuple(picture[45, 65]) == PAPER and tuple(picture[15, 35]) == PAPER
    assert abs(int(picture[30, 10, 0]) - (255 + STRIP[0]) / 2) <= 1


def test_fog_hides_all_but_what_is_seen():
    canvas = Canvas(100, 60)
    canvas.rectangle(0, 0, 100, 60, INK)
    canvas.fog((10, 10, 90, 50), [(20, 20, 40, 40), (30, 30, 60, 45)])
    picture = pygame.surfarray.array3d(canvas.finished()).swapaxes(0, 1)
    seen = [(25, 25), (35, 35), (50, 42), (5, 5)]
    assert {tuple(picture[y, x]) for x, y in seen} == {INK}
    assert {tuple(picture[y, x]) for x, y in [(15, 15), (50, 25), (25, 42), (85, 45)]} == {FOG}


def test_a_text_is_made_smaller_to_fit():
    canvas = Canvas(400, 60)
    assert canvas.text(200, 30, "a long line of words", 20) > 100
    assert 60 < canvas.text(200, 30, "a long line of words", 20, fit=80) <= 80


def test_pictures_touch_neither_a_display_nor_sound():
    done = run_alone(
        "import numpy as np\n"
        "from coopgym.envs import environment, ids\n"
        "from coopgym.envs.core import Batch\n"
        "from coopgym.envs.rendering import Renderer\n"
        "import sys\n"
        "assert 'pygame' not in sys.modules\n"
        "for id in ids():\n"
        "    batch = Batch(environment(id), 1)\n"
        "    batch.reset()\n"
        "    renderer = Renderer(batch.env)\n"
        "    assert renderer.render(batch.scene()).shape == (680, 600, 3)\n"
        "    renderer.close(), renderer.close()\n"
        "import pygame\n"
        "assert not pygame.display.get_init()\n"
        "assert pygame.mixer.get_init() is None\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_without_pygame_one_line_says_what_to_install():
    code = "import sys; sys.modules['pygame'] = None\nfrom coopgym.envs import environment\n"
    renderer = "from coopgym.envs.rendering import Renderer\nRenderer(environment('spread_v1'))"
    done = run_alone(code + renderer)
    assert done.stderr.splitlines()[-1] == (
        'ImportError: drawing needs pygame; install it with: pip install "coopgym[render]"'
    )


# Windows


@every_id
def test_a_window_shows_a_game_at_the_pace_that_was_asked_for(id):
    batch = batch_of(environment(id))
    renderer = Renderer(batch.env, "human", fps=50)
    start = time.perf_counter()
    for _ in range(6):
        assert renderer.render(batch.scene()) is None
    assert time.perf_counter() - start >= 5 / 50 - 0.01
    assert pygame.display.get_init()
    assert np.array_equal(pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1), frame(batch))
    renderer.close()
    renderer.close()


def test_a_window_that_the_user_has_closed_stays_closed():
    batch = batch_of(environment("spread_v1"))
    renderer = Renderer(batch.env, "human", fps=100)
    renderer.render(batch.scene())
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    for _ in range(3):
        assert renderer.render(batch.scene()) is None
        assert not pygame.display.get_init()
    renderer.close()


def test_a_display_that_someone_else_has_started_is_left_running():
    pygame.display.init()
    batch = batch_of(environment("spread_v1"))
    renderer = Renderer(batch.env, "human", fps=100)
    renderer.render(batch.scene())
    renderer.close()
    assert pygame.display.get_init()
    pygame.display.quit()


def test_a_display_that_someone_else_has_shut_down_is_no_error():
    batch = batch_of(environment("spread_v1"))
    renderer = Renderer(batch.env, "human", fps=100)
    renderer.render(batch.scene())
    pygame.display.quit()
    assert renderer.render(batch.scene()) is None
    renderer.close()


def test_a_window_without_a_screen_is_refused_with_a_way_out():
    code = (
        "from coopgym.envs import environment\n"
        "from coopgym.envs.core import Batch\n"
        "from coopgym.envs.rendering import Renderer\n"
        "batch = Batch(environment('spread_v1'), 1)\n"
        "batch.reset()\n"
        "Renderer(batch.env, 'human').render(batch.scene())\n"
    )
    done = run_alone(code, SDL_VIDEODRIVER="x11")
    assert "RuntimeError: no window can be opened here" in done.stderr
    assert "rgb_array" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("driver", ["dummy", "offscreen"])
def test_a_driver_that_shows_nothing_is_refused_unless_it_was_asked_for(monkeypatch, driver):
    batch = batch_of(environment("spread_v1"))
    monkeypatch.setenv("SDL_VIDEODRIVER", driver)
    asked = Renderer(batch.env, "human", fps=100)
    asked.render(batch.scene())
    monkeypatch.delenv("SDL_VIDEODRIVER")  # from here on it is as if SDL had chosen the driver itself
    with pytest.raises(
        RuntimeError, match=rf"no window can be opened here \(.*'{driver}'.*\); render_mode='rgb_array'"
    ):
        Renderer(batch.env, "human").render(batch.scene())
    asked.close()


def test_wrong_modes_and_paces_are_refused():
    env = environment("spread_v1")
    with pytest.raises(ValueError, match="render_mode is 'ascii'; it must be one of human, rgb_array"):
        Renderer(env, "ascii")
    with pytest.raises(ValueError, match="fps is 0"):
        Renderer(env, "human", fps=0)


# Text


@every_game
def test_a_scene_in_words_names_the_step_and_changes_with_the_game(game):
    batch = batch_of(environment(*game))
    before = batch.env.describe(batch.scene())
    act_at_random(batch, RandomTeam(0))
    after = batch.env.describe(batch.scene())
    assert "step 0" in before and "step 1" in after
    assert before != after


# Animations


def test_a_hundred_frames_make_a_small_file_quickly(tmp_path):
    env = environment("predator_prey_v1", "stag_p-1.5", horizon=99)
    Batch(env, 1)  # compiles
    start = time.process_time()
    team_return = record(env, tmp_path / "hunt.gif", seed=0, fps=10)
    assert time.process_time() - start < 6  # drawing included
    assert (tmp_path / "hunt.gif").stat().st_size < 1_000_000
    assert team_return < 0  # random teams are punished
    with Image.open(tmp_path / "hunt.gif") as gif:
        assert gif.n_frames == 100 and gif.size == (WIDTH, HEIGHT)
        assert gif.info["duration"] == 100 and gif.info["loop"] == 0
        gif.seek(99)
        assert gif.info["duration"] == LAST_FRAME
    assert [path.name for path in tmp_path.iterdir()] == ["hunt.gif"]


def test_an_animation_shows_what_was_drawn(tmp_path):
    batch, team, frames = batch_of(environment("spread_v1")), RandomTeam(0), []
    for _ in range(12):
        act_at_random(batch, team)
        frames.append(frame(batch))
    start = time.process_time()
    save_gif(iter(frames), tmp_path / "spread.gif", fps=20)
    assert time.process_time() - start < 2
    with Image.open(tmp_path / "spread.gif") as gif:
        assert gif.n_frames == 12
        for k, drawn in enumerate(frames):
            gif.seek(k)
            difference = np.abs(np.asarray(gif.convert("RGB")).astype(int) - drawn)
            assert difference.mean() < 0.5 and difference.max() < 60


def test_an_animation_shows_trails_in_the_colours_of_their_agents(tmp_path):
    env = environment("spread_v1", n_agents=8, horizon=12)
    batch, trail = Batch(env, 1, 1, autoreset="disabled"), Trail(env)
    frames = [pixels(picture(env, trail.behind(scene))) for scene in scenes(batch, named_team("assignment", env))]
    record(env, tmp_path / "a.gif", named_team("assignment", env), seed=1, show_trail=True)
    with Image.open(tmp_path / "a.gif") as gif:
        for k, drawn in enumerate(frames):
            gif.seek(k)
            difference = np.abs(np.asarray(gif.convert("RGB")).astype(int) - drawn).max(axis=2)
            assert (difference > 24).mean() < 0.001, k  # with 63 colours up to 0.004, an orange trail in vermillion


def test_an_animation_keeps_the_named_colours_however_few_their_pixels_are(tmp_path):
    levels = np.arange(16, 256, 32)
    crowd = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    drawn = np.concatenate([np.repeat(crowd, 4, axis=0), NAMED]).astype(np.uint8)[None]
    save_gif([drawn], tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as gif:
        shown = np.asarray(gif.convert("RGB"))
    np.testing.assert_array_equal(shown[0, -len(NAMED) :], NAMED)
    assert len(np.unique(shown[0], axis=0)) == COLOURS  # the rest of the palette is the crowd's


def test_a_colour_close_to_a_named_one_stays_what_it_is(tmp_path):
    save_gif([np.full((4, 5, 3), 250, np.uint8)], tmp_path / "a.gif")  # in the bin of PAPER
    with Image.open(tmp_path / "a.gif") as gif:
        assert (np.asarray(gif.convert("RGB")) == 250).all()


def test_recording_the_same_seed_writes_the_same_file(tmp_path):
    for name in ("a.gif", "b.gif"):
        record("matrix_game_v1", tmp_path / name, preset="two_step", seed=7)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_a_policy_that_is_given_plays_in_the_recording(tmp_path):
    class Best:
        def reset(self, num_envs):
            self.num_envs = num_envs

        def act(self, obs, action_mask):
            assert obs.shape[:2] == action_mask.shape[:2] == (self.num_envs, 2)
            return np.zeros((self.num_envs, 2), np.int64)

    assert record("matrix_game_v1", tmp_path / "a.gif", Best(), preset="climbing") == 11.0


def test_what_makes_no_animation_is_refused_before_anything_is_written(tmp_path):
    frames = [np.zeros((4, 5, 3), np.uint8)]
    with pytest.raises(ValueError, match=r"the file is 'a\.mp4'; its name must end in \.gif"):
        save_gif(frames, tmp_path / "a.mp4")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*missing"):
        save_gif(frames, tmp_path / "missing" / "a.gif")
    with pytest.raises(ValueError, match="fps is 60; it must be more than 0 and at most 50"):
        save_gif(frames, tmp_path / "a.gif", fps=60)
    with pytest.raises(ValueError, match="there are no frames"):
        save_gif([], tmp_path / "a.gif")
    with pytest.raises(ValueError, match=r"must be \(H, W, 3\) uint8"):
        save_gif([np.zeros((4, 5, 3))], tmp_path / "a.gif")
    with pytest.raises(ValueError, match="all must agree"):
        save_gif([*frames, np.zeros((5, 5, 3), np.uint8)], tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_film_is_written_where_ffmpeg_is_installed(tmp_path):
    path = tmp_path / "a.mp4"
    record("matrix_game_v1", path, preset="two_step", seed=0)
    assert path.read_bytes()[4:8] == b"ftyp"  # the mark of an MP4
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"]
    with pytest.raises(ValueError, match="all must agree"):
        save_mp4([np.zeros((4, 4, 3), np.uint8), np.zeros((5, 4, 3), np.uint8)], tmp_path / "b.mp4")
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"]


def test_a_film_without_ffmpeg_is_refused_with_a_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match=r"an MP4 needs the program ffmpeg, .* install it, or write a \.gif"):
        record("matrix_game_v1", tmp_path / "a.mp4")


def test_a_failed_recording_leaves_the_old_file_alone(tmp_path):
    save_gif([np.zeros((4, 5, 3), np.uint8)], tmp_path / "a.gif")
    old = (tmp_path / "a.gif").read_bytes()

    def broken():
        yield np.ones((4, 5, 3), np.uint8)
        raise RuntimeError("the game broke down")

    with pytest.raises(RuntimeError, match="broke down"):
        save_gif(broken(), tmp_path / "a.gif")
    assert (tmp_path / "a.gif").read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


# Playing by hand


@pytest.fixture
def opened():
    """Opens games, and closes their windows in the end."""
    games = []

    def open_game(id, preset=None, **options):
        games.append(Game(environment(id, preset), seed=0, fps=100, **options))
        games[-1].turn()
        return games[-1]

    yield open_game
    for game in games:
        game.window.close()


def test_a_key_plays_a_step_with_the_driven_agent(opened):
    game = opened("matrix_game_v1", "climbing")
    key_down("2")
    assert game.turn()
    assert game.batch.out.action[0, 0] == 1 and game.ended
    key_down("3")
    game.turn()
    assert game.batch.out.action[0, 0] == 1  # nothing happens after the end
    key_down("r")
    game.turn()
    assert not game.ended and game.batch.scene().steps == 0
    key_down("tab")
    key_down("3")
    game.turn()
    assert game.agent == 1 and game.batch.out.action[0, 1] == 2


def test_a_game_that_waits_for_keys_refuses_illegal_actions_and_says_so(opened):
    game = opened("predator_prey_v1")
    before = game.surface()
    assert not game.batch.out.action_mask[0, 0, 5] or not game.batch.out.action_mask[0, 1, 5]
    while game.batch.out.action_mask[0, game.agent, 5]:
        game.drive_next()
    key_down("c")
    game.turn()
    assert game.batch.scene().steps == 0
    assert game.message == "catch is not possible now"
    assert game.surface() is not before
    key_down("space")
    game.turn()
    assert game.batch.scene().steps == 1 and game.message == ""


def test_a_game_in_real_time_goes_on_by_itself_and_pauses(opened):
    game = opened("spread_v1")
    assert game.batch.scene().steps == 1
    key_down("left")
    for _ in range(3):
        game.turn()
        assert game.batch.out.action[0, 0] == 1
    key_up("left")
    game.turn()
    assert game.batch.out.action[0, 0] == 0
    key_down("p")
    for _ in range(3):
        game.turn()
    assert game.batch.scene().steps == 5
    key_down("n")
    game.turn()
    assert game.batch.scene().steps == 6


@pytest.mark.parametrize(("id", "views"), [("predator_prey_v1", 3), ("matrix_game_v1", 2)])
def test_a_key_goes_round_the_views(id, views, opened):
    game, seen = opened(id), []
    for _ in range(4):
        seen.append(pygame.surfarray.array3d(game.surface()).tobytes())
        key_down("v")
        game.turn()
    assert len(set(seen)) == views  # everything, everyone's sight where there is any, the driven agent's view
    assert seen[3] == seen[0]


def test_keys_change_the_speed(opened):
    game = opened("spread_v1")
    assert game.fps == 100
    for key, fps in (("-", 20), ("-", 10), ("=", 20), ("[+]", 30), ("+", 30)):
        key_down(key)
        game.turn()
        assert game.fps == fps


def test_a_window_shows_where_the_agents_have_been():
    batch = Batch(environment("spread_v1"), 1, seed=0)
    trail = Trail(batch.env)
    batch.reset()
    assert trail.behind(batch.scene()).trail is None
    places = [batch.arrays.position[0].copy()]
    for _ in range(TRAIL + 3):
        batch.step(np.array([[1, 2, 3]]))
        places.append(batch.arrays.position[0].copy())
        scene = trail.behind(batch.scene())
    assert np.array_equal(scene.trail, places[-TRAIL - 1 :])
    assert np.array_equal(trail.behind(scene).trail, places[-TRAIL - 1 :])  # a scene drawn twice is one step
    assert not np.array_equal(frame(batch), Renderer(batch.env).render(scene))
    batch.reset()
    assert trail.behind(batch.scene()).trail is None


def test_a_window_of_another_size_shows_the_whole_picture(opened):
    game = opened("matrix_game_v1")
    surface = game.surface()
    pygame.display.set_mode((300, 800), pygame.RESIZABLE)
    game.window._screen = pygame.display.get_surface()
    game.turn()
    screen = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    height = round(surface.get_height() * 300 / surface.get_width())
    top = (800 - height) // 2
    assert (screen[: top - 1] == PAPER).all() and (screen[top + height + 1 :] == PAPER).all()
    assert (screen[top + 3, 3] == STRIP).all()


def test_a_policy_plays_the_other_agents(opened):
    class Right:
        def reset(self, num_envs):
            assert num_envs == 1

        def act(self, obs, action_mask):
            return np.full(action_mask.shape[:2], 2)

    game = opened("spread_v1", policy=Right(), real_time=False)
    key_down("up")
    game.turn()
    assert game.batch.out.action.tolist() == [[4, 2, 2]]


@pytest.mark.parametrize("leave", ["escape", "close"])
def test_play_ends_when_the_player_leaves(leave, monkeypatch):
    turns = []

    def turn_and_leave(game):
        turns.append(True)
        if len(turns) == 3:
            if leave == "escape":
                key_down("escape")
            else:
                pygame.event.post(pygame.event.Event(pygame.QUIT))
        return turn(game)

    turn = Game.turn
    monkeypatch.setattr(Game, "turn", turn_and_leave)
    play("matrix_game_v1", preset="two_step", seed=0)
    assert len(turns) == 3


def test_games_that_cannot_be_played_are_refused():
    with pytest.raises(ValueError, match=r"agent is 3; it must lie in \[0, 2\]"):
        play("spread_v1", agent=3)
    with pytest.raises(ValueError, match="fps is -1"):
        play("spread_v1", fps=-1)
