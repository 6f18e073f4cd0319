# A fresh machine needs Go, Python 3 (with venv), git and make.
# The rest is installed under .local/ or by the go command, in pinned versions.

# Settings, on the command line or in the environment: make demo ROWS=1000000
## ROWS: rows of the table for demo and seed; for up when there is none yet; for bench (5,000,000 if not given) and bench-memory (20,000,000)
ROWS ?= 100000
## ROUNDS: rounds that bench (5 if not given) and load (2) measure
ROUNDS ?= 5
## STEPS: targets that verify makes; A+B+C makes B and then C beside A, which mostly waits
STEPS ?= build sam-build test test-api test-console test-faults+lint+test-model test-sam test-localstack
## FUZZTIME: how long fuzz looks; with FUZZSEED=N it makes case N again instead
FUZZTIME ?= 60s
## DATASETS: YAML file of the datasets, for up, demo and dataset; for up and dataset by default datasets.yaml
DATASETS ?=
## DATASET: example table for seed: users, events or orders
DATASET ?= users
## TABLE: table or view of your database, for dataset: schema.table, as SQL writes it
TABLE ?=
## SEED: number that test-api makes its requests of, and soak its disturbances
SEED ?= 1
## SEQUENCES: how many test-model runs
SEQUENCES ?= 10000
## MINUTES: how long soak lasts
MINUTES ?= 10
## FAULTS: numbers of the faults that test-faults makes, such as 1,14; empty: all
FAULTS ?=
## CASES: words in the names of the cases that test-console runs, such as keyboard; empty: all
CASES ?=
## PORT: port of the routes on 127.0.0.1, for demo and up; 0 for any free one
PORT ?= 8080
## STACK: name of the local stack; its state is in .local/STACK
STACK ?= local
## FUNCTIONS: what runs the functions, for up and demo: processes, or sam, which needs a Docker engine
export FUNCTIONS ?=
## DATABASE_URL: your own Postgres instead of the stack's, for demo, up, seed and dataset
export DATABASE_URL
## EMULATOR: what stands in for AWS, for demo and up: localstack (LocalStack and DynamoDB Local), or the address of one that runs already; by default versitygw and ministack
export EMULATOR
## DYNAMODB_URL: address of DynamoDB, where EMULATOR is an address that serves all but that
export DYNAMODB_URL
## VERSIONS: major versions of PostgreSQL that test-postgres tests with
VERSIONS ?= 14 15 16 17
## STACK_NAME: name of the stack in AWS, for deploy; by default samconfig.toml's
STACK_NAME ?=
## GRADUAL: how deploy shifts requests to the new functions, such as Canary10Percent5Minutes; empty: at once
GRADUAL ?=
## USAGE_PLAN: limits of each API key, which deploy then asks callers for: requests a second, at once and a month, such as 10:20:100000; empty: no keys
USAGE_PLAN ?=
## PARAMS: parameters of template.yaml for deploy, sam-build and up, NAME=VALUE …; for deploy by default samconfig.toml's
PARAMS ?=

# Folders under .local/ that start with a dot are no stacks.
TOOLS := .local/.tools
LOCAL := $(TOOLS)/local
SAM := $(TOOLS)/sam
CHECKOV := $(TOOLS)/checkov
UV := $(TOOLS)/uv
READERS := $(TOOLS)/readers
SCHEMATHESIS := $(TOOLS)/schemathesis
POSTGRES := $(TOOLS)/postgres
CONSOLE := $(TOOLS)/console

GOLANGCI_LINT := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
ACTIONLINT := go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
GOTESTSUM := go run gotest.tools/gotestsum@v1.13.0
UV_VERSION := 0.13.9

# How Lambda's binaries are built; sam-build gives the same to sam, which takes GOARCH from template.yaml's Architecture.
LAMBDA_GOFLAGS := -trimpath -tags=lambda.norpc -ldflags=-s
LAMBDA_ENV := CGO_ENABLED=0 GOOS=linux GOARCH=$(if $(findstring Architecture=x86_64,$(PARAMS)),amd64,arm64)

# sam reads the shell's AWS settings; validating and building need none.
SAM_ENV := env -u AWS_PROFILE AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null \
	AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true SAM_CLI_TELEMETRY=0 PYTHONDONTWRITEBYTECODE=1

