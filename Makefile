# did_tf: every target sets up what it needs. `make` lists them.

PYTHON ?= python3
VENV ?= .venv
RUN_IN = $(VENV)/bin/python
# A path, or a version, which uv finds or fetches. tensorflow-addons needs 3.10 or 3.11.
python_of = $(or $(lastword $(wildcard $(HOME)/.pyenv/versions/$(1).*/bin/python)),$(1))
ADDONS_PYTHON ?= $(call python_of,3.11)
OLDEST_PYTHON ?= $(call python_of,3.10)
# What the CRF is compiled with has none of 3.13.
EXTRAS_PYTHON ?= $(call python_of,3.12)

EXP ?=
DATA ?=
RUN ?=
RUNS ?=
WORKERS ?=
FOLDS ?=
SPLIT ?= val
INPUT ?=
HOURS ?=
OUTPUT ?=
FORMAT ?=
DATASET ?= camvid
IMAGES ?=
LABELS ?=
TABLE ?=
CASES ?=
FILE ?= did_tf/training/losses.py
A ?=
B ?=
ARGS ?=
# What is given reaches the programs as it is, dollars included: make reads none of it.
override ARGS := $(value ARGS)
export ARGS
# The value of a variable for the shell, in quotes; and as an option, where there is one.
quoted = '$(subst ','\'',$(value $(1)))'
option = $(if $(value $(2)),$(1)=$(call quoted,$(2)))
# A command, which gets ARGS with its quotes read as a shell would; the shell itself would trip over parentheses.
define SPLIT_ARGS
import os, shlex, sys
try:
    command = sys.argv[1:] + shlex.split(os.environ["ARGS"])
except ValueError as error:
    print(f"error: ARGS={os.environ['ARGS']}: {error}", file=sys.stderr)
    sys.exit(2)
os.execv(command[0], command)
endef
export SPLIT_ARGS
WITH_ARGS = @$(PYTHON) -c "$$SPLIT_ARGS"
COMMON = --experiment=$(call quoted,EXP) $(call option,--data,DATA) $(call option,--run,RUN)

.DEFAULT_GOAL := help
.PHONY: help setup demo doctor plan train cross-validate evaluate predict video export serve submit compare search \
	search-crf data describe-data check-data prepare show-data tensorboard test test-slow test-addons test-oldest \
	test-extras test-cases lint format docs bench bench-peers bench-compare mutate fuzz-test fault-test long-run audit \
	receptive-field table cost draw clean

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
	$(WITH_ARGS) $(RUN_IN) -m did_tf demo $(call option,--run,RUN)

doctor: setup ## is all there that did_tf needs? Software, devices, memory, disk, data of EXP; trains for ten seconds
	$(WITH_ARGS) $(RUN_IN) -m did_tf doctor $(if $(value EXP),$(COMMON),$(call option,--data,DATA) $(call option,--run,RUN))

plan: setup ## for the data, this machine and HOURS: an experiment, with its reasons, into OUTPUT (default plan.py)
	$(WITH_ARGS) $(RUN_IN) -m did_tf plan $(call option,--experiment,EXP) $(call option,--data,DATA) \
		$(call option,--hours,HOURS) $(call option,--output,OUTPUT)

train: setup ## train EXP into RUN (default runs/EXP); run again, it goes on; WORKERS=2: as so many processes
	$(WITH_ARGS) $(RUN_IN) -m did_tf train $(COMMON) $(call option,--workers,WORKERS) $(call option,--hours,HOURS)

cross-validate: setup ## train and score EXP by folds (FOLDS=5) of your own DATA into RUN, which is then all of them as one
	$(WITH_ARGS) $(RUN_IN) -m did_tf cross-validate $(COMMON) $(call option,--folds,FOLDS)

evaluate: setup ## score a run on SPLIT (default val)
	$(WITH_ARGS) $(RUN_IN) -m did_tf evaluate $(COMMON) --split=$(call quoted,SPLIT)

predict: setup ## segment INPUT (an image or a folder) into OUTPUT
	$(WITH_ARGS) $(RUN_IN) -m did_tf predict $(COMMON) $(call option,--input,INPUT) $(call option,--output,OUTPUT)

video: setup ## segment the video or the frames INPUT by RUN into the video OUTPUT
	$(WITH_ARGS) $(RUN_IN) -m did_tf video $(call option,--run,RUN) $(call option,--input,INPUT) $(call option,--output,OUTPUT)

export: setup ## write a run as a SavedModel, or as FORMAT: onnx, openvino, litert, all, or several with commas
	$(WITH_ARGS) $(RUN_IN) -m did_tf export $(COMMON) $(call option,--format,FORMAT) $(call option,--output,OUTPUT)

