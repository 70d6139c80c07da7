"""Comparing two shares while the data still comes in: an always-valid confidence interval for their difference.

Whoever looks at an ordinary interval again and again until it excludes zero is sure to find a difference in the end. The interval
here holds at all looks together with the confidence asked for (an asymptotic confidence sequence: Waudby-Smith, Arbour,
Sinha, Kennedy and Ramdas, «Time-uniform central limit theory and asymptotic confidence sequences», 2021, eq. 4; the
mixture of Robbins, 1970), so the comparison may stop as soon as it can tell.
"""

from __future__ import annotations

from math import log, sqrt

from ai_platform_mcp.core.model import Value

TUNED_FOR = 500
"""Samples per side at which the interval is tightest; it holds at every size."""
PRIOR = 0.5
"""Added to both outcomes of each side where the variance is estimated (Jeffreys): no errors in ten calls are no certainty."""


class Sample(Value):
    """Calls of one side, and how many of them had the outcome that counts against it."""

    total: float
    bad: float

    @property
    def share(self) -> float:
        """The share of bad outcomes, 0 where there are no calls."""
        return self.bad / self.total if self.total else 0.0

    def variance(self) -> float:
        """Return the variance of one outcome, never zero."""
        share = (self.bad + PRIOR) / (self.total + 2 * PRIOR)
        return share * (1 - share)


class Difference(Value):
    """How much larger the share of the new side is, with its always-valid interval. All are shares from -1 to 1."""

    estimate: float
    low: float
    high: float


def difference(new: Sample, old: Sample, alpha: float = 0.05) -> Difference:
    """Return the difference of shares, new minus old; ``alpha`` is the chance that the interval is wrong at any look."""
    estimate = new.share - old.share
    if new.total <= 0 or old.total <= 0:
        return Difference(estimate=estimate, low=-1.0, high=1.0)
    size = 2 / (1 / new.total + 1 / old.total)  # the harmonic mean: the smaller side decides
    variance = new.variance() / new.total + old.variance() / old.total
    rho2 = _rho2(alpha)
    grown = size * rho2 + 1
    width = sqrt(variance * size) * sqrt(2 * grown / (size * size * rho2) * log(sqrt(grown) / alpha))
    return Difference(estimate=estimate, low=max(-1.0, estimate - width), high=min(1.0, estimate + width))


def _rho2(alpha: float) -> float:
    """Return the mixture's parameter for which the interval is tightest at ``TUNED_FOR`` samples (ibid., appendix B.2)."""
    return (-2 * log(alpha) + log(-2 * log(alpha)) + 1) / TUNED_FOR