# The race detector needs a C compiler; the go command turns cgo off where it finds none.
RACE = $(shell test "$$(go env CGO_ENABLED)" = 1 && echo -race)

# DynamoDB Local needs a JDK and Maven.
JAVA = $(if $(filter localstack,$(EMULATOR)),java)

# $(call apt-install,PACKAGES): installs Debian's packages, as root.
apt-install = apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $(1) >/dev/null

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo up down seed dataset test test-product test-infra test-sam race-detector engine lanes test-api test-console browser test-model test-faults soak test-postgres test-poolers fuzz bench bench-api bench-start bench-memory load lint lint-go lint-template lint-vulnerabilities verify cases build sam-build deploy fmt tidy lock clean costs test-localstack java $(LOCAL)

help: ## List the targets and settings
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' Makefile
	@echo
	@awk '/^## [A-Z_]+: / { name = $$2; sub(":", "", name); sub(/^## [A-Z_]+: /, ""); printf "  %-20s %s\n", name, $$0 }' Makefile

# The SAM CLI, where it runs the functions.
sam-cli = $(if $(filter sam,$(FUNCTIONS)),$(SAM)/complete)

demo: $(LOCAL) $(sam-cli) $(JAVA) ## Export the users table and compare the file with psql's
	@$(LOCAL) demo -stack $(STACK) -port $(PORT) -rows $(ROWS) -datasets '$(DATASETS)'

up: $(LOCAL) $(sam-cli) $(JAVA) ## Start the local stack and serve until Ctrl-C
	@$(LOCAL) up -stack $(STACK) -port $(PORT) -rows $(ROWS) -datasets '$(or $(DATASETS),$(wildcard datasets.yaml))' $(foreach p,$(PARAMS),-param '$(p)')

down: $(LOCAL) ## Stop the local stack
	@$(LOCAL) down -stack $(STACK)

seed: $(LOCAL) ## Fill the users table, or the example DATASET, with ROWS rows
	@$(LOCAL) seed -stack $(STACK) -rows $(ROWS) -dataset $(DATASET)

dataset: $(LOCAL) ## Write a first entry for TABLE of your database into the file of datasets
	@$(LOCAL) dataset -stack $(STACK) -datasets '$(or $(DATASETS),datasets.yaml)' '$(TABLE)'

test: test-product test-infra ## Run every test, with the race detector where there is a C compiler

# $(call quick-test,NAME): go test, but for its arguments, without cached results, with records for what follows it.
quick-test = $(GOTESTSUM) --format standard-quiet --jsonfile $(CURDIR)/.local/.tests/$(1).json -- -count=1 -timeout 20m
# $(call go-test,NAME,FLAGS): all of the module, with the race detector.
# A skipped test fails it: it would prove nothing.
go-test = $(call quick-test,$(1)) $(RACE) $(2) ./...
no-skips = ! grep '"Action":"skip".*"Test":' .local/.tests/$(1).json

test-product: $(LOCAL) race-detector ## Run the product's unit and adapter tests, on fresh servers
	@$(LOCAL) run -- $(call go-test,product)
	@$(call no-skips,product)

test-infra: $(LOCAL) $(READERS)/complete race-detector ## Run the local stack's tests and the end-to-end tests, print a table of their cases, and compare the functions' calls with their policies
	@rm -rf .local/.tests/infra.json .local/.tests/calls
	@status=0; (cd infra && RECORD_CALLS=$(CURDIR)/.local/.tests/calls ../$(LOCAL) run -- $(call go-test,infra,-skip "$$($(CURDIR)/$(LOCAL) skip local)")) || status=$$?; \
		$(LOCAL) cases local=.local/.tests/infra.json || status=$$?; \
		$(LOCAL) policies .local/.tests/calls || status=$$?; exit $$status
	@$(call no-skips,infra)

