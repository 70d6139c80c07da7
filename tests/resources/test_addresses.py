from __future__ import annotations

import pytest

from ai_platform_mcp.resources import CATALOGUE, bare, match

MODELS = "registry://models{/name}{/version}"


@pytest.mark.parametrize(
    ("template", "uri", "variables"),
    [
        (MODELS, "registry://models", {}),
        (MODELS, "registry://models/vision-v2", {"name": "vision-v2"}),
        (MODELS, "registry://models/vision-v2/4", {"name": "vision-v2", "version": "4"}),
        (MODELS, "registry://models/llama-3.3-70b/@champion", {"name": "llama-3.3-70b", "version": "@champion"}),
        (MODELS, "registry://modelsx", None),
        (MODELS, "registry://models/a/b/c", None),
        ("policy://law{/file}", "policy://law/lib%2Fsay.rego", {"file": "lib/say.rego"}),
        ("policy://limits", "policy://limits", {}),
        ("operation://{id}", "operation://op-1", {"id": "op-1"}),
        ("operation://{id}", "operation://", None),
    ],
)
def test_an_address_fills_the_variables_of_its_template(template: str, uri: str, variables: dict[str, str] | None):
    assert match(template, uri) == variables


def test_what_can_be_read_without_a_variable_is_known():
    assert [bare(row.template) for row in CATALOGUE] == [
        "registry://models",
        "cluster://inventory",
        "policy://law",
        "policy://limits",
        None,
    ]
