# The course from a fresh clone: `make book` or `make test`. Each target makes the environment it needs, once.
# What it runs is plain Python; README.md lists the commands for those who have no make.

PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
# Written last, so an interrupted installation starts again; older than its two sources, it is out of date.
INSTALLED := $(VENV)/.installed
NOTEBOOKS := notebooks exercises solutions

.DEFAULT_GOAL := help
.PHONY: help book serve pdf check test test-all lab colab bench clean

help:
	@echo "make book       build the book into _build/html"
	@echo "make serve      show the built book at http://localhost:$(PORT)"
	@echo "make pdf        print the built book into one PDF, _build/pdf/masking-the-future.pdf"
	@echo "make check      run the tests that your change touches"
	@echo "make test       run every test"
	@echo "make test-all   the same with many random examples, then plant faults in lib, each of which a test must catch"
	@echo "make lab        open the notebooks in JupyterLab"
	@echo "make colab      run each notebook alone with the versions that Colab has"
	@echo "make bench      measure speed and memory against other libraries (a long run; nothing else should run)"
	@echo "make clean      remove what was built; the environment stays in $(VENV)"

book: $(INSTALLED)
	@echo "== Building the book: every chapter is run, then its pages are written"
	@$(BIN)/jupyter-book build . --toc book/_toc.yml --config _config.yml -W
	@echo "== The book is ready. Open $(CURDIR)/_build/html/index.html, or run: make serve"

serve:
	@test -f _build/html/index.html || { echo "The book is not built yet. Run: make book"; exit 1; }
	@echo "== The book is at http://localhost:$(PORT) (stop with Ctrl-C)"
	@$(PYTHON) -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

pdf: $(INSTALLED)
	@echo "== Printing the book into one PDF"
	@$(BIN)/python book/_ext/pdf.py

# What `make check` and `make test` begin with.
define STATIC
	@echo "== 1/3 Style of code and notebooks, and imports that flow down"
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@echo "== 2/3 What is derived, and the rules for notebooks"
	@$(BIN)/python -m lib repository --check
	@$(BIN)/python -m lib exercises --check
	@$(BIN)/python -m lib ledger --check
	@$(BIN)/python -m lib zoo --check
	@$(BIN)/python -m lib concept_test --check
	@$(BIN)/python -m lib notebooks --check
endef

check: $(INSTALLED)
	$(STATIC)
	@echo "== 3/3 The tests that the change touches"
	@$(BIN)/python tests/touched.py
	@echo "== make check: all passed"

test: $(INSTALLED)
	$(STATIC)
	@echo "== 3/3 The tests, and every notebook run and compared with what it stores"
	@$(BIN)/python -m pytest --nbval --nbval-current-env --nbval-cell-timeout=120 -n auto --max-worker-restart=0 tests $(NOTEBOOKS)
	@echo "== make test: all passed"

test-all: export HYPOTHESIS_PROFILE := thorough
test-all: test
	@echo "== Faults in lib, one at a time: each must make a test fail"
	@$(BIN)/python tests/mutation/run.py
	@echo "== make test-all: every fault was caught"

lab: $(INSTALLED)
	@echo "== Opening JupyterLab on the first chapter (stop with Ctrl-C)"
	@# Lab would ask whether it may fetch news from elsewhere. Switched off in this environment alone.
	@$(BIN)/jupyter labextension disable @jupyterlab/apputils-extension:announcements
	@$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks/01_weighted_values.ipynb

colab: $(INSTALLED)
	@echo "== Running each notebook alone with the versions that Colab has"
	@$(BIN)/python tests/colab/run.py

bench: $(INSTALLED)
	@echo "== Measuring speed and memory; the other libraries are installed into .venv-bench"
	@$(BIN)/python tests/benchmarks/run.py

clean:
	@echo "== Removing what was built"
	@rm -rf _build .pytest_cache .hypothesis .ruff_cache

$(INSTALLED): requirements.txt pyproject.toml
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) was not found. Install Python 3.11 or newer."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "The course needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) --version 2>&1`."; \
	  echo "If you have a newer one, name it, for example: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2> /dev/null || { \
	  echo "$(PYTHON) cannot make environments: its modules venv and ensurepip are not installed."; \
	  echo "On Debian and Ubuntu: sudo apt install python3-venv. Then run this again."; exit 1; }
	@echo "== 1/2 Making the environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@echo "== 2/2 Installing requirements.txt (the first time takes minutes; README.md tells the size)"
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -r requirements.txt
	@# Matplotlib lists its fonts once for each user. Done in a notebook, it might warn there that this takes a while.
	@$(BIN)/python -c 'import matplotlib.font_manager'
	@touch $@
