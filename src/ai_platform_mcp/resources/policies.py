"""``policy://``: the law in force, so that an agent can learn what it may do before it asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from ai_platform_mcp.core.errors import Unavailable
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.tool import Caller
from ai_platform_mcp.resources.resource import as_text, nothing

LIMITS_FILE = "data.json"
MOST_CHARACTERS = 30_000
"""Of one policy file: about 10,000 tokens of Rego."""


class LawResource:
    """The policy files by name; without a name, which there are."""

    template: ClassVar[str] = "policy://law{/file}"
    name: ClassVar[str] = "policy-law"
    title: ClassVar[str] = "The law in force"
    description: ClassVar[str] = (
        "Rego files that judge every plan (file=deploy_model.rego …); without file: their list."
    )
    mime_type: ClassVar[str] = "application/json"

    async def read(self, variables: Mapping[str, str], readers: Readers, caller: Caller) -> str:
        """Return one file, or the list of files with the revision in force."""
        law, info = await readers.policy.law(), await readers.policy.info()
        file = variables.get("file", "")
        head = {"revision": info.revision, "engine": info.engine, "bundle_sha256": info.bundle_sha256}
        if not file:
            files = {name: len(text) for name, text in sorted(law.items())}
            told = {"problem": info.problem} if info.problem else {}
            return as_text(
                {**head, **told, "characters_by_file": files, "read": "policy://law/<file>, policy://limits"}
            )
        # Files in folders have a slash in their name, which a variable of a URI cannot hold: it is written «:» or %2F.
        name = file.replace(":", "/")
        if name not in law:
            raise nothing(f"policy://law/{file}", f"Files: {', '.join(sorted(law)).replace('/', ':')}.")
        text = law[name]
        left_out = {"left_out_characters": len(text) - MOST_CHARACTERS} if len(text) > MOST_CHARACTERS else {}
        return as_text({**head, "file": name, "text": text[:MOST_CHARACTERS], **left_out})


class LimitsResource:
    """What the caller's team may do, in numbers."""

    template: ClassVar[str] = "policy://limits"
    name: ClassVar[str] = "policy-limits"
    title: ClassVar[str] = "Limits that apply to you"
    description: ClassVar[str] = (
        "GPUs, hours, budget, environments and namespaces of your team, and the limits for everybody."
    )
    mime_type: ClassVar[str] = "application/json"

    async def read(self, variables: Mapping[str, str], readers: Readers, caller: Caller) -> str:
        """Return the caller's own limits, and everybody's."""
        law, info = await readers.policy.law(), await readers.policy.info()
        limits = _limits(law.get(LIMITS_FILE, ""))
        teams: dict[str, Any] = limits.pop("teams", None) or {}
        team = caller.principal.team
        return as_text(
            {
                "revision": info.revision,
                "you": caller.principal.model_dump(mode="json", include={"id", "kind", "team", "roles"}),
                "team": teams.get(team),
                "teams": sorted(teams),
                "month_budget_cents": readers.platform.budgets_cents.get(team),
                "everybody": {name: value for name, value in limits.items() if name != "revision"},
            }
        )


def _limits(text: str) -> dict[str, Any]:
    try:
        document: object = json.loads(text)
    except ValueError:
        raise Unavailable(
            f"The policy's {LIMITS_FILE} cannot be read.",
            remedy="Run `platform policy test`; until then all plans are denied.",
        ) from None
    found = cast("dict[str, Any]", document).get("aiplatform") if isinstance(document, dict) else None
    return dict(cast("dict[str, Any]", found)) if isinstance(found, dict) else {}
