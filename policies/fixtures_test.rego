# Sound questions, one per tool, and short ways to vary and to judge them.
package aiplatform.fixtures_test

decide(question) := answer if answer := data.aiplatform.main.decision with input as question

effect(question) := answer if {
	decision := decide(question)
	answer := decision.effect
}

broken(question) := {row.code | some row in found} if {
	decision := decide(question)
	found := decision.violations
}

warned(question) := {row.code | some row in found} if {
	decision := decide(question)
	found := decision.warnings
}

# Reason to the first approver: "self" or the approver role.
asked(question) := {row.reason: row.approvers[0] | some row in found} if {
	decision := decide(question)
	found := decision.approvals
}

# Every group of facts may be replaced in part; lists are replaced as a whole.
plus(question, patch) := object.union(question, patch)

at(question, place) := object.union(question, {"targets": [object.union(question.targets[0], place)]})

touching(question, change) := object.union(question, {"facts": {"changes": [object.union(question.facts.changes[0], change)]}})

by(question, who) := object.union(question, {"principal": who})

production(question) := at(touching(question, {"namespace": "vision-prod"}), {"environment": "production"})

deploy_model := {
	"schema": "ai-platform.input/v1",
	"request_id": "req-1",
	"tool": "deploy_model",
	"action": "deploy",
	"dry_run": true,
	"time": "2026-11-23T10:00:00Z",
	"principal": {
		"id": "local:sam",
		"kind": "agent",
		"issuer": "local",
		"team": "vision",
		"groups": [],
		"roles": [
			"developer"
		],
		"scopes": [],
		"auth_method": "local"
	},
	"targets": [
		{
			"environment": "staging",
			"cluster": "gcp",
			"namespace": "vision",
			"cloud": "gcp",
			"region": "eu-west-1",
			"site": "",
			"cluster_facts": {"protected": false, "allowed_teams": []}
		}
	],
	"args": {},
	"cost": {
		"currency": "USD",
		"hourly_cents": 400,
		"total_cents": null,
		"budget_left_cents": null,
		"basis": "list 2026-11-01"
	},
	"facts": {
		"model": {
			"name": "vision",
			"version": "3",
			"aliases": [
				"champion"
			],
			"source": "runs:/r1/model",
			"digest": "sha256:abababababababababababababababababababababababababababababababab",
			"signed": true,
			"card": true,
			"licence": "Apache-2.0",
			"owner_team": "vision",
			"residency": [
				"eu"
			],
			"gates": [
				{
					"metric": "accuracy",
					"value_milli": 950,
					"threshold_milli": 900,
					"verdict": "pass",
					"age_seconds": 3600
				}
			]
		},
		"compute": {
			"purpose": "serve",
			"accelerator": "nvidia-l4",
			"count": 2,
			"hours": null,
			"spot": false,
			"checkpoint": false,
			"deadline_seconds": null
		},
		"rollout": {
			"strategy": "canary",
			"first_step_percent": 10,
			"current_version": "2",
			"replicas_before": 2,
			"replicas_after": 2,
			"golden_inputs": null,
			"by_hand": false,
			"analysis": {
				"checks": ["errors", "slow"],
				"tolerated_milli": 50,
				"min_samples": 100,
				"wait_seconds": 1800
			}
		},
		"fleet": null,
		"retrain": null,
		"quota": null,
		"changes": [
			{
				"action": "update",
				"system": "kubernetes",
				"kind": "InferenceService",
				"name": "vision",
				"namespace": "vision",
				"owner_team": "vision",
				"replicas_removed": 0,
				"forced": false,
				"gitops": "none",
				"gitops_tool": "",
				"gitops_owner": "",
				"gitops_repository": null,
				"gitops_path": null
			}
		]
	},
	"plan_digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
	"approval": null
}

