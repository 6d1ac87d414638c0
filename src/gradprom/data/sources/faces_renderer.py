"""Drawings of faces: what a person's look like, and how each image of one differs.

A person has proportions, brightnesses and marks of their own; an image has a pose, a light, an
expression and a background. Everything follows from names, so that all machines draw alike.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradprom.data.drawing import Array, centres, halved
from gradprom.randomness import stream

VERSION = 1
"""Raised when a drawing changes."""


@dataclass(frozen=True)
class Person:
    """A face, in units of half the image's side."""

    shape: Array
    """Half width and height, and the exponent of the outline: from an ellipse to a square jaw."""
    skin: float
    hair: Array
    """Brightness, height of the hairline, width at the sides."""
    eyes: Array
    """Distance from the middle, height, half width, half height, brightness of the iris."""
    brows: Array
    """Height above the eyes, slope, half thickness, brightness."""
    nose: Array
    """Length and half width."""
    mouth: Array
    """Height, half width, half thickness, brightness."""
    beard: float
    """How much darker the lower face is; often 0."""
    glasses: bool
    moles: Array
    """[2, 2]: places on the face, as shares of its half width and height."""


def person(name: str) -> Person:
    """The person of a name."""
    rng = np.random.default_rng(stream("face", name))
    uniform = rng.uniform
    return Person(
        shape=uniform((0.48, 0.66, 1.8), (0.66, 0.82, 3.0)),
        skin=uniform(0.5, 0.85),
        hair=uniform((0.05, -0.62, 0.0), (0.45, -0.36, 0.14)),
        eyes=uniform((0.2, -0.2, 0.07, 0.03, 0.05), (0.32, -0.04, 0.12, 0.065, 0.35)),
        brows=uniform((0.09, -0.3, 0.012, 0.05), (0.17, 0.3, 0.035, 0.4)),
        nose=uniform((0.18, 0.05), (0.34, 0.12)),
        mouth=uniform((0.34, 0.16, 0.02, 0.2), (0.5, 0.3, 0.055, 0.45)),
        beard=max(0.0, uniform(-0.25, 0.3)),
        glasses=bool(uniform() < 0.3),
        moles=uniform(-0.7, 0.7, (2, 2)),
    )


def render(name: str, number: int, size: int) -> NDArray[np.uint8]:
    """The image of that number of a person, uint8 [1, size, size]."""
    rng = np.random.default_rng(stream("face", name, number))
    down, across = np.meshgrid(centres(2 * size), centres(2 * size), indexing="ij")
    x, y = _posed(across, down, rng)
    light = 1 + rng.uniform(0, 0.25) * (np.cos(turn := rng.uniform(0, 2 * np.pi)) * across)
    light += rng.uniform(0, 0.15) * np.sin(turn) * down
    backdrop = rng.uniform(0.1, 0.9) + 0.15 * np.sin(rng.uniform(1, 4) * across + down)
    pixels = halved(_face(person(name), x, y, backdrop, rng) * light)
    pixels += rng.normal(0, 0.01, pixels.shape)
    return (pixels.clip(0, 1) * 255).round().astype(np.uint8)[None]


def _posed(across: Array, down: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Coordinates of the face: shifted, turned and scaled."""
    shift, turn = rng.uniform(-0.06, 0.06, 2), np.radians(rng.uniform(-8, 8))
    scale = rng.uniform(0.92, 1.08)
    x, y = (across - shift[0]) / scale, (down - shift[1]) / scale
    return x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)


def _face(who: Person, x: Array, y: Array, image: Array, rng: np.random.Generator) -> Array:
    """A face before a background, all in [0, 1]."""
    width, height, power = who.shape
    image = np.where(
        _inside(x / (width + who.hair[2]), (y + 0.08) / height, power), who.hair[0], image
    )
    face = _inside(x / width, y / height, power) & (y > who.hair[1] - 0.1 * np.cos(3 * x))
    skin = who.skin * (1 - 0.25 * (x / width) ** 2)
    image = np.where(face, skin - who.beard * (y > 0.25) * (np.abs(x) < 0.9 * width), image)
    ridge = (np.abs(x - who.nose[1] * np.clip(y + 0.1, 0, who.nose[0])) < 0.02) & (y > -0.05)
    image = np.where(ridge & (y < who.nose[0] - 0.05), 0.8 * skin, image)
    tip = _inside(x / who.nose[1], (y - who.nose[0] + 0.05) / 0.03)
    image = np.where(tip, 0.65 * skin, image)
    image = _eyes(who, x, y, image, rng.uniform(-0.3, 0.3))
    image = _mouth(who, x, y, image, *rng.uniform((-0.5, 0.6), (0.8, 1.5)))
    for place in who.moles:
        image = np.where(_inside(x - place[0] * width, y - place[1] * height, r=0.025), 0.2, image)
    return image


def _eyes(who: Person, x: Array, y: Array, image: Array, gaze: float) -> Array:
    apart, level, width, height, iris = who.eyes
    above, slope, thickness, brow = who.brows
    for side in (-1, 1):
        u, v = x - side * apart, y - level
        image = np.where(_inside(u / width, v / height), 0.95, image)
        looking = _inside(u - gaze * width, v, r=0.9 * height)
        image = np.where(looking, iris, image)
        arch = np.abs(v + above + slope * side * u) < thickness
        image = np.where(arch & (np.abs(u) < 1.3 * width), brow, image)
        if who.glasses:
            ring = np.hypot(u, v) / (1.5 * width)
            image = np.where(np.abs(ring - 1) < 0.12, 0.05, image)
    if who.glasses:
        bridge = (np.abs(y - level) < 0.012) & (np.abs(x) < apart - 1.5 * width)
        image = np.where(bridge, 0.05, image)
    return image


def _mouth(who: Person, x: Array, y: Array, image: Array, smile: float, opened: float) -> Array:
    level, width, thickness, brightness = who.mouth
    v = y - level + smile * (x**2 - width**2 / 3)
    return np.where(_inside(x / width, v / (thickness * opened)), brightness, image)


def _inside(u: Array, v: Array, power: float = 2.0, r: float = 1.0) -> NDArray[np.bool_]:
    """Where |u|^power + |v|^power < r^power."""
    inside: NDArray[np.bool_] = np.abs(u) ** power + np.abs(v) ** power < r**power
    return inside
