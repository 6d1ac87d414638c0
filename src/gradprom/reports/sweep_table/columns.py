"""A column of a table: the degradation, in words."""

from typing import Any

Options = dict[str, Any]

# degradation → its words, and the options that they tell; columns come in this order
_FORMS = {
    "gaussian": ("σ={sigma:.12g}", ("sigma",)),
    "poisson": ("Poisson {rate:.12g}", ("rate",)),
    "blur": ("blur {kernel}×{kernel} σ={sigma:.12g}", ("kernel", "sigma")),
    "downsample": ("×{scale}", ("scale",)),
}
_USUAL = {"clamp": True}


def title(degradation: Options) -> str:
    """Such as `σ=0.1`, `×2`, or `blur 3×3 σ=2 + Poisson 0.1 + σ=0.3`.

    `degradation` is a record's configuration. Two that differ have different words: what a form
    does not show is told as `key=value`, unless it has its usual value.
    """
    words = " + ".join(_words(part) for part in _parts(degradation))
    alone = len(degradation.get("order", [])) == 1
    return f"mix of {words}" if alone else words


def rank(degradation: Options) -> tuple[Any, ...]:
    """What columns are sorted by: single degradations first, kind by kind, in rising values."""
    parts, kinds = _parts(degradation), list(_FORMS)
    names = [kinds.index(p["name"]) if p["name"] in kinds else len(kinds) for p in parts]
    values = [p[key] for p in parts if p["name"] in kinds for key in _FORMS[p["name"]][1]]
    return len(degradation.get("order", [])), names, values, title(degradation)


def _parts(degradation: Options) -> list[Options]:
    return [degradation[part] for part in degradation.get("order", [])] or [degradation]


def _words(part: Options) -> str:
    form, told = _FORMS.get(part["name"], (part["name"], ()))
    rest = {k: v for k, v in part.items() if k not in ("name", *told) and _USUAL.get(k) != v}
    return " ".join([form.format(**part), *(f"{key}={value}" for key, value in rest.items())])
