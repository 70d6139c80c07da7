"""The tables, and the triggers that keep the audit append-only."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Boolean, Column, Connection, Index, Integer, MetaData, Table, Text, UniqueConstraint, text

SCHEMA_VERSION = 1
"""Raised with every change of a table; a database of a newer version is refused rather than damaged."""

metadata = MetaData()

about = Table("about", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

plans = Table(
    "plans",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("principal_id", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("arguments_digest", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("created_at", Text, nullable=False),
    Column("document", Text, nullable=False),
    Index("plans_by_arguments", "principal_id", "tool", "arguments_digest"),
    Index("plans_by_key", "principal_id", "idempotency_key"),
)

operations = Table(
    "operations",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("principal_id", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("tool", Text, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("document", Text, nullable=False),
    Column("result", Text),
    Column("error", Text),
    Column("started_at", Text, nullable=False),
    Column("finished_at", Text),
    Column("owner", Text, nullable=False),
    Column("lease_until", Text, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    UniqueConstraint("principal_id", "idempotency_key", name="one_operation_per_key"),
)

steps = Table(
    "steps",
    metadata,
    Column("operation_id", Text, primary_key=True),
    Column("step_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("changed_at", Text, nullable=False),
)

approvals = Table(
    "approvals",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("plan_id", Text, nullable=False),
    Column("plan_digest", Text, nullable=False, index=True),
    Column("tool", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("requester", Text, nullable=False),
    Column("requirements", Text, nullable=False),
    Column("policy_revision", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("expires_at", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("seal", Text, nullable=False),
)

votes = Table(
    "votes",
    metadata,
    Column("record_id", Text, primary_key=True),
    Column("approver_id", Text, primary_key=True),
    Column("verdict", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created_at", Text, nullable=False),
)

approvers = Table(
    "approvers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("roles", Text, nullable=False),
    Column("salt", Text, nullable=False),
    Column("parameters", Text, nullable=False),
    Column("public_key", Text, nullable=False),
    Column("enrolled_by", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("created_at", Text, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("approver_id", Text, nullable=False, index=True),
    Column("at", Text, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("time", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("audit_by_principal", "principal", "time"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sequence", Integer, nullable=False),
    Column("hash", Text, nullable=False),
)

SQLITE_TRIGGERS = tuple(
    f"CREATE TRIGGER IF NOT EXISTS audit_refuses_{verb.lower()} BEFORE {verb} ON audit "
    "BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
    for verb in ("UPDATE", "DELETE")
)
POSTGRES_TRIGGERS = (
    "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$",
    "CREATE TRIGGER audit_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
)
_POSTGRES_KEPT = "SELECT 1 FROM pg_trigger WHERE tgname = 'audit_refuses_change' AND tgrelid = 'audit'::regclass"
_POSTGRES_ALONE = "SELECT pg_advisory_xact_lock(hashtext('ai-platform-mcp journal'))"


def create(connection: Connection) -> None:
    """Create what is missing; called inside one write transaction, which servers that start together take in turn."""
    dialect = connection.dialect.name
    if dialect == "postgresql":
        connection.execute(text(_POSTGRES_ALONE))
    metadata.create_all(connection)
    if dialect == "sqlite":
        for trigger in SQLITE_TRIGGERS:
            connection.execute(text(trigger))
    elif dialect == "postgresql" and connection.execute(text(_POSTGRES_KEPT)).first() is None:
        for trigger in POSTGRES_TRIGGERS:
            connection.execute(text(trigger))


def to_text(moment: datetime) -> str:
    """Return a time as text that sorts by time: UTC, always with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def to_time(value: str) -> datetime:
    """Return the time that :func:`to_text` wrote."""
    return datetime.fromisoformat(value)
