"""What a widget listens to, so that it can let go of it even when Qt destroys the widget without a word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Listening:
    """Connections to psygnal signals; knows no Qt object, so it can be released when they are gone."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Any, Callable[..., Any]]] = []

    def connect(self, signal: Any, slot: Callable[..., Any]) -> None:
        """Connect a slot and remember it."""
        signal.connect(slot)
        self._pairs.append((signal, slot))

    def release(self, *_: object) -> None:
        """Disconnect everything; safe to call twice."""
        for signal, slot in self._pairs:
            signal.disconnect(slot, missing_ok=True)
        self._pairs = []
