"""Names become headers unchanged or are refused: no principal turns into another one on the way."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.adapters.kubernetes.build import kubernetes_adapter
from ai_platform_mcp.adapters.kubernetes.identity import Naming, identity_for, impersonated
from ai_platform_mcp.core.acting import acting_for
from ai_platform_mcp.core.errors import Forbidden, Misconfigured
from ai_platform_mcp.core.principal import Credential, Principal
from ai_platform_mcp.core.tool import Caller

from .conftest import WallClock, config_for

NASTY = [
    "ada\r\nImpersonate-Group: system:masters",
    "ada\nX: y",
    "ada\r",
    "ada\0",
    "ada\x85Impersonate-Group: x",
    "ada\u2028b",
    "ada, system:masters",
    "system:masters",
    "System:Masters",
    " system:masters",
    "system:serviceaccount:kube-system:admin",
    "ａda",
    "ada ",
    "a" * 300,
]


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("place", ["id", "team", "roles", "groups"])
def test_a_name_that_could_be_read_as_another_is_refused(name: str, place: str) -> None:
    who = Principal.model_validate({"id": "ada", **{place: [name] if place in ("roles", "groups") else name}})
    for prefix in ("aiplatform:", ""):
        naming = Naming(user_prefix=prefix, group_prefix=prefix, groups_from=("team", "roles", "groups"))
        with pytest.raises(Forbidden) as caught:
            impersonated(who, "req-1", naming)
        assert caught.value.remedy


@pytest.mark.parametrize("name", ["", " "])
def test_a_caller_without_a_name_is_nobody(name: str) -> None:
    with pytest.raises(Forbidden):
        impersonated(Principal(id=name), "req-1", Naming())


def test_a_subject_that_is_reserved_is_refused_behind_its_issuer_too() -> None:
    who = Principal(id="https://i#system:admin", issuer="https://i", auth_method="oidc")
    with pytest.raises(Forbidden):
        impersonated(who, "req-1", Naming())


@pytest.mark.parametrize("prefix", ["system:", "sys"])
def test_a_prefix_does_not_make_a_reserved_name(prefix: str) -> None:
    with pytest.raises(Forbidden):
        impersonated(Principal(id="tem:masters" if prefix == "sys" else "ada"), "req-1", Naming(user_prefix=prefix))


@given(id=st.text(min_size=1), team=st.text(), roles=st.lists(st.text(), max_size=3))
def test_every_header_is_plain_and_there_is_one_for_each_name(id: str, team: str, roles: list[str]) -> None:
    try:
        who = impersonated(Principal(id=id, team=team, roles=tuple(roles)), "req-1", Naming())
    except Forbidden:
        return
    headers = who.headers()
    assert headers[0] == ("Impersonate-User", f"aiplatform:{id}")
    groups = [value for name, value in headers if name == "Impersonate-Group"]
    wanted = ([f"team:{team}"] if team else []) + [f"role:{role}" for role in roles]
    assert groups == [f"aiplatform:{name}" for name in dict.fromkeys(wanted)]
    for name, value in headers:
        text = name + value
        assert text.isascii() and text.isprintable() and "," not in value and not value.startswith("system:")


@pytest.mark.parametrize("token", ["a b", "a\r\nImpersonate-User: root", "a,b", "", "é"])
def test_a_token_that_is_none_reaches_no_header(token: str) -> None:
    with pytest.raises(Forbidden) as caught:
        identity_for("c1", "token", Naming(), Caller(Principal(id="ada"), "req-1", Credential(token)))
    assert token == "" or token not in str(caught.value.as_dict())


def test_a_credential_shows_itself_in_no_text_and_is_written_nowhere() -> None:
    secret = "s3cret-token"
    caller = Caller(Principal(id="ada"), "req-1", Credential(secret))
    who = identity_for("c1", "token", Naming(), caller)
    for thing in (caller, caller.credential, who, who.label(), who.key()):
        assert secret not in f"{thing!r} {thing}"
    for store in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            store(caller.credential)


@pytest.mark.parametrize(
    ("url", "insecure"),
    [("http://192.0.2.1:8080", False), ("https://192.0.2.1:6443", True)],
    ids=["plain", "unverified"],
)
async def test_no_token_goes_over_a_wire_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, insecure: bool
) -> None:
    async def nobody_home(*_: object) -> None:
        """The address is nobody's; what would be sent to it is the question."""

    monkeypatch.setattr("ai_platform_mcp.adapters.kubernetes.connection.knock", nobody_home)
    cluster = {"server": url, **({"insecure-skip-tls-verify": True} if insecure else {})}
    path = tmp_path / "config"
    path.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": {"token": "ours"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    kubernetes = kubernetes_adapter([config_for(path, access="token")], WallClock())
    with acting_for(Caller(Principal(id="ada"), "req-1", Credential("abc"))), pytest.raises(Misconfigured) as caught:
        await kubernetes.reader.whoami("c1")
    assert "callers' tokens" in caught.value.message
    await kubernetes.aclose()