# $(call lane,NAME,SETTINGS,PREFIX,PACKAGES): the end-to-end tests in a lane, with other packages', and a table of their
# cases. Without the race detector: they ran with it in the local one.
lane = mkdir -p .local/.tests; rm -f .local/.tests/$(1).json; \
	status=0; (cd infra && $(2) $(3) $(call quick-test,$(1)) -parallel 16 -skip "$$(../$(LOCAL) skip $(1))" ./e2e $(4)) || status=$$?; \
	$(LOCAL) cases $(1)=.local/.tests/$(1).json || status=$$?; exit $$status

test-sam: $(LOCAL) $(SAM)/complete engine ## Run the end-to-end tests against containers of the SAM CLI, and print a table of their cases; as root on Debian without a Docker engine, it brings one
	@$(call lane,sam,FUNCTIONS=sam,../$(LOCAL) docker --)
	@$(call no-skips,sam)

# Debian's Docker engine, where none answers and whoever runs this may install one. It isn't started here.
engine:
	@docker version >/dev/null 2>&1 && exit; \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null || exit 0; \
		command -v dockerd >/dev/null && command -v busybox >/dev/null && exit; \
		echo "installing a Docker engine (once, less than a minute)" >&2; \
		$(call apt-install,docker.io busybox-static)

lanes: $(LOCAL) ## Write the table of the end-to-end tests and their lanes into docs/lanes.md
	@$(LOCAL) lanes

race-detector:
	@mkdir -p .local/.tests
	@test -n "$(RACE)" || { echo "make test: no C compiler, so no race detector; to have it, install gcc" >&2; test "$$CI" != true; }

# The packages whose tests talk to DynamoDB, SQS or S3, without those that look at Postgres or at nobody: they are the same with every emulator.
ADAPTERS := $(addprefix ./internal/,api bucket jobs notify publish queue runner s3file statemodel sweeper)
ADAPTERS_SKIP := -skip '^Test(Copier|Copy|DDL|Datasets|FuzzCase|Limited|Model|Sequencer|Shapes|Types)'

# DynamoDB is AWS's own engine here, and S3 checks what presigned URLs are signed with.
test-localstack: export EMULATOR = localstack
test-localstack: $(LOCAL) $(READERS)/complete java ## Run the end-to-end tests and those of the adapters against LocalStack and DynamoDB Local, without Docker, and print a table of the cases
	@mkdir -p .local/.tests
	@$(LOCAL) run -- $(call quick-test,localstack-adapters) $(ADAPTERS_SKIP) $(ADAPTERS)
	@$(call no-skips,localstack-adapters)
	@$(call lane,localstack,,../$(LOCAL) run --,./internal/eventsource ./internal/invariants)
	@$(call no-skips,localstack)

# Debian's JDK and Maven, where they are missing and whoever runs this may install them.
java:
	@command -v java >/dev/null && command -v javac >/dev/null && command -v mvn >/dev/null && exit; \
		if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
			echo "installing a JDK and Maven (once, about a minute)" >&2; \
			$(call apt-install,default-jdk-headless maven); \
		else \
			echo "make: EMULATOR=localstack needs a JDK of at least 17 (java, javac) and Maven (mvn) on PATH" >&2; exit 1; \
		fi

test-api: $(LOCAL) $(SCHEMATHESIS)/complete ## Send thousands of requests made of the contract (internal/api/openapi.yaml) to the routes, and check every answer
	@$(LOCAL) test-api -seed $(SEED)

test-faults: $(LOCAL) ## Kill workers, lose requests and answers, spoil databases and storage, and check that every export ends as it must; FAULTS=1,14 for some
	@$(LOCAL) test-faults -only '$(FAULTS)'

soak: $(LOCAL) ## Disturb exports at random for MINUTES, and check what becomes of each
	@$(LOCAL) soak -minutes $(MINUTES) -seed $(SEED)

test-console: $(LOCAL) $(CONSOLE)/complete browser ## Use the console in a browser as people do, and check what they see; CASES=words for some; pictures are in .local/screenshots
	@$(LOCAL) test-console -only '$(CASES)'

# Debian's Chromium, where there is no browser and whoever runs this may install one.
browser:
	@for name in chromium chromium-browser google-chrome google-chrome-stable; do command -v $$name >/dev/null && exit; done; \
		if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
			echo "installing Chromium (once, less than a minute)" >&2; \
			$(call apt-install,chromium); \
		else \
			echo "make: test-console needs Chromium or Chrome on PATH" >&2; exit 1; \
		fi

