"""What was found in each picture layer of the session, until the layer is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_aml.analysis import Analysis
    from napari_aml.ui.state import ReviewState


class PictureResults:
    """Analyses by picture layer; layers are compared by identity."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[Image, Analysis]] = {}  # the layer is held, so that its id stays its own

    def of(self, image: Image | None) -> Analysis | None:
        """Return what is known of a picture layer."""
        return self._held.get(id(image), (None, None))[1]

    def keep(self, image: Image, analysis: Analysis) -> None:
        """Take down what is known of a picture layer."""
        self._held[id(image)] = (image, analysis)

    def drop(self, image: Image) -> None:
        """Forget a picture layer that is closed."""
        self._held.pop(id(image), None)

    def tell(self, state: ReviewState, image: Image | None) -> None:
        """Tell the state what is known of all picture layers but the one under review, where that is news."""
        others = tuple(analysis for layer, analysis in self._held.values() if layer is not image)
        if [id(a) for a in others] != [id(a) for a in state.others]:
            state.others = others

    def picture_with(self, uid: str) -> Image | None:
        """Return the picture layer that shows a cell."""
        for image, analysis in self._held.values():
            if (analysis.cells.table["uid"] == uid).any():
                return image
        return None