request_gpu := {
	"schema": "ai-platform.input/v1",
	"request_id": "req-1",
	"tool": "request_gpu",
	"action": "request",
	"dry_run": true,
	"time": "2026-11-23T10:00:00Z",
	"principal": {
		"id": "local:sam",
		"kind": "agent",
		"issuer": "local",
		"team": "vision",
		"groups": [],
		"roles": [
			"developer"
		],
		"scopes": [],
		"auth_method": "local"
	},
	"targets": [
		{
			"environment": "staging",
			"cluster": "gcp",
			"namespace": "vision",
			"cloud": "gcp",
			"region": "eu-west-1",
			"site": "",
			"cluster_facts": {"protected": false, "allowed_teams": []}
		}
	],
	"args": {},
	"cost": {
		"currency": "USD",
		"hourly_cents": 9600,
		"total_cents": 76800,
		"budget_left_cents": 4000000,
		"basis": "list 2026-11-01"
	},
	"facts": {
		"model": null,
		"compute": {
			"purpose": "train",
			"accelerator": "nvidia-a100",
			"count": 64,
			"hours": 8,
			"spot": true,
			"checkpoint": true,
			"deadline_seconds": 86400
		},
		"rollout": null,
		"fleet": null,
		"retrain": null,
		"quota": {
			"queue": "gpu",
			"flavor": "a100-spot",
			"nominal": 128,
			"used": 0,
			"requested": 64,
			"forecast": "now"
		},
		"changes": [
			{
				"action": "create",
				"system": "kubernetes",
				"kind": "TrainJob",
				"name": "train",
				"namespace": "vision",
				"owner_team": null,
				"replicas_removed": 0,
				"forced": false,
				"gitops": "none",
				"gitops_tool": "",
				"gitops_owner": "",
				"gitops_repository": null,
				"gitops_path": null
			}
		]
	},
	"plan_digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
	"approval": null
}

trigger_retraining := {
	"schema": "ai-platform.input/v1",
	"request_id": "req-1",
	"tool": "trigger_retraining",
	"action": "retrain",
	"dry_run": true,
	"time": "2026-11-23T10:00:00Z",
	"principal": {
		"id": "local:sam",
		"kind": "agent",
		"issuer": "local",
		"team": "vision",
		"groups": [],
		"roles": [
			"developer"
		],
		"scopes": [],
		"auth_method": "local"
	},
	"targets": [
		{
			"environment": "staging",
			"cluster": "gcp",
			"namespace": "vision",
			"cloud": "gcp",
			"region": "eu-west-1",
			"site": "",
			"cluster_facts": {"protected": false, "allowed_teams": []}
		}
	],
	"args": {},
	"cost": {
		"currency": "USD",
		"hourly_cents": 9600,
		"total_cents": 76800,
		"budget_left_cents": 4000000,
		"basis": "list 2026-11-01"
	},
	"facts": {
		"model": {
			"name": "vision",
			"version": "3",
			"aliases": [
				"champion"
			],
			"source": "runs:/r1/model",
			"digest": "sha256:abababababababababababababababababababababababababababababababab",
			"signed": true,
			"card": true,
			"licence": "Apache-2.0",
			"owner_team": "vision",
			"residency": [
				"eu"
			],
			"gates": [
				{
					"metric": "accuracy",
					"value_milli": 950,
					"threshold_milli": 900,
					"verdict": "pass",
					"age_seconds": 3600
				}
			]
		},
		"compute": {
			"purpose": "train",
			"accelerator": "nvidia-a100",
			"count": 64,
			"hours": 8,
			"spot": true,
			"checkpoint": true,
			"deadline_seconds": 86400
		},
		"rollout": null,
		"fleet": null,
		"retrain": {
			"reason": "drift",
			"active_runs": 0,
			"seconds_since_last": 200000,
			"consecutive_without_gain": 0,
			"drift_milli": 300,
			"performance_drop_milli": 40
		},
		"quota": null,
		"changes": [
			{
				"action": "create",
				"system": "kubernetes",
				"kind": "TrainJob",
				"name": "train",
				"namespace": "vision",
				"owner_team": null,
				"replicas_removed": 0,
				"forced": false,
				"gitops": "none",
				"gitops_tool": "",
				"gitops_owner": "",
				"gitops_repository": null,
				"gitops_path": null
			}
		]
	},
	"plan_digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
	"approval": null
}

