# Accelerators: types, counts, hours, spot and money.
package aiplatform.lib.compute

import data.aiplatform.lib.say

compute := input.facts.compute

gpus := data.aiplatform.lib.access.team.gpus

# "NVIDIA-A100-SXM4-80GB", "nvidia-a100" and "a100" are one family: a word of the name, so that a10 is not a100.
words := split(replace(replace(replace(lower(compute.accelerator), "_", "-"), ".", "-"), "/", "-"), "-")

families := {family |
	some family in data.aiplatform.lib.config.compute.families
	family in words
}

devices contains say.finding("gpu_type_not_allowed", "medium", {"accelerator": compute.accelerator, "allowed": sort(object.keys(gpus))}) if {
	compute.count > 0
	count(families) == 0
}

devices contains say.finding("gpu_type_not_allowed", "medium", {"accelerator": compute.accelerator, "allowed": sort(object.keys(gpus))}) if {
	compute.count > 0
	some family in families
	object.get(gpus, family, 0) == 0
}

devices contains say.finding("gpu_count_exceeded", "medium", {"accelerator": family, "count": compute.count, "max": most}) if {
	some family in families
	most := object.get(gpus, family, 0)
	most > 0
	compute.count > most
}

devices contains say.finding("spot_without_checkpoint", "high", {}) if {
	compute.spot
	compute.purpose != "serve"
	not compute.checkpoint
}

devices contains say.finding("spot_for_serving", "high", {}) if {
	compute.spot
	compute.purpose == "serve"
	data.aiplatform.lib.access.production
}

max_hours := min([data.aiplatform.lib.access.team.max_hours, data.aiplatform.lib.config.compute.dev_max_hours]) if compute.purpose == "dev"

max_hours := data.aiplatform.lib.access.team.max_hours if compute.purpose != "dev"

work contains say.finding("gpu_hours_exceeded", "medium", {"hours": compute.hours, "max": max_hours}) if compute.hours > max_hours

work contains say.finding("request_budget_exceeded", "high", {"total_cents": input.cost.total_cents, "max_cents": most}) if {
	most := data.aiplatform.lib.access.team.request_budget_cents
	input.cost.total_cents > most
}

work contains say.finding("budget_exhausted", "high", {"total_cents": input.cost.total_cents, "left_cents": input.cost.budget_left_cents}) if {
	input.cost.total_cents > input.cost.budget_left_cents
}

asks contains say.ask("costly_request", "approver") if input.cost.total_cents >= data.aiplatform.lib.config.compute.platform_approval_cents

asks contains say.ask("costly_request", "self") if {
	input.cost.total_cents >= data.aiplatform.lib.config.compute.self_approval_cents
	input.cost.total_cents < data.aiplatform.lib.config.compute.platform_approval_cents
}

asks contains say.ask("production_capacity", "approver") if data.aiplatform.lib.access.production
