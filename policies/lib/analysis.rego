# What an environment demands of the analysis by which waves and steps pass, where one version replaces another.
package aiplatform.lib.analysis

import data.aiplatform.lib.say

default asked := null

asked := input.facts.rollout.analysis

replaces if {
	input.facts.rollout.current_version != null
	input.facts.rollout.current_version != input.facts.model.version
}

demands[environment] := demand if {
	replaces
	some environment in data.aiplatform.lib.access.environments
	demand := object.get(data.aiplatform.lib.config.analysis, environment, null)
	demand != null
}

findings contains say.finding("analysis_required", "high", {"environment": environment, "checks": sort(demand.checks)}) if {
	asked == null
	not input.facts.rollout.by_hand
	some environment, demand in demands
}

# Where nothing can measure a canary, such as a language model's, a person moves it on: another one answers for that.
asks contains say.ask("canary_by_hand", "approver") if {
	asked == null
	input.facts.rollout.by_hand
	count(demands) > 0
}

findings contains say.finding("analysis_too_weak", "high", {"environment": environment, "what": "it must wait for samples per side of at least", "asked": asked.min_samples, "demanded": demand.min_samples}) if {
	some environment, demand in demands
	asked.min_samples < demand.min_samples
}

findings contains say.finding("analysis_too_weak", "high", {"environment": environment, "what": "it may tolerate a rise, in thousandths, of at most", "asked": asked.tolerated_milli, "demanded": demand.max_tolerated_milli}) if {
	some environment, demand in demands
	asked.tolerated_milli > demand.max_tolerated_milli
}

findings contains say.finding("analysis_too_weak", "high", {"environment": environment, "what": "it must have the checks", "asked": sort(asked.checks), "demanded": sort(demand.checks)}) if {
	some environment, demand in demands
	some check in demand.checks
	not check in asked.checks
}