test-model: $(LOCAL) ## Run the state machine in SEQUENCES random interleavings of requests, crashes and losses
	@$(LOCAL) run -- go test -count=1 -timeout 30m -run '^TestModel$$' ./internal/statemodel -rapid.checks=$(SEQUENCES)
	@echo "model: $(SEQUENCES) sequences, nothing found"

# What reads Postgres, without the long grids, which change the table under way, and what needs a feature of 18 to be slow.
SOURCE_TESTS := ./internal/source ./internal/runner
SOURCE_SKIP := -skip '^TestDDL|_underWay|_concurrentChange|_allocations|_rowLimitByTheCount'

test-postgres: $(LOCAL) $(POSTGRES)/complete ## Run the tests of what reads Postgres against its older versions, VERSIONS
	@for version in $(VERSIONS); do \
		$(LOCAL) run -postgres $(POSTGRES)/node_modules/postgres-$$version/native -- go test -count=1 $(SOURCE_SKIP) $(SOURCE_TESTS) || \
			{ echo "PostgreSQL $$version: failed" >&2; exit 1; }; \
		echo "PostgreSQL $$version: passed"; \
	done

# Tests whose own connections need nothing that PgBouncer refuses (options, a role's connection limit).
POOLER_TESTS := ^(TestReader_|TestSnapshot_|TestSource_|TestRunner_completes|TestRunner_cancelled|TestRunner_clears|TestRunner_losesClaim|TestCopier)

test-poolers: $(LOCAL) ## Run tests of what reads Postgres through PgBouncer, which must be installed, in session and transaction mode
	@for mode in session transaction; do \
		$(LOCAL) run -pooler $$mode -- go test -count=1 -run '$(POOLER_TESTS)' $(SOURCE_TESTS) || { echo "PgBouncer, pool_mode $$mode: failed" >&2; exit 1; }; \
		echo "PgBouncer, pool_mode $$mode: passed"; \
	done

fuzz: $(LOCAL) ## Compare exports of random tables in random formats with Postgres's own COPY, and random bytes with what is read, for FUZZTIME
	@FUZZTIME=$(FUZZTIME) $(LOCAL) run -- go test -v -count=1 -timeout 0 -parallel 4 -run '^(TestCopy|TestDeflater)_random$$' ./internal/gzipmember ./internal/runner

bench: $(LOCAL) ## Compare an export with psql, pandas and others, and write the figures and plots into docs/
	@$(LOCAL) bench -rows $(call given-or,ROWS,5000000) -rounds $(ROUNDS) -write docs/benchmarks.md

bench-memory: $(LOCAL) ## Measure the memory of exports of up to ROWS rows, and write the figures into docs/benchmarks.md
	@$(LOCAL) bench-memory -rows $(call given-or,ROWS,20000000) -write docs/benchmarks.md

# $(call given-or,SETTING,N): the setting if somebody gave it, else N.
given-or = $(if $(filter file,$(origin $(1))),$(2),$($(1)))

bench-api: $(LOCAL) ## Measure the routes under load, and write the figures into docs/benchmarks.md
	@$(LOCAL) bench-api -write docs/benchmarks.md

bench-start: $(LOCAL) ## Measure cold starts, warm answers and sizes of all functions, and write the figures into docs/benchmarks.md
	@$(LOCAL) bench-start -write docs/benchmarks.md

load: $(LOCAL) ## Send 200 creates of 20 owners at once, three of them noisy, compare what exports wait, and write the figures into docs/benchmarks.md
	@$(LOCAL) load -rounds $(call given-or,ROUNDS,2) -write docs/benchmarks.md

costs: $(LOCAL) ## Compute what exports and an idle month cost in AWS, from a run here, and write it into docs/deploy.md
	@$(LOCAL) costs -rows $(call given-or,ROWS,5000000) -write docs/deploy.md

lint: lint-go lint-template lint-vulnerabilities ## Check code, template and what is known of the modules

lint-go: ## Check the Go code of both modules, their go.mod files, the CI script and the workflow
	@$(GOLANGCI_LINT) run ./...
	@cd infra && $(GOLANGCI_LINT) run ./...
	@go mod tidy -diff
	@go -C infra mod tidy -diff
	@bash -n .ci/run
	@$(ACTIONLINT) -shellcheck= -pyflakes=

