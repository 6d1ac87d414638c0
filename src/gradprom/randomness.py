"""Seeds derived from the purpose of a draw, so that no random state has to be stored."""

import hashlib


def stream(*parts: object) -> int:
    """A seed in [0, 2^63) for the draw that `parts` name, such as `stream(seed, "augment", step)`.

    From the SHA-256 of the parts' text: equal parts give equal seeds on every machine and version,
    different parts unrelated ones. Parts are separated, so ("a", "b") is not ("ab",).
    """
    text = "".join(f"{len(part)}:{part}" for part in map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
