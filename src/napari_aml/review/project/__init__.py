"""A project on disk: slides, cells, decisions of several readers, runs, links; see `Project`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_aml.review.project.files import SUFFIX, is_project
    from napari_aml.review.project.project import Added, Project
    from napari_aml.review.project.verify import Finding, verify_steps

_LAZY = {
    "Added": "project", "Finding": "verify", "Project": "project", "SUFFIX": "files", "is_project": "files",
    "verify_steps": "verify",
}  # fmt: skip

__all__ = ["SUFFIX", "Added", "Finding", "Project", "is_project", "verify_steps"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"napari_aml.review.project.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'napari_aml.review.project' has no attribute {name!r}")