# checkov sees what is deployed, too: SAM's roles and permissions are in the transformed template only. The variant is what GRADUAL and USAGE_PLAN make.
lint-template: $(SAM)/complete $(CHECKOV)/complete ## Check template.yaml with sam, cfn-lint and checkov
	@$(SAM_ENV) $(SAM)/bin/python -m samcli validate --lint
	@$(SAM_ENV) $(SAM)/bin/cfn-lint template.yaml
	@mkdir -p .local/.tests
	@$(SAM_ENV) $(SAM)/bin/python infra/lint/test_deploy.py --quiet
	@cp template.yaml .local/.tests/variant.yaml
	@$(SAM_ENV) $(SAM)/bin/python infra/deploy/gradual.py .local/.tests/variant.yaml Canary10Percent5Minutes
	@$(SAM_ENV) $(SAM)/bin/python infra/deploy/api_keys.py .local/.tests/variant.yaml 10:20:100000
	@$(SAM_ENV) $(SAM)/bin/python infra/lint/transform.py template.yaml >.local/.tests/template.json
	@$(SAM_ENV) $(SAM)/bin/python infra/lint/transform.py .local/.tests/variant.yaml >.local/.tests/variant.json
	@$(SAM_ENV) $(SAM)/bin/cfn-lint .local/.tests/variant.yaml .local/.tests/variant.json
	@$(CHECKOV)/bin/checkov --config-file infra/checkov/checkov.yaml --file template.yaml .local/.tests/template.json .local/.tests/variant.json

lint-vulnerabilities: $(LOCAL) ## Look for known vulnerabilities that the Go code of both modules reaches
	@$(LOCAL) vulnerabilities

verify: ## What must pass in CI, STEPS, one after the other, with the seconds of each
	@mkdir -p .local/.tests; : > .local/.tests/times
	@run() { \
		start=$$(date +%s); \
		$$2 $(MAKE) --no-print-directory $$1 || { echo "verify: $$1 failed" >&2; return 1; }; \
		printf 'verify: %-16s ok, %4d s\n' $$1 $$(($$(date +%s) - start)) | tee -a .local/.tests/times; \
	}; \
	for step in $(STEPS); do \
		first=$${step%%+*}; beside=$$(echo $${step#$$first} | tr + ' '); log=.local/.tests/beside-$$first.log; \
		for other in $$beside; do run $$other nice || exit; done > $$log 2>&1 & \
		run $$first; status=$$?; \
		wait $$! || status=$$?; \
		cat $$log; test $$status = 0 || exit $$status; \
	done

cases: $(LOCAL) ## Print a table of the end-to-end cases that ran last in each lane
	@$(LOCAL) cases $(foreach lane,local localstack sam,$(patsubst %,$(lane)=%,$(wildcard .local/.tests/$(subst local.json,infra.json,$(lane).json))))

build: ## Compile both modules, and every function as Lambda runs it
	@go build ./...
	@go build -C infra ./...
	@$(LAMBDA_ENV) go build $(LAMBDA_GOFLAGS) -o .local/.build/ ./functions/...

sam-build: $(SAM)/complete ## Build the functions for deployment, with sam, into .aws-sam
	@$(SAM_ENV) $(LAMBDA_ENV) GOFLAGS="$(LAMBDA_GOFLAGS)" $(SAM)/bin/python -m samcli build $(if $(PARAMS),--parameter-overrides $(PARAMS))

deploy: $(SAM)/complete ## Deploy to AWS with your own credentials; shows the changes and asks first
	@$(DEPLOY_ENV) $(SAM)/bin/python infra/deploy/check_aws.py
	@$(MAKE) --no-print-directory sam-build
	@$(if $(GRADUAL),$(SAM)/bin/python infra/deploy/gradual.py .aws-sam/build/template.yaml "$(GRADUAL)")
	@$(if $(USAGE_PLAN),$(SAM)/bin/python infra/deploy/api_keys.py .aws-sam/build/template.yaml "$(USAGE_PLAN)")
	@$(DEPLOY_ENV) $(SAM)/bin/python -m samcli deploy $(if $(STACK_NAME),--stack-name "$(STACK_NAME)") $(if $(PARAMS),--parameter-overrides $(PARAMS))

# The shell's own AWS settings; boto3 reads the region's older name only.
DEPLOY_ENV = env SAM_CLI_TELEMETRY=0 $${AWS_REGION:+AWS_DEFAULT_REGION="$$AWS_REGION"}

fmt: ## Format the code
	@$(GOLANGCI_LINT) fmt

tidy: ## Bring go.mod and go.sum of both modules up to date
	@go mod tidy
	@go -C infra mod tidy

lock: $(UV)/complete ## Lock the Python and npm packages anew, after a change of a requirements.in or a package.json
	@for dir in infra/local infra/localstack infra/lint infra/checkov infra/bench infra/readers infra/api; do \
		case $$dir in infra/api|infra/localstack) python=3.11;; *) python=3.10;; esac; \
		$(UV)/bin/uv pip compile --quiet --universal --python-version $$python --generate-hashes --no-annotate --no-header \
			--no-emit-index-url $$dir/requirements.in --output-file $$dir/requirements.txt || exit; \
	done
	@for dir in infra/postgres infra/console; do \
		npm --prefix $$dir install --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund --loglevel error || exit; \
	done

