from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def root_is_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py")))
def test_every_bench_imports(name: str) -> None:
    importlib.import_module(f"benchmarks.{name}")
    assert f"benchmarks.{name}" in sys.modules


def test_a_report_says_what_was_measured_and_what_was_missed() -> None:
    report = importlib.import_module("benchmarks.report")
    times = report.Times(tuple(float(value) for value in range(100, 0, -1)))
    assert (times.least, times.p50, times.p99, times.most) == (1, 50.5, 99, 100)
    section = report.Section(
        title="Start",
        how="In turns.",
        columns=("", "ours"),
        rows=(("a|b", report.milliseconds(times.p50)),),
        targets=(report.Target("fast", True), report.Target("small", False)),
        notes=("a note",),
    )
    page = report.markdown(report.Report({"Python": "3.11"}, [section]))
    assert "- Python: 3.11" in page
    assert "## Start\n\nIn turns.\n\n|  | ours |\n| --- | --- |\n| a\\|b | 50.5 ms |\n" in page
    assert page.endswith("- met: fast\n- **missed**: small\n- a note\n")


def test_the_p99_of_few_values_is_their_worst() -> None:
    report = importlib.import_module("benchmarks.report")
    assert report.Times((3.0, 1.0, 2.0)).p99 == 3.0
    assert [report.milliseconds(value) for value in (0.123, 12.34, 1234.5)] == ["0.12 ms", "12.3 ms", "1234 ms"]


def test_a_small_cluster_passes_through_the_whole_scale_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scale = importlib.import_module("benchmarks.scale")
    for name, value in {"ROUNDS": 1, "CHURN_SECONDS": 1.0, "BURST": 100}.items():
        monkeypatch.setattr(scale, name, value)
    monkeypatch.setattr(scale, "_baseline", lambda folder: 0)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    section = scale.scale(tmp_path, nodes=230, pods=690)
    met = {target.text.split(":")[0]: target.met for target in section.targets}
    assert met["lists within 2000 tokens"]
    assert met["no answer above 10000 tokens"]
    assert "230 rows, 230 distinct" in section.targets[4].text
    assert len(section.rows) == len(scale.READS) + 4


def test_a_replay_without_its_trace_says_what_is_missing(tmp_path: Path) -> None:
    replay = importlib.import_module("benchmarks.replay")
    section = replay.replay(tmp_path / "none.csv")
    assert section.rows == ()
    assert "azure-llm-conv-2023.csv" in section.notes[0]


def test_a_replayed_day_of_bursts_spills_what_always_the_edge_would_miss(tmp_path: Path) -> None:
    replay = importlib.import_module("benchmarks.replay")
    trace = tmp_path / "trace.csv"
    lines = [
        f"2026-01-01 00:{second // 60:02}:{second % 60:02}.0000000,500,200" for second in range(500) for _ in range(5)
    ]
    trace.write_text(
        "\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *lines, "2026-01-01 00:59:00.0000000,9000,10"])
    )
    section = replay.replay(trace)
    assert all(goal.met for goal in section.targets if "no SLO" in goal.text), section.targets
    rows = {(size, policy): cells for size, policy, *cells in section.rows}
    assert float(rows["3", "always the edge"][1].rstrip("%")) > 50
    assert float(rows["3", "clairvoyant bound"][2].rstrip("%")) >= float(rows["3", "ours"][2].rstrip("%"))
    assert float(rows["24", "ours"][3].rstrip("%")) < float(rows["24", "ours"][2].rstrip("%"))
