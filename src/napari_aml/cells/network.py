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
            x = f.interpolate(x, scale_factor=2, mode="nearest")
            x = self._pair(torch.cat([x, skips[level]], 1), f"{which}.dec.{level}")
        return f.conv2d(x, self._w[f"{which}.head.weight"], self._w[f"{which}.head.bias"])

    def _pair(self, x: torch.Tensor, name: str) -> torch.Tensor:
        from napari_aml._torch import torch

        for i in (0, 1):
            weight, bias = self._w[f"{name}.{i}.weight"], self._w[f"{name}.{i}.bias"]
            x = torch.nn.functional.conv2d(x, weight, bias, padding=1).relu_()
        return x


@lru_cache(maxsize=2)
def load_networks(folder: Path = WEIGHTS, device: str = "cpu") -> Networks:
    """Load the networks once a process."""
    return Networks(folder, device)
