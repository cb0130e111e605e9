"""The one place for what napari keeps private or does not promise. Each use says what to look at when it breaks."""

from __future__ import annotations

from typing import Any

import numpy as np

Box = tuple[int, int, int, int]


def unwrap(thing: Any) -> Any:
    """Return the object behind the proxy in which napari hands viewers and their layers to plugins.

    Two proxies of one layer are equal but not identical, and a proxy cannot be a choice of a Qt model
    (napari/utils/_proxies.py); everything else goes through the proxy.
    """
    return getattr(thing, "__wrapped__", thing)


def painted_box(item: Any) -> Box | None:
    """Return the box (y0, x0, y1, x1) of one undo item that ``Labels.events.paint`` carries; None if unreadable.

    napari 0.9 puts two kinds of atoms into an item: ``(indices, old, new)`` from ``data_setitem`` and an object
    with a ``slice_key`` from brush, fill and polygon (napari/layers/labels/labels.py, ``_save_history``).
    """
    boxes = []
    try:
        for atom in item:
            if hasattr(atom, "slice_key"):
                y, x = atom.slice_key[-2:]
                boxes.append((int(y.start), int(x.start), int(y.stop), int(x.stop)))
            else:
                y, x = (np.atleast_1d(np.asarray(i)) for i in atom[0][-2:])
                boxes.append((int(y.min()), int(x.min()), int(y.max()) + 1, int(x.max()) + 1))
    except (AttributeError, TypeError, ValueError, IndexError):
        return None
    if not boxes:
        return None
    a = np.array(boxes)
    return tuple(int(v) for v in (*a[:, :2].min(0), *a[:, 2:].max(0)))  # type: ignore[return-value]
