"""``registry://models{/name}{/version}``: what is registered, and what is proven of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import VersionRow
from ai_platform_mcp.core.tool import Caller
from ai_platform_mcp.domain import model_views
from ai_platform_mcp.domain.answer import listing_result
from ai_platform_mcp.domain.evidence import model_facts
from ai_platform_mcp.domain.text import clip
from ai_platform_mcp.domain.views import said
from ai_platform_mcp.resources.resource import as_text, nothing

MOST_METRICS = 50


class ModelsResource:
    """All models, the versions of one, or one version with its evidence and its run."""

    template: ClassVar[str] = "registry://models{/name}{/version}"
    name: ClassVar[str] = "registry-models"
    title: ClassVar[str] = "Model registry"
    description: ClassVar[str] = (
        "Registered models; with name: versions; with version (or @alias): evidence, gates and run."
    )
    mime_type: ClassVar[str] = "application/json"

    async def read(self, variables: Mapping[str, str], readers: Readers, caller: Caller) -> str:
        """Return the list, one model, or one version."""
        name, version = variables.get("name", ""), variables.get("version", "")
        now = readers.clock.now()
        if not name:
            page = await readers.registry.models(limit=50)
            listing = model_views.models(page.items, now)
            return as_text(listing_result(listing, verbose=True, limit=50, more=page.token).data)
        model = await readers.registry.model(name)
        if model is None:
            raise nothing(f"registry://models/{name}", "registry://models lists the registered models.")
        if version:
            row = await readers.registry.version(name, version)
            if row is None:
                raise nothing(f"registry://models/{name}/{version}", f"registry://models/{name} lists its versions.")
            return as_text(await self._version(row, readers))
        page = await readers.registry.versions(name, limit=50)
        runs = await readers.registry.runs(experiment=name, limit=10)
        listing = model_views.versions(model, page.items, runs, now)
        data = listing_result(listing, verbose=True, limit=50, more=page.token).data
        return as_text({"model": name, "description": said(model.description), "aliases": model.aliases, **data})

    async def _version(self, row: VersionRow, readers: Readers) -> dict[str, Any]:
        model = await readers.registry.model(row.model)
        facts = model_facts(row, model, readers.clock.now())
        document = {
            **facts.model_dump(mode="json"),
            "created": row.created.isoformat(timespec="seconds"),
            "status": row.status,
            "description": said(row.description),
        }
        run = await readers.registry.run(row.run_id) if row.run_id else None
        if run is not None:
            metrics = {clip(key, 60): value for key, value in sorted(run.metrics.items())[:MOST_METRICS]}
            document["run"] = {
                "run_id": run.run_id,
                "name": said(run.name),
                "status": run.status,
                "metrics": metrics,
                "datasets": [said(text) for text in run.datasets[:10]],
            }
        return document
