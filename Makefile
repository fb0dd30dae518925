# The map of the pipeline: one line a stage. `make` prints help.
PROFILE     ?= demo
INPUT       ?= input
SOLUTION    ?=
WORKING     ?= working
SUBMISSIONS ?= submissions
SET         ?=
FOLDS       ?=
BUDGET_HOURS ?=
VENV        ?= .venv
VENV_KAGGLE ?= .venv-kaggle
HIDDEN      ?=
# the first of these that runs: a name on PATH may be a shim without an interpreter behind it
PYTHON      ?= $(shell for p in python3.12 python3.11 python3; do $$p -c '' 2>/dev/null && echo $$p && break; done)

PY        := $(VENV)/bin/python
CXR       := $(PY) -m cxr
OVERRIDES := $(strip $(SET) $(if $(FOLDS),folds.count=$(FOLDS)) $(if $(BUDGET_HOURS),budget.hours=$(BUDGET_HOURS)))
RUNS      := $(WORKING)/$(PROFILE)/runs
INSTALLED := $(VENV)/installed

export NO_ALBUMENTATIONS_UPDATE := 1
export PYTHONHASHSEED := 0
# bars go to logs here: a line every few seconds is enough
export TQDM_MININTERVAL ?= 5
export PYTHONPATH := $(abspath src)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.NOTPARALLEL:
.PHONY: help setup all systems html app kaggle rehearse ablations grid tensorboard test test-all fuzz kills container lint bench peers lab clean FORCE

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20
	@echo '  variables: PROFILE=demo|kaggle|paper|full INPUT=dir SOLUTION=csv WORKING=dir SUBMISSIONS=dir FOLDS=n'
	@echo '             SET="yolo.epochs=3 study.size=320" BUDGET_HOURS=9 PYTHON=python3.12 VENV=.venv'
	@echo '             KAGGLE_USER=name HIDDEN=dir'

# ---------------------------------------------------------------------------------------------------- environment
setup: $(INSTALLED) ## the environment alone, in .venv

$(INSTALLED): requirements.txt requirements.lock
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh setup.sh
	@touch $@

# --------------------------------------------------------------------------------------------------------- stages
# $(call stage,notebook,notebooks that it follows,profile sections that it reads; `members`: input/members)
# stages from 20 on stand beside the submission: `make systems`
define stage
$(if $(filter 2%,$(1)),BESIDE,STAGES) += $(1)
SPECS  += --stage "$(1):$(3)"
$(RUNS)/$(1).ipynb: notebooks/$(1).ipynb $(RUNS)/$(1).stamp $(2:%=$(RUNS)/%.ipynb) | $(INSTALLED)
	@$$(CXR) run notebooks/$(1).ipynb $$@ -p profile "$(PROFILE)" -p overrides "$$(OVERRIDES)" \
	  -p input_dir "$$(abspath $(INPUT))" -p working_dir "$$(abspath $(WORKING))" \
	  -p submissions_dir "$$(abspath $(SUBMISSIONS))" $(4)
endef
$(eval $(call stage,00_inputs,,phantom,-p solution_csv "$$(abspath $(SOLUTION))"))
$(eval $(call stage,01_dicom_to_png,00_inputs,images))
$(eval $(call stage,02_explore,01_dicom_to_png,images))
$(eval $(call stage,03_annotations_and_folds,01_dicom_to_png,folds))
$(eval $(call stage,04_pretrain_nih,01_dicom_to_png,nih))
$(eval $(call stage,05_pretrain_rsna,04_pretrain_nih,images rsna yolo faster_rcnn detectors))
$(eval $(call stage,06_segment_lungs,01_dicom_to_png,lungs))
$(eval $(call stage,07_train_yolo,03_annotations_and_folds 05_pretrain_rsna 06_segment_lungs,yolo prediction))
$(eval $(call stage,08_train_faster_rcnn,03_annotations_and_folds 05_pretrain_rsna 06_segment_lungs,faster_rcnn detectors prediction))
$(eval $(call stage,09_classify_studies,03_annotations_and_folds 04_pretrain_nih 06_segment_lungs,study pseudo prediction))
$(eval $(call stage,10_fuse_and_blend,07_train_yolo 08_train_faster_rcnn 09_classify_studies,fusion members detectors))
$(eval $(call stage,11_submission,10_fuse_and_blend,fusion prediction budget detectors))
$(eval $(call stage,12_report,02_explore 06_segment_lungs 11_submission,images budget))
$(eval $(call stage,21_unet_hrnet,03_annotations_and_folds,images collections collected unet_hrnet prediction))
$(eval $(call stage,22_covid_cxnet,03_annotations_and_folds 04_pretrain_nih,images collections collected covid_cxnet nih prediction))
$(eval $(call stage,23_patch_vote,03_annotations_and_folds,images collections collected patch_vote prediction))
$(eval $(call stage,24_resunet_ensemble,03_annotations_and_folds,images collections collected resunet_ensemble prediction))
$(eval $(call stage,25_compare,06_segment_lungs 09_classify_studies 21_unet_hrnet 22_covid_cxnet 23_patch_vote 24_resunet_ensemble,fusion study unet_hrnet covid_cxnet patch_vote resunet_ensemble prediction))

# every stamp is looked at in one go; a stamp whose fingerprint is unchanged keeps its time, and its stage rests
$(STAGES:%=$(RUNS)/%.stamp) $(BESIDE:%=$(RUNS)/%.stamp): $(RUNS)/stamps
	@:
