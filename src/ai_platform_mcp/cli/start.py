"""What both commands do first. Imports nothing that weighs: the server's start is measured."""

from __future__ import annotations

import logging
import sys


def start_logging(verbose: bool) -> None:
    """Log to standard error, plainly; done before anything else so that no library installs its own handlers."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
