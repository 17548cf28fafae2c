# Commands for people and for CI; `make help` lists them.
export PATH := $(HOME)/.cargo/bin:$(PATH)
.DEFAULT_GOAL := help
# A private broker and database beside what follows.
beside = scripts/postgres run .run/postgres/$(1) -- scripts/broker run .run/broker/$(1) --
# Of the workspace, as all tests are built: for one package alone its dependencies would be built again with other features.
it = cargo test --workspace --locked --test it --
# Most of the time a test of the whole service waits.
export RUST_TEST_THREADS ?= 4
# The first commit whose replicas take leave of their clients: those before end idle connections as a request comes.
PREVIOUS ?= 08a23d5
by_hand = --ignored --nocapture --test-threads 1
# Tests of the whole service that run on PostgreSQL too; those of the store itself run on both anyway. Left out are
# those that look into the file, forbid writing to it, or count on it being small.
over_postgres = api:: compliance:: echoes:: faults:: feeds:: gaps:: linking:: personal:: registry:: replies:: \
	routing:: storm:: threads:: --skip the_words_of_a_deleted_post_leave_the_disk \
	--skip no_word_of_an_erased_person_is_left_on_the_disk --skip a_refusal_is_a_gap_also_when_nothing_comes \
	--skip a_store_that_takes_no_writes_is_told --skip what_there_is_no_room_for_is_published_instead
.PHONY: help demo test chart screenshots chaos storm soak upgrade restore examples schemas lint fuzz bench image release clean \
	bootstrap

help: ## This list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 13

demo: bootstrap ## The whole channel on this machine, X included (SMOKE=1: check it and end)
	cargo build --locked --package twitter-channel --package simulator
	scripts/demo

test: bootstrap ## All tests, beside a private RabbitMQ and PostgreSQL, and in a real Chromium
	scripts/bootstrap tests
	$(call beside,test) sh -c 'cargo test --workspace --locked && \
		TWITTER_CHANNEL_TEST_STORE=postgres $(it) $(over_postgres)'
	$(MAKE) chart

chart: bootstrap ## Tests of the Helm chart: rendered over all options, checked, and its settings by the service
	scripts/bootstrap chart
	cargo build --locked --workspace
	.run/tools/chart/bin/python -B -m pytest tests/chart

screenshots: bootstrap ## Pictures of pages, into docs/images, and how long they take
	scripts/bootstrap tests
	$(call beside,test) $(it) $(by_hand) browser::console examples_django

chaos: bootstrap ## Commands in a storm of faults, 20 seeds, a broker of three lost, cuts at every byte; minutes long
	scripts/bootstrap tests
	$(call beside,chaos) $(it) $(by_hand) chaos:: cluster:: cuts::

storm: bootstrap ## 20,000 replies to one post and a direct message in their midst; minutes long
	scripts/bootstrap tests
	$(call beside,storm) $(it) $(by_hand) onslaught::

soak: bootstrap ## Three replicas, PostgreSQL and three brokers, which fail by turns, under load (SOAK_SECONDS=300)
	scripts/bootstrap tests
	$(it) $(by_hand) soak::nothing_is_lost

upgrade: bootstrap ## From an earlier commit (PREVIOUS=...) to this one under load, replica by replica
	scripts/bootstrap tests
	PREVIOUS_BINARY=$$(scripts/previous $(PREVIOUS)) $(it) $(by_hand) soak::upgrade

restore: bootstrap ## A backup at load, minutes more of it (RESTORE_SECONDS=120), and what becomes of it, on either store
	scripts/bootstrap tests
	POSTGRES_FSYNC=on $(call beside,restore) $(it) $(by_hand) soak::restore

examples: bootstrap ## The example cores and helpdesks of examples/, against the service and the simulator
	scripts/bootstrap examples
	scripts/broker run .run/broker/test -- $(it) examples

schemas: bootstrap ## JSON Schemas and AsyncAPI document of proto/, written anew
	$(it) --ignored schemas::are_written

lint: bootstrap ## Format, clippy, documentation, scripts, contract, spelling, dependencies; warnings refused
	scripts/bootstrap lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked
	shellcheck $(filter-out %.txt %.py,$(wildcard scripts/*)) .ci/run
	cd proto && ../.run/tools/bin/buf lint && ../.run/tools/bin/buf breaking --against released.binpb
	.run/tools/lint/bin/typos
	scripts/supply-chain check

fuzz: bootstrap ## What strangers write, thought up by libFuzzer: a minute for each target (FUZZ_SECONDS=60)
	scripts/fuzz

bench: bootstrap ## Load on the service over either store, beside the like in Node and Python; release build
	scripts/bootstrap bench
	cargo build --release --locked --workspace
	POSTGRES_FSYNC=on $(call beside,bench) target/release/load

image: bootstrap ## The container image, built from stand-ins for its bases and tried with a read-only root
	scripts/bootstrap image
	scripts/broker run .run/broker/image -- scripts/image try release

release: bootstrap ## Version VERSION=1.2.3: image, chart, schemas, into .run/release (OPTIONS=--dry-run: tree put back)
	scripts/bootstrap tests lint image
	scripts/release "$(VERSION)" $(OPTIONS)

clean: ## Remove what was built and what demo, tests and benchmarks left
	for dir in .run/broker/*/; do scripts/broker kill "$$dir"; done
	for dir in .run/postgres/*/; do scripts/postgres kill "$$dir"; done
	[ ! -d .run/image ] || scripts/image clean
	rm -rf .run
	cargo clean

bootstrap:
	@scripts/bootstrap
