"""Dermoscopy-like images made by code: what the embedded dataset `phantom` shows.

Each image is a small model of what a dermatoscope sees. Skin is a colour with mottling, furrows
and fine grain; a lesion is pigment that absorbs light (Beer-Lambert) inside an irregular contour,
with a pigment network or globules, streaks, dots, a blue-white veil, or the plugs and cysts of a
keratosis; hairs and uneven lighting lie on top. Two hidden traits in [0, 1] steer the lesion:
atypia and keratosis. Each class draws them from distributions of its own that overlap, so that
the diagnosis follows from shape, colour and texture and doubtful cases remain.

All lengths are relative to the image and no draw depends on its size: an id shows the same scene
at every size. Arithmetic is in float64: what machines differ in, rounding to 8 bits removes.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gradprom.data.drawing import Array, centres, halved
from gradprom.randomness import stream

VERSION = 1
"""Of the images: part of their generator's seed, and of the dataset's fingerprint."""


def _colours(*colours: list[float]) -> list[Array]:
    """Each as [3,1,1], to meet [pixels,pixels]."""
    return [np.array(colour)[:, None, None] for colour in colours]


_ANGLES = np.arange(720) / 720 * 2 * np.pi
# Beta distributions (a, b) of atypia and of keratosis, one row a class.
_TRAITS = (((1.8, 9.0), (1.4, 9.0)), ((9.0, 1.8), (1.4, 9.0)), ((2.0, 7.0), (9.0, 1.7)))
_PALE, _TAN = _colours([0.88, 0.73, 0.68], [0.76, 0.57, 0.47])
# How strongly red, green and blue light are absorbed.
(_BLOOD,) = _colours([0.35, 1.0, 0.9])
_BROWN, _WAX, _RED = _colours([0.62, 1.05, 1.40], [0.72, 0.86, 1.05], [0.25, 0.95, 0.85])
# Colours that cover what lies under them.
_VEIL, _CYST, _HAIR = _colours([0.47, 0.52, 0.58], [0.88, 0.82, 0.72], [0.16, 0.11, 0.09])


def render(id: str, label: int, size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image uint8 [3,size,size] and lesion mask uint8 [size,size] (0, 1) of an id and its class.

    Drawn at twice the size and averaged over 2×2 pixels; the mask takes the majority.
    """
    canvas = _Canvas(np.random.default_rng(stream("phantom", VERSION, id)), 2 * size)
    traits = _Traits(*(canvas.rng.beta(a, b) for a, b in _TRAITS[label]))
    image = _skin(canvas)
    depth = _depth(canvas, traits)
    image *= _transmission(canvas, traits, depth)
    for opacity, colour in _covers(canvas, traits, depth):
        image += opacity * (colour - image)
    image *= _lighting(canvas)
    mask = halved((depth > 0).astype(float)) >= 0.5
    image = np.rint(255 * np.clip(halved(image), 0, 1))
    return image.astype(np.uint8), mask.astype(np.uint8)


@dataclass(frozen=True)
class _Traits:
    atypia: float
    """Asymmetry, ragged border, several colours, irregular structures."""
    keratosis: float
    """Sharp border, waxy colour, plugs and cysts instead of a pigment network."""

    def atypical(self, onset: float) -> float:
        """Strength in [0, 1] of a sign that appears from `onset` of atypia on."""
        return max(0.0, (self.atypia - onset) / (1 - onset))

    @property
    def waxy(self) -> float:
        return max(0.0, (self.keratosis - 0.25) / 0.75)

    @property
    def melanocytic(self) -> float:
        return min(1.0, max(0.0, 1.3 - 1.8 * self.keratosis))


class _Canvas:
    """The pixel grid [pixels,pixels], coordinates in (-1, 1), and noise drawn on it."""

    def __init__(self, rng: np.random.Generator, pixels: int) -> None:
        grid = centres(pixels)
        self.rng, self.pixels, self.x, self.y = rng, pixels, grid[None, :], grid[:, None]

    def noise(self, *cells: int, decay: float = 0.75) -> Array:
        """Smooth noise with cells[0] lattice cells a side and unit variance, then finer ones.

        The amplitude falls by `decay` from one to the next. Lattices finer than the pixels are
        left out, they would alias into white noise; a generator of their own keeps the scene.
        """
        rng, total = self.rng.spawn(1)[0], np.zeros((self.pixels, self.pixels))
        for octave, count in enumerate(cells):
            if count > self.pixels:
                break
            lattice = rng.standard_normal((count + 3, count + 3)) * decay**octave
            weights = _spline(count, self.pixels)
            total += weights @ lattice @ weights.T
        return total / 0.479  # standard deviation of splined unit noise, mean over positions

    def turned(self, origin: Array, angle: float) -> tuple[Array, Array]:
        """Coordinates [pixels,pixels] along and across a direction, seen from `origin` (x, y)."""
        dx, dy, cos, sin = self.x - origin[0], self.y - origin[1], np.cos(angle), np.sin(angle)
        return dx * cos + dy * sin, dy * cos - dx * sin


