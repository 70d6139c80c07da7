# Retraining: its guards, and the accelerators it takes. It never promotes what it trained.
package aiplatform.trigger_retraining

import data.aiplatform.lib.say
import data.aiplatform.lib.shape

wrong contains fault if some fault in data.aiplatform.lib.contract.some_target

wrong contains fault if some fault in data.aiplatform.lib.contract.some_change

wrong contains fault if some fault in data.aiplatform.lib.contract.model_group

wrong contains fault if some fault in data.aiplatform.lib.contract.retrain_group

# A first automatic run needs a manual one before it: «never» and «could not be read» look alike.
wrong contains fault if {
	starts
	automatic
	some fault in shape.faults(data.aiplatform.lib.contract.fact("retrain"), "facts.retrain", [[["seconds_since_last"], "count"]])
}

wrong contains fault if some fault in data.aiplatform.lib.contract.compute_group

wrong contains fault if some fault in data.aiplatform.lib.contract.hours_group

wrong contains fault if some fault in data.aiplatform.lib.contract.money(data.aiplatform.lib.contract.spending)

retrain := input.facts.retrain

# A call that finds the active run starts nothing, so it needs neither a reason nor anybody's agreement.
default starts := false

starts if {
	some change in input.facts.changes
	change.action != "none"
}

default automatic := true

automatic := false if input.facts.retrain.reason == "manual"

drifted if retrain.drift_milli >= data.aiplatform.lib.config.retraining.min_drift_milli

dropped if retrain.performance_drop_milli >= data.aiplatform.lib.config.retraining.min_performance_drop_milli

proven if {
	is_number(retrain.drift_milli)
	is_number(retrain.performance_drop_milli)
	drifted
	dropped
}

measured if retrain.reason in {"drift", "performance"}

violations contains finding if some finding in data.aiplatform.lib.access.findings

violations contains finding if some finding in data.aiplatform.lib.evidence.owner

violations contains finding if some finding in data.aiplatform.lib.compute.devices

violations contains finding if some finding in data.aiplatform.lib.compute.work

violations contains say.finding("retrain_active", "medium", {"active_runs": retrain.active_runs}) if retrain.active_runs > 0

violations contains say.finding("retrain_cooldown", "medium", cooldown) if {
	starts
	automatic
	retrain.seconds_since_last < data.aiplatform.lib.config.retraining.cooldown_seconds
}

violations contains say.finding("retrain_without_gain", "medium", {"runs": retrain.consecutive_without_gain, "max": data.aiplatform.lib.config.retraining.max_without_gain}) if {
	starts
	automatic
	retrain.consecutive_without_gain >= data.aiplatform.lib.config.retraining.max_without_gain
}

violations contains say.finding("retrain_not_justified", "medium", {
	"drift_milli": retrain.drift_milli,
	"min_drift_milli": data.aiplatform.lib.config.retraining.min_drift_milli,
	"performance_drop_milli": retrain.performance_drop_milli,
	"min_performance_drop_milli": data.aiplatform.lib.config.retraining.min_performance_drop_milli,
}) if {
	starts
	measured
	not proven
}

cooldown := {"seconds_since_last": retrain.seconds_since_last, "cooldown_seconds": data.aiplatform.lib.config.retraining.cooldown_seconds}

warnings contains finding if some finding in data.aiplatform.lib.access.warnings

warnings contains say.finding("retrain_cooldown", "low", cooldown) if {
	starts
	not automatic
	is_number(retrain.seconds_since_last)
	retrain.seconds_since_last < data.aiplatform.lib.config.retraining.cooldown_seconds
}

# Without measured evidence a person or a scheduled service must stand behind the run.
backed if proven

backed if input.principal.kind == "human"

backed if {
	automatic
	input.principal.kind == "service"
}

asks contains entry if some entry in data.aiplatform.lib.access.asks

asks contains entry if {
	starts
	some entry in data.aiplatform.lib.compute.asks
}

asks contains say.ask("retrain_unproven", "self") if {
	starts
	not backed
}

asks contains say.ask("retrain_breaker_open", "approver") if {
	starts
	not automatic
	retrain.consecutive_without_gain >= data.aiplatform.lib.config.retraining.max_without_gain
}

limits := {"max_hours": data.aiplatform.lib.compute.max_hours}