manage_edge_nodes := {
	"schema": "ai-platform.input/v1",
	"request_id": "req-1",
	"tool": "manage_edge_nodes",
	"action": "drain",
	"dry_run": true,
	"time": "2026-11-23T10:00:00Z",
	"principal": {
		"id": "local:sam",
		"kind": "agent",
		"issuer": "local",
		"team": "vision",
		"groups": [],
		"roles": [
			"developer"
		],
		"scopes": [],
		"auth_method": "local"
	},
	"targets": [
		{
			"environment": "staging",
			"cluster": "gcp",
			"namespace": "vision",
			"cloud": "gcp",
			"region": "eu-west-1",
			"site": "s0",
			"cluster_facts": {"protected": false, "allowed_teams": []}
		}
	],
	"args": {},
	"cost": null,
	"facts": {
		"model": {
			"name": "vision",
			"version": "3",
			"aliases": [
				"champion"
			],
			"source": "runs:/r1/model",
			"digest": "sha256:abababababababababababababababababababababababababababababababab",
			"signed": true,
			"card": true,
			"licence": "Apache-2.0",
			"owner_team": "vision",
			"residency": [
				"eu"
			],
			"gates": [
				{
					"metric": "accuracy",
					"value_milli": 950,
					"threshold_milli": 900,
					"verdict": "pass",
					"age_seconds": 3600
				}
			]
		},
		"compute": null,
		"rollout": {
			"strategy": "canary",
			"first_step_percent": 10,
			"current_version": "2",
			"replicas_before": 2,
			"replicas_after": 2,
			"golden_inputs": true,
			"by_hand": false,
			"analysis": {
				"checks": ["errors", "slow"],
				"tolerated_milli": 50,
				"min_samples": 100,
				"wait_seconds": 1800
			}
		},
		"fleet": {
			"members": 47,
			"affected": 4,
			"share_percent": 8,
			"offline": 2,
			"sites": [
				{
					"site": "s0",
					"region": "eu-west-1",
					"members": 5,
					"healthy_before": 5,
					"healthy_after": 4,
					"minimum_healthy": 3,
					"pods_evicted": 1
				},
				{
					"site": "s1",
					"region": "eu-west-1",
					"members": 5,
					"healthy_before": 5,
					"healthy_after": 4,
					"minimum_healthy": 3,
					"pods_evicted": 1
				}
			]
		},
		"retrain": null,
		"quota": null,
		"changes": [
			{
				"action": "update",
				"system": "kubernetes",
				"kind": "Node",
				"name": "edge-1",
				"namespace": null,
				"owner_team": null,
				"replicas_removed": 0,
				"forced": false,
				"gitops": "none",
				"gitops_tool": "",
				"gitops_owner": "",
				"gitops_repository": null,
				"gitops_path": null
			}
		]
	},
	"plan_digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
	"approval": null
}

register_model := {
	"schema": "ai-platform.input/v1",
	"request_id": "req-1",
	"tool": "register_model",
	"action": "register",
	"dry_run": true,
	"time": "2026-11-23T10:00:00Z",
	"principal": {
		"id": "local:sam",
		"kind": "agent",
		"issuer": "local",
		"team": "vision",
		"groups": [],
		"roles": [
			"developer"
		],
		"scopes": [],
		"auth_method": "local"
	},
	"targets": [],
	"args": {
		"alias": "challenger"
	},
	"cost": null,
	"facts": {
		"model": {
			"name": "vision",
			"version": "3",
			"aliases": [
				"champion"
			],
			"source": "runs:/r1/model",
			"digest": "sha256:abababababababababababababababababababababababababababababababab",
			"signed": true,
			"card": true,
			"licence": "Apache-2.0",
			"owner_team": "vision",
			"residency": [
				"eu"
			],
			"gates": [
				{
					"metric": "accuracy",
					"value_milli": 950,
					"threshold_milli": 900,
					"verdict": "pass",
					"age_seconds": 3600
				}
			]
		},
		"compute": null,
		"rollout": null,
		"fleet": null,
		"retrain": null,
		"quota": null,
		"changes": [
			{
				"action": "update",
				"system": "registry",
				"kind": "set_alias",
				"name": "vision",
				"namespace": null,
				"owner_team": null,
				"replicas_removed": 0,
				"forced": false,
				"gitops": "none",
				"gitops_tool": "",
				"gitops_owner": "",
				"gitops_repository": null,
				"gitops_path": null
			}
		]
	},
	"plan_digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
	"approval": null
}

promote_model := {
	"schema": "ai-platform.input/v1",
	"request_id": "req-1",
	"tool": "promote_model",
	"action": "promote",
	"dry_run": true,
	"time": "2026-11-23T10:00:00Z",
	"principal": {
		"id": "local:sam",
		"kind": "agent",
		"issuer": "local",
		"team": "vision",
		"groups": [],
		"roles": [
			"developer"
		],
		"scopes": [],
		"auth_method": "local"
	},
	"targets": [],
	"args": {
		"alias": "challenger"
	},
	"cost": null,
	"facts": {
		"model": {
			"name": "vision",
			"version": "3",
			"aliases": [
				"champion"
			],
			"source": "runs:/r1/model",
			"digest": "sha256:abababababababababababababababababababababababababababababababab",
			"signed": true,
			"card": true,
			"licence": "Apache-2.0",
			"owner_team": "vision",
			"residency": [
				"eu"
			],
			"gates": [
				{
					"metric": "accuracy",
					"value_milli": 950,
					"threshold_milli": 900,
					"verdict": "pass",
					"age_seconds": 3600
				}
			]
		},
		"compute": null,
		"rollout": null,
		"fleet": null,
		"retrain": null,
		"quota": null,
		"changes": [
			{
				"action": "update",
				"system": "registry",
				"kind": "set_alias",
				"name": "vision",
				"namespace": null,
				"owner_team": null,
				"replicas_removed": 0,
				"forced": false,
				"gitops": "none",
				"gitops_tool": "",
				"gitops_owner": "",
				"gitops_repository": null,
				"gitops_path": null
			}
		]
	},
	"plan_digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
	"approval": null
}

