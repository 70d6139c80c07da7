"""A few prompts that start the work people ask for most, each naming the tools and the order that keeps it safe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError


@dataclass(frozen=True)
class Prompt:
    """A prompt and its arguments; ``text`` is filled with them."""

    title: str
    description: str
    arguments: dict[str, tuple[str, bool]]
    text: str


PROMPTS = {
    "deploy_safely": Prompt(
        title="Deploy a model safely",
        description="From what is registered to a canary that was watched.",
        arguments={
            "model": ("model name, optionally name:version or name@alias", True),
            "environment": ("dev, staging or production", False),
        },
        text=(
            "Deploy {model} to {environment}.\n"
            "1. Read registry://models/{model} and say whether its gates, card, licence and signature are in order.\n"
            "2. Call deploy_model with mode=plan and show me the plan: what changes, where, cost, risks, policy.\n"
            "3. If policy denies, explain each violation and its remedy, and stop.\n"
            "4. If it needs approval, tell me who must approve and the approval id, and wait.\n"
            "5. Apply exactly that plan with its plan_id, then follow the operation with inspect_platform.\n"
            "6. Watch error_rate and e2e_p95 with query_metrics before you propose to promote; roll back if they got worse."
        ),
    ),
    "investigate_model_health": Prompt(
        title="Investigate a model's health",
        description="Latency, errors, drift, placement and recent changes in one pass.",
        arguments={"model": ("model name", True), "window": ("such as 1h or 2d", False)},
        text=(
            "Find out how {model} has been doing over {window}.\n"
            "1. inspect_platform kind=deployments for where it runs; kind=operations for what changed lately.\n"
            "2. query_metrics: rps, error_rate, e2e_p95, drift_score and edge_share for it, saying how fresh each is.\n"
            "3. Compare edge with cloud and the current with the previous version.\n"
            "4. Say what is wrong, how sure you are, and the one change you would plan; do not apply anything."
        ),
    ),
    "plan_training_run": Prompt(
        title="Plan a training run",
        description="Where, at what price, and when it would start.",
        arguments={"model": ("model name", True), "gpus": ("how many accelerators", False)},
        text=(
            "Plan a training run for {model} on {gpus} accelerators.\n"
            "1. inspect_platform kind=gpu_pools and kind=queues for what is free and who waits.\n"
            "2. trigger_retraining with mode=plan; compare on-demand with spot (spot needs checkpoints).\n"
            "3. Show cost, forecast (now, queued behind whom, or never and why) and what policy says.\n"
            "4. Ask me before you apply the plan by its plan_id."
        ),
    ),
}
_DEFAULTS = {"environment": "dev", "window": "1h", "gpus": "8"}


async def list_prompts(
    ctx: ServerRequestContext[Any, Any], params: types.PaginatedRequestParams | None
) -> types.ListPromptsResult:
    """List the prompts."""
    return types.ListPromptsResult(
        prompts=[
            types.Prompt(
                name=name,
                title=row.title,
                description=row.description,
                arguments=[
                    types.PromptArgument(name=argument, description=meaning, required=required)
                    for argument, (meaning, required) in row.arguments.items()
                ],
            )
            for name, row in PROMPTS.items()
        ]
    )


async def get_prompt(
    ctx: ServerRequestContext[Any, Any], params: types.GetPromptRequestParams
) -> types.GetPromptResult:
    """Return one prompt, filled in."""
    row = PROMPTS.get(params.name)
    if row is None:
        raise MCPError(types.INVALID_PARAMS, f"There is no prompt {params.name!r}. Prompts: {', '.join(PROMPTS)}.")
    given = {name: str(value) for name, value in (params.arguments or {}).items()}
    missing = [name for name, (_, required) in row.arguments.items() if required and not given.get(name)]
    unknown = sorted(set(given) - set(row.arguments))
    if missing or unknown:
        raise MCPError(
            types.INVALID_PARAMS,
            f"Prompt {params.name} takes {', '.join(row.arguments)}; missing: {', '.join(missing) or 'none'}, "
            f"unknown: {', '.join(unknown) or 'none'}.",
        )
    text = row.text.format(**{**_DEFAULTS, **given})
    message = types.PromptMessage(role="user", content=types.TextContent(type="text", text=text))
    return types.GetPromptResult(description=row.description, messages=[message])
