"""One node of a simulated fleet: a machine with a line, a disk and a kubelet. It alone knows what it really runs."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from benchmarks.fleet_faults import MEASURED, Absence, Bad, Fate
from benchmarks.fleet_pods import Copy, Json, ended, lost, told

NOTICED_AFTER = 50.0
"""Seconds of silence after which the API server calls a node unreachable (node-monitor-grace-period since Kubernetes 1.32)."""
_LONGEST_BACKOFF = 300.0
_FORGIVEN_AFTER = 600.0
"""Seconds of running after which a container's next crash starts the back-off anew."""
Step = Callable[[], Awaitable[None]]


class Api(Protocol):
    """What a node needs of the world around it."""

    def moment(self) -> float:
        """Seconds since the world began."""
        ...

    def stamp(self) -> str:
        """The present moment as Kubernetes writes it."""
        ...

    def after(self, seconds: float, step: Step) -> None:
        """Take a step later."""
        ...

    def throttles(self) -> bool:
        """Whether the registry is asked too much now."""
        ...

    async def tell_pod(self, name: str, status: Json) -> None:
        """Write a pod's status."""
        ...

    async def tell_node(self, name: str, ready: bool) -> None:
        """Write whether a node is ready."""
        ...

    async def pods_of(self, node: str) -> list[Json]:
        """Read the pods that are to run on a node."""
        ...

    async def let_go(self, pod: str) -> None:
        """Confirm that a pod that is to go has ended."""
        ...

    async def register_anew(self, node: str) -> None:
        """Another machine joins under this name."""
        ...