route_model := {
	"schema": "ai-platform.input/v1",
	"request_id": "req-1",
	"tool": "route_model",
	"action": "route",
	"dry_run": true,
	"time": "2026-11-23T10:00:00Z",
	"principal": {
		"id": "local:sam",
		"kind": "agent",
		"issuer": "local",
		"team": "vision",
		"groups": [],
		"roles": [
			"developer"
		],
		"scopes": [],
		"auth_method": "local"
	},
	"targets": [
		{
			"environment": "staging",
			"cluster": "gcp",
			"namespace": "vision",
			"cloud": "gcp",
			"region": "eu-west-1",
			"site": "",
			"cluster_facts": {"protected": false, "allowed_teams": []}
		}
	],
	"args": {},
	"cost": null,
	"facts": {
		"model": {
			"name": "vision",
			"version": "3",
			"aliases": [
				"champion"
			],
			"source": "runs:/r1/model",
			"digest": "sha256:abababababababababababababababababababababababababababababababab",
			"signed": true,
			"card": true,
			"licence": "Apache-2.0",
			"owner_team": "vision",
			"residency": [
				"eu"
			],
			"gates": [
				{
					"metric": "accuracy",
					"value_milli": 950,
					"threshold_milli": 900,
					"verdict": "pass",
					"age_seconds": 3600
				}
			]
		},
		"compute": null,
		"rollout": null,
		"fleet": null,
		"retrain": null,
		"quota": null,
		"routing": {
			"slo_ms": 500,
			"breaker": true,
			"routes": [
				{"target": "edge", "group": "vision", "tier": "edge", "region": "eu-west-1", "spot": false, "critical": true},
				{"target": "gcp", "group": "vision-cloud", "tier": "cloud", "region": "eu-west-1", "spot": false, "critical": true},
				{"target": "gcp-spot", "group": "vision-spot", "tier": "cloud", "region": "eu-west-1", "spot": true, "critical": false}
			]
		},
		"changes": [
			{
				"action": "update",
				"system": "kubernetes",
				"kind": "ConfigMap",
				"name": "litellm-config",
				"namespace": "vision",
				"owner_team": "vision",
				"replicas_removed": 0,
				"forced": false,
				"gitops": "none",
				"gitops_tool": "",
				"gitops_owner": "",
				"gitops_repository": null,
				"gitops_path": null
			}
		]
	},
	"plan_digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
	"approval": null
}

control_operation := {
	"schema": "ai-platform.input/v1",
	"request_id": "req-1",
	"tool": "control_operation",
	"action": "promote",
	"dry_run": true,
	"time": "2026-11-23T10:00:00Z",
	"principal": {
		"id": "local:sam",
		"kind": "agent",
		"issuer": "local",
		"team": "vision",
		"groups": [],
		"roles": [
			"developer"
		],
		"scopes": [],
		"auth_method": "local"
	},
	"targets": [
		{
			"environment": "staging",
			"cluster": "gcp",
			"namespace": "vision",
			"cloud": "gcp",
			"region": "eu-west-1",
			"site": "",
			"cluster_facts": {"protected": false, "allowed_teams": []}
		}
	],
	"args": {},
	"cost": null,
	"facts": {
		"model": null,
		"compute": null,
		"rollout": null,
		"fleet": null,
		"retrain": null,
		"quota": null,
		"changes": [
			{
				"action": "update",
				"system": "kubernetes",
				"kind": "InferenceService",
				"name": "vision",
				"namespace": "vision",
				"owner_team": "vision",
				"replicas_removed": 0,
				"forced": false,
				"gitops": "none",
				"gitops_tool": "",
				"gitops_owner": "",
				"gitops_repository": null,
				"gitops_path": null
			}
		]
	},
	"plan_digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
	"approval": null
}

sites := manage_edge_nodes.facts.fleet.sites

edge := object.union(
	touching(deploy_model, {"action": "create", "kind": "EdgeRollout", "namespace": "edge", "owner_team": null}),
	{"facts": {"fleet": manage_edge_nodes.facts.fleet}},
)