serve: setup ## label images that come by HTTP with the network of RUN, a run or a SavedModel; a page to try it on
	$(WITH_ARGS) $(RUN_IN) -m did_tf serve $(call option,--run,RUN)

data: setup ## fetch DATASET into DATA (default data/DATASET)
	$(WITH_ARGS) $(RUN_IN) -m did_tf data --dataset=$(call quoted,DATASET) $(call option,--folder,DATA)

describe-data: setup ## draft DATA/dataset.yaml for your own images and labels, in the folders IMAGES and LABELS
	$(WITH_ARGS) $(RUN_IN) -m did_tf describe-data $(call option,--images,IMAGES) $(call option,--labels,LABELS) \
		$(call option,--folder,DATA)

check-data: setup ## audit DATASET in DATA: bad files, unknown ids, duplicates, class shares and weights, contact sheet
	$(WITH_ARGS) $(RUN_IN) -m did_tf check-data --dataset=$(call quoted,DATASET) $(call option,--folder,DATA) \
		$(call option,--output,OUTPUT)

prepare: setup ## write DATASET, or the data of EXP, as TFRecords into OUTPUT (larger than memory; run again, it goes on)
	$(WITH_ARGS) $(RUN_IN) -m did_tf prepare $(if $(value EXP),$(COMMON),--dataset=$(call quoted,DATASET) \
		$(call option,--folder,DATA)) $(call option,--output,OUTPUT)

show-data: setup ## pictures of what training with EXP sees: crops with their labels, and draws of the augmentation
	$(WITH_ARGS) $(RUN_IN) -m did_tf show-data $(COMMON) $(call option,--output,OUTPUT)

submit: setup ## label SPLIT (default test) as EXP's benchmark wants it: files written, checked and packed
	$(WITH_ARGS) $(RUN_IN) -m did_tf submit $(COMMON) $(if $(filter-out file,$(origin SPLIT)),--split=$(call quoted,SPLIT)) \
		$(call option,--output,OUTPUT)

compare: setup ## compare RUNS on SPLIT: what each class gains on the first, pictures of where they differ, into OUTPUT
	$(WITH_ARGS) $(RUN_IN) -m did_tf compare $(call option,--runs,RUNS) $(call option,--data,DATA) \
		--split=$(call quoted,SPLIT) $(call option,--output,OUTPUT)

search: setup ## find the best of chosen settings of EXP within HOURS; ARGS="--over=KEY=LOW..HIGH --trial_hours=0.2"
	$(WITH_ARGS) $(RUN_IN) -m did_tf search $(COMMON) $(call option,--hours,HOURS)

search-crf: setup ## find the parameters of the CRF (evaluate ARGS=--crf) for EXP on its validation split
	$(WITH_ARGS) $(RUN_IN) -m did_tf search-crf $(COMMON)

receptive-field: setup ## what EXP's output sees: theoretical field, gradient and gridding, with a picture
	$(WITH_ARGS) $(RUN_IN) -m did_tf receptive-field $(COMMON)

table: setup ## the papers' tables, or TABLE: cost, field and best run beside the paper's figures; into OUTPUT as a ledger
	$(WITH_ARGS) $(RUN_IN) -m did_tf table $(call option,--tables,TABLE) $(call option,--output,OUTPUT)

cost: setup ## what EXP's network costs: parameters, multiply-adds, memory; ARGS=--measure=both: time and memory here
	$(WITH_ARGS) $(RUN_IN) -m did_tf cost $(COMMON)

draw: setup ## pictures of EXP's network: its blocks, what each layer sees, and the activation maps of an image
	$(WITH_ARGS) $(RUN_IN) -m did_tf draw $(COMMON)

tensorboard: setup ## curves and pictures of RUN (default all of runs/)
	$(WITH_ARGS) $(VENV)/bin/tensorboard --logdir $(if $(value RUN),$(call quoted,RUN),runs)

test: lint ## lint and the fast tests, on two cores about a quarter of an hour
	$(WITH_ARGS) $(RUN_IN) -m pytest -q -n 2 --dist=worksteal -m "not slow"

test-slow: setup ## the tests that take minutes or need the real CamVid (DID_TF_CAMVID=dir)
	$(WITH_ARGS) $(RUN_IN) -m pytest -q -m slow

test-addons: .venv-addons/.ready ## the fast tests on TensorFlow 2.15 with tensorflow-addons, in .venv-addons
	$(WITH_ARGS) .venv-addons/bin/python -m pytest -q -n 2 --dist=worksteal -m "not slow"