clean: $(LOCAL) ## Stop every stack and remove what make and the stacks left, rows included
	@for lock in .local/[a-z]*/lock; do \
		test ! -e "$$lock" || $(LOCAL) down -clean -stack "$$(basename "$$(dirname "$$lock")")" || exit; \
	done
	@rm -rf .local .aws-sam

$(LOCAL):
	@command -v go >/dev/null || { echo "make: no go on PATH; install Go 1.26 or later" >&2; exit 1; }
	@test -e $@ || echo "building the local stack's program (once, a minute or two)" >&2
	@go build -C infra -o ../$@ ./local

$(SAM)/complete: infra/lint/requirements.txt
	@echo "installing the SAM CLI (once, about a minute)" >&2
	@$(call venv,$(@D))
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $<
	@touch $@

$(CHECKOV)/complete: infra/checkov/requirements.txt
	@echo "installing checkov (once, about a minute)" >&2
	@$(call venv,$(@D))
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $<
	@touch $@

$(READERS)/complete: infra/readers/requirements.txt
	@echo "installing the readers of the end-to-end tests (once, less than a minute)" >&2
	@$(call venv,$(@D))
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --only-binary :all: --require-hashes --requirement $<
	@touch $@

$(SCHEMATHESIS)/complete: infra/api/requirements.txt
	@echo "installing schemathesis (once, less than a minute)" >&2
	@$(call venv,$(@D))
	@$(@D)/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: test-api needs Python 3.11 or later" >&2; exit 1; }
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes --requirement $<
	@touch $@

$(POSTGRES)/complete: infra/postgres/package.json infra/postgres/package-lock.json
	@command -v npm >/dev/null || { echo "make: no npm on PATH; install Node.js" >&2; exit 1; }
	@echo "installing older versions of PostgreSQL (once, less than a minute)" >&2
	@rm -rf $(@D) && mkdir -p $(@D) && cp $^ $(@D)
	@npm --prefix $(@D) ci --ignore-scripts --no-audit --no-fund --loglevel error >/dev/null
	@for package in $(@D)/node_modules/postgres-*; do (cd $$package && node scripts/hydrate-symlinks.js) || exit; done
	@touch $@

$(CONSOLE)/complete: infra/console/package.json infra/console/package-lock.json
	@command -v npm >/dev/null || { echo "make: no npm on PATH; install Node.js" >&2; exit 1; }
	@rm -rf $(@D) && mkdir -p $(@D) && cp $^ $(@D)
	@npm --prefix $(@D) ci --ignore-scripts --no-audit --no-fund --loglevel error >/dev/null
	@touch $@

$(UV)/complete: Makefile
	@$(call venv,$(@D))
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

venv = command -v python3 >/dev/null || { echo "make: no python3 on PATH; install Python 3.10 or later" >&2; exit 1; }; \
	rm -rf $(1) && python3 -m venv $(1)
