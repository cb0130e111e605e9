"""Names leave as pseudonyms: the same name gets the same one under the same key, and no one else can tell which."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable

from napari_aml.review.decisions import ADJUDICATOR

#: Aliases that name no person.
_NOBODY = ("", ADJUDICATOR)


class Pseudonyms:
    """Replaces names by keyed hashes (HMAC-SHA256, the first 8 hex digits).

    Parameters
    ----------
    key
        A secret; a new random one by default. Who has it can tell which pseudonym belongs to a name they know.
    """

    def __init__(self, key: str | bytes | None = None) -> None:
        given = key.encode() if isinstance(key, str) else key
        self._key = given or secrets.token_bytes(32)

    def reader(self, alias: str) -> str:
        """Return a reader's pseudonym; the adjudicator's word stays the adjudicator's."""
        return alias if alias in _NOBODY else self._hidden("reader", alias)

    def patient(self, name: str) -> str:
        """Return a patient's pseudonym."""
        return name if name in _NOBODY else self._hidden("patient", name)

    def readers(self, aliases: Iterable[str]) -> dict[str, str]:
        """Return pseudonym → alias of known readers, with which the pseudonyms of an import are resolved."""
        return {self.reader(alias): alias for alias in aliases}

    def _hidden(self, kind: str, name: str) -> str:
        return f"{kind}-{hmac.new(self._key, f'{kind}:{name}'.encode(), hashlib.sha256).hexdigest()[:8]}"
