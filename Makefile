# did_tf: every target sets up what it needs. `make` lists them.

PYTHON ?= python3
VENV ?= .venv
RUN_IN = $(VENV)/bin/python
# tensorflow-addons needs Python 3.9 to 3.11.
ADDONS_PYTHON ?= $(shell for p in python3.11 python3.10 python3.9 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 11))' 2>/dev/null && echo $$p && break; done)

EXP ?=
DATA ?=
RUN ?=
SPLIT ?= val
INPUT ?=
OUTPUT ?=
DATASET ?= camvid
IMAGES ?=
LABELS ?=
TABLE ?=
ARGS ?=
COMMON = --experiment="$(EXP)" $(if $(DATA),--data="$(DATA)") $(if $(RUN),--run="$(RUN)")

.DEFAULT_GOAL := help
.PHONY: help setup demo train evaluate predict export submit data describe-data check-data prepare show-data \
	tensorboard test test-slow test-addons lint format bench receptive-field table clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'
	@echo '  Settings: EXP=experiment[:arg] DATA=dir RUN=dir ARGS="--config.train.batch_size=4"'

setup: $(VENV)/.ready ## create .venv with everything needed (the other targets do it by themselves)

$(VENV)/.ready: setup.py
	$(PYTHON) -m venv $(VENV)
	$(RUN_IN) -m pip install --quiet --upgrade pip
	$(RUN_IN) -m pip install -qq -e .[test]
	@touch $@

demo: setup ## the whole story in minutes on a CPU, with built-in data: train, evaluate, predict, export, serve
	$(RUN_IN) -m did_tf.demo $(if $(RUN),--run="$(RUN)")

train: setup ## train EXP into RUN (default runs/EXP); run again, it goes on
	$(RUN_IN) -m did_tf.train $(COMMON) $(ARGS)

evaluate: setup ## score a run on SPLIT (default val)
	$(RUN_IN) -m did_tf.evaluate $(COMMON) --split="$(SPLIT)" $(ARGS)

predict: setup ## segment INPUT (an image or a folder) into OUTPUT
	$(RUN_IN) -m did_tf.predict $(COMMON) $(if $(INPUT),--input="$(INPUT)") $(if $(OUTPUT),--output="$(OUTPUT)") $(ARGS)

export: setup ## write a run as a SavedModel
	$(RUN_IN) -m did_tf.export_model $(COMMON) $(ARGS)

data: setup ## fetch DATASET into DATA (default data/DATASET)
	$(RUN_IN) -m data_pipelines.fetch --dataset="$(DATASET)" $(if $(DATA),--folder="$(DATA)") $(ARGS)

describe-data: setup ## draft DATA/dataset.yaml for your own images and labels, in the folders IMAGES and LABELS
	$(RUN_IN) -m data_pipelines.describe $(if $(IMAGES),--images="$(IMAGES)") $(if $(LABELS),--labels="$(LABELS)") \
		$(if $(DATA),--folder="$(DATA)") $(ARGS)

check-data: setup ## audit DATASET in DATA: bad files, unknown ids, duplicates, class shares and weights, contact sheet
	$(RUN_IN) -m data_pipelines.audit --dataset="$(DATASET)" $(if $(DATA),--folder="$(DATA)") \
		$(if $(OUTPUT),--output="$(OUTPUT)") $(ARGS)

prepare: setup ## write DATASET, or the data of EXP, as TFRecords into OUTPUT (larger than memory; run again, it goes on)
	$(RUN_IN) $(if $(EXP),-m did_tf.prepare $(COMMON),-m data_pipelines.prepare --dataset="$(DATASET)" \
		$(if $(DATA),--folder="$(DATA)")) $(if $(OUTPUT),--output="$(OUTPUT)") $(ARGS)

show-data: setup ## pictures of what training with EXP sees: crops with their labels, and draws of the augmentation
	$(RUN_IN) -m did_tf.show_data $(COMMON) $(if $(OUTPUT),--output="$(OUTPUT)") $(ARGS)

submit: setup ## label SPLIT (default test) as EXP's benchmark wants it: files written, checked and packed
	$(RUN_IN) -m did_tf.submit $(COMMON) $(if $(filter-out file,$(origin SPLIT)),--split="$(SPLIT)") \
		$(if $(OUTPUT),--output="$(OUTPUT)") $(ARGS)

receptive-field: setup ## what EXP's output sees: theoretical field, gradient and gridding, with a picture
	$(RUN_IN) -m did_tf.receptive_field $(COMMON) $(ARGS)

table: setup ## every row of the papers' tables, or of TABLE: parameters, cost, field and best run beside the paper's
	$(RUN_IN) -m did_tf.table $(if $(TABLE),--tables="$(TABLE)") $(ARGS)

tensorboard: setup ## curves and pictures of RUN (default all of runs/)
	$(VENV)/bin/tensorboard --logdir "$(or $(RUN),runs)"

test: setup ## lint and the fast tests, on two cores under ten minutes
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	$(RUN_IN) -m pytest -q -n 2 --dist=worksteal -m "not slow" $(ARGS)

test-slow: setup ## the tests that take minutes or need the real CamVid (DID_TF_CAMVID=dir)
	$(RUN_IN) -m pytest -q -m slow $(ARGS)

test-addons: ## the fast tests on TensorFlow 2.15 with tensorflow-addons, in an environment of their own
	@test -n "$(ADDONS_PYTHON)" || { echo "error: no Python 3.9 to 3.11 found; set ADDONS_PYTHON=path" >&2; exit 2; }
	test -f .venv-addons/.ready -a .venv-addons/.ready -nt setup.py || { \
		$(ADDONS_PYTHON) -m venv .venv-addons && \
		.venv-addons/bin/python -m pip install --quiet --upgrade pip && \
		.venv-addons/bin/python -m pip install -qq -e .[addons,test] && touch .venv-addons/.ready; }
	.venv-addons/bin/python -m pytest -q -n 2 --dist=worksteal -m "not slow" $(ARGS)

lint: setup ## check style
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .

format: setup ## rewrite in the project's style
	$(VENV)/bin/ruff check --fix . && $(VENV)/bin/ruff format .

bench: setup ## measure speed and memory
	$(RUN_IN) -m benchmarks.run $(ARGS)

clean: ## delete the environments (runs and data stay)
	rm -rf .venv .venv-addons *.egg-info
