"""Which bundles there are, and how a bundle is named: shipped, the person's own, a folder, or one on a hub."""

from __future__ import annotations

from pathlib import Path

from napari_aml._bundles import IMAGE, SHIPPED, search, user_folder
from napari_aml.classify.bundle import ModelBundle, open_bundle
from napari_aml.errors import BundleError

DEMO = "demo"
__all__ = ["DEMO", "broken_bundles", "find_bundles", "load_bundle", "user_folder"]


def find_bundles() -> list[ModelBundle]:
    """Find the bundles on this machine, their cards checked and their weights not read; loads no torch.

    Bundles whose card is damaged are left out; `broken_bundles` names them.
    """
    return [found for _, found in search(IMAGE, open_bundle) if isinstance(found, ModelBundle)]


def broken_bundles() -> dict[Path, BundleError]:
    """Return the folders that look like bundles and cannot be opened, with the reason."""
    return {path: found for path, found in search(IMAGE, open_bundle) if isinstance(found, BundleError)}


def load_bundle(spec: str | Path | ModelBundle | None = None) -> ModelBundle:
    """Load a bundle and check its weights.

    Parameters
    ----------
    spec
        None or ``demo``: the shipped demonstration bundle. A folder. The name (or folder name) of a bundle that
        `find_bundles` finds. ``hub:OWNER/NAME``: a bundle, or timm weights, on the Hugging Face hub; nothing is
        downloaded unless that is asked for.

    Raises
    ------
    BundleError
        When there is no such bundle (the message lists those found), or it is damaged or does not fit.
    UnsafeWeightsError
        When its weights are a pickle.
    """
    if isinstance(spec, ModelBundle):
        return spec
    if spec is None or spec == DEMO:
        return open_bundle(SHIPPED / DEMO).verify()
    if isinstance(spec, str) and spec.startswith("hub:"):
        from napari_aml.classify.hub import fetch_bundle

        return fetch_bundle(spec.removeprefix("hub:")).verify()
    path = Path(spec).expanduser()
    if path.exists():
        return open_bundle(path).verify()
    bundles = find_bundles()
    for bundle in bundles:
        if str(spec) in (bundle.name, bundle.path.name):
            return bundle.verify()
    for broken, error in broken_bundles().items():
        if broken.name == str(spec):
            raise error
    known = ", ".join(bundle.name for bundle in bundles) or "none"
    raise BundleError(
        f"There is no model bundle '{spec}': neither a folder nor a known name (found: {known}).",
        "Give a bundle's folder, or put it where $NAPARI_AML_MODELS points.",
    )
