"""``python -m ai_platform_mcp.sandbox``: run the sandbox of one state folder until told to stop."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m ai_platform_mcp.sandbox")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--fill-registry", action="store_true", help="only fill the registry, and end")
    parser.add_argument("--speed", type=float, default=3600.0, help="seconds of work that pass in one second")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    os.umask(0o077)

    if options.fill_registry:
        from datetime import UTC, datetime

        from ai_platform_mcp.sandbox.mlflow_store import seed_registry
        from ai_platform_mcp.sandbox.process import mlflow_uri

        seed_registry(mlflow_uri(options.state_dir), datetime.now(UTC))
        return

    import anyio

    from ai_platform_mcp.sandbox.service import serve

    anyio.run(serve, options.state_dir, options.speed)


if __name__ == "__main__":
    main()
