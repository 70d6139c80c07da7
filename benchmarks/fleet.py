"""A fleet simulator: the real controller against the sandbox's API over HTTP, in virtual time, over many seeds of faults.

``python -m benchmarks.fleet --seeds 200 --nodes 47 --jobs 2`` runs it alone and prints its section; ``--write`` puts that into
``benchmarks/results.md``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

from ai_platform_mcp.domain.waves import CANARY_NODES, CANARY_PERCENT, TOLERATED_PERCENT
from benchmarks import fleet_faults as rates
from benchmarks import fleet_traffic as traffic
from benchmarks.fleet_run import run
from benchmarks.fleet_score import LAG, Score
from benchmarks.report import Section, Target

COMMAND = "python -m benchmarks.fleet --seeds 200 --nodes 47 --large-seeds 5 --large-nodes 1000 --jobs 2 --write"
SEEDS, NODES, LARGE_SEEDS, LARGE_NODES = 200, 47, 5, 1000


def fleet(
    seeds: int = SEEDS, nodes: int = NODES, large: int = LARGE_SEEDS, many: int = LARGE_NODES, jobs: int = 1
) -> Section:
    """Run so many seeds over a fleet of both sizes, and return what came of it."""
    small = simulate(range(1, seeds + 1), nodes, jobs)
    return section(small, simulate(range(1, large + 1), many, jobs))


def simulate(seeds: Iterable[int], nodes: int, jobs: int, kept: Path | None = None) -> list[Score]:
    """Run every seed, in so many processes, and return the scores by seed. Progress goes to standard error.

    What ``kept`` has of these seeds already is not run again; what is new is added to it as it comes.
    """
    wanted = list(seeds)
    found = [row for row in _kept(kept) if row.nodes == nodes and row.seed in wanted]
    done = {row.seed for row in found}
    for score in _runs([seed for seed in wanted if seed not in done], nodes, jobs):
        found.append(score)
        _told(score, len(found), len(wanted))
        if kept is not None:
            with kept.open("a") as file:
                file.write(json.dumps(asdict(score)) + "\n")
    return sorted(found, key=lambda row: row.seed)


def _kept(path: Path | None) -> list[Score]:
    return [Score(**json.loads(line)) for line in path.read_text().splitlines()] if path and path.exists() else []


def _runs(seeds: Sequence[int], nodes: int, jobs: int) -> Iterator[Score]:
    if jobs <= 1:
        yield from (run(seed, nodes) for seed in seeds)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for one in as_completed([pool.submit(run, seed, nodes) for seed in seeds]):
            yield one.result()


def _told(score: Score, place: int, of: int) -> None:
    told = f"{place}/{of}: seed {score.seed}, {score.nodes} nodes, {score.bad or 'good'}: {score.phase} {score.reason}"
    faults = "; ".join([*score.wrong, *score.left_wrong, *score.outside])
    print(f"{told}, {score.wall_seconds:.1f} s {faults}".rstrip(), file=sys.stderr, flush=True)


# ------------------------------------------------------------------------------------------------------------ the table


def section(small: Sequence[Score], large: Sequence[Score]) -> Section:
    """Return the section of both fleets; one of them may be empty."""
    columns = [scores for scores in (small, large) if scores]
    cells = [_column(scores) for scores in columns]
    every = [*small, *large]
    return Section(
        title="Edge rollouts over fleets with faults",
        how=_assumptions(),
        columns=("", *(f"{scores[0].nodes} nodes, {len(scores)} seeds" for scores in columns)),
        rows=tuple((name, *(cell[name] for cell in cells)) for name in cells[0]),
        targets=_targets(every),
        notes=_notes(every),
    )


def _column(scores: Sequence[Score]) -> dict[str, str]:
    bad, good = [row for row in scores if row.bad], [row for row in scores if not row.bad]
    late = sum(row.late for row in good)
    came = sum(row.late_converged for row in good)
    stopped = [row for row in bad if not row.beyond_canary]
    away = [seconds for row in good for seconds in row.late_times]
    nodes = scores[0].nodes
    measured = [row for row in bad if row.bad in rates.MEASURED]
    judged = [row for row in good if row.analysed]
    return {
        "ended: " + ", ".join(("succeeded", "rolled back", "held for a person", "other")): _ends(scores),
        "success or commit told wrongly": f"{sum(bool(row.wrong) for row in scores)} runs",
        "bad models that no node beyond the canary ran": _share(len(stopped), len(bad)),
        "… of those that only analysis can tell": _share(sum(not row.beyond_canary for row in measured), len(measured)),
        "nodes beyond the canary that ran a bad model, in all": str(sum(row.beyond_canary for row in bad)),
        "bad models that a rollout called a success": str(sum(row.phase == "Succeeded" for row in bad)),
        "good models rolled back": _share(sum(row.rolled_back for row in good), len(good)),
        "… by analysis, of those that had one": _share(sum(_by_analysis(row) for row in judged), len(judged)),
        "pauses because analysis could not tell: good / bad models": _pauses(judged, bad),
        "sites with a window: nodes that began to change / outside of it": _windows(scores),
        "nodes late at success that converged when they came back": _share(came, late),
        "… how long after they were back, p50 / p95": _times(away),
        "time until success of good models, p50 / p95": _times(
            _after([row for row in good if not row.windows], "Succeeded")
        ),
        "… where sites wait for their windows": _times(_after([row for row in good if row.windows], "Succeeded")),
        "time until bad models were rolled back, p50 / p95": _times(_after(bad, "RolledBack")),
        "requests per node and rollout: reads / writes / events": _rollout_calls(scores, nodes),
        "requests per node and hour at rest: reads / writes / events": _rest_calls(scores, nodes),
        "nodes in a wrong state at the end": str(sum(len(row.left_wrong) for row in scores)),
        "controllers killed / API servers killed / pauses answered": _counted(scores),
        "virtual time per run, p50 / most": f"{_hours(_median(row.lasted for row in scores))} / "
        f"{_hours(max(row.lasted for row in scores))}",
        "wall time per run, p50 / most": f"{_median(row.wall_seconds for row in scores):.1f} s / "
        f"{max(row.wall_seconds for row in scores):.1f} s",
    }


def _ends(scores: Sequence[Score]) -> str:
    ends = Counter(row.phase for row in scores)
    known = [ends.pop(phase, 0) for phase in ("Succeeded", "RolledBack", "Paused")]
    return ", ".join(str(count) for count in (*known, sum(ends.values())))


def _by_analysis(row: Score) -> bool:
    return row.rolled_back and row.reason == "analysis"


def _pauses(good: Iterable[Score], bad: Iterable[Score]) -> str:
    return " / ".join(str(sum(row.inconclusive for row in rows)) for rows in (good, bad))


def _windows(scores: Sequence[Score]) -> str:
    sites, began = sum(row.windows for row in scores), sum(row.began_in_windows for row in scores)
    return f"{sites} sites: {began} / {sum(len(row.outside) for row in scores)}"


def _after(scores: Iterable[Score], phase: str) -> list[float]:
    return [row.converged_after for row in scores if row.phase == phase and row.converged_after is not None]


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.0f}%)" if whole else "none"


def _times(values: Sequence[float]) -> str:
    if not values:
        return "–"
    ordered = sorted(values)
    return f"{_hours(statistics.median(ordered))} / {_hours(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))])}"


def _hours(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _median(values: Iterable[float]) -> float:
    return statistics.median(list(values))


def _rollout_calls(scores: Sequence[Score], nodes: int) -> str:
    return " / ".join(
        f"{_median(row.counts['rollout'].get(kind, 0) / nodes for row in scores):.1f}"
        for kind in ("read", "write", "event")
    )


def _rest_calls(scores: Sequence[Score], nodes: int) -> str:
    def rest(row: Score, kind: str) -> float:
        return (row.counts["all"].get(kind, 0) - row.counts["rollout"].get(kind, 0)) / nodes * 6

    return " / ".join(f"{_median(rest(row, kind) for row in scores):.1f}" for kind in ("read", "write", "event"))


def _counted(scores: Sequence[Score]) -> str:
    return " / ".join(str(sum(getattr(row, name) for row in scores)) for name in ("killed", "restarts", "answers"))


def _targets(scores: Sequence[Score]) -> tuple[Target, ...]:
    wrong = sum(bool(row.wrong) for row in scores)
    bad = [row for row in scores if row.bad]
    fooled = sum(row.phase == "Succeeded" for row in bad if row.bad != "picky")
    left = sum(len(row.left_wrong) for row in scores)
    outside = sum(len(row.outside) for row in scores)
    endless = sum(row.phase not in ("Succeeded", "RolledBack", "Paused", "Stopped") for row in scores)
    return (
        Target(
            f"no rollout tells success, and no node a commit, that is not so: {wrong} of {len(scores)} runs", not wrong
        ),
        Target(f"no model that is bad everywhere is called a success: {fooled} of {len(bad)}", not fooled),
        Target(f"no node is left in a wrong state: {left}", not left),
        Target(f"no node began to change outside of its site's window: {outside}", not outside),
        Target(f"every rollout comes to an end or to a person: {endless} did not", not endless),
    )


def _notes(scores: Sequence[Score]) -> tuple[str, ...]:
    causes = Counter(cause for row in scores if row.rolled_back and not row.bad for cause in row.causes)
    kinds = {kind: [row for row in scores if row.bad == kind] for kind in (*rates.BAD, *rates.MEASURED)}
    stopped = ", ".join(
        f"{kind} {sum(not row.beyond_canary for row in rows)} of {len(rows)}" for kind, rows in kinds.items() if rows
    )
    return (
        f"Bad models stopped within the canary, by kind: {stopped or 'none was drawn'}.",
        "What ailed the nodes for which good models were rolled back: "
        + (", ".join(f"{cause} {count}" for cause, count in causes.most_common()) or "none was")
        + ".",
        f"The whole measurement, on a quiet machine: `{COMMAND}`.",
    )


def _assumptions() -> str:
    def percent(share: float) -> str:
        return f"{share:.0%}" if share >= 0.01 else f"{share:.1%}"

    return (
        "The real controller and its adapter against the sandbox's API over HTTP on loopback, in virtual time; nodes are "
        "simulated, and only they know what they run. The rollout is what deploy_model applies in production for a version with "
        f"golden inputs. Sites in growing waves, the first a canary of about {CANARY_PERCENT}% but of {CANARY_NODES} nodes at "
        f"most, soak 10 min, probation 1 min, quorum 90%, {TOLERATED_PERCENT}% of the nodes (one at least) may fail beyond the "
        "canary, back to the release before where more do. Drawn per seed: a bad "
        f"model in {percent(rates.BAD_MODEL)} of the runs (ends at once, wrong answers, never ready, ends after 2 to 20 min, "
        f"ends at once on {percent(rates.PICKY_SHARE)} of the nodes; each as likely), a registry that throttles "
        f"{percent(rates.THROTTLED_SHARE)} of the nodes for 5 to 40 min ({percent(rates.THROTTLED_REGISTRY)}), up to "
        f"{rates.KILLS} kills of the controller before or after a random write, an API server that dies at a random write and is "
        f"away for 5 to 60 s ({percent(rates.API_RESTARTS)}), a second controller without a lease for up to 10 min "
        f"({percent(rates.SECOND_CONTROLLER)}), a person's pause of 5 to 60 min ({percent(rates.PAUSED_BY_A_PERSON)}), images "
        f"fetched ahead ({percent(rates.STAGED)}), {_measuring(percent)}, maintenance windows of 1 to 3 h a day at "
        f"{percent(rates.WINDOWED_SITES)} of the sites ({percent(rates.WINDOWED)}). "
        f"Drawn per node: offline at the start ({percent(rates.OFFLINE_AT_START)}: a "
        f"third for ever), goes and comes back within seconds to 6 h ({percent(rates.COMES_AND_GOES)}), flaps for up to 2 h "
        f"({percent(rates.FLAPS)}), loses power within a minute of activation ({percent(rates.VANISHES_WHEN_ACTIVATED)}, half "
        f"come back without their pods), a line on which the image takes 10 to 60 min ({percent(rates.SLOW_LINE)}; else about "
        f"1.5 min), broken for anything new ({percent(rates.BROKEN)}), another machine under the same name "
        f"({percent(rates.REPLACED)} of those that return). A word counts as wrong if it was for {LAG:.0f} s or more: a dead "
        "node counts as ready for 50 s in Kubernetes. A person answers pauses that nobody asked for after 30 min. Who comes "
        "back to a site that waits for its window is not counted among the late nodes."
    )


def _measuring(percent: Callable[[float], str]) -> str:
    return (
        f"analysis of errors and slow calls ({percent(rates.ANALYSED)}: the real adapter asks the sandbox's metrics store over "
        f"HTTP, which scrapes each node it reaches once a minute; nodes answer {traffic.LEAST_RATE:g} to {traffic.MOST_RATE:g} "
        f"calls/s, of which {percent(traffic.FAILS)} fail and {percent(traffic.SLOW)} are slow, and "
        f"{percent(rates.BAD_BY_MEASURE)} of these runs bring a model that is bad by this alone: "
        f"{percent(traffic.FAILS_WHERE_BAD)} fail, or {percent(traffic.SLOW_WHERE_BAD)} are slow)"
    )


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    options.add_argument("--seeds", type=int, default=SEEDS)
    options.add_argument("--nodes", type=int, default=NODES)
    options.add_argument("--large-seeds", type=int, default=0, help="seeds of the second, larger fleet")
    options.add_argument("--large-nodes", type=int, default=LARGE_NODES)
    options.add_argument("--jobs", type=int, default=1, help="processes at a time")
    options.add_argument("--scores", type=Path, help="keep every run's score there, as JSON lines, and go on from them")
    options.add_argument("--write", action="store_true", help="put the section into benchmarks/results.md")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the simulator by itself."""
    from rich.console import Console

    from benchmarks.report import facts, load, put, show

    chosen = _options().parse_args(arguments)
    before, began = facts(), time.perf_counter()
    small = simulate(range(1, chosen.seeds + 1), chosen.nodes, chosen.jobs, chosen.scores)
    large = simulate(range(1, chosen.large_seeds + 1), chosen.large_nodes, chosen.jobs, chosen.scores)
    found = section(small, large)
    show(found, Console(width=160))
    if chosen.write:
        ran = f"This section is from a run of its own: {'; '.join(f'{name} {value}' for name, value in before.items())}"
        seconds = time.perf_counter() - began
        put(Path(__file__).parent / "results.md", found, f"{ran} → {load()}; {seconds / 60:.0f} min in all.")


if __name__ == "__main__":
    main()
