"""Kubernetes quantities: `500m`, `64`, `1.5Gi` as exact numbers, and back."""

from __future__ import annotations

import re
from fractions import Fraction

_FORM = re.compile(r"^([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(?:([KMGTPE]i|[numkMGTPE]?)|[eE]([+-]?\d+))$")
_BINARY = {f"{letter}i": 1024**power for power, letter in enumerate("KMGTPE", start=1)}
_DECIMAL = {"n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1)} | {
    letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", start=1)
}


def parse(text: object) -> Fraction:
    """The exact number a quantity means; raises ValueError for anything else."""
    found = _FORM.match(str(text).strip())
    if found is None:
        raise ValueError(f"quantities must match the regular expression {_FORM.pattern}: {text!r}")
    number, suffix, exponent = found.groups()
    scale = Fraction(10) ** int(exponent) if exponent else _BINARY.get(suffix, _DECIMAL.get(suffix, Fraction(1)))
    return Fraction(number) * scale


def render(value: Fraction) -> str:
    """A quantity in canonical form: whole numbers plain (binary suffix when even), parts in milli."""
    if value.denominator != 1:
        return f"{-(-value * 1000 // 1)}m"
    for suffix, size in reversed(_BINARY.items()):
        if value and value % size == 0:
            return f"{value // size}{suffix}"
    return str(value)
