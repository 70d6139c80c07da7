"""What a cluster serves: aggregated discovery where the server has it, one request per group version where not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import anyio

from ai_platform_mcp.adapters.kubernetes.transport import Request, Transport
from ai_platform_mcp.core.errors import CapabilityMissing, PlatformError
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import ObjectRef
from ai_platform_mcp.domain.objects import rows, section

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
_FRESH_SECONDS = 300.0
_RECHECK_SECONDS = 15.0
"""After a miss (or a 404) a catalogue older than this is read anew: somebody may just have installed the CRD."""


@dataclass(frozen=True)
class Resource:
    """One served kind: where it lives in the URL and what can be done to it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]
    subresources: frozenset[str] = frozenset()

    @property
    def group(self) -> str:
        """The API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """The version inside its group."""
        return self.api_version.rpartition("/")[2]

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of the collection, of one object, or of its subresource."""
        base = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        parts = ["namespaces", namespace] if self.namespaced and namespace else []
        parts += [self.plural] + ([name] if name else []) + ([subresource] if subresource else [])
        return "/".join([base, *(quote(part, safe="") for part in parts if part)])


@dataclass(frozen=True)
class _Catalogue:
    resources: dict[tuple[str, str], Resource]
    read_at: float

    def age(self) -> float:
        return time.monotonic() - self.read_at


class Discovery:
    """Caches each cluster's catalogue for five minutes."""

    def __init__(self, transport: Transport):
        self._transport = transport
        transport.when_missing = self.forget  # an API group can be removed while its catalogue is fresh
        self._catalogues: dict[str, _Catalogue] = {}
        self._failures: dict[str, tuple[float, PlatformError]] = {}
        self._locks: dict[str, anyio.Lock] = {}

    async def find(self, cluster: str, api_version: str, kind: str) -> Resource | None:
        """Return the served resource of this kind, None where the cluster does not serve it."""
        catalogue = await self._catalogue(cluster, _FRESH_SECONDS)
        if (api_version, kind) not in catalogue.resources and catalogue.age() > _RECHECK_SECONDS:
            catalogue = await self._catalogue(cluster, _RECHECK_SECONDS)
        return catalogue.resources.get((api_version, kind))

    async def resource(self, cluster: str, api_version: str, kind: str) -> Resource:
        """Return the served resource.

        Raises:
            CapabilityMissing: the cluster does not serve it; other served versions of the kind are named.
        """
        found = await self.find(cluster, api_version, kind)
        if found is not None:
            return found
        group = api_version.rpartition("/")[0]
        others = sorted(
            row.api_version
            for row in self._catalogues[cluster].resources.values()
            if row.kind == kind and row.group == group
        )
        raise CapabilityMissing(
            f"Cluster {cluster!r} does not serve {kind} of {api_version}.",
            cause=f"It serves {kind} as {', '.join(others)}."
            if others
            else "The system that brings it is not installed.",
            remedy="Choose a cluster that has it, or have it installed; `platform doctor` lists what each cluster serves.",
            details={"cluster": cluster, "api_version": api_version, "kind": kind, "served": others},
        )

    async def path(self, cluster: str, ref: ObjectRef, subresource: str | None = None) -> str:
        """Return the URL path of an object or its subresource."""
        found = await self.resource(cluster, ref.api_version, ref.kind)
        return found.path(ref.namespace, ref.name, subresource)

    async def kinds(self, cluster: str) -> frozenset[str]:
        """Return every served kind as ``group/version/Kind``."""
        catalogue = await self._catalogue(cluster, _FRESH_SECONDS)
        return frozenset(f"{api_version}/{kind}" for api_version, kind in catalogue.resources)

    async def version(self, cluster: str) -> str:
        """Return the server's version."""
        answer = await self._transport.call(cluster, Request("GET", "/version", "tell its version"))
        return str(answer.body.get("gitVersion", ""))

    def forget(self, cluster: str) -> None:
        """Drop what is known of a cluster."""
        self._catalogues.pop(cluster, None)

    async def _catalogue(self, cluster: str, fresh_seconds: float) -> _Catalogue:
        known = self._catalogues.get(cluster)
        if known is not None and known.age() <= fresh_seconds:
            return known
        asked_at = time.monotonic()
        async with self._locks.setdefault(cluster, anyio.Lock()):
            known = self._catalogues.get(cluster)  # another caller may have read it while this one waited
            if known is not None and known.age() <= fresh_seconds:
                return known
            failed_at, failure = self._failures.get(cluster) or (0.0, None)
            if failure is not None and failed_at > asked_at:
                raise failure  # another caller's attempt failed while this one waited: once is enough
            try:
                found = await self._read(cluster)
            except PlatformError as problem:
                self._failures[cluster] = (time.monotonic(), problem)
                raise
            known = self._catalogues[cluster] = _Catalogue(found, time.monotonic())
            return known

    async def _read(self, cluster: str) -> dict[tuple[str, str], Resource]:
        found: dict[tuple[str, str], Resource] = {}
        for path in ("/api", "/apis"):
            what = "list the APIs it serves"
            answer = await self._transport.call(cluster, Request("GET", path, what, accept=_AGGREGATED))
            if answer.body.get("kind") == "APIGroupDiscoveryList":
                found |= {(row.api_version, row.kind): row for row in _aggregated(answer.body)}
            else:
                found |= await self._legacy(cluster, path, answer.body)
        return found

    async def _legacy(self, cluster: str, path: str, index: type_json) -> dict[tuple[str, str], Resource]:
        """Read each group version by itself; one whose aggregated API server is down is left out."""
        versions = [str(name) for name in index.get("versions") or [] if isinstance(name, str)]
        versions += [str(row.get("groupVersion")) for group in rows(index, "groups") for row in rows(group, "versions")]
        found: dict[tuple[str, str], Resource] = {}
        limit = anyio.CapacityLimiter(8)

        async def read(api_version: str) -> None:
            request = Request("GET", f"{path}/{api_version}", "list the resources of an API")
            async with limit:
                try:
                    answer = await self._transport.call(cluster, request)
                except PlatformError:
                    return
            found.update({(row.api_version, row.kind): row for row in _listed(api_version, answer.body)})

        async with anyio.create_task_group() as group:
            for api_version in versions:
                group.start_soon(read, api_version)
        return found


def _aggregated(body: type_json) -> Iterator[Resource]:
    for group in rows(body, "items"):
        name = str(section(group, "metadata").get("name") or "")
        for version in rows(group, "versions"):
            api_version = f"{name}/{version.get('version')}" if name else str(version.get("version"))
            for row in rows(version, "resources"):
                yield Resource(
                    api_version=api_version,
                    kind=str(section(row, "responseKind").get("kind") or ""),
                    plural=str(row.get("resource")),
                    namespaced=row.get("scope") == "Namespaced",
                    verbs=frozenset(map(str, row.get("verbs") or [])),
                    subresources=frozenset(str(sub.get("subresource")) for sub in rows(row, "subresources")),
                )


def _listed(api_version: str, body: type_json) -> Iterator[Resource]:
    everything = rows(body, "resources")
    for row in everything:
        plural = str(row.get("name"))
        if "/" in plural:
            continue
        under = f"{plural}/"
        yield Resource(
            api_version=api_version,
            kind=str(row.get("kind")),
            plural=plural,
            namespaced=bool(row.get("namespaced")),
            verbs=frozenset(map(str, row.get("verbs") or [])),
            subresources=frozenset(
                str(sub.get("name")).removeprefix(under) for sub in everything if str(sub.get("name")).startswith(under)
            ),
        )
