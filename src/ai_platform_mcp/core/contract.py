"""A tool's contract as clients see it: one JSON object per tool, checked in under ``tools/`` and compared in CI."""

from __future__ import annotations

from typing import Any

from ai_platform_mcp.core.tool import AnyTool, WriteTool


def contract(tool: AnyTool) -> dict[str, Any]:
    """Return name, title, description, input schema and every annotation, written out."""
    writes = isinstance(tool, WriteTool)
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": input_schema(tool),
        "annotations": {
            "title": tool.title,
            "readOnlyHint": not writes,
            "destructiveHint": tool.destructive if isinstance(tool, WriteTool) else False,
            "idempotentHint": True,
            "openWorldHint": False,
        },
    }


def input_schema(tool: AnyTool) -> dict[str, Any]:
    """Return the JSON schema of the parameters, flat and small: no titles, no ``$ref``, no unions with null."""
    schema = tool.params.model_json_schema()
    properties: dict[str, Any] = {name: _slim(rule) for name, rule in schema.get("properties", {}).items()}
    slim: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if schema.get("required"):
        slim["required"] = list(schema["required"])
    return slim


def _slim(rule: dict[str, Any]) -> dict[str, Any]:
    rule = {key: value for key, value in rule.items() if key != "title"}
    arms = [arm for arm in rule.pop("anyOf", []) if arm.get("type") != "null"]
    if len(arms) == 1:
        rule = {**arms[0], **rule}
    if rule.get("default", ...) in (None, "", [], ()):
        rule.pop("default", None)
    if isinstance(rule.get("items"), dict):
        rule["items"] = _slim(rule["items"])
    return {key: value for key, value in rule.items() if key != "title"}
