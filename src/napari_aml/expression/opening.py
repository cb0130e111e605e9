"""A file becomes blocks of UTF-8 lines: what it is by its first bytes, gzip, byte-order marks, other encodings."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Literal

from napari_aml.expression.errors import ExpressionReadError

Kind = Literal["text", "parquet", "arrow", "hdf5"]
#: Some bytes, and where whole lines begin and end in them.
Span = tuple[bytes, int, int]

#: Bytes read at a time where nobody asks for more or less.
BLOCK = 1 << 17
_HEAD = 1 << 16
_LONGEST_LINE = 1 << 26

_BINARY: dict[bytes, Kind] = {b"PAR1": "parquet", b"ARROW1": "arrow", b"FEA1": "arrow", b"\x89HDF": "hdf5"}
_REFUSED = {
    b"PK\x03\x04": ("a ZIP archive, an Excel workbook or PyTorch weights, not a table",
                    "Save the sheet as CSV or TSV; weights go to 'expression import-checkpoint'."),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "Save the sheet as CSV or TSV."),
    b"%PDF": ("a PDF document", ""), b"\x93NUMPY": ("a NumPy file without gene names", ""),
    b"BAM\1": ("an alignment (BAM)", "Count reads by gene first, for example with featureCounts."),
    b"@HD\t": ("an alignment (SAM)", "Count reads by gene first, for example with featureCounts."),
    b"RDX3": ("an R data file", "Write the table from R with write.csv."),
    b"RDX2": ("an R data file", "Write the table from R with write.csv."),
    b"X\n": ("an R object (RDS)", "Write the table from R with write.csv."),
    b"BZh": ("a bzip2 archive", "Unpack it first, or pack it with gzip."),
    b"\xfd7zXZ": ("an xz archive", "Unpack it first, or pack it with gzip."),
    b"\x28\xb5\x2f\xfd": ("a Zstandard archive", "Unpack it first, or pack it with gzip."),
}  # fmt: skip
_PICKLE = ("a Python pickle, which may run programs when it is opened; it is refused whatever its name",
           "Save the table as CSV, TSV or Parquet.")  # fmt: skip


def kind_of(path: Path) -> tuple[Kind, bool]:
    """Return what a file is by its first bytes, and whether it is packed with gzip.

    Raises
    ------
    ExpressionReadError
        Missing, empty, a folder, unreadable, or surely no table of expression values.
    """
    if not path.exists():
        raise ExpressionReadError(path, "there is no such file.", "Check the path.")
    if not path.is_file():
        raise ExpressionReadError(path, "it is no regular file.", "Copy it to a disk first.")
    try:
        with open(path, "rb") as stream:
            head = stream.read(_HEAD)
        packed = head.startswith(b"\x1f\x8b")
        if packed:
            with gzip.open(path) as stream:
                head = stream.read(_HEAD)
    except PermissionError as error:
        raise ExpressionReadError(path, "there is no permission to read it.", "Ask its owner for access.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise ExpressionReadError(path, "its gzip archive is damaged or cut short.", "Copy it again.") from error
    return _kind_of_bytes(path, head), packed


def _kind_of_bytes(path: Path, head: bytes) -> Kind:
    if not head.strip(b"\0 \t\r\n\xef\xbb\xbf"):
        raise ExpressionReadError(path, "the file is empty.", "Copy it again from its source.")
    for magic, kind in _BINARY.items():
        if head.startswith(magic):
            return kind
    for magic, (words, hint) in _REFUSED.items():
        if head.startswith(magic):
            raise ExpressionReadError(path, f"it is {words}.", hint)
    if head[:1] == b"\x80" and head[1:2] <= b"\x06":
        raise ExpressionReadError(path, f"it is {_PICKLE[0]}.", _PICKLE[1])
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ExpressionReadError(path, "it is a web page or XML (a failed download?).", "Download it again.")
    if start.startswith((b"{", b"version https://git-lfs")):
        raise ExpressionReadError(path, "it is JSON or a pointer to a file kept elsewhere, not a table.")
    if b"\0" in head and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ExpressionReadError(path, "it holds binary data, not a table.", "Save the table as CSV, TSV or Parquet.")
    return "text"


class TextFile:
    r"""A text file as blocks of whole lines in UTF-8, each line ended by ``\n``.

    Parameters
    ----------
    path
        The file; gzip is unpacked on the way.
    packed
        Whether it is packed with gzip.
    """

    def __init__(self, path: Path, packed: bool) -> None:
        self.path, self.packed = path, packed
        self.notes: list[str] = []
        with self._open() as stream:
            head = stream.read(_HEAD)
        self.encoding = self._encoding(head)
        self._mark = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
        if self._mark:
            self.notes.append("A byte-order mark before the first cell was left out.")
        # Files of old spreadsheets end their lines with a carriage return alone.
        self._old_ends = b"\r" in head and b"\n" not in head
        self._returns = b"\r" in head

    def _open(self) -> BufferedIOBase:
        return gzip.GzipFile(self.path) if self.packed else open(self.path, "rb")

    def _encoding(self, head: bytes) -> str:
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            self.notes.append("The text is UTF-16 and was read as such.")
            return "utf-16"
        try:
            codecs.getincrementaldecoder("utf-8")().decode(head)
        except UnicodeDecodeError:
            self.notes.append("The text is not UTF-8; it was read as Latin-1, so accented letters may be wrong.")
            return "latin-1"
        return "utf-8"

    @property
    def size(self) -> int:
        """Bytes of the file as it lies on disk."""
        return self.path.stat().st_size

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[bytes, int]]:
        """Yield blocks of whole lines, and the place in the file on disk after each; see `spans`."""
        for (text, start, stop), place in self.spans(size):
            yield text[start:stop], place

    def spans(self, size: int = BLOCK) -> Iterator[tuple[Span, int]]:
        """Yield whole lines as they lie in some bytes, which are not copied, and the place in the file after them.

        Raises
        ------
        ExpressionReadError
            A damaged gzip archive, another encoding than at the beginning, a line of more than 64 MB (no table).
        """
        kept: list[bytes] = []
        with open(self.path, "rb") as disk:
            try:
                stream: BufferedIOBase = gzip.GzipFile(fileobj=disk) if self.packed else disk
                for part in self._parts(stream, size):
                    cut = part.rfind(b"\n") + 1
                    if cut:
                        start = 0
                        if kept:  # the line that began in the part before
                            start = part.find(b"\n") + 1
                            line = b"".join((*kept, part[:start]))
                            yield (line, 0, len(line)), disk.tell()
                        if start < cut:
                            yield (part, start, cut), disk.tell()
                        kept = [part[cut:]] if cut < len(part) else []
                    else:
                        kept.append(part)
                        if sum(map(len, kept)) > _LONGEST_LINE:
                            raise ExpressionReadError(self.path, "a line of more than 64 MB: this is no table.")
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise ExpressionReadError(
                    self.path, "its gzip archive is damaged or cut short.", "Copy it again."
                ) from error
            except UnicodeDecodeError as error:
                raise ExpressionReadError(
                    self.path, f"its text is not {self.encoding} throughout, as it begins.", "Export it again as UTF-8."
                ) from error
        rest = b"".join(kept)
        if rest.strip():
            yield (rest + b"\n", 0, len(rest) + 1), self.size

    def _parts(self, stream: BufferedIOBase, size: int) -> Iterator[bytes]:
        if self.encoding == "utf-8":
            stream.read(self._mark)
            parts: Iterator[bytes] = iter(lambda: stream.read(size), b"")
        else:
            decoder = codecs.getincrementaldecoder(self.encoding)()
            parts = (decoder.decode(part).encode() for part in iter(lambda: stream.read(size), b""))
        if not self._returns:
            yield from parts
            return
        held = b""
        for part in parts:  # a carriage return and its newline may lie in two parts
            part, held = held + part, b""
            if part.endswith(b"\r"):
                part, held = part[:-1], b"\r"
            part = part.replace(b"\r\n", b"\n")
            yield part.replace(b"\r", b"\n") if self._old_ends else part
        if held:
            yield b"\n"

    def head_lines(self, count: int) -> list[str]:
        """Return the first lines as text, at most `count`, without line ends."""
        lines: list[str] = []
        for block, _ in self.blocks(1 << 20):
            lines += block.decode("utf-8", errors="replace").split("\n")[:-1]
            if len(lines) >= count:
                break
        return lines[:count]