test-oldest: .venv-oldest/.ready ## the fast tests on the lowest versions that setup.py admits, in .venv-oldest
	$(WITH_ARGS) .venv-oldest/bin/python -m pytest -q -n 2 --dist=worksteal -m "not slow"

# tests/test_makefile.py compares them with those that skip a test without such a package.
EXTRAS = $(addprefix tests/,benchmarks/test_arguments.py data_pipelines/reading/test_shapes.py programs/test_crf_run.py \
	test_mutation.py $(patsubst %,inference/test_%.py,crf each_format litert onnx_file open_vino))

test-extras: .venv-extras/.ready ## the tests that need ONNX, OpenVINO, LiteRT, the CRF or pycocotools, in .venv-extras
	$(WITH_ARGS) .venv-extras/bin/python -m pytest -q -n 2 --dist=worksteal $(EXTRAS)

test-cases: setup ## each folder of small inputs in CASES, from its images and labels to predictions, a line for each
	$(WITH_ARGS) $(RUN_IN) -m tests.cases $(call quoted,CASES)

.venv-addons/.ready: WITH_PYTHON = $(ADDONS_PYTHON)
.venv-addons/.ready: WANTED = -e .[addons,test]
.venv-oldest/.ready: WITH_PYTHON = $(OLDEST_PYTHON)
.venv-oldest/.ready: WANTED = --resolution=lowest-direct -e .[test]
.venv-extras/.ready: WITH_PYTHON = $(EXTRAS_PYTHON)
.venv-extras/.ready: WANTED = -e .[test,crf,litert,mutation,onnx,openvino] pycocotools
.venv-addons/.ready .venv-extras/.ready .venv-oldest/.ready: setup.py | setup
	$(RUN_IN) -m pip install -qq uv
	$(VENV)/bin/uv venv --quiet --clear --seed --python "$(WITH_PYTHON)" $(@D)
	$(VENV)/bin/uv pip install --quiet --python $(@D)/bin/python $(WANTED)
	@touch $@

lint: setup ## check style, types, and which room imports which
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/mypy

format: setup ## rewrite in the project's style
	$(VENV)/bin/ruff check --fix . && $(VENV)/bin/ruff format .

docs: $(VENV)/.docs ## build the documentation as a site, strict: site/index.html
	$(RUN_IN) -m sphinx -q -E -W --keep-going docs site

$(VENV)/.docs: $(VENV)/.ready
	$(RUN_IN) -m pip install -qq -e .[docs]
	@touch $@

bench: setup ## measure speed and memory of every network; ARGS=peers: of DID beside PyTorch, OpenVINO and others
	$(WITH_ARGS) $(RUN_IN) -m benchmarks.run

bench-peers: setup ## did_tf and others trained on DATA for an equal time, ARGS=--minutes=20, and scored alike, into OUTPUT
	$(WITH_ARGS) $(RUN_IN) -m benchmarks.comparison $(if $(value OUTPUT),$(call quoted,OUTPUT),runs/comparison) \
		--dataset=$(call quoted,DATASET) $(call option,--data,DATA)

bench-compare: setup ## say which differences between the reports A and B of `make bench` exceed the noise
	$(WITH_ARGS) $(RUN_IN) -m benchmarks.report $(call quoted,A) $(call quoted,B)

fault-test: setup ## kill trainings, fail their disk, damage their files, and count what is lost; ARGS=--seconds=300: in pieces
	$(WITH_ARGS) $(RUN_IN) -m benchmarks.faults

fuzz-test: setup ## 100,000 inputs that nobody means, to all that reads foreign bytes: none may crash, hang or write elsewhere
	$(WITH_ARGS) $(RUN_IN) -m tests.fuzz

long-run: setup ## train the smallest network for 20,000 steps: do memory, files and threads stay as they are?
	$(WITH_ARGS) $(RUN_IN) -m benchmarks.long_run

audit: .venv-audit/.ready ## known vulnerabilities and licences of what did_tf needs (the former need a network)
	$(WITH_ARGS) $(RUN_IN) -m benchmarks.dependencies

.venv-audit/.ready: Makefile | setup
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install -qq pip-audit==2.10.1 pip-licenses==5.5.5
	@touch $@

mutate: $(VENV)/.mutation ## change FILE (default the losses) in one place at a time, and tell which changes no test of it notices
	$(WITH_ARGS) $(RUN_IN) -m benchmarks.mutation $(call quoted,FILE)

$(VENV)/.mutation: $(VENV)/.ready
	$(RUN_IN) -m pip install -qq -e .[mutation]
	@touch $@

clean: ## delete the environments (runs and data stay)
	rm -rf .venv .venv-addons .venv-extras .venv-oldest .venv-audit .bench-env *.egg-info
