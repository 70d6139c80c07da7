"""IEEE arithmetic as Prometheus does it: nothing raises, and numbers are spelled the way its API spells them."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal

NAN = math.nan
INF = math.inf


def divide(a: float, b: float) -> float:
    """Division that answers Inf or NaN where Python would raise."""
    if b != 0:
        return a / b
    if a == 0 or math.isnan(a):
        return NAN
    return math.copysign(INF, a) * math.copysign(1.0, b)


def power(a: float, b: float) -> float:
    """Exponentiation; an overflow is Inf, a complex result NaN."""
    try:
        return math.pow(a, b)
    except OverflowError:
        return -INF if a < 0 and b % 2 == 1 else INF
    except ValueError:
        return _power_pole(a, b)


def _power_pole(a: float, b: float) -> float:
    if a == 0 and b < 0:
        return math.copysign(INF, a) if b % 2 == 1 else INF
    return NAN


def modulo(a: float, b: float) -> float:
    """Remainder with the sign of the dividend."""
    try:
        return math.fmod(a, b)
    except ValueError:
        return NAN


def logarithm(value: float, of: Callable[[float], float]) -> float:
    """A logarithm that answers -Inf at zero and NaN below."""
    if value == 0:
        return -INF
    return NAN if value < 0 else of(value)


def guarded(function: Callable[[float], float], overflow: float = INF) -> Callable[[float], float]:
    """A function of `math` made total: a domain error is NaN, an overflow is Inf."""

    def total(value: float) -> float:
        try:
            return function(value)
        except OverflowError:
            return overflow
        except ValueError:
            return NAN

    return total


def whole(function: Callable[[float], int]) -> Callable[[float], float]:
    """`floor` or `ceil` that lets NaN and Inf through."""
    return lambda value: float(function(value)) if math.isfinite(value) else value


def total(values: list[float]) -> float:
    """A sum with the rounding error taken out while everything is finite."""
    plain = sum(values)
    return math.fsum(values) if math.isfinite(plain) else plain


def mean(values: list[float]) -> float:
    """The arithmetic mean; only overflow of the sum itself needs the incremental way."""
    sum_of_all = total(values)
    if math.isinf(sum_of_all) and all(math.isfinite(value) for value in values):
        return math.fsum(value / len(values) for value in values)
    return sum_of_all / len(values)


def variance(values: list[float]) -> float:
    """The population variance."""
    centre = mean(values)
    return total([(value - centre) ** 2 for value in values]) / len(values) if math.isfinite(centre) else NAN


def quantile(q: float, values: list[float]) -> float:
    """The linearly interpolated quantile; outside [0, 1] it is an infinity, as in Prometheus."""
    if not values or math.isnan(q):
        return NAN
    if q < 0:
        return -INF
    if q > 1:
        return INF
    # NaN sorts first there.
    ordered = sorted(values, key=lambda value: (not math.isnan(value), value))
    rank = q * (len(ordered) - 1)
    lower = math.floor(rank)
    upper = min(lower + 1, len(ordered) - 1)
    weight = rank - lower
    return ordered[lower] * (1 - weight) + ordered[upper] * weight


def plain_text(value: float) -> str:
    """A number without an exponent, as `count_values` writes it into a label."""
    special = _special(value)
    if special is not None:
        return special
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def api_text(value: float) -> str:
    """A sample value as the HTTP API spells it: shortest digits, exponent only below 1e-6 and from 1e21 on."""
    special = _special(value)
    if special is not None:
        return special
    size = abs(value)
    if size == 0 or 1e-6 <= size < 1e21:
        return plain_text(value)
    digits, _, exponent = format(Decimal(repr(value)).normalize(), "e").partition("e")
    return f"{digits}e{int(exponent):+03d}"


def _special(value: float) -> str | None:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return None
