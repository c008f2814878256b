"""The hand-made GRU against torch.nn.GRU."""

import pytest
import torch
from torch import nn

from coopgym.baselines.recurrence import GRU


@pytest.mark.parametrize("steps", [1, 9])
def test_hidden_states_and_all_gradients_equal_those_of_torch(steps: int) -> None:
    torch.manual_seed(0)
    theirs, ours = nn.GRU(5, 7).double(), GRU(5, 7).double()
    ours.load_state_dict(theirs.state_dict())
    x, memory = torch.randn(steps, 4, 5, dtype=torch.float64), torch.randn(1, 4, 7, dtype=torch.float64)
    weight = torch.randn(steps, 4, 7, dtype=torch.float64)
    answers = []
    for gru in (theirs, ours):
        inputs = (x.clone().requires_grad_(), memory.clone().requires_grad_())
        h, last = gru(*inputs)
        ((h * weight).sum() + last.sum()).backward()
        answers.append([h, last, *(one.grad for one in inputs), *(p.grad for p in gru.parameters())])
    for a, b in zip(*answers, strict=True):
        torch.testing.assert_close(a, b)
        assert a.abs().max() > 0


def test_without_gradients_the_results_are_the_same() -> None:
    torch.manual_seed(0)
    gru, x = GRU(5, 7), torch.randn(9, 4, 5)
    with torch.no_grad():
        free, _ = gru(x)
    kept, _ = gru(x)
    assert torch.equal(free, kept)
    assert kept.requires_grad
