"""Which endpoint a conversation stays with: consistent hashing with bounded loads.

An endpoint that has seen a conversation holds its prefix in the KV cache. Hashing finds it again without a table that every
gateway would have to share; when an endpoint goes, only its own conversations move. The bound keeps a popular prefix from
flooding one endpoint (Mirrokni, Thorup, Zadimoghaddam: Consistent Hashing with Bounded Loads, 2018).
"""

from __future__ import annotations

import bisect
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value

POINTS = 128
"""Places of each endpoint on the ring: enough that shares differ by some ten percent, not by factors."""
HEADROOM = 1.25
"""How far above the average an endpoint may be loaded before a new conversation is placed further on."""


class Hint(Value):
    """Where a conversation belongs, as a hint: a gateway that knows better may decide otherwise."""

    key: str
    endpoint: str
    """Empty where an endpoint picker chooses."""
    moved: bool = False
    """Whether the endpoint it was with is gone, and the prefix has to be computed again."""
    reason: str


class Ring:
    """Endpoints on a circle of hashes. The same names always give the same circle, in whichever order they are listed."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        """Place the endpoints.

        Raises:
            InvalidInput: there is none.
        """
        if not endpoints:
            raise InvalidInput("no endpoint to stay with", remedy="give at least one")
        placed = sorted((_hash(f"{name}#{number}"), name) for name in set(endpoints) for number in range(POINTS))
        self._hashes = [place for place, _ in placed]
        self._names = [name for _, name in placed]
        self.endpoints = frozenset(endpoints)

    def order(self, key: str) -> Iterator[str]:
        """Yield every endpoint once, the key's own first, then who takes over when it is gone, and so on."""
        start = bisect.bisect(self._hashes, _hash(key))
        seen: set[str] = set()
        for step in range(len(self._names)):
            name = self._names[(start + step) % len(self._names)]
            if name not in seen:
                seen.add(name)
                yield name

    def place(self, key: str, loads: Mapping[str, int] | None = None) -> str:
        """Return the first endpoint of the key's order that is not loaded above :data:`HEADROOM` times the average.

        ``loads`` are conversations per endpoint before this one; without them the bound is not applied.
        """
        if loads is None:
            return next(self.order(key))
        total = sum(loads.get(name, 0) for name in self.endpoints) + 1
        most = math.ceil(HEADROOM * total / len(self.endpoints))
        # one endpoint is always below the bound, for not all can be above the average
        return next(name for name in self.order(key) if loads.get(name, 0) < most)


def key_of(conversation: str, prefix: str = "") -> str:
    """Return what to hash: the conversation where it has a name, else the beginning of its prompt, which it shares with others
    that have the same system prompt and therefore the same cached prefix.

    Raises:
        InvalidInput: neither is given.
    """
    if not conversation and not prefix:
        raise InvalidInput("neither a conversation nor a prompt to stay with", remedy="give the conversation's id")
    return hashlib.sha256(f"{'c' if conversation else 'p'}:{conversation or prefix}".encode()).hexdigest()[:16]


def hint(
    key: str,
    ring: Ring,
    *,
    loads: Mapping[str, int] | None = None,
    previous: str = "",
    endpoint_picker: bool = False,
) -> Hint:
    """Return where a conversation stays.

    Whoever has an endpoint keeps it while that is there, however loaded: moving costs the whole prefix. With an endpoint picker
    (InferencePool) the choice is its own, by what really is cached; the key is what a session-affinity scorer would need.
    """
    if endpoint_picker:
        return Hint(
            key=key, endpoint="", reason="the endpoint picker scores prefixes that are really cached; leave it to it"
        )
    if previous in ring.endpoints:
        return Hint(key=key, endpoint=previous, reason=f"{previous} holds the conversation's prefix")
    chosen = ring.place(key, loads)
    if previous:
        return Hint(key=key, endpoint=chosen, moved=True, reason=f"{previous} is gone; {chosen} is next on the ring")
    return Hint(key=key, endpoint=chosen, reason=f"{chosen} is the first on the ring with room")


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
