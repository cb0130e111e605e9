"""The segmentation networks at run time: plain convolutions read from a safetensors file, nothing else.

Two fully convolutional networks share the file. The *coarse* one looks at 1 µm/px and says where nucleated cells can
be; the *fine* one, a U-Net (Ronneberger et al. 2015, doi 10.1007/978-3-319-24574-4_28) at 0.25 µm/px, gives for every
pixel the probability of cell and of nucleus and the distance to the cell's border relative to its half width. Batch
normalisation is folded into the convolutions when the weights are written, so no output depends on what else stands
in the picture, and a tile gives what the whole picture gives.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

WEIGHTS = Path(__file__).parent / "weights"
#: µm per pixel at which the fine network looks, and pixels of it per coarse pixel.
WORK_UM = 0.25
COARSE = 4
#: Heights and widths given to the networks are multiples of this (pixels of `WORK_UM`).
STRIDE = 16


class Networks:
    """The fine and the coarse network.

    Parameters
    ----------
    folder
        Holds ``segmenter.safetensors`` and its card ``segmenter.json``.
    device
        A torch device string.
    """

    def __init__(self, folder: Path = WEIGHTS, device: str = "cpu") -> None:
        from safetensors.torch import load_file

        from napari_aml._torch import convolves_in_bfloat16, torch

        self.card: dict[str, Any] = json.loads((folder / "segmenter.json").read_text())
        self.device = torch.device(device)
        # Twice as fast where the processor can; on real fields the same cells, their masks alike to a Dice of 0.995.
        self.dtype = torch.bfloat16 if convolves_in_bfloat16(self.device.type) else torch.float32
        self._w = {
            name: tensor.to(self.device, self.dtype, memory_format=torch.channels_last) if tensor.ndim == 4
            else tensor.to(self.device, self.dtype)
            for name, tensor in load_file(folder / "segmenter.safetensors").items()
        }  # fmt: skip
        # Up-sampling and the convolution behind it in one: half the time in float32; in bfloat16 it was not measured.
        self._rising = {} if self.dtype == torch.bfloat16 else self._risen()

    def fine(self, rgb: np.ndarray) -> np.ndarray:
        """Run the U-Net.

        Parameters
        ----------
        rgb
            uint8 (h, w, 3) at `WORK_UM`; h and w multiples of `STRIDE`.

        Returns
        -------
        numpy.ndarray
            float32 (3, h, w): probability of cell, probability of nucleus, relative distance to the border.
        """
        return self._run(rgb, "fine")

    def coarse(self, rgb: np.ndarray) -> np.ndarray:
        """Run the coarse network.

        Parameters
        ----------
        rgb
            As for `fine`; averaged here to ``COARSE * WORK_UM`` µm/px.

        Returns
        -------
        numpy.ndarray
            float32 (h / 4, w / 4): probability that a pixel holds some nucleus.
        """
        return self._run(rgb, "coarse")[0]

    def _run(self, rgb: np.ndarray, which: str) -> np.ndarray:
        from napari_aml._torch import torch

        if rgb.shape[0] % STRIDE or rgb.shape[1] % STRIDE:
            raise ValueError(f"the sides {rgb.shape[:2]} are no multiples of {STRIDE}")
        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(rgb)).to(self.device)
            x = x.permute(2, 0, 1)[None].float().div_(255)
            if which == "coarse":
                x = torch.nn.functional.avg_pool2d(x, COARSE)
            x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
            return torch.sigmoid(self._unet(x, which).float())[0].cpu().numpy()

    def _unet(self, x: torch.Tensor, which: str) -> torch.Tensor:
        from napari_aml._torch import torch

        f = torch.nn.functional
        depth = sum(name.startswith(f"{which}.enc") and name.endswith(".0.weight") for name in self._w)
        skips = []
        for level in range(depth):
            if level:
                x = f.max_pool2d(x, 2)
            x = self._pair(x, f"{which}.enc.{level}")
            skips.append(x)
        for level in reversed(range(depth - 1)):
            x = self._joined(x, skips[level], f"{which}.dec.{level}.0")
            x = self._convolved(x, f"{which}.dec.{level}.1")
        return f.conv2d(x, self._w[f"{which}.head.weight"], self._w[f"{which}.head.bias"])

    def _pair(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return self._convolved(self._convolved(x, f"{name}.0"), f"{name}.1")

    def _convolved(self, x: torch.Tensor, name: str) -> torch.Tensor:
        from napari_aml._torch import torch

        weight, bias = self._w[f"{name}.weight"], self._w[f"{name}.bias"]
        return torch.nn.functional.conv2d(x, weight, bias, padding=1).relu_()

    def _joined(self, x: torch.Tensor, skip: torch.Tensor, name: str) -> torch.Tensor:
        """Double the side of `x`, put `skip` beside it and convolve both."""
        from napari_aml._torch import torch

        f = torch.nn.functional
        if name not in self._rising:
            return self._convolved(torch.cat([f.interpolate(x, scale_factor=2, mode="nearest"), skip], 1), name)
        above, beside = self._rising[name]
        y = f.conv2d(skip, beside, self._w[f"{name}.bias"], padding=1)
        return y.add_(f.conv_transpose2d(x, above, stride=2, padding=1)).relu_()

    def _risen(self) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Kernels for `_joined`, by layer: for what comes from below and for what stands beside it.

        A 3 x 3 convolution of a picture whose pixels were doubled is a transposed one of the picture itself, stride 2,
        whose 4 x 4 kernel is the mirrored 3 x 3 one summed over the doubled pixels (Shi et al. 2016, arXiv
        1609.07009, on the two kinds).
        """
        from napari_aml._torch import torch

        found = {}
        for name in (n.removesuffix(".weight") for n in self._w if ".dec." in n and n.endswith(".0.weight")):
            which, _, level, _ = name.split(".")
            below = f"{which}.dec.{int(level) + 1}.1.weight"
            channels = len(self._w[below if below in self._w else below.replace("dec", "enc")])
            weight = self._w[f"{name}.weight"]
            mirrored = weight[:, :channels].flip(2, 3).transpose(0, 1)
            above = torch.zeros(*mirrored.shape[:2], 4, 4, dtype=self.dtype, device=self.device)
            for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
                above[..., i : i + 3, j : j + 3] += mirrored
            beside = weight[:, channels:].contiguous(memory_format=torch.channels_last)
            found[name] = above.contiguous(memory_format=torch.channels_last), beside
        return found


@lru_cache(maxsize=2)
def load_networks(folder: Path = WEIGHTS, device: str = "cpu") -> Networks:
    """Load the networks once a process."""
    return Networks(folder, device)
