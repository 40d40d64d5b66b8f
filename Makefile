# make check   format, vet (also for darwin and windows), lint, hermetic tests with -race
# make test    check and the tests that need real servers and real data, which it sets up
# make test-long  the whole numbers of the campaigns
# make bench   the benchmarks
GO ?= go
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: check test test-long bench fmt lint vet race

check: fmt vet lint race

fmt:
	$(GO) run $(GOLANGCI) fmt --diff

vet:
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	GOOS=windows $(GO) vet ./...

lint:
	$(GO) run $(GOLANGCI) run ./...

race:
	$(GO) test -race -shuffle=on ./...

test: check
	REQUIRE_INTEGRATION=1 $(GO) test -count=1 ./...

# The whole numbers of a campaign: make test-long CAMPAIGN=archive-kill (or crash, segments, plantest; all without CAMPAIGN).
test-long:
ifeq ($(filter-out archive-kill,$(CAMPAIGN)),)
	PENSTOCK_KILLS=200 $(GO) test -count=1 -timeout 60m -v -run TestArchiveKilledAtAnyMoment ./cmd/penstock
endif
ifeq ($(filter-out crash,$(CAMPAIGN)),)
	PENSTOCK_CRASH_SEEDS=1000 $(GO) test -count=1 -timeout 60m -v -run 'TestPowerCutsAtEveryCall$$|TestFlippedBits' ./core/shardlog/local | grep -v -- '--- PASS\|=== RUN'
endif
ifeq ($(filter-out segments,$(CAMPAIGN)),)
	PENSTOCK_CRASH_SEEDS=300 $(GO) test -count=1 -timeout 60m -v -run 'WhileSegmentsAreMade$$|TestAFlippedBitInASegment' ./core/shardlog/local | grep -v -- '--- PASS\|=== RUN'
endif
ifeq ($(filter-out plantest,$(CAMPAIGN)),)
	PENSTOCK_PLANTEST_SEEDS=300 $(GO) test -count=1 -timeout 60m ./connectors
endif
ifeq ($(filter-out fuzz,$(CAMPAIGN)),)
	$(GO) test -run '^$$' -fuzz FuzzDecode -fuzztime 5m ./transforms/json
	$(GO) test -run '^$$' -fuzz FuzzSegment -fuzztime 5m -fuzzminimizetime 20x ./core/shardlog/local
	$(GO) test -run '^$$' -fuzz FuzzFooter -fuzztime 5m -fuzzminimizetime 20x ./core/shardlog/local
endif

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...
