"""Texts as short as still tells each of them from the others, for the names of rows."""

import os
from collections.abc import Iterable, Sequence

LONG = 24
"""Texts up to this length are left as they are."""


def short_texts(texts: Iterable[str]) -> dict[str, str]:
    """Shorten texts that are values of one key, such as folders or lists of classes.

    Parameters
    ----------
    texts
        The values; equal ones count as one.

    Returns
    -------
    dict[str, str]
        By text, the short one; different texts have different short ones. Of paths, what follows
        the folder that they share; of lists, the elements that not all have, or their number; of
        other texts, their beginning.
    """
    distinct = list(dict.fromkeys(texts))
    if all(len(text) <= LONG for text in distinct):
        return {text: text for text in distinct}
    for shorten in (_paths, _lists, _beginnings):
        short = shorten(distinct)
        if len(set(short)) == len(distinct) and all(0 < len(text) <= LONG for text in short):
            return dict(zip(distinct, short, strict=True))
    return {text: f"{_cut(text)} ({number})" for number, text in enumerate(distinct, 1)}


def _paths(texts: Sequence[str]) -> list[str]:
    """Paths without the folders that all begin with; a single one's last part."""
    if not all(os.path.isabs(text) for text in texts):
        return []
    shared = os.path.commonpath([os.path.dirname(text.rstrip("/")) for text in texts])
    return [os.path.relpath(text, shared) for text in texts]


def _lists(texts: Sequence[str]) -> list[str]:
    """Lists without the elements that all have, or as the number of their elements."""
    if not all(text.startswith("[") and text.endswith("]") for text in texts):
        return []
    lists = [[part.strip(" '\"") for part in text[1:-1].split(",")] for text in texts]
    shared = set.intersection(*map(set, lists))
    own = ["[" + ",".join(part for part in one if part not in shared) + "]" for one in lists]
    if len(set(own)) == len(lists) and all(len("[]") < len(text) <= LONG for text in own):
        return own
    numbers = [f"[{len(one)} values]" for one in lists]
    return ["[]" if text == "[]" else number for text, number in zip(texts, numbers, strict=True)]


def _beginnings(texts: Sequence[str]) -> list[str]:
    return [_cut(text) for text in texts]


def _cut(text: str) -> str:
    return text if len(text) <= LONG else text[:LONG].rstrip()
