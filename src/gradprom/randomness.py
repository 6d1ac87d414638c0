"""Seeds made of what a draw is for, so that no random state has to be kept or restored."""

from __future__ import annotations

import hashlib


def stream(*parts: object) -> int:
    """A seed in [0, 2^63) for the draw that `parts` name, e.g. `stream(seed, "augment", step)`.

    The SHA-256 of the parts' text: equal parts give equal seeds on every machine and version,
    different parts unrelated ones. Parts are kept apart, so ("a", "b") is not ("ab",).
    """
    text = "".join(f"{len(part)}:{part}" for part in map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
