# Approvals: what is asked becomes requirements, strictest first; a granted approval is believed only for this very plan.
package aiplatform.lib.approval

requirement(code, approvers) := {
	"reason": code,
	"approvers": approvers,
	"min_approvals": data.aiplatform.lib.config.approvals.min_approvals,
	"expires_in_seconds": data.aiplatform.lib.config.approvals.expires_in_seconds,
}

strict(asks) := [requirement(code, [data.aiplatform.lib.config.approvals.approver_role]) |
	some code in sort({entry.code | some entry in asks; entry.level == "approver"})
]

# What an approver must agree to is not asked of the requester as well.
mild(asks) := [requirement(code, ["self", data.aiplatform.lib.config.approvals.approver_role]) |
	some code in sort({entry.code | some entry in asks; entry.level != "approver"})
]

required(asks) := array.concat(strict(asks), mild(asks))

present if is_object(input.approval)

default fits(_) := false

fits(asks) if {
	present
	input.approval.action_digest == input.plan_digest
	input.approval.policy_revision == data.aiplatform.lib.config.revision
	time.parse_rfc3339_ns(input.approval.expires_at) > time.parse_rfc3339_ns(input.time)
	count({id | some id in input.approval.approvers}) >= data.aiplatform.lib.config.approvals.min_approvals
	by_another(asks)
}

by_another(asks) if count(strict(asks)) == 0

by_another(_) if not input.principal.id in input.approval.approvers
