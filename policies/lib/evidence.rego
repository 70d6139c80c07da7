# What must be proven of a model before it may be served where, or before an alias that others trust may point at it.
package aiplatform.lib.evidence

import data.aiplatform.lib.say

model := input.facts.model

pinned if {
	model.digest != null
	regex.match(`^sha256:[0-9a-f]{64}$`, model.digest)
}

failed_gates := sort({gate.metric | some gate in model.gates; gate.verdict != "pass"})

stale_gates := sort({gate.metric | some gate in model.gates; gate.age_seconds > data.aiplatform.lib.config.evidence.gate_max_age_seconds})

owner contains say.finding("model_of_other_team", "high", {"model": model.name, "owner": model.owner_team}) if {
	model.owner_team != input.principal.team
	not data.aiplatform.lib.access.cross_team
}

pin contains say.finding("artifact_not_pinned", "high", {"model": model.name, "version": model.version}) if not pinned

alias contains say.finding("champion_missing", "high", {"model": model.name, "version": model.version, "alias": data.aiplatform.lib.config.evidence.production_alias}) if {
	not data.aiplatform.lib.config.evidence.production_alias in model.aliases
}

proofs contains say.finding("gates_missing", "high", {"model": model.name, "version": model.version}) if count(model.gates) == 0

proofs contains say.finding("gate_failed", "high", {"metrics": failed_gates}) if count(failed_gates) > 0

proofs contains say.finding("gate_stale", "medium", {"metrics": stale_gates, "max_age_seconds": data.aiplatform.lib.config.evidence.gate_max_age_seconds}) if {
	count(stale_gates) > 0
}

proofs contains say.finding("signature_missing", "high", {"model": model.name, "version": model.version}) if not model.signed

proofs contains say.finding("card_missing", "medium", {"model": model.name, "version": model.version}) if not model.card

proofs contains say.finding("licence_not_allowed", "high", {"licence": model.licence, "allowed": sort(data.aiplatform.lib.config.evidence.licences)}) if {
	not model.licence in data.aiplatform.lib.config.evidence.licences
}

in_residency(region) if {
	some prefix in model.residency
	startswith(region, prefix)
}

target_regions := {target.region | some target in input.targets}

residency(regions) := {finding |
	count(model.residency) > 0
	some region in regions
	not in_residency(region)
	finding := say.finding("residency_violated", "critical", {"region": region, "residency": sort(model.residency)})
}
