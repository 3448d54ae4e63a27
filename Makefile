# Everything that is done here begins with make. It needs Go 1.26 or later, and for
# the race detector in `make test` a C compiler. `make` alone lists the targets.

.DEFAULT_GOAL := help
.PHONY: help need-go build bench bench-full bench-speed bench-peers bench-contestants incident-live storm cluster bench-sim test lint fmt fuzz clean

# Arguments for the benchmark: make bench ARGS='--seeds 3'
ARGS ?=
# How long each fuzz target runs.
FUZZTIME ?= 10s
export FUZZTIME

# What bench-contestants ranks: each library's part with a retry policy that answers it,
# beside ours of the same algorithm.
CONTESTANTS = fifo,client-go,coalesce+fifo,controller-runtime,coalesce+priority+fifo,apf-queueset,apf,failsafe-queueing,failsafe-prioritized,priority+bounded,$\
fifo/x-time-rate/backoff,fifo/failsafe-ratelimiter/backoff,fifo/token-bucket/backoff,$\
fifo/failsafe-bulkhead/backoff,fifo/limit/backoff,fifo/failsafe-adaptive/backoff,fifo/failsafe-adaptive-tuned/backoff,fifo/failsafe-adaptive-stable/backoff,fifo/failsafe-throttler/backoff,$\
fifo/failsafe-breaker,fifo/failsafe-breaker-tuned,fifo/gobreaker,fifo/gobreaker-tuned,fifo/breaker,fifo/aegis-bbr/backoff,fifo/aegis-bbr-tuned/backoff,fifo/bbr/backoff,$\
fifo/limits-partitions/backoff,fifo/partitions/backoff,fifo/limits-vegas/backoff,fifo/vegas/backoff,fifo/limits-gradient2/backoff,fifo/limits-gradient2-tuned/backoff,fifo/gradient2/backoff

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

need-go:
	@scripts/need-go

# Version and commit are in the binary by themselves (runtime/debug.ReadBuildInfo);
# no C, so that it runs on any Linux of the architecture. go build knows best what
# is up to date.
build: need-go ## build bin/leasestorm, with the playground's engine inside
	@scripts/playground bench/play/dist
	CGO_ENABLED=0 go build -trimpath -buildvcs=auto -o bin/leasestorm ./cmd/leasestorm

bench: build ## run the standard suite: five minutes (ARGS='--suite short': one)
	bin/leasestorm bench $(ARGS)

bench-full: build ## run the suite over ten seeds: an hour
	bin/leasestorm bench --suite full $(ARGS)

bench-speed: build ## measure tables and queues by themselves, by goroutines
	bin/leasestorm bench speed $(ARGS)

bench-peers: need-go ## measure our tables, queues, gates and clients beside others' (JSON=FILE for the rows; downloads them)
	-GOBIN=$(abspath bin/tools) CGO_ENABLED=0 go install github.com/bojand/ghz/cmd/ghz@v0.121.0
	cd bench/peers && CGO_ENABLED=0 go run . -ghz $(abspath bin/tools/ghz) $(if $(JSON),-json $(abspath $(JSON))) $(ARGS)

bench-contestants: need-go ## rank the limiters, breakers and queues of known libraries by the surge (downloads them)
	cd bench/contestants && CGO_ENABLED=0 go build -trimpath -o ../../bin/leasestorm-contestants .
	bin/leasestorm-contestants rank --contestants $(CONTESTANTS) $(ARGS)

incident-live: need-go ## build bin/leasestorm-incident: the race with a real name server and the AWS SDK (downloads them)
	cd bench/incident/live && CGO_ENABLED=0 go build -trimpath -buildvcs=auto -o ../../../bin/leasestorm-incident .

storm: need-go ## build bin/leasestorm-storm: the command with gRPC and etcd as targets (downloads them)
	@scripts/playground bench/play/dist
	cd bench/target && CGO_ENABLED=0 go build -trimpath -buildvcs=auto -o ../../bin/leasestorm-storm ./cmd/leasestorm-storm

cluster: need-go ## build bin/leasestorm-cluster: the command with studies over many hosts, on NATS (downloads it)
	@scripts/playground bench/play/dist
	cd bench/cluster && CGO_ENABLED=0 go build -trimpath -buildvcs=auto -o ../../bin/leasestorm-cluster ./cmd/leasestorm-cluster

bench-sim: need-go ## measure the virtual engine beside a calendar in a heap
	@scripts/bench-sim

test: need-go ## run all tests of every module, then the concurrent packages' under the race detector
	@scripts/test

lint: need-go ## check formatting, go vet, golangci-lint (built once, for some minutes)
	@scripts/lint

fmt: need-go ## format the code
	gofmt -w $$(find . -name '*.go' -not -path './bin/*' -not -path './.git/*')

fuzz: need-go ## run each fuzz target for FUZZTIME (10s)
	@scripts/fuzz

clean: ## remove what was built; results stay
	rm -rf bin
