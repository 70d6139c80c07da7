"""Asking the cluster where an object that a GitOps tool keeps is declared. What cannot be read stays unknown: no error."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

import anyio

from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.rows import Page
from ai_platform_mcp.domain.gitops_owner import (
    ARGO_GROUP,
    HELM_GROUP,
    KUSTOMIZE_GROUP,
    Mark,
    application_mark,
    lists_object,
    presumed_application,
    recognise,
)
from ai_platform_mcp.domain.gitops_source import (
    UNREAD,
    Declaration,
    of_application,
    of_helm_release,
    of_kustomization,
    source_reference,
)
from ai_platform_mcp.domain.objects import metadata_of

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""How long a plan waits to learn where an object is declared; it then says what the object's own marks say."""
_APPLICATION = f"{ARGO_GROUP}/v1alpha1"


class Reads(Protocol):
    """The two reads that this takes."""

    async def get(
        self, cluster: str, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> type_json | None:
        """Return one object, None where it does not exist."""
        ...

    async def list(
        self,
        cluster: str,
        api_version: str,
        kind: str,
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        limit: int = 500,
        token: str = "",
    ) -> Page:
        """Return one page."""
        ...

    async def serves(self, cluster: str, api_version: str, kind: str) -> bool:
        """Tell whether the cluster serves this kind."""
        ...


@dataclass(frozen=True)
class Kept:
    """Who keeps an object, and where it is declared."""

    mark: Mark
    declared: Declaration


async def keeper(reads: Reads, cluster: str, live: type_json) -> Kept | None:
    """Return who keeps the object, None where nobody certainly does."""
    mark = recognise(live)
    name = "" if mark is not None else presumed_application(live)
    if mark is None and not name:
        return None
    found: Kept | None = None if mark is None else Kept(mark, UNREAD)
    with anyio.move_on_after(LOOK_SECONDS):
        try:
            found = (
                await _confirmed(reads, cluster, live, name)
                if mark is None
                else await _told(reads, cluster, live, mark)
            )
        except PlatformError as problem:
            log.debug("Where %s is declared cannot be read: %s", metadata_of(live).get("name"), problem)
    return found


async def _told(reads: Reads, cluster: str, live: type_json, mark: Mark) -> Kept:
    if mark.tool == "argocd" and mark.name:
        for application in await _applications(reads, cluster, mark.name, mark.namespace):
            if mark.namespace or lists_object(application, live):
                return _by_application(application, live)
    if mark.tool == "flux" and mark.name:
        return Kept(mark, await _of_flux(reads, cluster, live, mark))
    return Kept(mark, UNREAD)


async def _confirmed(reads: Reads, cluster: str, live: type_json, name: str) -> Kept | None:
    """Return the Application that the instance label names, if one of that name lists the object."""
    for application in await _applications(reads, cluster, name, ""):
        if lists_object(application, live):
            return _by_application(application, live)
    return None


def _by_application(application: type_json, live: type_json) -> Kept:
    meta = metadata_of(application)
    mark = application_mark(str(meta.get("name", "")), str(meta.get("namespace", "")))
    return Kept(mark, of_application(application, live))


async def _applications(reads: Reads, cluster: str, name: str, namespace: str) -> list[type_json]:
    if not await reads.serves(cluster, _APPLICATION, "Application"):
        return []
    page = await reads.list(
        cluster, _APPLICATION, "Application", namespace=namespace or None, fields=f"metadata.name={name}"
    )
    return list(page.items)


async def _of_flux(reads: Reads, cluster: str, live: type_json, mark: Mark, *, follow: bool = True) -> Declaration:
    """Return what a Kustomization says, or a HelmRelease together with the Kustomization that brings it."""
    helm = mark.kind == "HelmRelease"
    version = f"{HELM_GROUP}/v2" if helm else f"{KUSTOMIZE_GROUP}/v1"
    holder = await reads.get(cluster, version, mark.kind, mark.name, mark.namespace)
    if holder is None:
        return UNREAD
    source = await _source(reads, cluster, holder)
    if not helm:
        return of_kustomization(holder, source, live)
    origin = recognise(holder)
    if follow and origin is not None and origin.tool == "flux" and origin.name:
        return of_helm_release(holder, source, await _bringing(reads, cluster, holder, origin))
    return of_helm_release(holder, source, None)


async def _bringing(reads: Reads, cluster: str, holder: type_json, origin: Mark) -> Declaration | None:
    """Return where the HelmRelease itself is declared, None where that cannot be read: what it says of itself still holds."""
    try:
        return await _of_flux(reads, cluster, holder, origin, follow=False)
    except PlatformError as problem:
        log.debug("The %s %s cannot be read: %s", origin.kind, origin.name, problem)
        return None


async def _source(reads: Reads, cluster: str, holder: type_json) -> type_json | None:
    found = source_reference(holder)
    if found is None:
        return None
    try:
        return await reads.get(cluster, *found)
    except PlatformError as problem:
        log.debug("The source %s cannot be read: %s", found, problem)
        return None
