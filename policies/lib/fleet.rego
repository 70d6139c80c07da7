# Edge fleets: healthy nodes per site, and how much of a fleet one plan may touch.
package aiplatform.lib.fleet

import data.aiplatform.lib.say

fleet := input.facts.fleet

# A site that is short of nodes already may still be repaired; only a plan that makes it worse is refused.
findings contains say.finding("site_below_minimum", "critical", {"site": site.site, "healthy_after": site.healthy_after, "minimum": site.minimum_healthy}) if {
	some site in fleet.sites
	site.healthy_after < site.healthy_before
	site.healthy_after < site.minimum_healthy
}

losses := [loss |
	some site in fleet.sites
	loss := site.healthy_before - site.healthy_after
	loss > 0
]

lost := sum(losses)

findings contains say.finding("capacity_loss_too_large", "critical", {"nodes": lost, "members": fleet.members, "max_percent": data.aiplatform.lib.config.fleet.max_capacity_loss_percent}) if {
	lost * 100 > fleet.members * data.aiplatform.lib.config.fleet.max_capacity_loss_percent
}

wide if fleet.share_percent > data.aiplatform.lib.config.fleet.free_percent

# The share is also computed here: a wrong share must not make a plan look small.
wide if fleet.affected * 100 > fleet.members * data.aiplatform.lib.config.fleet.free_percent

asks contains say.ask("blast_radius_fleet", "approver") if {
	wide
	data.aiplatform.lib.access.production
}

asks contains say.ask("blast_radius_fleet", "self") if {
	wide
	not data.aiplatform.lib.access.production
}

regions := {site.region | some site in fleet.sites}
