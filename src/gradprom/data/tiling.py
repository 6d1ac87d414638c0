"""Where images are cut into tiles."""


def tiles(length: int, size: int) -> list[int]:
    """Where along a side of `length` pixels its tiles start; none if it is shorter than a tile.

    Tiles lie side by side from the first pixel on. The last is moved back to end with the image,
    over its neighbour: dropping it would lose two fifths of an image of 1000×1000 in tiles of 256.
    """
    starts = list(range(0, length - size + 1, size))
    return starts if not starts or starts[-1] == length - size else [*starts, length - size]
