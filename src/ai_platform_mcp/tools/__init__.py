"""The tools: one file per MCP tool, and this page, their catalogue.

Belongs here: a tool's parameters, its result, and ``read`` or ``plan``. Does not belong here: rules (``domain``), shapes of
Kubernetes objects (``manifests``), anything that acts (only the executor does), any backend (tools receive ports).
How to decide: a module is a tool's own, or its name begins with an underscore and several tools share it. Adding a tool is
its file, one line below, its policy, its test, and ``make contracts``.
"""

from __future__ import annotations

from ai_platform_mcp.core.tool import AnyTool
from ai_platform_mcp.tools.control_operation import ControlOperation
from ai_platform_mcp.tools.deploy_model import DeployModel
from ai_platform_mcp.tools.inspect_platform import InspectPlatform
from ai_platform_mcp.tools.manage_edge_nodes import ManageEdgeNodes
from ai_platform_mcp.tools.promote_model import PromoteModel
from ai_platform_mcp.tools.query_metrics import QueryMetrics
from ai_platform_mcp.tools.register_model import RegisterModel
from ai_platform_mcp.tools.request_gpu import RequestGpu
from ai_platform_mcp.tools.route_model import RouteModel
from ai_platform_mcp.tools.trigger_retraining import TriggerRetraining

CATALOGUE: tuple[AnyTool, ...] = (
    InspectPlatform(),
    QueryMetrics(),
    RequestGpu(),
    TriggerRetraining(),
    RegisterModel(),
    PromoteModel(),
    DeployModel(),
    ManageEdgeNodes(),
    RouteModel(),
    ControlOperation(),
)
