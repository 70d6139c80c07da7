"""An id says where a deployment is, and a question about it finds those that it means and no others."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.manifests.litellm_id import PARTS, deployment_id, groups_of, part, pattern

words = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}", fullmatch=True)
ids = st.tuples(words, st.sampled_from(("edge", "cloud")), words | st.just(""), words | st.just(""))


@given(named=ids, asked=ids, which=st.sets(st.sampled_from(PARTS)), target=words, cluster=words | st.just(""))
def test_an_id_is_found_by_what_it_says_and_by_nothing_else(
    named: tuple[str, ...], asked: tuple[str, ...], which: set[str], target: str, cluster: str
) -> None:
    model, tier, namespace, site = named
    name = f"{cluster}/{target}" if cluster else target
    made = deployment_id(model, tier, namespace, site, f"{model}-cloud-2", name)  # type: ignore[arg-type]
    for wanted in (named, asked):
        question = {one: value for one, value in zip(PARTS, wanted, strict=True) if one in which and value}
        meant = all(value == dict(zip(PARTS, named, strict=True))[one] for one, value in question.items())
        assert bool(re.fullmatch(pattern(question) or ".*", made)) == meant
    for one, value in zip(PARTS, named, strict=True):
        found = re.fullmatch(part(one), made)
        assert (found[1] if found else "") == value


def test_ids_of_others_say_nothing() -> None:
    for other in ("", "None", "b7c1e2", "chat/edge", "a/b/c"):
        assert not any(re.fullmatch(part(name), other) for name in PARTS)
        assert not re.fullmatch(pattern({"model": "chat"}), other)


def test_groups_of_a_model_are_not_those_of_one_with_a_longer_name() -> None:
    mine = ("v3.1", "v3.1-cloud", "v3.1-cloud-2", "v3.1-spot", "v3.1-noncritical", "v3.1-batch")
    assert all(re.fullmatch(groups_of("v3.1"), name) for name in mine)
    assert not any(re.fullmatch(groups_of("v3.1"), name) for name in ("v3x1", "v3.1-next", "v3.1-next-cloud", "a-v3.1"))
