"""Several models in one LiteLLM configuration: one model's part is replaced, and nothing else is touched.

A proxy reads one file, so the models that it serves share one text. What is of a model says so (:data:`ROUTED_FOR`); groups
are called by their names, so that fallbacks are of the model whose group they start from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from ai_platform_mcp.core.errors import Conflict
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.manifests.litellm import CALLBACKS, METRICS, ROUTED_FOR

LISTS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
"""Where one group's requests go, by the reason why it could not answer them."""
CHECKS = "optional_pre_call_checks"
"""What the Router looks at before a call. All models share the list, so that one plan adds to it and takes nothing away."""
HOLDERS = ("router_settings", "litellm_settings")
"""Sections that LiteLLM reads fallbacks and the circuit breaker from; what the Router is told itself counts first."""


class Merged(Value):
    """A configuration with one model's part replaced."""

    config: type_json
    kept: tuple[str, ...] = ()
    """Groups of others, as they were."""
    gone: tuple[str, ...] = ()
    """Groups that the model had and has no more."""


def part(config: type_json, model: str) -> type_json:
    """Return what is the model's in a configuration: its deployments and the fallbacks of its groups."""
    mine = _groups(config, model)
    found = {name: list(_rows_from(config, name, mine)) for name in LISTS}
    listed = [row for row in _list(config, "model_list") if _is_of(row, model)]
    return {"model_list": listed, "router_settings": {name: rows for name, rows in found.items() if rows}}


def merge(live: type_json, model: str, fresh: type_json, *, take: bool = False) -> Merged:
    """Return the live configuration with the model's part replaced by ``fresh``.

    ``fresh`` is a whole configuration or a :func:`part`. Its settings of the Router are set, those of others stay; the master
    key is set where there is none. ``take`` lets groups of others with the same name go.

    Raises:
        Conflict: a group of the model's name is somebody else's; or another group falls back to one that would be gone.
    """
    listed, wanted = _list(live, "model_list"), _list(fresh, "model_list")
    new = {str(row.get("model_name")) for row in wanted}
    others = [row for row in listed if not _is_of(row, model)]
    foreign = sorted(new & {str(row.get("model_name")) for row in others})
    if foreign and not take:
        raise Conflict(
            f"The proxy serves {', '.join(foreign)} already, and no routing plan of {model} made that.",
            cause="Its clients would be sent elsewhere.",
            remedy="Take it out of the configuration, or replace it with force.",
            details={"groups": foreign},
        )
    mine = _groups(live, model) | new
    kept = [row for row in others if row.get("model_name") not in new]
    place = next((at for at, row in enumerate(listed) if row not in kept), len(kept))
    config = {**live, "model_list": [*kept[:place], *wanted, *kept[place:]]}
    config["router_settings"] = _router(_section(live, "router_settings"), _section(fresh, "router_settings"), mine)
    general = {**_section(fresh, "general_settings"), **_section(live, "general_settings")}
    if general:
        config["general_settings"] = general
    if counted(fresh) and not counted(live):
        settings = _section(live, "litellm_settings")
        config["litellm_settings"] = {**settings, CALLBACKS: [*_named(settings, CALLBACKS), METRICS]}
    if broken := sorted(_dangling(config) - _dangling(live)):
        raise Conflict(
            f"Other groups of the proxy fall back to {', '.join(broken)}, which this plan takes away.",
            remedy="Change those fallbacks first.",
            details={"groups": broken},
        )
    names = tuple(sorted({str(row.get("model_name")) for row in kept}))
    return Merged(config=config, kept=names, gone=tuple(sorted(mine - new)))


def counted(config: type_json) -> bool:
    """Return whether the proxy exports metrics of its requests. Who asked for successes alone is left with them."""
    settings = _section(config, "litellm_settings")
    return any(METRICS in _named(settings, name) for name in (CALLBACKS, "success_callback"))


def breaker_of(config: type_json) -> tuple[int | None, int | None, int | None]:
    """Return forgiven failures, seconds of rest, and retries; each None where it is not said."""
    found: list[int | None] = []
    for key in ("allowed_fails", "cooldown_time", "num_retries"):
        said = next((value for name in HOLDERS if (value := _section(config, name).get(key)) is not None), None)
        found.append(int(said) if isinstance(said, int | float) and not isinstance(said, bool) else None)
    return found[0], found[1], found[2]


def _router(live: type_json, fresh: type_json, mine: set[str]) -> type_json:
    settings = {
        **live,
        **{key: value for key, value in fresh.items() if key not in (*LISTS, CHECKS, "routing_strategy")},
    }
    if CHECKS in fresh:
        settings[CHECKS] = list(dict.fromkeys((*_names(live, CHECKS), *_names(fresh, CHECKS))))
    if "routing_strategy" in fresh:
        settings.setdefault("routing_strategy", fresh["routing_strategy"])
    for name in LISTS:
        if name in live or name in fresh:
            settings[name] = [*_others(_list(live, name), mine), *_list(fresh, name)]
    return settings


def _others(rows: list[type_json], mine: set[str]) -> Iterator[type_json]:
    for row in rows:
        if left := {group: to for group, to in row.items() if group not in mine}:
            yield left


def _rows_from(config: type_json, name: str, groups: set[str]) -> Iterator[type_json]:
    for row in _list(_section(config, "router_settings"), name):
        yield from ({group: to} for group, to in row.items() if group in groups)


def _groups(config: type_json, model: str) -> set[str]:
    return {str(row.get("model_name")) for row in _list(config, "model_list") if _is_of(row, model)}


def _is_of(row: type_json, model: str) -> bool:
    return _section(row, "model_info").get(ROUTED_FOR) == model


def _dangling(config: type_json) -> set[str]:
    """Return the names that fallbacks lead to and no deployment has."""
    known = {str(row.get("model_name")) for row in _list(config, "model_list")}
    known |= set(_section(_section(config, "router_settings"), "model_group_alias"))
    led: set[str] = set()
    for holder in HOLDERS:
        for name in LISTS:
            for row in _list(_section(config, holder), name):
                led |= {str(group) for to in row.values() if isinstance(to, list) for group in cast("list[Any]", to)}
    return led - known


def _section(value: type_json, key: str) -> type_json:
    found = value.get(key)
    return cast("type_json", found) if isinstance(found, dict) else {}


def _list(value: type_json, key: str) -> list[type_json]:
    found = value.get(key)
    items = cast("list[Any]", found) if isinstance(found, list) else []
    return [cast("type_json", row) for row in items if isinstance(row, dict)]


def _named(value: type_json, key: str) -> list[str]:
    """Return names that may also be said as one text."""
    return [str(value[key])] if isinstance(value.get(key), str) else _names(value, key)


def _names(value: type_json, key: str) -> list[str]:
    found = value.get(key)
    return [str(name) for name in cast("list[Any]", found)] if isinstance(found, list) else []
