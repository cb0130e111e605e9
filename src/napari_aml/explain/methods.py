"""The CAM methods: their names, what they need, and their implementation in pytorch-grad-cam."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_aml.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True, slots=True)
class Method:
    """One CAM method.

    Attributes
    ----------
    title
        For people.
    source
        The publication.
    implementation
        Class in pytorch-grad-cam.
    gradients
        Whether it needs gradients.
    by_class
        Whether its map depends on the class that it explains.
    signed
        Whether negative values mean evidence against the class.
    slow
        Whether it runs the network hundreds of times a cell.
    """

    title: str
    source: str
    implementation: str
    gradients: bool = True
    by_class: bool = True
    signed: bool = True
    slow: bool = False


METHODS: dict[str, Method] = {
    "gradcam": Method("Grad-CAM", "Selvaraju et al. 2017, arXiv:1610.02391", "GradCAM"),
    "gradcam++": Method("Grad-CAM++", "Chattopadhay et al. 2018, arXiv:1710.11063", "GradCAMPlusPlus"),
    "hirescam": Method("HiResCAM", "Draelos and Carin 2020, arXiv:2011.08891", "HiResCAM"),
    "layercam": Method("LayerCAM", "Jiang et al. 2021, doi:10.1109/TIP.2021.3089943", "LayerCAM"),
    "eigencam": Method(
        "Eigen-CAM", "Muhammad and Yeasin 2020, arXiv:2008.00299", "EigenCAM",
        gradients=False, by_class=False, signed=False,
    ),
    "scorecam": Method(
        "Score-CAM", "Wang et al. 2020, arXiv:1910.01279", "ScoreCAM", gradients=False, slow=True,
    ),
}  # fmt: skip


def get_method(name: str) -> Method:
    """Return a method by name.

    Raises
    ------
    InputError
        For an unknown name; the message lists the known ones.
    """
    if name not in METHODS:
        raise InputError(f"There is no heatmap method '{name}'.", f"Known: {', '.join(METHODS)}.")
    return METHODS[name]


#: What is drawn where a bundle's heatmaps were not tested: the cheapest, which costs next to nothing.
UNTESTED = ("gradcam", 3)


def recommended_of(card: Mapping[str, Any]) -> tuple[str, int]:
    """Return the method and stage that the tests in a bundle's card recommend, or `UNTESTED` where there are none."""
    tested = card.get("explanation_tests")
    said = str(tested.get("recommended") or "") if isinstance(tested, Mapping) else ""
    name, _, stage = said.partition("@")
    return (name, int(stage)) if name in METHODS and stage.isdigit() else UNTESTED


#: Stands for what a bundle's own tests recommend.
RECOMMENDED = "recommended"


def chosen(cam: str | None, stage: int | None, card: Mapping[str, Any]) -> tuple[str | None, int]:
    """Return the method (None: no heatmaps) and the stage that a person's choice comes down to.

    Parameters
    ----------
    cam
        A method, `RECOMMENDED`, or None.
    stage
        None: the tested one for what is recommended, else the last.
    card
        Of the bundle.
    """
    if cam == RECOMMENDED:
        method, tested = recommended_of(card)
        return method, tested if stage is None else stage
    return cam, UNTESTED[1] if stage is None else stage


def raw_maps(
    name: str,
    model: torch.nn.Module,
    activations: np.ndarray,
    gradients: np.ndarray | None,
    pictures: torch.Tensor | None = None,
    targets: np.ndarray | None = None,
) -> np.ndarray:
    """Let pytorch-grad-cam turn activations and gradients into maps, before it clips and rescales them.

    Parameters
    ----------
    name
        Key of `METHODS`.
    model
        The network; run only by Score-CAM.
    activations, gradients
        float32 (n, c, g, g) of the explained layer; `gradients` None for methods without.
    pictures, targets
        The network's input (n, 3, h, w) and int (n,) classes; used only by Score-CAM.

    Returns
    -------
    numpy.ndarray
        float32 (n, g, g), raw scale and sign.
    """
    import numpy as np
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    implementation = getattr(pytorch_grad_cam, METHODS[name].implementation)
    wanted = None if targets is None else [ClassifierOutputTarget(int(t)) for t in targets]
    # No target layers: it hooks into nothing, for activations and gradients are already here.
    with implementation(model, []) as cam, _quiet(pytorch_grad_cam):
        maps: Any = cam.get_cam_image(pictures, None, wanted, activations, gradients, False)
        return np.asarray(maps, np.float32)
    raise RuntimeError(f"pytorch-grad-cam stopped {name} without a map")  # its exit swallows IndexError


@contextlib.contextmanager
def _quiet(package: Any) -> Any:
    """Keep Score-CAM's own progress bars off the terminal."""
    import types

    package.score_cam.tqdm = types.SimpleNamespace(tqdm=lambda steps: steps)
    yield
