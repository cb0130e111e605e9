"""Build hook: put the manifest that lies at the repository's top into the package.

npe2 looks for the manifest inside the imported package, both in a wheel and in an editable install, where that is
the source folder itself. The copy is ignored by git; ``napari.yaml`` at the top is the one to edit.
Run ``python hatch_build.py`` to bring the copy of an editable install up to date.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, where hatchling need not be installed
    BuildHookInterface = object

MANIFEST = "napari.yaml"
COPY = f"src/napari_aml/{MANIFEST}"


def copy_manifest(root: Path) -> Path:
    """Copy the manifest into the package; return the copy."""
    target = root / COPY
    shutil.copyfile(root / MANIFEST, target)
    return target


class ManifestHook(BuildHookInterface):
    """Copies the manifest before anything is collected."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before each build, ``version`` being ``standard`` or ``editable``."""
        copy_manifest(Path(self.root))
        # The copy is ignored by git, hence by hatchling, unless named here.
        build_data["artifacts"].append(f"/{COPY}")


if __name__ == "__main__":
    print(copy_manifest(Path(__file__).parent))