$(RUNS)/stamps: FORCE | $(INSTALLED)
	@$(CXR) stamp --notebooks notebooks --profile "$(PROFILE)" --overrides "$(OVERRIDES)" --input "$(abspath $(INPUT))" \
	  --solution "$(abspath $(SOLUTION))" --working "$(abspath $(WORKING))" $(SPECS)
FORCE:

all: $(STAGES:%=$(RUNS)/%.ipynb) ## the submission, from raw DICOM; phantom data if input/ is empty
	@$(CXR) summary --profile "$(PROFILE)" --working "$(abspath $(WORKING))" --submissions "$(abspath $(SUBMISSIONS))"

systems: $(BESIDE:%=$(RUNS)/%.ipynb) ## the four other papers' systems on their own tasks and beside the spine
	@echo "$(abspath $(RUNS))/25_compare.ipynb  $(abspath $(WORKING))/$(PROFILE)/tables/systems.csv"

html: $(STAGES:%=$(RUNS)/%.ipynb) ## the executed notebooks as pages, in working/<profile>/html
	@$(PY) -m jupyter nbconvert --to html --log-level ERROR --output-dir "$(WORKING)/$(PROFILE)/html" \
	  $(STAGES:%="$(RUNS)/%.ipynb") $(wildcard $(BESIDE:%=$(RUNS)/%.ipynb))
	@echo "$(abspath $(WORKING))/$(PROFILE)/html"

# a run that is there is served as it is; `make all` first where there is none
app: $(INSTALLED) ## a web page on this machine: drop a radiograph, see what the models see (PORT=8000 HOST=127.0.0.1)
	@$(CXR) serve --run "$(abspath $(WORKING))/$(PROFILE)" --port $(or $(PORT),8000) $(if $(HOST),--host "$(HOST)")

kaggle: $(INSTALLED) ## what is uploaded to Kaggle, checked, in dist/kaggle; KAGGLE_USER=name (docs/kaggle.md)
	@$(CXR) kaggle --profile "$(PROFILE)" --working "$(abspath $(WORKING))" --input "$(abspath $(INPUT))" \
	  --out "$(abspath dist/kaggle)" $(if $(KAGGLE_USER),--user "$(KAGGLE_USER)") \
	  $(if $(KAGGLE_PYTHON),--python $(KAGGLE_PYTHON)) $(KAGGLE)

rehearse: $(RUNS)/11_submission.ipynb kaggle ## that bundle as Kaggle runs it: no network, a hidden test set (HIDDEN=dir)
	@VENV_KAGGLE="$(VENV_KAGGLE)" sh setup_kaggle.sh
	@$(CXR) rehearse --profile "$(PROFILE)" --working "$(abspath $(WORKING))" --input "$(abspath $(INPUT))" \
	  $(if $(HIDDEN),--hidden "$(abspath $(HIDDEN))") --bundle dist/kaggle --python "$(VENV_KAGGLE)/bin/python" \
	  $(if $(CASES),--cases $(CASES))

ablations: $(RUNS)/12_report.ipynb ## what a choice is worth, trained anew: PARTS="pretraining views choices baseline plain segmenters systems"
	@$(CXR) ablations --profile "$(PROFILE)" --working "$(abspath $(WORKING))" --submissions "$(abspath $(SUBMISSIONS))" \
	  $(if $(PARTS),--only $(PARTS))

grid: $(RUNS)/09_classify_studies.ipynb ## a small search over settings, out of fold, in one table: GRID=my.toml
	@$(CXR) grid --profile "$(PROFILE)" --working "$(abspath $(WORKING))" --submissions "$(abspath $(SUBMISSIONS))" \
	  $(if $(GRID),--grid "$(GRID)")

tensorboard: $(INSTALLED) ## the curves of every training of this profile, while they grow
	@$(CXR) tensorboard --run "$(abspath $(WORKING))/$(PROFILE)"

# --------------------------------------------------------------------------------------------------------- checks
test: $(INSTALLED) ## the tests, under four minutes
	$(PY) -m pytest -m "not slow" -n 2 --dist loadfile
test-all: $(INSTALLED) ## slow tests too
	$(PY) -m pytest
fuzz: $(INSTALLED) ## 20 000 damaged DICOM files (COUNT=20000): each ends as an image or a listed failure
	@$(PY) tests/images/fuzz.py --count $(or $(COUNT),20000) --seed $(or $(SEED),0)
kills: $(INSTALLED) ## kill -9 a small run at 30 random moments (COUNT=30): the same submission must come out
	@$(PY) tests/kills.py --count $(or $(COUNT),30) --seed $(or $(SEED),0)
container: $(INSTALLED) ## the Dockerfile's steps in a Debian of their own, without a container engine (as root; debootstrap)
	@$(PY) tests/container.py --run "$(abspath $(WORKING))/$(PROFILE)"
lint: $(INSTALLED) ## ruff: rules and format
	$(PY) -m ruff check src tests docs
	$(PY) -m ruff format --check src tests docs
bench: $(INSTALLED) ## every claimed speed beside the usual way; PARTS="pixels growth" for some
	@$(CXR) bench --peers $(VENV)-peers/bin/python $(if $(PARTS),--only $(PARTS))
peers: ## other DICOM converters for `make bench`, in an environment of their own (DCMTK: install dcmtk)
	$(PYTHON) -m venv $(VENV)-peers && $(VENV)-peers/bin/pip install -q -r requirements-peers.txt
lab: $(INSTALLED) ## Jupyter on the numbered notebooks
	$(PY) -m jupyter lab notebooks
clean: ## remove what this profile made (never input/)
	rm -rf "$(WORKING)/$(PROFILE)" "$(WORKING)/phantom" "$(SUBMISSIONS)/$(PROFILE)"
