"""Calls through real clients: results and errors complete in both forms, a plan applied by its id, progress."""

from __future__ import annotations

from typing import Any

from mcp import Client

from support.serving import Way
from support.world import World


async def call(client: Client, tool: str, /, **arguments: Any) -> Any:
    return await client.call_tool(tool, arguments)


def text(answer: Any) -> str:
    assert len(answer.content) == 1
    return str(answer.content[0].text)


async def test_a_read_answers_in_text_and_in_data(on_http: Way):
    async with on_http.open() as client:
        answer = await call(client, "inspect_platform", kind="models")
        assert not answer.is_error
        assert "churn" in text(answer)
        assert "churn" in str(answer.structured_content)


async def test_routing_is_told_in_text_and_in_data_and_an_unknown_model_is_refused(on_http: Way):
    async with on_http.open() as client:
        answer = await call(client, "inspect_platform", kind="routing", name="vision-v2", window="30m")
        while (
            answer.is_error and answer.structured_content["code"] == "unavailable"
        ):  # the first look of a fresh server
            answer = await call(client, "inspect_platform", kind="routing", name="vision-v2", window="30m")
        assert not answer.is_error
        assert "→ Cloud:" in text(answer) and "last 30m" in text(answer)
        assert answer.structured_content["targets"][0]["share"] == 1
        assert answer.structured_content["savings"]["why"]
        wrong = await call(client, "inspect_platform", kind="routing", name="vision-v9")
        assert wrong.is_error and wrong.structured_content["code"] == "not_found"


async def test_a_change_is_planned_and_exactly_the_plan_is_applied(way: Way, world: World):
    async with way.open() as client:
        model = world.model()
        arguments = {"model": model, "version": "2", "alias": "challenger"}
        planned = await call(client, "promote_model", **arguments)
        plan = planned.structured_content
        assert plan["status"] == "planned" and not planned.is_error
        for part in (plan["plan_id"], plan["summary"], plan["steps"][0]["title"]):
            assert part in text(planned)
        assert world.alias(model, "challenger") is None
        told: list[tuple[float, float | None, str | None]] = []

        async def progress(done: float, total: float | None, message: str | None) -> None:
            told.append((done, total, message))

        done = await client.call_tool(
            "promote_model", {**arguments, "mode": "apply", "plan_id": plan["plan_id"]}, progress_callback=progress
        )
        assert done.structured_content["status"] == "applied" and not done.is_error
        for part in (done.structured_content["operation_id"], done.structured_content["follow"]):
            assert part in text(done)
        assert told == [(0, 1, plan["steps"][0]["title"])]
        assert world.alias(model, "challenger") == "2"
        again = await call(client, "promote_model", **arguments, mode="apply", plan_id=plan["plan_id"])
        assert again.structured_content["replayed"] and "nothing was done twice" in text(again)
        followed = await call(
            client, "inspect_platform", kind="operations", name=done.structured_content["operation_id"]
        )
        assert done.structured_content["operation_id"] in text(followed)


async def test_failures_are_results_with_code_cause_and_remedy(on_http: Way, world: World):
    async with on_http.open() as client:
        model = world.model()
        for tool, arguments, code, part in (
            ("promote_model", {"modle": model}, "invalid_input", "'modle'"),
            ("promote_model", {"model": "nowhere", "version": "1"}, "not_found", "nowhere"),
            ("no_such_tool", {}, "not_found", "promote_model"),
            (
                "promote_model",
                {"model": "llama-3.3-70b", "version": "1", "alias": "mine", "mode": "apply"},
                "denied",
                "Policy refuses",
            ),
        ):
            answer = await call(client, tool, **arguments)
            assert answer.is_error, tool
            body = answer.structured_content
            assert set(body) >= {"code", "message", "cause", "remedy", "retryable"}
            assert body["code"] == code and body["remedy"], body
            assert part in text(answer) and body["message"] in text(answer) and body["remedy"] in text(answer)


async def test_a_stale_plan_comes_with_a_fresh_one_in_both_forms(on_http: Way, world: World):
    async with on_http.open() as client:
        model = world.model(versions=3)
        arguments = {"model": model, "version": "2", "alias": "challenger"}
        planned = await call(client, "promote_model", **arguments)
        world.mlflow.set_registered_model_alias(model, "challenger", "3")
        stale = await call(
            client, "promote_model", **arguments, mode="apply", plan_id=planned.structured_content["plan_id"]
        )
        assert stale.is_error and stale.structured_content["code"] == "plan_stale"
        fresh = stale.structured_content["details"]["plan"]["plan_id"]
        assert fresh in text(stale) and fresh != planned.structured_content["plan_id"]
