"""Convolutions of one pixel or of one channel that train faster on a CPU.

torch's library computes the gradient of a depthwise kernel ten times as slowly as the convolution itself. Here it is
made of matrix products: for each row of the kernel, the pictures shifted by that row times the incoming gradient give
a (width, width) matrix a channel, whose diagonals are the kernel's entries. A convolution of one pixel is a matrix
product, and faster as such.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

#: Beyond this width the matrices cost more than they save.
WIDEST = 32
#: Up to so many pixels one matrix over the whole plane is faster than one a row of the kernel.
_PLANE = 64


def kernel_gradient(x: torch.Tensor, gradient: torch.Tensor, side: int) -> torch.Tensor:
    """Gradient of the kernel of a depthwise convolution with stride 1 and padding side // 2.

    Parameters
    ----------
    x, gradient
        (n, c, h, w): what went in, and the gradient of what came out.
    side
        Of the kernel; odd.

    Returns
    -------
    torch.Tensor
        (c, 1, side, side), float32.
    """
    from napari_aml._torch import torch

    n, c, h, w = x.shape
    if h * w <= _PLANE:
        into, out = (v.permute(1, 0, 2, 3).reshape(c, n, h * w) for v in (x, gradient))
        found = torch.bmm(into.transpose(1, 2), out).float().view(c, -1)
        return (found @ _places(h, w, side)).view(c, 1, side, side)
    half = side // 2
    rows = torch.nn.functional.pad(x.permute(1, 0, 2, 3), (0, 0, half, half)).contiguous()
    out = gradient.permute(1, 0, 2, 3).reshape(c, n * h, w)
    each = [torch.bmm(rows[:, :, dy : dy + h].reshape(c, n * h, w).transpose(1, 2), out).float() for dy in range(side)]
    return (torch.stack(each, 1).view(c * side, w * w) @ _diagonals(w, side)).view(c, 1, side, side)


@functools.lru_cache(maxsize=32)
def _diagonals(w: int, side: int) -> torch.Tensor:
    """0 or 1, (w·w, side): which entry of a kernel's row joins a pixel that went in (row) to one that came out."""
    from napari_aml._torch import torch

    shift = torch.arange(w)[:, None] - torch.arange(w)[None] + side // 2
    known = torch.nn.functional.one_hot(shift.clamp(-1, side) + 1, side + 2)[..., 1:-1]
    return known.reshape(w * w, side).float()


@functools.lru_cache(maxsize=32)
def _places(h: int, w: int, side: int) -> torch.Tensor:
    """The same for a whole plane: (h·w·h·w, side·side)."""
    from napari_aml._torch import torch

    down, across = _diagonals(h, side).view(h, h, side), _diagonals(w, side).view(w, w, side)
    return torch.einsum("abi,cdj->acbdij", down, across).reshape(h * w * h * w, side * side)


def quicken(network: torch.nn.Module) -> int:
    """Let a network's convolutions of one channel or one pixel learn faster on a CPU; return how many there are.

    Weights, their names and what the network computes stay as they are.
    """
    from napari_aml._torch import torch

    of_channel, of_pixel = _quick_classes()
    count = 0
    for module in network.modules():
        if type(module) is torch.nn.Conv2d and (_suits(module) or _one_pixel(module)):
            # Not a new attribute: averaged copies of the network keep working.
            module.__class__ = of_channel if _suits(module) else of_pixel
            count += 1
    return count


def _one_pixel(conv: Any) -> bool:
    return conv.kernel_size == (1, 1) and conv.stride == (1, 1) and conv.padding in ((0, 0), 0) and conv.groups == 1


def _suits(conv: Any) -> bool:
    a, b = conv.kernel_size
    alone = conv.groups == conv.in_channels == conv.out_channels and conv.groups > 1
    plain = conv.stride == (1, 1) and conv.dilation == (1, 1) and conv.padding_mode == "zeros"
    return alone and plain and a == b and a % 2 == 1 and a > 1 and conv.padding == (a // 2, a // 2)


@functools.lru_cache(maxsize=1)
def _quick_classes() -> tuple[Any, Any]:
    """Make the two classes once torch is there."""
    from napari_aml._torch import torch

    conv2d = torch.nn.functional.conv2d

    class Depthwise(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
            ctx.save_for_backward(x, weight)
            ctx.with_bias = bias is not None
            return conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=len(weight))

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            x, weight = ctx.saved_tensors
            side = weight.shape[-1]
            back = of_weight = None
            if ctx.needs_input_grad[0]:
                # Turned by half a circle, the kernel carries the gradient back.
                back = conv2d(gradient, weight.flip(2, 3), padding=side // 2, groups=len(weight))
            if ctx.needs_input_grad[1]:
                of_weight = kernel_gradient(x, gradient, side).to(weight.dtype)
            of_bias = gradient.sum((0, 2, 3)) if ctx.with_bias and ctx.needs_input_grad[2] else None
            return back, of_weight, of_bias

    class QuickConv2d(torch.nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            learning = self.training and torch.is_grad_enabled() and self.weight.requires_grad
            if x.device.type != "cpu" or not learning or x.shape[-1] > WIDEST:
                return super().forward(x)
            weight, bias = self.weight, self.bias
            if torch.is_autocast_enabled("cpu"):
                kind = torch.get_autocast_dtype("cpu")
                x, weight = x.to(kind), weight.to(kind)
                bias = None if bias is None else bias.to(kind)
            return Depthwise.apply(x, weight, bias)

    class OnePixelConv2d(torch.nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            # Pictures that lie channels last are a matrix as they are; others would have to be copied.
            fits = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
            if x.device.type != "cpu" or not self.training or not fits:
                return super().forward(x)
            found = torch.nn.functional.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias)
            return found.permute(0, 3, 1, 2)

    return QuickConv2d, OnePixelConv2d
