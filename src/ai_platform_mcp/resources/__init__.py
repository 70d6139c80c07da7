"""What can be read by address: one file per family, readers only; this page is the catalogue.

Belongs here: turning what readers answer into a JSON document within a budget, and names for completion.
Does not belong here: rules (``domain``), what MCP says about resources (``server``), anything that changes something.
How to decide: if it has a URI, it is here.
"""

from __future__ import annotations

from ai_platform_mcp.resources.completions import complete
from ai_platform_mcp.resources.inventory import InventoryResource
from ai_platform_mcp.resources.models import ModelsResource
from ai_platform_mcp.resources.operations import OperationResource, read_operation
from ai_platform_mcp.resources.policies import LawResource, LimitsResource
from ai_platform_mcp.resources.resource import Resource, bare, match

CATALOGUE: tuple[Resource, ...] = (
    ModelsResource(),
    InventoryResource(),
    LawResource(),
    LimitsResource(),
    OperationResource(),
)

__all__ = ["CATALOGUE", "Resource", "bare", "complete", "match", "read_operation"]