@lru_cache(maxsize=64)
def _spline(cells: int, pixels: int) -> Array:
    """Cubic B-spline weights [pixels, cells + 3] of the lattice points at the pixel centres."""
    position = (np.arange(pixels) + 0.5) / pixels * cells
    cell = position.astype(int)
    t = position - cell
    pieces = (1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3
    matrix = np.zeros((pixels, cells + 3))
    for offset, piece in enumerate(pieces):
        matrix[np.arange(pixels), cell + offset] = piece / 6
    return matrix


def _ramp(x: Array, low: float, high: float) -> Array:
    """Smooth step from 0 at `low` to 1 at `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _line(x: Array, width: float) -> Array:
    """1 where x is 0, falling off over `width`."""
    x = x / width
    return np.exp(-x * x)


def _skin(canvas: _Canvas) -> Array:
    """Reflectance [3,pixels,pixels] of skin without lesion."""
    rng = canvas.rng
    base = _PALE + rng.beta(1.3, 2.2) * (_TAN - _PALE) + rng.normal(0, 0.015, (3, 1, 1))
    mottling = rng.uniform(0.015, 0.05) * canvas.noise(3, 7, 15, 26, decay=0.8)
    furrows = rng.uniform(-0.02, 0.05) * _line(canvas.noise(24), 0.35)
    grain = rng.uniform(0.005, 0.016) * canvas.noise(40, 72, 140, 280, decay=0.8)
    return base * np.exp(-mottling * _BLOOD - (furrows + grain))


def _waves(rng: np.random.Generator, orders: range) -> Array:
    """Cosines over `_ANGLES` [orders,angles] with random phases."""
    phases = rng.uniform(0, 2 * np.pi, len(orders))
    return np.cos(np.outer(orders, _ANGLES) + phases[:, None])


def _contour(rng: np.random.Generator, atypia: float) -> Array:
    """Radius over `_ANGLES`, about 1; asymmetric with atypia."""
    orders = range(2, 9)
    amplitudes = rng.normal(0, 0.025 + 0.125 * atypia, len(orders))
    amplitudes /= (np.array(orders) - 1) ** 1.1
    return np.maximum(1 + amplitudes @ _waves(rng, orders), 0.4)


def _streaks(rng: np.random.Generator, strength: float) -> Array:
    """Change of radius over `_ANGLES` by radial streaks in a sector of the border."""
    away = (_ANGLES - rng.uniform(0, 2 * np.pi) + np.pi) % (2 * np.pi) - np.pi
    sector = _line(away, rng.uniform(0.5, 1.6))
    wobble = rng.normal(0, 0.8, 6) @ _waves(rng, range(1, 7))
    stripes = np.cos(rng.integers(20, 32) * _ANGLES + wobble)
    stripes *= 0.75 + rng.normal(0, 0.2, 8) @ _waves(rng, range(5, 13))
    return rng.uniform(0.06, 0.17) * sector * stripes * (rng.uniform() < strength)


def _depth(canvas: _Canvas, traits: _Traits) -> Array:
    """How far inside the lesion a pixel lies, in lesion radii; negative outside."""
    rng, atypia = canvas.rng, traits.atypia
    size = rng.uniform(0.42, 0.7)
    aspect = 1 + abs(rng.normal(0, 0.15)) + rng.uniform(0, 0.25) * atypia
    u, v = canvas.turned(rng.uniform(-0.18, 0.18, 2), rng.uniform(0, np.pi))
    u, v = u / size / np.sqrt(aspect), v / size * np.sqrt(aspect)
    rho, theta = np.hypot(u, v), np.arctan2(v, u)
    contour = _contour(rng, atypia)
    contour += _streaks(rng, 1.3 * traits.atypical(0.3) * traits.melanocytic)
    roughness = (0.03 + 0.07 * atypia) * canvas.noise(6, 12, 24, 48, 96)
    return np.interp(theta, _ANGLES, contour, period=2 * np.pi) - rho + roughness


def _honeycomb(canvas: _Canvas, irregular: float) -> Array:
    """A warped hexagonal lattice: 1 in its cells, -0.5 on the lines between them."""
    rng, angle = canvas.rng, canvas.rng.uniform(0, np.pi)
    frequency, warp = 2 * np.pi * rng.uniform(6.5, 9.0), 0.02 + 0.025 * irregular
    u = canvas.x + warp * canvas.noise(5, 10, decay=0.9)
    v = canvas.y + warp * canvas.noise(5, 10, decay=0.9)
    total = np.zeros_like(u)
    for a in angle + np.pi / 3 * np.arange(3):
        total += np.cos(frequency * np.cos(a) * u + frequency * np.sin(a) * v)
    return total / 3


def _pattern(canvas: _Canvas, traits: _Traits) -> Array:
    """Relative change of pigment by a network or globules, patchy with atypia."""
    rng, atypia = canvas.rng, traits.atypia
    honeycomb = _honeycomb(canvas, atypia)
    patches = _ramp(canvas.noise(4, 9), -1.2 + atypia, 0.4 + 0.8 * atypia)
    network, globules = 0.6 - _ramp(honeycomb, -0.35, 0.3), 1.2 * _ramp(honeycomb, 0.2, 0.8) - 0.24
    strength = rng.uniform(0.45, 0.8) * traits.melanocytic
    return strength * patches * (network if rng.uniform() < 0.65 else globules)


def _transmission(canvas: _Canvas, traits: _Traits, depth: Array) -> Array:
    """Share [3,pixels,pixels] of light that comes back through the pigment."""
    rng, atypia = canvas.rng, traits.atypia
    fade = (0.32 - 0.26 * traits.keratosis) * rng.uniform(0.6, 1.2)
    clouds = (0.06 + 0.5 * atypia) * canvas.noise(3, 6, decay=0.7)
    clouds += (0.08 + 0.12 * atypia) * canvas.noise(12, 22, 40, 80, 160)
    pigment = (rng.uniform(0.4, 0.85) + rng.uniform(0.3, 0.8) * atypia) * np.exp(clouds)
    pigment *= 1 + rng.uniform(-0.25, 0.4) * _ramp(depth, 0.2, 0.9)
    pigment *= 1 + _pattern(canvas, traits)
    dots = _ramp(canvas.noise(26), 1.0, 1.6) * _ramp(canvas.noise(3), -0.3, 0.7)
    pigment += traits.atypical(0.3) * rng.uniform(0.4, 1.0) * dots
    plugs, fissures = _ramp(canvas.noise(26), 1.3, 1.7), _line(canvas.noise(18), 0.25)
    pigment += traits.waxy * (rng.uniform(0.2, 0.9) * plugs + rng.uniform(0, 0.35) * fissures)
    pigment *= _ramp(depth, -0.3 * fade, 0.7 * fade)
    hue = _BROWN + rng.normal(0, 0.03, (3, 1, 1))
    hue += traits.waxy * (_WAX - hue)
    reddish = traits.atypical(0.2) * rng.uniform() * _ramp(canvas.noise(3, 8, decay=0.5), 0.2, 1.2)
    return np.exp(-pigment * (hue + reddish * (_RED - hue)))


def _covers(canvas: _Canvas, traits: _Traits, depth: Array) -> list[tuple[Array, Array]]:
    """Opacities [pixels,pixels] and colours of what lies on the pigment, lowest first."""
    rng, lesion = canvas.rng, _ramp(depth, 0, 0.15)
    veil = traits.atypical(0.3) * rng.uniform(0.4, 0.8) * (rng.uniform() < 0.85)
    cysts = traits.waxy * rng.uniform(0.3, 0.8) * _ramp(canvas.noise(32), 1.5, 2.0)
    return [
        (veil * lesion * _ramp(canvas.noise(3, 8, 20, 40, decay=0.5), 0.0, 1.3), _VEIL),
        (lesion * cysts, _CYST),
        (_hairs(canvas), _HAIR),
    ]


def _hairs(canvas: _Canvas) -> Array:
    """Opacity [pixels,pixels] of hairs: cubic curves, most in about the same direction."""
    rng, cover = canvas.rng, np.zeros((canvas.pixels, canvas.pixels))
    lie = rng.uniform(0, np.pi)
    for _ in range(rng.choice([0, 1, 2, 3, 5, 8], p=[0.35, 0.15, 0.15, 0.15, 0.12, 0.08])):
        along, across = canvas.turned(rng.uniform(-0.9, 0.9, 2), lie + rng.normal(0, 0.5))
        bend, wave, square = rng.normal(0, 0.25), rng.normal(0, 0.12), along * along
        slope = 2 * bend * along + 3 * wave * square
        distance = np.abs(across - square * (bend + wave * along)) / np.sqrt(1 + slope * slope)
        length, width = rng.uniform(0.4, 1.3), rng.uniform(0.006, 0.014)
        hair = np.clip((width - distance) * canvas.pixels / 2 + 0.5, 0, 1)
        hair *= rng.uniform(0.55, 0.95) * _ramp(-np.abs(along), -length, -0.7 * length)
        cover = np.maximum(cover, hair)
    return cover


def _lighting(canvas: _Canvas) -> Array:
    """Factor [3,pixels,pixels]: gradient, vignette, white balance, sometimes a dark rim."""
    rng = canvas.rng
    across, _ = canvas.turned(np.zeros(2), rng.uniform(0, 2 * np.pi))
    square = canvas.x**2 + canvas.y**2
    light = 1 + rng.uniform(0, 0.08) * across - rng.uniform(0, 0.09) * square * square
    edge, blur, rim = rng.uniform(1.08, 1.35), rng.uniform(0.05, 0.25), rng.uniform() < 0.15
    if rim:
        light *= 1 - 0.95 * _ramp(np.sqrt(square), edge, edge + blur)
    return light * rng.uniform(0.92, 1.12) * (1 + rng.normal(0, 0.03, (3, 1, 1)))
