# make demo: the whole way on generated cells. make docs: the site of the documents, into site/. make test: lint, types,
# tests. make notebooks: run the notebooks and store what they show. Each sets up .venv first; test sets up .venv-edge and
# .venv-openvino too, for the runtimes that have to do without TensorFlow, .venv-bioimageio for bioimageio.core, which
# wants an older pydantic than ours, and .venv-serving for clients and a server that want another protobuf than ours.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SHELL := bash
.SHELLFLAGS := -o pipefail -ec
# Of what pip says the newest line alone, on a terminal; all of it is in pip.log, and the end is shown where it fails.
ONE_LINE := if [ -t 1 ]; then while IFS= read -r line; do printf '\r\033[K%.76s' "$$line"; done; printf '\r\033[K'; else cat > /dev/null; fi
install = $(PIP) install -c requirements.txt -e $(1) 2>&1 | tee $(VENV)/pip.log | { $(ONE_LINE); } || { tail -n 40 $(VENV)/pip.log; exit 1; }

# Nets of the tests are tiny: more threads than one for each process take time and give none. Three processes, because
# some tests wait for servers and signals. Bytecode is kept, whatever the environment says: many processes import the
# package.
TEST_SETTINGS := TF_NUM_INTRAOP_THREADS=1 OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=

.PHONY: demo docs test format notebooks clean

demo: $(VENV)/installed
	@$(BIN)/unet-tf demo --overwrite
	@echo "Open:   file://$(CURDIR)/runs/demo/report.html"

docs: $(VENV)/installed-docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "Open:   file://$(CURDIR)/site/index.html"

test: $(VENV)/installed-test $(VENV)-edge/installed $(VENV)-openvino/installed $(VENV)-bioimageio/installed $(VENV)-serving/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(TEST_SETTINGS) $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: $(VENV)/installed-test
	$(BIN)/python notebooks/store.py

clean:
	rm -rf $(VENV) $(VENV)-edge $(VENV)-openvino $(VENV)-bioimageio $(VENV)-serving build site *.egg-info

$(VENV)/installed: setup.cfg pyproject.toml requirements.txt | $(BIN)/python
	@echo "Installing unet-tf and TensorFlow into $(VENV): about 2 GB, a few minutes."
	@$(call install,.)
	@touch $@

$(VENV)/installed-docs: setup.cfg pyproject.toml requirements.txt | $(BIN)/python
	@echo "Installing unet-tf and what builds its documents into $(VENV)."
	@$(call install,'.[docs]')
	@touch $@ $(VENV)/installed

$(VENV)/installed-test: setup.cfg pyproject.toml requirements.txt | $(BIN)/python
	@echo "Installing unet-tf and what its tests need into $(VENV): about 4 GB, some minutes."
	@$(call install,'.[test]')
	@touch $@ $(VENV)/installed $(VENV)/installed-docs

$(VENV)-edge/installed: setup.cfg requirements.txt | $(BIN)/python
	$(BIN)/python -m venv $(VENV)-edge
	$(VENV)-edge/bin/python -m pip install -c requirements.txt ai-edge-litert lazy-loader numpy opencv-python-headless
	$(VENV)-edge/bin/python -m pip install --no-deps -e .
	touch $@

$(VENV)-openvino/installed: requirements.txt | $(BIN)/python
	$(BIN)/python -m venv $(VENV)-openvino
	$(VENV)-openvino/bin/python -m pip install -c requirements.txt openvino numpy
	touch $@

$(VENV)-bioimageio/installed: tests/exporting/requirements.txt | $(BIN)/python
	$(BIN)/python -m venv $(VENV)-bioimageio
	$(VENV)-bioimageio/bin/python -m pip install -c $< bioimageio.core jax keras onnxruntime
	touch $@

# The path file lets kserve find the TensorFlow of .venv after all that is its own.
$(VENV)-serving/installed: tests/serving/requirements.txt | $(BIN)/python
	$(BIN)/python -m venv $(VENV)-serving
	$(VENV)-serving/bin/python -m pip install -c $< kserve ovmsclient schemathesis 'tritonclient[http]'
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> $$($(VENV)-serving/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tensorflow_of_ours.pth
	touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; (3, 11) <= v < (3, 14) or sys.exit(f"unet_tf runs on Python 3.11 to 3.13; $(PYTHON) is {v[0]}.{v[1]}. Choose one: make PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Debian and Ubuntu keep venv in a package of its own: apt install python3-venv"; exit 1; }