class Device:
    """A node. ``bad`` is what is wrong with the model's new version, everywhere or where the fate says so."""

    def __init__(self, name: str, site: str, fate: Fate, api: Api, new: str, bad: Bad | None, chance: random.Random):
        self.name, self.site, self.fate = name, site, fate
        self.copies: dict[str, Copy] = {}
        self.images: set[str] = set()
        self.ran: set[str] = set()
        """Versions whose container ever ran here."""
        self.last_well: dict[str, float] = {}
        """Until when each version served as it should."""
        self.well_since: dict[str, float] = {}
        """When each version began to serve, the last time that it did."""
        self.back_at = 0.0
        """Since when the API server can hear it again."""
        self._new, self._bad = new, bad
        self._api, self._chance = api, chance
        self._away: list[Absence] = []
        self._contact = True
        self._epoch = 0
        self._vanished = False

    # ------------------------------------------------------------------------------------------------------ the truth

    @property
    def powered(self) -> bool:
        """Whether it has power."""
        return not any(row.power for row in self._away)

    @property
    def reached(self) -> bool:
        """Whether it is up and its line is."""
        return self._contact

    def well(self, version: str) -> bool:
        """Whether a version serves here as it should, right now; one that ends after a while does until then."""
        return any(row.serves and row.version == version and row.state == "ready" for row in self.copies.values())

    def serving(self) -> set[str]:
        """Return the versions that answer calls here now."""
        return {row.version for row in self.copies.values() if row.serves and row.state == "ready" and self.powered}

    def unwell_for(self, version: str) -> float:
        """Return for how many seconds a version has not served here; infinity where it never did."""
        return 0.0 if self.well(version) else self._api.moment() - self.last_well.get(version, float("-inf"))

    def runs(self) -> set[str]:
        """Return the versions whose containers run now."""
        return {row.version for row in self.copies.values() if row.serves and row.alive}

    @property
    def busy(self) -> bool:
        """Whether something here is on its way, or is going to be when it is back."""
        if any(row.end != float("inf") for row in self._away):
            return True
        return self._contact and any(
            row.state in ("pulling", "held", "starting", "waiting") for row in self.copies.values()
        )

    # --------------------------------------------------------------------------------------------- coming and going

    async def leave(self, absence: Absence) -> None:
        """Lose power, or the line."""
        self._away.append(absence)
        self._epoch += 1
        for copy in self.copies.values():
            if absence.power or copy.state in ("pulling", "held"):
                self._note(copy)
                copy.turn += 1
                copy.state = "ended" if copy.begun else "waiting"
        if self._contact:
            self._contact, epoch = False, self._epoch

            async def noticed() -> None:
                if self._epoch == epoch and not self._contact:
                    await self._declared_lost()

            self._api.after(NOTICED_AFTER, noticed)

    async def _declared_lost(self) -> None:
        await self._api.tell_node(self.name, ready=False)
        for copy in self.copies.values():
            if copy.told_ready:
                await self._api.tell_pod(copy.name, lost(copy, self._api.stamp()))

    async def come_back(self, absence: Absence) -> None:
        """Get power or the line back; where both are there, the kubelet is heard after it has started."""
        self._away.remove(absence)
        self._epoch += 1
        if absence.loses_pods or absence.replaced:
            for pod in await self._api.pods_of(self.name):
                await self._api.let_go(pod["metadata"]["name"])
        if absence.replaced:
            self.copies.clear()
            self.images.clear()
            await self._api.register_anew(self.name)
        if not self._away:
            boot = self._chance.uniform(20, 60) if absence.power else self._chance.uniform(1, 10)
            epoch = self._epoch

            async def heard() -> None:
                if self._epoch == epoch:
                    await self._heard_again()

            self._api.after(boot, heard)

    async def _heard_again(self) -> None:
        self._contact, self.back_at = True, self._api.moment()
        await self._api.tell_node(self.name, ready=True)
        self._api.after(self._chance.uniform(1, 5), self.sync)

    # ---------------------------------------------------------------------------------------------------- the kubelet

    async def sync(self) -> None:
        """Bring what runs here to what the API server wants here."""
        if not self._contact:
            return
        wanted = {pod["metadata"]["uid"]: pod for pod in await self._api.pods_of(self.name)}
        for uid, copy in list(self.copies.items()):
            pod = wanted.get(uid)
            if pod is None:
                self._end(copy)
            elif pod["metadata"].get("deletionTimestamp"):
                self._end(copy)
                await self._api.let_go(copy.name)
        for uid, pod in wanted.items():
            if pod["metadata"].get("deletionTimestamp"):
                if uid not in self.copies:
                    await self._api.let_go(pod["metadata"]["name"])
            elif uid not in self.copies:
                self.copies[uid] = self.copy_of(pod)
                await self._begin(self.copies[uid])
            else:
                await self._resumed(self.copies[uid])

    def copy_of(self, pod: Json) -> Copy:
        """Return a pod as it begins here."""
        labels, spec = pod["metadata"]["labels"], pod["spec"]
        serves = labels["app.kubernetes.io/component"] == "edge"
        image = spec["containers"][0].get("image", "") if serves else _fetched(spec)
        version = labels["aiplatform.dev/version"]
        return Copy(pod["metadata"]["name"], pod["metadata"]["uid"], version, image, serves, spec)

    def _end(self, copy: Copy) -> None:
        self._note(copy)
        copy.turn += 1
        copy.state = "ended"
        self.copies.pop(copy.uid, None)

    async def _resumed(self, copy: Copy) -> None:
        if copy.state == "ended":
            copy.restarts += 1
            copy.ended = ended(copy, self._api.stamp(), crashed=False)
            await self._begin(copy)
        elif copy.state == "waiting":
            await self._begin(copy)
        else:
            await self._tell(copy)

    async def _begin(self, copy: Copy) -> None:
        if copy.image in self.images:
            await self._run(copy)
        elif self.fate.throttled and self._api.throttles():
            copy.state, copy.tries = "held", copy.tries + 1
            await self._tell(copy)
            self._later(min(_LONGEST_BACKOFF, 10.0 * 2 ** (copy.tries - 1)), copy, self._begin)
        else:
            copy.state = "pulling"
            await self._tell(copy)
            self._later(self.fate.pull_seconds, copy, self._pulled)

    async def _pulled(self, copy: Copy) -> None:
        self.images.add(copy.image)
        await self._run(copy)

    async def _run(self, copy: Copy) -> None:
        copy.state, copy.begun = "starting", self._api.stamp()
        if not copy.serves:
            copy.state = "ready"
            await self._tell(copy)
            return
        self.ran.add(copy.version)
        await self._tell(copy)
        takes = self._takes(copy.version)
        if takes in ("crashes", "broken"):
            self._later(2.0, copy, self._crash)
        else:
            self._later(self.fate.ready_seconds, copy, self._warm)
        vanishing = self.fate.vanishing
        if vanishing is not None and copy.version == self._new and not self._vanished:
            self._vanished = True
            absence = Absence(0.0, vanishing.seconds, power=True, loses_pods=vanishing.loses_pods)
            self._api.after(vanishing.delay, lambda: self.leave(absence))
            self._api.after(vanishing.delay + vanishing.seconds, lambda: self.come_back(absence))

    async def _warm(self, copy: Copy) -> None:
        takes = self._takes(copy.version)
        if takes == "hangs":
            return
        copy.state = "differs" if takes == "lies" else "ready"
        if copy.state == "ready":
            self.well_since[copy.version] = self._api.moment()
        await self._tell(copy)
        if takes == "leaks":
            self._later(self.fate.leaks_after, copy, self._crash)

    async def _crash(self, copy: Copy) -> None:
        self._note(copy)
        lived = self.fate.leaks_after if copy.state == "ready" else 0.0
        copy.tries = 1 if lived > _FORGIVEN_AFTER else copy.tries + 1
        copy.ended = ended(copy, self._api.stamp(), crashed=True)
        copy.restarts, copy.state = copy.restarts + 1, "crashing"
        await self._tell(copy)
        self._later(min(_LONGEST_BACKOFF, 10.0 * 2 ** min(5, copy.tries - 1)), copy, self._run)

    def _takes(self, version: str) -> str:
        if version != self._new:
            return "well"
        if self.fate.broken:
            return "broken"
        if self._bad == "picky":
            return "crashes" if self.fate.bad_here else "well"
        return "well" if self._bad is None or self._bad in MEASURED else self._bad

    def _note(self, copy: Copy) -> None:
        """Remember until when a version served, before it does not any more."""
        if copy.state == "ready" and copy.serves and self.well(copy.version):
            self.last_well[copy.version] = self._api.moment()

    def _later(self, seconds: float, copy: Copy, step: Callable[[Copy], Awaitable[None]]) -> None:
        turn = copy.turn

        async def due() -> None:
            if copy.turn == turn and copy.uid in self.copies:
                await step(copy)

        self._api.after(seconds, due)

    async def _tell(self, copy: Copy) -> None:
        if self._contact:
            await self._api.tell_pod(copy.name, told(copy, self._api.stamp()))


def _fetched(spec: Json) -> str:
    """Return the image that a prepull pod fetches: mounted as a volume, or run by an init container."""
    for volume in spec.get("volumes") or []:
        if "image" in volume:
            return volume["image"]["reference"]
    return next((row["image"] for row in spec.get("initContainers") or []), "")
