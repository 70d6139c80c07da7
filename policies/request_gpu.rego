# Accelerators for training, batch work, serving or development.
package aiplatform.request_gpu

import data.aiplatform.lib.say
import data.aiplatform.lib.shape

wrong contains fault if some fault in data.aiplatform.lib.contract.some_target

wrong contains fault if some fault in data.aiplatform.lib.contract.some_change

wrong contains fault if some fault in data.aiplatform.lib.contract.compute_group

# Serving runs until it is stopped; all other work says for how long, and what that costs in all.
wrong contains fault if {
	open_ended
	some fault in data.aiplatform.lib.contract.money([[["hourly_cents"], "count"]])
}

wrong contains fault if {
	not open_ended
	some fault in data.aiplatform.lib.contract.hours_group
}

wrong contains fault if {
	not open_ended
	some fault in data.aiplatform.lib.contract.money(data.aiplatform.lib.contract.spending)
}

wrong contains fault if some fault in data.aiplatform.lib.contract.group("quota", [[["forecast"], "forecast"], [["queue"], "name"]])

open_ended if input.facts.compute.purpose == "serve"

violations contains finding if some finding in data.aiplatform.lib.access.findings

violations contains finding if some finding in data.aiplatform.lib.compute.devices

violations contains finding if {
	not open_ended
	some finding in data.aiplatform.lib.compute.work
}

violations contains say.finding("serving_budget_exceeded", "medium", {"hourly_cents": input.cost.hourly_cents, "max_cents": most}) if {
	open_ended
	most := data.aiplatform.lib.access.team.serving_hourly_cents
	input.cost.hourly_cents > most
}

violations contains say.finding("quota_never", "medium", {"queue": input.facts.quota.queue}) if {
	input.facts.quota.forecast == "never"
}

warnings contains finding if some finding in data.aiplatform.lib.access.warnings

warnings contains say.finding("quota_queued", "low", {"queue": input.facts.quota.queue}) if input.facts.quota.forecast == "queued"

warnings contains say.finding("deadline_before_end", "medium", {"deadline_seconds": deadline, "hours": hours}) if {
	deadline := input.facts.compute.deadline_seconds
	hours := input.facts.compute.hours
	shape.whole(deadline)
	shape.whole(hours)
	deadline < hours * 3600
}

asks contains entry if some entry in data.aiplatform.lib.access.asks

asks contains entry if {
	not open_ended
	some entry in data.aiplatform.lib.compute.asks
}

asks contains say.ask("production_capacity", "approver") if {
	open_ended
	data.aiplatform.lib.access.production
}

limits := {"max_hours": data.aiplatform.lib.compute.max_hours} if not open_ended

limits := {} if open_ended
