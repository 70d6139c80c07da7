# How a model's requests are routed: which targets serve whom, what is behind them, and when a failing one is left alone.
package aiplatform.route_model

import data.aiplatform.lib.say

wrong contains fault if some fault in data.aiplatform.lib.contract.some_target

wrong contains fault if some fault in data.aiplatform.lib.contract.some_change

wrong contains fault if some fault in data.aiplatform.lib.contract.model_group

wrong contains fault if some fault in data.aiplatform.lib.contract.routing_group

routing := input.facts.routing

model := input.facts.model

# Fallbacks count like first choices: data is where it is processed, however it came there.
regions := {route.region | some route in routing.routes}

violations contains finding if some finding in data.aiplatform.lib.access.findings

violations contains finding if some finding in data.aiplatform.lib.calendar.findings

violations contains finding if some finding in data.aiplatform.lib.evidence.owner

violations contains finding if some finding in data.aiplatform.lib.evidence.residency(regions)

violations contains say.finding("slo_missing", "high", {"model": model.name}) if {
	data.aiplatform.lib.access.production
	routing.slo_ms == null
}

violations contains say.finding("spot_for_critical", "high", {"target": route.target, "group": route.group}) if {
	some route in routing.routes
	route.spot
	route.critical
}

violations contains say.finding("breaker_missing", "high", {"model": model.name}) if not routing.breaker

warnings contains finding if some finding in data.aiplatform.lib.access.warnings

asks contains entry if some entry in data.aiplatform.lib.access.asks

asks contains entry if some entry in data.aiplatform.lib.calendar.asks

# All of the model's requests go the new way at once.
asks contains say.ask("production_change", "approver") if data.aiplatform.lib.access.production

limits := {}
