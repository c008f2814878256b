"""The benchmarks run, in small."""

import sys
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent.parent / "benchmarks"))
    yield
    for name in ("environments", "update"):
        sys.modules.pop(name, None)


def test_environments_prints_a_rate_for_each_family_and_size(capsys):
    import environments

    environments.measure(batches=(1, 8), seconds=0.002, repeats=1)
    lines = capsys.readouterr().out.splitlines()
    for id in environments.GAMES:
        [cells] = [line.split()[1:] for line in lines if line.startswith(f"{id} ")]
        assert len(cells) == 3
        assert "-" not in cells


def test_update_prints_a_time_for_each_algorithm(capsys, monkeypatch):
    import update

    monkeypatch.setattr(update, "GAMES", ("spread_v1",))
    monkeypatch.setattr(update, "THREADS", (1,))
    update.measure(repeats=1)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("spread_v1, 32 x 25 x 3")
    assert all(float(cell) > 0 for cell in last.split()[-3:])
