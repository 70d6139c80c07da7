# Accelerators for training, batch work, serving or development.
package aiplatform.request_gpu

import data.aiplatform.lib.access
import data.aiplatform.lib.compute
import data.aiplatform.lib.contract
import data.aiplatform.lib.say
import data.aiplatform.lib.shape

wrong contains fault if some fault in contract.some_target

wrong contains fault if some fault in contract.some_change

wrong contains fault if some fault in contract.compute_group

# Serving runs until it is stopped; all other work says for how long, and what that costs in all.
wrong contains fault if {
	open_ended
	some fault in contract.money([[["hourly_cents"], "count"]])
}

wrong contains fault if {
	not open_ended
	some fault in contract.hours_group
}

wrong contains fault if {
	not open_ended
	some fault in contract.money(contract.spending)
}

wrong contains fault if some fault in contract.group("quota", [[["forecast"], "forecast"], [["queue"], "name"]])

open_ended if input.facts.compute.purpose == "serve"

violations contains finding if some finding in access.findings

violations contains finding if some finding in compute.devices

violations contains finding if {
	not open_ended
	some finding in compute.work
}

violations contains say.finding("serving_budget_exceeded", "medium", {"hourly_cents": input.cost.hourly_cents, "max_cents": most}) if {
	open_ended
	most := object.get(access.team, "serving_hourly_cents", 0)
	input.cost.hourly_cents > most
}

violations contains say.finding("quota_never", "medium", {"queue": input.facts.quota.queue}) if {
	input.facts.quota.forecast == "never"
}

warnings contains say.finding("quota_queued", "low", {"queue": input.facts.quota.queue}) if input.facts.quota.forecast == "queued"

warnings contains say.finding("deadline_before_end", "medium", {"deadline_seconds": deadline, "hours": hours}) if {
	deadline := input.facts.compute.deadline_seconds
	hours := input.facts.compute.hours
	shape.whole(deadline)
	shape.whole(hours)
	deadline < hours * 3600
}

asks contains entry if some entry in access.asks

asks contains entry if {
	not open_ended
	some entry in compute.asks
}

asks contains say.ask("production_capacity", "approver") if {
	open_ended
	access.production
}

limits := {"max_hours": compute.max_hours} if not open_ended

limits := {} if open_ended
