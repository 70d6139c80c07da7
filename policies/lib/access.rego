# Who may change what, where: team, role, environment, ownership, namespace, forced fields.
package aiplatform.lib.access

import data.aiplatform.lib.say

roles := {role | some role in input.principal.roles}

environments := {target.environment | some target in input.targets}

# Changes without a target (the registry) touch no environment.
production if "production" in environments

has_role(allowed) if {
	some role in allowed
	role in roles
}

cross_team if has_role(data.aiplatform.lib.config.access.cross_team_roles)

# A team that is not known has nothing. Its fields exist all the same: an undefined list inside a not is read differently.
nobody := {
	"cost_center": "",
	"environments": [],
	"namespaces": [],
	"gpus": {},
	"max_hours": 0,
	"request_budget_cents": 0,
	"serving_hourly_cents": 0,
}

team := object.get(data.aiplatform.lib.config.teams, input.principal.team, nobody)

findings contains say.finding("team_unknown", "high", {"team": input.principal.team}) if team == nobody

findings contains say.finding("role_missing", "high", {"roles": sort(data.aiplatform.lib.config.access.change_roles)}) if {
	not has_role(data.aiplatform.lib.config.access.change_roles)
}

findings contains say.finding("production_role_missing", "high", {"roles": sort(data.aiplatform.lib.config.access.production_roles)}) if {
	production
	not has_role(data.aiplatform.lib.config.access.production_roles)
}

findings contains say.finding("environment_not_allowed", "high", {"team": input.principal.team, "environment": environment}) if {
	some environment in environments
	not environment in team.environments
}

in_kubernetes contains change if {
	some change in input.facts.changes
	change.system == "kubernetes"
	not change.kind in data.aiplatform.lib.config.access.unowned_kinds
}

findings contains say.finding("object_of_other_team", "high", {"kind": change.kind, "name": change.name, "owner": change.owner_team}) if {
	some change in input.facts.changes
	not change.kind in data.aiplatform.lib.config.access.unowned_kinds
	change.owner_team != null
	change.owner_team != input.principal.team
	not cross_team
}

findings contains say.finding("object_owner_unknown", "high", {"kind": change.kind, "name": change.name}) if {
	some change in in_kubernetes
	change.action != "create"
	change.owner_team == null
	not cross_team
}

own_namespace(namespace) if namespace in data.aiplatform.lib.config.access.shared_namespaces

own_namespace(namespace) if namespace in team.namespaces

own_namespace(namespace) if {
	some name in team.namespaces
	startswith(namespace, concat("", [name, "-"]))
}

namespaces contains change.namespace if {
	some change in in_kubernetes
	not change.kind in data.aiplatform.lib.config.access.cluster_scoped_kinds
}

# Through Git the objects are not seen one by one, so the target's namespace counts.
namespaces contains target.namespace if {
	some change in input.facts.changes
	change.system == "git"
	some target in input.targets
}

findings contains say.finding("namespace_of_other_team", "high", {"namespace": namespace, "allowed": allowed}) if {
	some namespace in namespaces
	namespace != null
	not own_namespace(namespace)
	not cross_team
	allowed := sort(array.concat(team.namespaces, data.aiplatform.lib.config.access.shared_namespaces))
}

findings contains say.finding("namespace_unknown", "high", {}) if {
	some namespace in namespaces
	namespace == null
}

forced contains change.name if {
	some change in input.facts.changes
	change.forced
}

force_allowed if has_role(data.aiplatform.lib.config.access.force_roles)

force_allowed if {
	count(environments) > 0
	every environment in environments {
		environment in data.aiplatform.lib.config.access.force_environments
	}
}

findings contains say.finding("force_not_allowed", "high", {"objects": sort(forced), "environments": sort(data.aiplatform.lib.config.access.force_environments)}) if {
	count(forced) > 0
	not force_allowed
}

# What the platform file says of a cluster holds for everything in it, except that to stop or to undo is never held up.
undoes if input.action in {"cancel", "pause", "rollback", "uncordon"}

findings contains say.finding("cluster_of_other_teams", "high", {"cluster": target.cluster, "allowed": sort(target.cluster_facts.allowed_teams)}) if {
	not undoes
	some target in input.targets
	count(target.cluster_facts.allowed_teams) > 0
	not input.principal.team in target.cluster_facts.allowed_teams
	not cross_team
}

asks contains say.ask("protected_cluster", "approver") if {
	not undoes
	some target in input.targets
	target.cluster_facts.protected
}

asks contains say.ask("forced_fields", "self") if count(forced) > 0

# An object that a GitOps tool keeps is changed where it is declared: what is changed here would be undone, or come back.
kept(state) := {about |
	some change in input.facts.changes
	change.gitops == state
	change.action != "none"
	about := {
		"kind": change.kind,
		"name": change.name,
		"tool": change.gitops_tool,
		"owner": change.gitops_owner,
		"repository": change.gitops_repository,
		"path": change.gitops_path,
	}
}

findings contains say.finding("object_is_gitops_managed", "high", about) if some about in kept("reverted")

warnings contains say.finding("gitops_paused", "medium", about) if some about in kept("paused")
