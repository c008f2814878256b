"""A gated recurrent unit over whole sequences, several times faster to train on a processor than `torch.nn.GRU`.

Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", EMNLP 2014, in the variant of cuDNN and
`torch.nn.GRU` (the reset gate acts after the product), so weights and results are those of `torch.nn.GRU`:

    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
    z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
    n = tanh(W_in x + b_in + r (W_hn h + b_hn))
    h' = (1 - z) n + z h

`torch.nn.GRU` records every small operation of every step and walks back over all of them. Here a step is a handful of
operations on arrays that stay in the processor's cache, forwards and backwards, and matrices are laid out as the
product wants them.
"""

from typing import Any

import torch
from torch import Tensor, nn


class _Scan(torch.autograd.Function):
    """x: [T, R, I], h: [R, H], and the weights of torch.nn.GRU. Returns the hidden states [T, R, H]."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor, input_weight: Tensor, weight: Tensor, input_bias: Tensor, bias: Tensor
    ) -> Tensor:
        t, rows, width = x.shape[0], x.shape[1], h.shape[1]
        keep = any(ctx.needs_input_grad)
        kept = t if keep else 1  # without a gradient the same arrays serve every step
        hs = x.new_empty(t + 1, rows, width)
        gates = x.new_empty(kept, rows, 2 * width)  # r, z
        candidate = x.new_empty(kept, rows, width)  # n
        from_h = x.new_empty(kept, rows, width)  # W_hn h + b_hn
        of_x, of_h = x.new_empty(rows, 3 * width), x.new_empty(rows, 3 * width)
        (x_gates, x_candidate), (h_gates, h_candidate) = (y.split((2 * width, width), 1) for y in (of_x, of_h))
        to_x, to_h = input_weight.t().contiguous(), weight.t().contiguous()
        # n = tanh(a) = 2 sigmoid(2 a) - 1, in half of the time: what a is made of is doubled here and below.
        input_bias = input_bias.clone()
        for doubled in (to_x[:, 2 * width :], input_bias[2 * width :]):
            doubled.mul_(2)
        minus_one = x.new_full((), -1)
        hs[0] = h
        steps = [part.unbind() for part in (gates, *gates.split(width, 2), candidate, from_h)]
        h, *later = hs.unbind()
        for k, (x_k, next_h) in enumerate(zip(x.unbind(), later, strict=True)):
            gate, r, z, n, hn = (part[k % kept] for part in steps)
            torch.addmm(input_bias, x_k, to_x, out=of_x)
            torch.addmm(bias, h, to_h, out=of_h)
            torch.add(x_gates, h_gates, out=gate).sigmoid_()
            hn.copy_(h_candidate)
            torch.addcmul(x_candidate, r, hn, value=2, out=n).sigmoid_()
            torch.add(minus_one, n, alpha=2, out=n)
            h = torch.lerp(n, h, z, out=next_h)
        if keep:
            ctx.save_for_backward(x, hs, gates, candidate, from_h, input_weight, weight)
        return hs[1:]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        (grad,) = grads
        x, hs, gates, candidate, from_h, input_weight, weight = ctx.saved_tensors
        _, rows, width = candidate.shape
        dx = torch.empty_like(x)
        of_x, of_h = x.new_empty(rows, 3 * width), x.new_empty(rows, 3 * width)  # gradients of W_i x + b_i, W_h h + b_h
        scratch = x.new_empty(rows, width)
        d_input_weight, d_weight = torch.zeros_like(input_weight), torch.zeros_like(weight)
        summed_x, summed_h = x.new_zeros(rows, 3 * width), x.new_zeros(rows, width)  # over all steps
        dr, dz, dn = of_x.split(width, 1)
        (x_gates, _), (h_gates, h_candidate) = (y.split((2 * width, width), 1) for y in (of_x, of_h))
        dh = x.new_zeros(rows, width)
        parts = (grad, x, dx, hs[:-1], *gates.split(width, 2), candidate, from_h)
        for grad_k, x_k, dx_k, h, r, z, n, hn in zip(*(part.unbind()[::-1] for part in parts), strict=True):
            dh.add_(grad_k)
            torch.sub(h, n, out=scratch).mul_(dh)
            torch.ops.aten.sigmoid_backward.grad_input(scratch, z, grad_input=dz)
            torch.addcmul(dh, dh, z, value=-1, out=scratch)
            torch.ops.aten.tanh_backward.grad_input(scratch, n, grad_input=dn)
            torch.mul(dn, hn, out=scratch)
            torch.ops.aten.sigmoid_backward.grad_input(scratch, r, grad_input=dr)
            h_gates.copy_(x_gates)
            torch.mul(dn, r, out=h_candidate)
            dh.mul_(z).addmm_(of_h, weight)
            torch.mm(of_x, input_weight, out=dx_k)
            d_weight.addmm_(of_h.t(), h)
            d_input_weight.addmm_(of_x.t(), x_k)
            summed_x.add_(of_x)
            summed_h.add_(h_candidate)
        d_input_bias = summed_x.sum(0)
        d_bias = torch.cat((d_input_bias[: 2 * width], summed_h.sum(0)))
        return dx, dh, d_input_weight, d_weight, d_input_bias, d_bias


class GRU(nn.GRU):
    """`torch.nn.GRU` of one layer, with its weights and results; x: [T, R, I], memory: [1, R, H] or None."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Returns the hidden states [T, R, H] and the memory [1, R, H]."""
        h = x.new_zeros(x.shape[1], self.hidden_size) if memory is None else memory[0]
        hs = _Scan.apply(x, h, self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0)
        return hs, hs[-1:]
