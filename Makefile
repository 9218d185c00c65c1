# The project's commands. `make` lists them; `make demo` and `make test` are the
# two that a newcomer needs. Everything runs from a fresh clone with Go and make.

.DEFAULT_GOAL := help
.PHONY: demo-fleet fleet-month doctor-page footprint fuzz help demo build all-targets packages release sbom test test-targets test-system lint bench score clean test-packages

# What a build says of itself: `cellwarden version`.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# The longest any one package's tests may take. The whole run is budgeted at ten
# minutes on two cores, and no package comes near this.
TEST_TIMEOUT ?= 8m

# Time per benchmark: enough for two digits, short enough to run them all often.
BENCH_TIME ?= 200ms

export VERSION BENCH_TIME
# The device has no cgo; tests and demo are built the same way.
export CGO_ENABLED := 0
# Debian keeps mosquitto, ip, nft and mkfs outside an ordinary user's PATH.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "targets:           $$(scripts/build.sh -l | tr '\n' ' ')"

demo: ## one story from "online" to "over quota" and back, no root, no modem
	@go run ./agent/cmd/demo

demo-fleet: ## thirty machines and one afternoon: what the backend makes of each silence, with and without the SIM platform
	@go run ./protocol/cmd/cellwarden-fleet -machines 30 -districts 1 -from 2026-11-24T04:00:00Z -for 6h -poll 2m -rate 25 -v

fleet-month: ## a month of a hundred machines with the real core, judged by cause (minutes)
	@go run ./protocol/cmd/cellwarden-fleet -machines 100 -for 720h -poll 15m

demo-backend: ## the backend's side: broker, receiver, twenty machines, webhook and page, in one process
	@go run ./protocol/cmd/demo-backend

bench-fleet: ## the receiver beside mosquitto, RabbitMQ and PostgreSQL: kills, throughput, latency, 10,000 devices (10 min)
	@CELLWARDEN_BENCH=$(or $(BENCH),1) go test -count=1 -timeout 40m -v ./protocol/backend/fleetbench | grep -v '^=== '

build: ## the device's binary into build/; TARGET=armv7 (or another) for a board
	@scripts/build.sh $(or $(TARGET),host)

all-targets: ## the device's binary for every target, with SHA-256 sums
	@scripts/build.sh -s $$(scripts/build.sh -l)

packages: ## .deb, .ipk, .tar.gz and the Android bundle into dist/
	@scripts/package.sh

release: ## what devices update from, to be signed: EXPIRES=2027-06-30 FROM=dist/update-v1.2.0
	@scripts/release.sh -e "$(EXPIRES)" $(addprefix -f ,$(FROM))

sbom: ## bill of materials and licences of every target into dist/
	@scripts/package.sh sbom

# Packages that start goroutines or lock: their tests run under the race detector,
# which needs cgo and gcc, for this run only. TestHouseRacedPackages keeps the list true.
RACED := agent agent/board agent/cli agent/demo agent/device agent/flash agent/localapi agent/localapi/view agent/metertest agent/outbox \
	agent/probe agent/text agent/update/install agent/update/launch agent/uplink agent/wayout agent/web agent/web/access agent/worker agent/machine/line agent/machine/cmd/vmcsim \
	modem modem/at modem/cmd/modemsim modem/modemtest protocol/backend/platform protocol/backend/watch protocol/backend/web modem/transcript \
	protocol/backend/ingest protocol/backend/receiver protocol/cmd/demo-backend protocol/backend/store protocol/backend/webhook

test: ## everything, after installing what the tests use (needs root for that)
	@scripts/test-deps.sh
	@scripts/test.sh $(TEST_TIMEOUT) $(RACED)

fuzz: ## every fuzz target for FUZZ_TIME (20s each: 20 min in all)
	@scripts/fuzz.sh $(NAME)

test-targets: ## the main job with the binaries of ARMv5, ARMv7, arm64 and mipsle under qemu-user, and an update on ARMv7
	@scripts/test-deps.sh
	@CELLWARDEN_TARGETS=1 go test -count=1 -timeout $(TEST_TIMEOUT) -v -run 'EveryTarget|TooHigh' ./agent/e2e

test-packages: ## the packages in whole Debian systems, minutes; needs root and the network
	@scripts/test-packages.sh

test-system: ## a small ARM system in qemu-system-arm, agent and modem on board (8 min, fetches 45 MB once)
	@scripts/system.sh

lint: ## gofmt, go vet, staticcheck, shellcheck, govulncheck where its database is reached
	@scripts/lint.sh

score: ## the diagnosis: right by class, reliability, a month of alerts
	@go test -count=1 -v -run 'ScoreTable|ReliabilityOverTheCases|NineTenths|MonthOfOneDevice' ./agent/explain ./agent/diag ./agent/core | grep -v '^=== \|^PASS\|^ok '

footprint: ## what each dependency costs, and the budget of a small board
	@go run ./scripts/footprint

bench: ## all benchmarks, and outbox and uplink beside a mosquitto bridge, as tables
	@scripts/bench.sh
	@scripts/bench-uplink.sh

doctor-page: ## the judgement as one page for a browser, offline: dist/doctor.html
	@go run ./agent/web/doctor/build

clean: ## remove what was built here
	rm -rf build dist .tmp
