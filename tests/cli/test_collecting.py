"""What a long collection has found alive is not looked at again: else a server that keeps much stops for ever longer."""

from __future__ import annotations

import subprocess
import sys

KEEP = """
import gc
from ai_platform_mcp.cli import collecting
collecting.LONG = {long}
collecting.collect_from_here_on()
imported = gc.get_freeze_count()
kept = [{{"a": {{}}, "b": []}} for _ in range(100_000)]
print(gc.get_freeze_count() - imported)
"""


def frozen(long: float) -> int:
    done = subprocess.run([sys.executable, "-c", KEEP.format(long=long)], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_after_a_long_collection_what_is_kept_is_left_out_and_after_a_short_one_it_is_not():
    assert frozen(0.0) > 100_000
    assert frozen(3600.0) == 0
