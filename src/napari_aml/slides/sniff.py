"""What a file is by its first bytes, whatever its name says."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Kind = Literal["tiff", "raster", "other", "unknown"]

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_RASTER = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"GIF87a", b"GIF89a", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
_OTHER = {
    b"%PDF": "a PDF document", b"PK\x03\x04": "a ZIP archive or an Office document", b"\x1f\x8b": "a gzip archive",
    b"\x89HDF": "an HDF5 file", b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7z archive", b"\x7fELF": "a program",
    b"ZISRAWFILE": "a Zeiss CZI file", b"SQLite": "a database", b"\x93NUMPY": "a NumPy file",
}  # fmt: skip


def sniff(path: Path) -> tuple[Kind, str]:
    """Return what a file is, and words for it.

    Returns
    -------
    kind
        ``tiff`` or ``raster`` (PNG, JPEG, BMP, WebP, GIF, JPEG 2000), ``other`` for what is surely no such picture,
        ``unknown`` where the bytes do not say.
    words
        For a message, such as ``a PDF document``.
    """
    with open(path, "rb") as stream:
        head = stream.read(1024)
    if head.startswith(_TIFF):
        return "tiff", "a TIFF"
    if head.startswith(_RASTER) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        return "raster", "a picture"
    for magic, words in _OTHER.items():
        if head.startswith(magic):
            return "other", words
    if head[128:132] == b"DICM":
        return "unknown", "a DICOM file"
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "other", "a web page (a failed download?)"
    if not head.strip(b"\0"):
        return "other", "nothing but zero bytes (an interrupted copy?)"
    if all(byte in b"\t\n\r\f" or byte >= 32 for byte in head):
        try:
            head[:-3].decode("utf-8")
        except UnicodeDecodeError:
            return "unknown", "unknown data"
        return "other", "text"
    return "unknown", "unknown data"
