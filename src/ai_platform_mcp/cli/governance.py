"""``platform approvals``, ``policy`` and ``audit``: who agreed, what the law says, what happened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ai_platform_mcp.cli.asking import passphrase
from ai_platform_mcp.cli.models import show
from ai_platform_mcp.cli.output import DENIED
from ai_platform_mcp.cli.platform_commands import json_object
from ai_platform_mcp.cli.session import session_of
from ai_platform_mcp.core.errors import NotFound

approvals = typer.Typer(no_args_is_help=True, help="Approvals: pending ones, settling them, who may.")
policy = typer.Typer(no_args_is_help=True, help="The law in force: testing it, explaining it, reading it.")
audit = typer.Typer(no_args_is_help=True, help="The tamper-evident record of every call.")

Approver = Annotated[str, typer.Option("--as", help="Your approver id.", prompt="Approver id")]


@approvals.command("list")
def approvals_list(context: typer.Context, state: Annotated[str, typer.Option()] = "pending") -> None:
    """List approvals."""
    session_of(context).run(lambda: show(context, {"kind": "approvals", "state": state}))


def _settle(name: str, approve: bool, text: str) -> None:
    """Add the command that settles an approval one way."""

    @approvals.command(name, help=text)
    def command(
        context: typer.Context,
        approval_id: str,
        approver: Approver,
        comment: Annotated[str, typer.Option(help="Kept with the record.")] = "",
    ) -> None:
        session = session_of(context)

        async def work() -> int:
            async with session.local() as client:
                wiring = await client.app.wiring()
                record = await wiring.approvals.approval(approval_id)
                if record is None:
                    raise NotFound(
                        f"There is no approval {approval_id!r}.", remedy="`platform approvals list` shows them."
                    )
                session.output.say(f"{record.summary}\n  asked by {record.requester}: {record.requirement.reason}")
                secret = passphrase(f"Passphrase of {approver}")
                done = await wiring.approvals.settle(approval_id, approver, secret, approve=approve, comment=comment)
                session.output.data(done.model_dump(mode="json"), f"{done.id} is {done.state}: {done.summary}")
                return 0

        session.run(work)


_settle("approve", True, "Approve a plan with your passphrase, typed at this terminal.")
_settle("reject", False, "Reject a plan with your passphrase, typed at this terminal.")


@approvals.command("enrol")
def approvals_enrol(
    context: typer.Context,
    approver: Annotated[str, typer.Argument(help="An id of your choice.")],
    role: Annotated[list[str] | None, typer.Option(help="Repeatable; default platform-approver.")] = None,
    by: Annotated[str, typer.Option(help="Who vouches; needed once there is an approver.")] = "",
) -> None:
    """Become an approver: choose a passphrase that only you know."""
    session = session_of(context)

    async def work() -> int:
        async with session.local() as client:
            wiring = await client.app.wiring()
            voucher = passphrase(f"Passphrase of {by}") if by else ""
            secret = passphrase(f"New passphrase of {approver}", twice=True)
            roles = role or ["platform-approver"]
            await wiring.approvals.enrol(approver, roles, secret, by=by, by_passphrase=voucher)
            session.output.data(
                {"approver": approver, "roles": roles}, f"{approver} is enrolled as {', '.join(roles)}."
            )
            return 0

    session.run(work)


@policy.command("test")
def policy_test(
    context: typer.Context, directory: Annotated[Path | None, typer.Option("--dir", help="Folder of policies.")] = None
) -> None:
    """Run the Rego tests with their coverage gate, and the portability lint."""
    session = session_of(context)

    async def work() -> int:
        import anyio.to_thread

        from ai_platform_mcp.adapters.policy.bundle import default_policy_dir
        from ai_platform_mcp.adapters.policy.lint import lint
        from ai_platform_mcp.adapters.policy.testing import run_tests

        folder = directory or session.settings.policy.dir or default_policy_dir()
        findings = await anyio.to_thread.run_sync(lint, folder)
        report = await anyio.to_thread.run_sync(run_tests, folder)
        lines = [f"{row.file}:{row.line}: {row.name}: {row.problem}" for row in report.failures]
        lines += [str(finding) for finding in findings]
        missed = {file: list(rows) for file, rows in report.missed.items() if rows}
        lines.append(
            f"{len(report.passed)} passed, {len(report.failures)} failed, {report.coverage_percent:.1f} % of lines"
        )
        data = {
            "passed": len(report.passed),
            "failures": [row.name for row in report.failures],
            "coverage_percent": round(report.coverage_percent, 1),
            "missed": missed,
            "lint": [str(finding) for finding in findings],
        }
        session.output.data(data, "\n".join(lines))
        return 0 if report.ok and not findings else 1

    session.run(work)


@policy.command("stamp")
def policy_stamp(
    context: typer.Context, directory: Annotated[Path | None, typer.Option("--dir", help="Folder of policies.")] = None
) -> None:
    """Write the revision of the law into its data.json, so that an OPA server names the same one."""
    session = session_of(context)

    async def work() -> int:
        import anyio.to_thread

        from ai_platform_mcp.adapters.policy.bundle import default_policy_dir, stamp

        folder = directory or session.settings.policy.dir or default_policy_dir()
        revision = await anyio.to_thread.run_sync(stamp, folder)
        session.output.data({"revision": revision, "directory": str(folder)}, f"{folder} is revision {revision}")
        return 0

    session.run(work)


@policy.command("explain")
def policy_explain(
    context: typer.Context, tool: str, arguments: Annotated[str, typer.Argument(help="JSON object.")] = "{}"
) -> None:
    """Plan a call, and say what policy makes of it; nothing is changed."""
    session = session_of(context)

    async def work() -> int:
        body = json_object(arguments)
        async with session.client() as client:
            result = await client.call(tool, {**body, "mode": "plan"})
            decision: dict[str, Any] = result.data.get("decision") or {}
            session.output.data(decision, "\n".join(_told(decision)))
            return DENIED if result.is_error else 0

    session.run(work)


def _told(decision: dict[str, Any]) -> list[str]:
    lines = [f"{decision.get('effect', 'none')} (policy revision {decision.get('revision', '')})"]
    for row in decision.get("violations", []):
        lines += [f"  {row['code']}: {row['text']}", f"    do: {row['remedy']}"]
    lines += [f"  warning {row['code']}: {row['text']}" for row in decision.get("warnings", [])]
    for row in decision.get("approvals", []):
        lines.append(f"  approval by {row['min_approvals']} of {', '.join(row['approvers'])}: {row['reason']}")
    return lines


@policy.command("law")
def policy_law(context: typer.Context, file: Annotated[str, typer.Argument()] = "") -> None:
    """Print the law in force: its files, or one of them."""
    session = session_of(context)

    async def work() -> int:
        async with session.local() as client:
            readers = await client.app.readers()
            files = await readers.policy.law()
            info = await readers.policy.info()
            if file:
                if file not in files:
                    raise NotFound(f"There is no policy file {file!r}.", remedy=f"Files: {', '.join(sorted(files))}.")
                session.output.data({"file": file, "text": files[file]}, files[file])
            else:
                text = f"{info.engine}, revision {info.revision}\n" + "\n".join(sorted(files))
                session.output.data({**info.model_dump(), "files": sorted(files)}, text)
            return 0

    session.run(work)


@audit.command("verify")
def audit_verify(
    context: typer.Context,
    head: Annotated[str, typer.Option(help="A head you kept from an earlier run; the chain must contain it.")] = "",
) -> None:
    """Recompute the hash chain and say whether any row was edited, deleted or moved."""
    session = session_of(context)

    async def work() -> int:
        async with session.local() as client:
            wiring = await client.app.wiring()
            verdict = await wiring.journal.verify_audit(head) if head else await wiring.journal.verify_audit()
            kept = f"{verdict.rows}:{verdict.head}"  # what --head takes
            text = f"{verdict.rows} rows, intact. Head {kept}" if verdict.intact else f"NOT INTACT: {verdict.problem}"
            session.output.data({**verdict.model_dump(), "head": kept}, text)
            return 0 if verdict.intact else 1

    session.run(work)


@audit.command("list")
def audit_list(context: typer.Context, limit: Annotated[int, typer.Option(min=1, max=1000)] = 30) -> None:
    """List the newest rows."""
    session = session_of(context)

    async def work() -> int:
        async with session.local() as client:
            rows = await (await client.app.wiring()).journal.audit(limit=limit)
            if session.output.json:
                session.output.data({"rows": [row.model_dump(mode="json") for row in rows]}, "")
            else:
                cells = [
                    (
                        row.sequence,
                        row.time.strftime("%m-%d %H:%M:%S"),
                        row.principal,
                        row.tool,
                        row.mode,
                        row.outcome,
                        ",".join(row.codes),
                    )
                    for row in rows
                ]
                session.output.table("", ("#", "time", "who", "tool", "mode", "outcome", "codes"), cells)
            return 0

    session.run(work)
