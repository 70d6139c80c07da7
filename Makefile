# The two commands of the README: `make demo` and `make test`. Both work from a bare checkout with git, make and Python 3.11+.
BIN := .venv/bin

.PHONY: help demo test test-real check format lint types imports policies contracts bench lock clean

help:            ## say what there is
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/'

.venv/.runtime: pyproject.toml uv.lock requirements.lock
	@scripts/install runtime

.venv/.dev: pyproject.toml uv.lock requirements.lock
	@scripts/install dev

demo: .venv/.runtime  ## play the whole flow on this machine
	@$(BIN)/platform demo

test: .venv/.dev  ## run every test
	@$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder

.venv-real/.real: uv.lock requirements.lock
	@[ -n "$(MLFLOW_TRACKING_URI)$(MLFLOW_COMMAND)" ] || scripts/install real || echo "No full MLflow; its tests will skip." >&2

# One cluster that is given is one world: then one process, since its tests would meet in it.
test-real: .venv/.dev .venv-real/.real  ## run every suite over [sandbox, real], and say what ran on what
	@$(BIN)/python -m pytest -q -m system $(if $(TEST_KUBECONFIG),,-n 2 --dist loadfile)

check: .venv/.dev  ## everything CI could object to
	@$(BIN)/ruff format --check src tests benchmarks scripts
	@$(BIN)/ruff check src tests benchmarks scripts
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/platform policy test
	@$(BIN)/python scripts/contracts.py --check
	@$(MAKE) --no-print-directory test

contracts: .venv/.dev  ## write tools/*.json and the README's tool table
	@$(BIN)/python scripts/contracts.py

bench: .venv/.dev  ## measure, and write benchmarks/results.md (`python -m benchmarks NAME …` for some of it)
	@$(BIN)/python -m benchmarks

lock:            ## refresh uv.lock and requirements.lock (needs uv)
	@uv lock
	@uv export --quiet --frozen --all-extras --no-emit-project --no-annotate --no-header -o requirements.lock

clean:           ## remove what was installed
	@rm -rf .venv .venv-real
