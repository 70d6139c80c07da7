from datetime import UTC, datetime
from typing import Any

import pytest

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.rows import RunRow, VersionRow
from ai_platform_mcp.domain.versions import format_of, parse_model, size_mib, storage_uri

DIGEST = "sha256:" + "a" * 64


def version(source: str = "s3://bucket/m", **tags: str) -> VersionRow:
    named = {key.replace("_", ".", 1).replace("_", "-"): value for key, value in tags.items()}
    return VersionRow(
        model="m",
        version="3",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        source=source,
        run_id=None,
        status="READY",
        tags=named,
    )


@pytest.mark.parametrize(
    ("text", "environment", "read"),
    [
        ("m", "dev", ("m", "latest", "")),
        ("m", "production", ("m", "alias", "champion")),
        ("m@candidate", "production", ("m", "alias", "candidate")),
        ("llama-3.3-70b:12", "production", ("llama-3.3-70b", "version", "12")),
    ],
)
def test_a_version_is_named_by_number_by_alias_or_by_where_it_goes(text: str, environment: Any, read: tuple[str, ...]):
    wanted = parse_model(text, environment)
    assert (wanted.model, wanted.by, wanted.key) == read


@pytest.mark.parametrize("text", ["", "@champion", "m@", "m@a@b", "m:", "a b", "m:../x", "../m"])
def test_what_names_no_version_is_refused(text: str):
    with pytest.raises(InvalidInput):
        parse_model(text, "dev")


def test_the_format_comes_from_tags_before_the_run_before_the_ending():
    run = RunRow(
        run_id="r", name="r", experiment="e", status="FINISHED", started=None, ended=None, params={"format": "sklearn"}
    )
    assert format_of(version("s3://b/m.onnx", aiplatform_format="TensorRT"), None, run) == "tensorrt"
    assert format_of(version("s3://b/m.onnx"), None, run) == "sklearn"
    assert format_of(version("s3://b/m.onnx"), None, None) == "onnx"
    assert format_of(version(), None, None) == ""


@pytest.mark.parametrize(
    ("source", "pinned"),
    [
        ("oci://reg:5000/team/m:7", f"oci://reg:5000/team/m@{DIGEST}"),
        ("oci://reg/m", f"oci://reg/m@{DIGEST}"),
        ("oci://reg/m@sha256:" + "b" * 64, "oci://reg/m@sha256:" + "b" * 64),
        ("s3://bucket/m", "s3://bucket/m"),
    ],
)
def test_an_oci_artifact_is_fetched_by_its_digest(source: str, pinned: str):
    assert storage_uri(version(source), DIGEST) == pinned


@pytest.mark.parametrize("source", ["models:/m-1", "/tmp/model", "runs:/abc/model"])
def test_a_source_that_no_runtime_can_fetch_is_refused(source: str):
    with pytest.raises(InvalidInput):
        storage_uri(version(source), DIGEST)


def test_a_size_that_is_no_number_is_unknown():
    assert (size_mib(version(aiplatform_size_mib="20")), size_mib(version(aiplatform_size_mib="20 MB"))) == (20, None)
