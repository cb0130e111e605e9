"""What the gaps between a sample's values say: reads lie on multiples of one read, whatever they were divided by.

Values per million sum to a million whether they were divided by gene length or not; on which of the two lie a whole
number of times the least of them is the only trace. And 1,082 that was read as a decimal leaves its own.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from napari_aml.expression.errors import UnitsError

#: Lines of a table that are looked at: its first, so that a table of which only some lines are kept tells the same.
FIRST = 6000


def one_read(values: np.ndarray) -> float | None:
    """Return what one read is worth, where values are whole multiples of the least above zero.

    Parameters
    ----------
    values
        Some of a sample, linear.

    Returns
    -------
    float, or None
        None where they are not, where there are too few to say, or where the least is 0.01 or the like: then the
        multiples are those of rounding.
    """
    above = values[values > 1e-6].astype(np.float64)  # a logarithm and back leave noise for zero
    if above.size < 200:
        return None
    read = float(above.min())
    if abs(math.log10(read) - round(math.log10(read))) < 1e-6:
        return None
    for most in (3.5, 10.5, 40.5):  # the least was rounded in the file: what more values say of it is closer
        small = above[above < most * read]
        times = np.rint(small / read)
        read = float(small.sum() / times.sum())
    several = times > 1
    fits = np.abs(small / read - times) < 0.15
    return read if several.sum() >= 40 and times.max() > 3 and fits[several].mean() > 0.98 else None


def one_read_of_logs(values: np.ndarray, linear: np.ndarray) -> float | None:
    """Do the same for logarithms, given with what they stand for; few decimals make multiples of their own."""
    thousandths = values.astype(np.float64) * 1000
    return None if np.abs(thousandths - np.rint(thousandths)).max() < 5e-3 else one_read(linear)


def check_thousands(path: Path | str, name: str, values: np.ndarray) -> None:
    """Refuse a sample where separators of thousands seem to have been read for decimals.

    Parameters
    ----------
    path, name
        Of the file and the sample, for the message.
    values
        Some of the sample, none of 1000 or more.

    Raises
    ------
    UnitsError
    """
    parts = values[values != np.rint(values)].astype(np.float64)
    # 1,082 becomes 1.082: three figures behind the sign each, none between 0 and 1.
    if parts.size < 5 or parts.min() < 1 or np.abs(parts * 1000 - np.rint(parts * 1000)).max() > 0.1:
        return
    raise UnitsError(path, f"sample '{name}' has whole numbers and values such as {parts[0]:.3f}, none between 0 and 1 "
                     "and none of 1000 or more: separators of thousands, which would be read for decimals.",
                     "Export numbers without separators of thousands; if these are decimals, say what the values are "
                     "(--units).")  # fmt: skip
