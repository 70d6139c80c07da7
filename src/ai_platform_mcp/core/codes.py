"""Every code that policy may answer with, in words: what is wrong, and what to do about it.

Rego says codes and details only; people read these sentences. Words in braces are filled from the details of the
finding. A test holds the table complete in both directions against the codes in ``policies/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

MAX_DETAIL = 160
"""Characters of one detail that are shown."""


class Words(NamedTuple):
    """A sentence and a remedy, with details in braces."""

    sentence: str
    remedy: str


_APPROVER = "Apply the plan; the server asks an approver, or leaves a pending approval for one."
_SELF = "Apply the plan and agree when you are asked in person, or let an approver agree."

ENGINE_CODES: Mapping[str, Words] = {
    "policy_error": Words(
        "The policy engine gave no usable decision, so the plan is refused. {problem}",
        "Run `platform policy test`, and `platform doctor` to see which policies are in force.",
    ),
    "policy_unavailable": Words(
        "The policy engine could not be asked, so the plan is refused. {problem}",
        "Try again; if it stays so, `platform doctor` says what is wrong with the engine.",
    ),
    "policy_revision_mismatch": Words(
        "The policy server judged by revision {answered}, this server expects {expected}.",
        "Load the same policies on both sides, then run `platform policy stamp` if files were edited.",
    ),
    "unknown_obligation": Words(
        "Policy demands something that this server cannot do: {obligations}.",
        "Upgrade the server, or take the obligation out of the policies.",
    ),
}
"""Codes of the enforcement point itself, which no Rego rule says."""

CONTRACT_CODES: Mapping[str, Words] = {
    "input_unreadable": Words(
        "The question to policy was no object.", "This is a defect of the server: report it with the request id."
    ),
    "tool_unknown": Words("Policy has no rules for the tool {tool}.", "Add a package for it and name it in main.rego."),
    "limits_invalid": Words(
        "The limits in data.json are {kind} at {path}, so nothing can be judged.",
        "Correct data.json as its README says and run `platform policy test`.",
    ),
    "fact_missing": Words(
        "Policy needs {path}, and it could not be read.",
        "Make the fact readable (is the backend up, is the object labelled or tagged?) and plan again.",
    ),
    "fact_mistyped": Words(
        "Policy needs {path}, and its value is not of the type that the rules know.",
        "Correct the label, tag or argument that it comes from and plan again.",
    ),
}

ACCESS_CODES: Mapping[str, Words] = {
    "team_unknown": Words(
        "The team {team} is not known to the platform.", "Have the team added to data.json, with budget and namespaces."
    ),
    "role_missing": Words(
        "Changes need one of the roles: {roles}.", "Ask for one of these roles, or ask somebody who has one."
    ),
    "production_role_missing": Words(
        "Changes to production need one of the roles: {roles}.",
        "Use dev or staging, or ask somebody with one of these roles.",
    ),
    "edge_role_missing": Words(
        "Edge sites are changed by the roles: {roles}.", "Ask somebody with one of these roles."
    ),
    "environment_not_allowed": Words(
        "The team {team} may not change the environment {environment}.", "Choose an environment of the team."
    ),
    "object_of_other_team": Words(
        "{kind} {name} belongs to the team {owner}.", "Ask that team, or choose another name for an object of your own."
    ),
    "object_owner_unknown": Words(
        "{kind} {name} exists and names no owner.",
        "Have its owner label it with aiplatform.dev/team, or choose another name.",
    ),
    "namespace_of_other_team": Words(
        "The namespace {namespace} is not one of the team's.",
        "Use a namespace of the team: {allowed} (or one that begins so).",
    ),
    "namespace_unknown": Words("An object of the plan has no namespace.", "Name the namespace of the target."),
    "force_not_allowed": Words(
        "Fields that another manager owns may not be forced here: {objects}.",
        "Leave the fields to their manager, or force them only in: {environments}.",
    ),
    "cluster_of_other_teams": Words(
        "The cluster {cluster} is for the teams {allowed} only.",
        "Choose another cluster, or have the team added to the cluster's allowed_teams in the platform file.",
    ),
    "object_is_gitops_managed": Words(
        "{kind} {name} is kept by {tool} ({owner}), which would undo this change.",
        "Change it where {owner} has it from: repository {repository}, path {path}; {tool} brings it here.",
    ),
    "gitops_paused": Words(
        "{kind} {name} is kept by {tool} ({owner}), which stands still for now and will undo this change when it goes on.",
        "Make the same change in repository {repository}, path {path}, before {tool} goes on.",
    ),
    "change_freeze": Words(
        "Changes are frozen on {date} ({freeze}).",
        "Wait for the end of the freeze; stopping and rolling back stay possible.",
    ),
}

EVIDENCE_CODES: Mapping[str, Words] = {
    "model_of_other_team": Words(
        "The model {model} belongs to the team {owner}.", "Ask that team to do it or to hand the model over."
    ),
    "artifact_not_pinned": Words(
        "Version {version} of {model} is not pinned to a sha256 digest.",
        "Register the version with register_model, which records the digest.",
    ),
    "champion_missing": Words(
        "Version {version} of {model} does not carry the alias {alias}.",
        "Promote it first: promote_model with alias {alias}.",
    ),
    "alias_needs_promotion": Words(
        "A new version cannot be born with the alias {alias}, which decides what production may serve.",
        "Register it without that alias, then promote_model, which asks for the proof.",
    ),
    "gates_missing": Words(
        "Version {version} of {model} has no gate verdicts.",
        "Register it with thresholds, so that its metrics are judged and the verdicts stored.",
    ),
    "gate_failed": Words("These gates failed: {metrics}.", "Train or choose a version that passes them."),
    "gate_stale": Words(
        "These gate verdicts are older than {max_age_seconds} s: {metrics}.",
        "Evaluate the version again and register the new verdicts.",
    ),
    "signature_missing": Words(
        "Version {version} of {model} is not signed.", "Sign the artifact and register the signature."
    ),
    "card_missing": Words("Version {version} of {model} has no model card.", "Register the version with a model card."),
    "licence_not_allowed": Words(
        "The licence {licence} is not on the allow list.",
        "Use a model under one of: {allowed}; or have the list changed.",
    ),
    "residency_violated": Words(
        "The model may be served in {residency} only, and {region} is elsewhere.", "Choose targets in {residency}."
    ),
}

ROLLOUT_CODES: Mapping[str, Words] = {
    "canary_required": Words(
        "Production replaces version {current} by canary only, not by {strategy}.", "Ask for the canary strategy."
    ),
    "first_step_too_large": Words(
        "The first step moves {percent} % of the traffic; production allows {max} %.", "Begin with at most {max} %."
    ),
    "analysis_required": Words(
        "A version is replaced in {environment} only where it is measured on the way ({checks} at least).",
        "Deploy with an analysis: deploy_model and the rollout action of manage_edge_nodes ask for one by themselves where "
        "a version is replaced.",
    ),
    "analysis_too_weak": Words(
        "The analysis is too weak for {environment}: {what} {demanded}; asked for is {asked}.",
        "Ask for {demanded}, or have the limits in data.json changed.",
    ),
    "golden_inputs_missing": Words(
        "Version {version} of {model} has no golden inputs: an edge node that answers nonsense would count as healthy.",
        "Tag the version aiplatform.golden_inputs and aiplatform.golden_inputs_digest (docs/golden-inputs.md).",
    ),
    "too_many_replicas": Words(
        "The plan ends at {replicas} replicas; {max} are allowed.", "Ask for at most {max} replicas."
    ),
    "serving_budget_exceeded": Words(
        "Serving would cost {hourly_cents} cents per hour; the team may spend {max_cents}.",
        "Ask for fewer or cheaper accelerators.",
    ),
    "site_below_minimum": Words(
        "The site {site} would keep {healthy_after} healthy nodes; it needs {minimum}.",
        "Bring other nodes of the site back first, or take fewer out at once.",
    ),
    "health_not_proposed": Words(
        "Findings of hardware health propose this for {proposed} of the {affected} nodes.",
        "Leave the other nodes out, or leave the reason out.",
    ),
    "capacity_loss_too_large": Words(
        "The plan takes {nodes} of {members} nodes out at once; {max_percent} % is the most.", "Go site by site."
    ),
}

ROUTING_CODES: Mapping[str, Words] = {
    "slo_missing": Words(
        "Production is routed by a promise, and the plan of {model} has none.",
        "Pass slo_ms: the milliseconds in which 19 of 20 requests are answered.",
    ),
    "spot_for_critical": Words(
        "Critical requests could reach {target} by the group {group}, and it may be taken away at any moment.",
        "Keep spot to the classes noncritical and batch.",
    ),
    "breaker_missing": Words(
        "The routing plan of {model} has no circuit breaker: a dead target would cost every request its time-out.",
        "Give the proxy allowed_fails and cooldown_time.",
    ),
}

COMPUTE_CODES: Mapping[str, Words] = {
    "gpu_type_not_allowed": Words("The team may not use the accelerator {accelerator}.", "Use one of: {allowed}."),
    "gpu_count_exceeded": Words(
        "{count} {accelerator} are asked for; the team may have {max} at once.", "Ask for at most {max}."
    ),
    "gpu_hours_exceeded": Words(
        "{hours} hours are asked for; {max} are allowed.", "Ask for at most {max} hours and go on from a checkpoint."
    ),
    "spot_without_checkpoint": Words(
        "Spot capacity may vanish at any time, and the work keeps no checkpoints.",
        "Declare checkpoints, or take on-demand capacity.",
    ),
    "spot_for_serving": Words("Production is not served from spot capacity.", "Take reserved or on-demand capacity."),
    "request_budget_exceeded": Words(
        "The request costs {total_cents} cents; one request of the team may cost {max_cents}.",
        "Ask for fewer devices or hours.",
    ),
    "budget_exhausted": Words(
        "The request costs {total_cents} cents; {left_cents} are left of the team's budget.",
        "Ask for less, wait for the next month, or have the budget raised.",
    ),
    "quota_never": Words(
        "The queue {queue} can never admit this request.", "Ask for less, or for a queue with more quota."
    ),
    "quota_queued": Words(
        "The queue {queue} is full: the request will wait.", "Nothing to do; or ask for another pool."
    ),
    "deadline_before_end": Words(
        "The work takes {hours} hours, and its deadline is in {deadline_seconds} s.",
        "Ask for more devices, or a later deadline.",
    ),
    "retrain_active": Words(
        "A training run of the model is under way ({active_runs}).", "Follow that one, or cancel it."
    ),
    "retrain_cooldown": Words(
        "The last training run was {seconds_since_last} s ago; the cooldown is {cooldown_seconds} s.",
        "Wait for the end of the cooldown.",
    ),
    "retrain_without_gain": Words(
        "{runs} runs in a row brought no gain; automatic runs stop after {max}.",
        "Look at data and configuration; a person may start a run with reason manual.",
    ),
    "retrain_not_justified": Words(
        "Drift {drift_milli} of {min_drift_milli} and performance drop {performance_drop_milli} of "
        "{min_performance_drop_milli} (thousandths) do not both call for retraining.",
        "Wait for both, or start it with reason manual.",
    ),
}

APPROVAL_CODES: Mapping[str, Words] = {
    "approval_not_valid": Words(
        "The approval at hand is for another plan or other policies, has expired, or is the requester's own.",
        "Have this very plan approved by somebody else.",
    ),
    "production_change": Words("This changes production.", _APPROVER),
    "protected_cluster": Words("This changes a protected cluster.", _APPROVER),
    "production_capacity": Words("This takes accelerators in production.", _APPROVER),
    "production_edge_change": Words("This changes edge sites in production.", _APPROVER),
    "production_resume": Words("This lets work in production go on.", _SELF),
    "outside_change_window": Words("This changes production outside of the change windows.", _APPROVER),
    "canary_by_hand": Words("Nothing measures this canary; a person moves it on.", _APPROVER),
    "blast_radius_fleet": Words("This touches a large share of the fleet.", _APPROVER),
    "wide_health_drain": Words("This drains a large share of the fleet on the word of health findings.", _APPROVER),
    "blast_radius_replicas": Words("This removes serving replicas.", _APPROVER),
    "replaces_at_once": Words("This replaces a served version in one step.", _SELF),
    "costly_request": Words("This request costs much.", _APPROVER),
    "forced_fields": Words("This takes fields over from another manager.", _SELF),
    "guarded_alias": Words("This alias decides what production may serve.", _SELF),
    "retrain_unproven": Words("No measured drift and performance drop stand behind this retraining.", _SELF),
    "retrain_breaker_open": Words("Several runs in a row brought no gain.", _APPROVER),
}

CODES: Mapping[str, Words] = {
    **ENGINE_CODES,
    **CONTRACT_CODES,
    **ACCESS_CODES,
    **EVIDENCE_CODES,
    **ROLLOUT_CODES,
    **ROUTING_CODES,
    **COMPUTE_CODES,
    **APPROVAL_CODES,
}


class _Shown(dict[str, str]):
    """Details as short texts; one that the finding lacks is left out rather than failing the sentence."""

    def __missing__(self, key: str) -> str:
        return ""


def explain(code: str, details: Mapping[str, Any]) -> tuple[str, str]:
    """Return the sentence and the remedy for a code; a code of somebody's own policies is told as it is."""
    words = CODES.get(code)
    if words is None:
        return (
            f"The policies refuse this with the code {_text(code)}.",
            "Read the policies in force (policy://law) for its meaning.",
        )
    shown = _Shown({str(key): _text(value) for key, value in details.items()})
    return words.sentence.format_map(shown).strip(), words.remedy.format_map(shown).strip()


def _text(value: Any) -> str:
    if isinstance(value, list | tuple | set | frozenset):
        items: list[Any] = list(value)
        return _cut(", ".join(str(item) for item in items) or "none")
    return _cut("unknown" if value is None else str(value))


def _cut(text: str) -> str:
    clean = "".join(ch if ch.isprintable() else " " for ch in text)
    return clean if len(clean) <= MAX_DETAIL else f"{clean[:MAX_DETAIL]}…"
