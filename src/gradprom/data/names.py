"""Names of files and the texts that list them, on systems that write them differently.

macOS keeps `é` as two characters and others as one; old archives hold names, and spreadsheets
write tables, that are not UTF-8. They are compared in one form, and messages show what cannot be
seen.
"""

import codecs
import os
import unicodedata
from pathlib import PurePath

from gradprom.storage.files import printable

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DOUBLE = (".nii.gz",)  # suffixes of two parts


def decoded(content: bytes) -> str:
    """The text of a file: UTF-8, UTF-16 with a byte order mark, or else Windows' code page 1252.

    Its byte order mark is removed.
    """
    if content.startswith(_UTF_16):
        return content.decode("utf-16", "replace")
    return _utf8_or_1252(content.removeprefix(codecs.BOM_UTF8))


def key(name: str) -> str:
    """A name in the form in which names are compared, and which ids have on every machine.

    Composed (Unicode's NFC), and without the surrogates by which Python keeps bytes of a file's
    name that are not UTF-8.
    """
    content = name.encode("utf-8", "surrogateescape")
    return unicodedata.normalize("NFC", _utf8_or_1252(content))


def suffix(path: PurePath) -> str:
    """A file's suffix in lower case, such as `.png` or `.nii.gz`."""
    name = path.name.lower()
    return next((double for double in _DOUBLE if name.endswith(double)), path.suffix.lower())


def shown(name: str | os.PathLike[str]) -> str:
    """A name for a message: characters that cannot be seen or printed are escaped."""
    text = printable(os.fspath(name))
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _utf8_or_1252(content: bytes) -> str:
    for encoding in ("utf-8", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")  # code page 1252 lacks five bytes
