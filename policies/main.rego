# The entry: one decision for every question, always defined. Deny beats require_approval beats allow.
package aiplatform.main

import data.aiplatform.lib.say

# First what cannot be judged at all: no object, an unknown tool, broken limits, facts that are missing or mistyped.
# No rule of a tool is looked at before these are clear, and none of them can be turned down to a warning.
default decision := {
	"schema": "ai-platform.decision/v1",
	"effect": "deny",
	"allow": false,
	"violations": [{"code": "input_unreadable", "severity": "critical", "msg": "", "details": {}}],
	"warnings": [],
	"approvals": [],
	"obligations": [],
	"limits": {},
	"revision": "",
}

decision := document("deny", sort(unjudgeable), [], [], [], {}) if {
	is_object(input)
	count(unjudgeable) > 0
}

decision := document("deny", sort(violations), sort(warnings), [], [], limits) if {
	judgeable
	count(violations) > 0
}

decision := document("require_approval", [], sort(warnings), required, obligations, limits) if {
	judgeable
	count(violations) == 0
	count(required) > 0
	not approved
}

decision := document("allow", [], sort(warnings), [], obligations, limits) if {
	judgeable
	count(violations) == 0
	count(required) == 0
}

decision := document("allow", [], sort(warnings), [], obligations, limits) if {
	judgeable
	count(violations) == 0
	count(required) > 0
	approved
}

document(effect, broken, warned, wanted, duties, bounds) := {
	"schema": "ai-platform.decision/v1",
	"effect": effect,
	"allow": effect == "allow",
	"violations": broken,
	"warnings": warned,
	"approvals": wanted,
	"obligations": duties,
	"limits": bounds,
	"revision": data.aiplatform.lib.config.revision,
}

known_tools := {
	"deploy_model",
	"request_gpu",
	"trigger_retraining",
	"manage_edge_nodes",
	"register_model",
	"promote_model",
	"route_model",
	"control_operation",
}

judgeable if {
	is_object(input)
	count(unjudgeable) == 0
}

unjudgeable contains say.finding("limits_invalid", "critical", fault) if some fault in data.aiplatform.lib.limits.wrong

unjudgeable contains fact_finding(fault) if some fault in data.aiplatform.lib.contract.wrong

unjudgeable contains say.finding("tool_unknown", "critical", {"tool": input.tool}) if {
	is_string(input.tool)
	not input.tool in known_tools
}

unjudgeable contains fact_finding(fault) if {
	count(data.aiplatform.lib.contract.wrong) == 0
	some fault in tool_wrong
}

fact_finding(fault) := say.finding("fact_missing", "high", {"path": fault.path}) if fault.kind == "missing"

fact_finding(fault) := say.finding("fact_mistyped", "high", {"path": fault.path}) if fault.kind != "missing"

tool_wrong := data.aiplatform.deploy_model.wrong if input.tool == "deploy_model"

tool_wrong := data.aiplatform.request_gpu.wrong if input.tool == "request_gpu"

tool_wrong := data.aiplatform.trigger_retraining.wrong if input.tool == "trigger_retraining"

tool_wrong := data.aiplatform.manage_edge_nodes.wrong if input.tool == "manage_edge_nodes"

tool_wrong := data.aiplatform.register_model.wrong if input.tool == "register_model"

tool_wrong := data.aiplatform.promote_model.wrong if input.tool == "promote_model"

tool_wrong := data.aiplatform.route_model.wrong if input.tool == "route_model"

tool_wrong := data.aiplatform.control_operation.wrong if input.tool == "control_operation"

tool_findings := data.aiplatform.deploy_model.violations if input.tool == "deploy_model"

tool_findings := data.aiplatform.request_gpu.violations if input.tool == "request_gpu"

tool_findings := data.aiplatform.trigger_retraining.violations if input.tool == "trigger_retraining"

tool_findings := data.aiplatform.manage_edge_nodes.violations if input.tool == "manage_edge_nodes"

tool_findings := data.aiplatform.register_model.violations if input.tool == "register_model"

tool_findings := data.aiplatform.promote_model.violations if input.tool == "promote_model"

tool_findings := data.aiplatform.route_model.violations if input.tool == "route_model"

tool_findings := data.aiplatform.control_operation.violations if input.tool == "control_operation"

tool_warnings := data.aiplatform.deploy_model.warnings if input.tool == "deploy_model"

tool_warnings := data.aiplatform.request_gpu.warnings if input.tool == "request_gpu"

tool_warnings := data.aiplatform.trigger_retraining.warnings if input.tool == "trigger_retraining"

tool_warnings := data.aiplatform.manage_edge_nodes.warnings if input.tool == "manage_edge_nodes"

tool_warnings := data.aiplatform.register_model.warnings if input.tool == "register_model"

tool_warnings := data.aiplatform.promote_model.warnings if input.tool == "promote_model"

tool_warnings := data.aiplatform.route_model.warnings if input.tool == "route_model"

tool_warnings := data.aiplatform.control_operation.warnings if input.tool == "control_operation"

asks := data.aiplatform.deploy_model.asks if input.tool == "deploy_model"

asks := data.aiplatform.request_gpu.asks if input.tool == "request_gpu"

asks := data.aiplatform.trigger_retraining.asks if input.tool == "trigger_retraining"

asks := data.aiplatform.manage_edge_nodes.asks if input.tool == "manage_edge_nodes"

asks := data.aiplatform.register_model.asks if input.tool == "register_model"

asks := data.aiplatform.promote_model.asks if input.tool == "promote_model"

asks := data.aiplatform.route_model.asks if input.tool == "route_model"

asks := data.aiplatform.control_operation.asks if input.tool == "control_operation"

limits := data.aiplatform.deploy_model.limits if input.tool == "deploy_model"

limits := data.aiplatform.request_gpu.limits if input.tool == "request_gpu"

limits := data.aiplatform.trigger_retraining.limits if input.tool == "trigger_retraining"

limits := data.aiplatform.manage_edge_nodes.limits if input.tool == "manage_edge_nodes"

limits := data.aiplatform.register_model.limits if input.tool == "register_model"

limits := data.aiplatform.promote_model.limits if input.tool == "promote_model"

limits := data.aiplatform.route_model.limits if input.tool == "route_model"

limits := data.aiplatform.control_operation.limits if input.tool == "control_operation"

# A rule is rolled out by its code: deny, warn, or dryrun, which tells and marks that it would not even warn.
mode(code) := object.get(data.aiplatform.lib.config.enforcement, code, "deny")

violations contains finding if {
	some finding in tool_findings
	mode(finding.code) == "deny"
}

warnings contains finding if some finding in tool_warnings

warnings contains finding if {
	some finding in tool_findings
	mode(finding.code) == "warn"
}

warnings contains say.finding(finding.code, "low", object.union(finding.details, {"enforcement": "dryrun"})) if {
	some finding in tool_findings
	mode(finding.code) == "dryrun"
}

warnings contains say.finding("approval_not_valid", "medium", {}) if {
	data.aiplatform.lib.approval.present
	count(required) > 0
	not approved
}

required := data.aiplatform.lib.approval.required(asks)

approved if data.aiplatform.lib.approval.fits(asks)

# Whoever reads the bill must see whose it is.
obligations := [{"type": "annotate", "mandatory": true, "params": {
	"aiplatform.dev/team": input.principal.team,
	"aiplatform.dev/cost-center": data.aiplatform.lib.access.team.cost_center,
}}]
