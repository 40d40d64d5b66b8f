# make check   format, vet (also for darwin and windows), lint, hermetic tests with -race
# make test    check and the tests that need real servers and real data, which it sets up
# make test-long  the whole numbers of the campaigns
# make fuzz    every decoder against arbitrary input, FUZZTIME (20s) each
# make bench   the benchmarks, beside the bare disk and DuckDB; make bench-go those of each package
GO ?= go
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: check test test-long fuzz bench bench-go fmt lint vet race

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
	$(GO) test -race -shuffle=on -timeout 20m ./...

test: check
	REQUIRE_INTEGRATION=1 $(GO) test -count=1 -timeout 20m ./...
	PENSTOCK_MUTATIONS=5000 $(GO) test -count=1 -run '^Fuzz' $(sort $(foreach target,$(FUZZ),./$(dir $(target))))
	$(MAKE) fuzz FUZZTIME=20s FUZZ="core/shardlog/local/FuzzSegment core/shardlog/local/FuzzRecover transforms/json/FuzzDecode cmd/penstock/FuzzLoad"

# The whole numbers of a campaign: make test-long CAMPAIGN=archive-kill (or any below; all without CAMPAIGN).
test-long:
ifeq ($(filter-out archive-kill,$(CAMPAIGN)),)
	PENSTOCK_KILLS=200 $(GO) test -count=1 -timeout 60m -v -run TestArchiveKilledAtAnyMoment ./cmd/penstock
	REQUIRE_INTEGRATION=1 PENSTOCK_KILLS=1200 $(GO) test -count=1 -timeout 120m -v -run TestAnArchiveInABucketSurvivesItsWorkersDeaths ./integration
endif
ifeq ($(filter-out dynamodb,$(CAMPAIGN)),)
	REQUIRE_INTEGRATION=1 PENSTOCK_KILLS=200 $(GO) test -count=1 -timeout 120m -v -run TestATableIsTheFoldOfTheLogThroughDeaths ./integration
endif
ifeq ($(filter-out files,$(CAMPAIGN)),)
	PENSTOCK_FILES=500 $(GO) test -count=1 -timeout 180m -v -run TestEveryLineOfRotatedLogsOnce ./cmd/penstock | grep -v '^time='
endif
ifeq ($(filter-out restart,$(CAMPAIGN)),)
	PENSTOCK_RESTARTS=100 $(GO) test -count=1 -timeout 60m -v -run TestRestartsUnderLoad ./cmd/penstock
endif
ifeq ($(filter-out crash,$(CAMPAIGN)),)
	PENSTOCK_CRASH_SEEDS=1000 $(GO) test -count=1 -timeout 60m -v -run 'TestPowerCutsAtEveryCall$$|TestFlippedBits' ./core/shardlog/local | grep -v -- '--- PASS\|=== RUN'
endif
ifeq ($(filter-out reshard,$(CAMPAIGN)),)
	PENSTOCK_RESHARDS=500 $(GO) test -count=1 -timeout 60m -v -run 'TestEveryRecordOnceAndInOrderThroughReshards' ./core/stream
endif
ifeq ($(filter-out cut,$(CAMPAIGN)),)
	PENSTOCK_CUT_STATES=300000 $(GO) test -count=1 -timeout 60m -v -run 'TestPowerCutsAtEveryCallOfEveryWorkload|TestPowerCutsLeave' ./core/shardlog/local ./core/control ./core/stream
endif
ifeq ($(filter-out nth-call,$(CAMPAIGN)),)
	REQUIRE_INTEGRATION=1 $(GO) test -count=1 -timeout 60m -v -run TestTheNthCallFails ./core/shardlog/local
endif
ifeq ($(filter-out damage,$(CAMPAIGN)),)
	REQUIRE_INTEGRATION=1 PENSTOCK_DAMAGE_EVERY=1 $(GO) test -count=1 -timeout 60m -v -run TestDamageIsSeen ./core/shardlog/local
endif
ifeq ($(filter-out kill-log,$(CAMPAIGN)),)
	PENSTOCK_KILL_CYCLES=20000 $(GO) test -count=1 -timeout 120m -v -run TestWhatWasAcknowledgedSurvivesKill9 ./integration/faults
endif
ifeq ($(filter-out power-cut,$(CAMPAIGN)),)
	REQUIRE_INTEGRATION=1 PENSTOCK_POWER_CUTS=5000 $(GO) test -count=1 -timeout 120m -v -run TestWhatWasAcknowledgedSurvivesAPowerCut ./integration/faults
endif
ifeq ($(filter-out fsync-fails,$(CAMPAIGN)),)
	REQUIRE_INTEGRATION=1 PENSTOCK_FSYNCS=1000 $(GO) test -count=1 -timeout 60m -v -run 'TestAFailedFsync|TestAFullFUSE' ./integration/faults
endif
ifeq ($(filter-out disk-full,$(CAMPAIGN)),)
	REQUIRE_INTEGRATION=1 $(GO) test -count=1 -timeout 60m -v -run 'TestAFullDisk|TestATrimFrees' ./integration/faults
endif
ifeq ($(filter-out segments,$(CAMPAIGN)),)
	PENSTOCK_CRASH_SEEDS=300 $(GO) test -count=1 -timeout 60m -v -run 'WhileSegmentsAreMade$$|TestAFlippedBitInASegment' ./core/shardlog/local | grep -v -- '--- PASS\|=== RUN'
endif
ifeq ($(filter-out leases,$(CAMPAIGN)),)
	PENSTOCK_LEASE_SEEDS=10000 $(GO) test -count=1 -timeout 120m -v ./connectors/lease
endif
ifeq ($(filter-out plantest,$(CAMPAIGN)),)
	PENSTOCK_PLANTEST_SEEDS=300 $(GO) test -count=1 -timeout 60m ./connectors
endif
ifeq ($(filter-out fuzz,$(CAMPAIGN)),)
	$(MAKE) fuzz FUZZTIME=5m
endif
ifeq ($(filter-out mutations,$(CAMPAIGN)),)
	PENSTOCK_MUTATIONS=500000 $(GO) test -count=1 -timeout 6h -v -run '^Fuzz' $(sort $(foreach target,$(FUZZ),./$(dir $(target)))) | grep 'campaign=\|^FAIL\|^ok\|input:' | tee /dev/stderr | awk -F 'executions=' '/campaign/ {n += $$2} /^FAIL/ {bad++} END {printf "campaign=mutations executions=%d failed=%d\n", n, bad; exit bad > 0}'
endif
ifeq ($(filter-out drift,$(CAMPAIGN)),)
	PENSTOCK_DRIFTS=10000 $(GO) test -count=1 -timeout 60m -v -run TestDriftLosesNothing ./integration
endif
ifeq ($(filter-out sinks,$(CAMPAIGN)),)
	REQUIRE_INTEGRATION=1 PENSTOCK_SICK_FOR=30m $(GO) test -count=1 -timeout 6h -v -run TestASickSinkHarmsNobody ./integration
endif
ifeq ($(filter-out configuration,$(CAMPAIGN)),)
	PENSTOCK_MUTANTS=all $(GO) test -count=1 -v -run TestMistakesInPipelineFilesAreSaid ./pipelines
endif
ifeq ($(filter-out poison,$(CAMPAIGN)),)
	PENSTOCK_POISON_SEEDS=20 $(GO) test -count=1 -timeout 60m -v -run TestPoisonIsKeptApartAndNothingElseIs ./integration | grep -v -- '--- PASS\|=== '
endif
ifeq ($(filter-out workers,$(CAMPAIGN)),)
	REQUIRE_INTEGRATION=1 PENSTOCK_WORKER_FAULTS=300 $(GO) test -count=1 -timeout 3h -v -run TestWorkersComeAndGo ./integration/workers
endif
ifeq ($(filter-out pauses,$(CAMPAIGN)),)
	REQUIRE_INTEGRATION=1 PENSTOCK_PAUSES=1000 $(GO) test -count=1 -timeout 3h -v -run TestFrozenWorkersChangeNothing ./integration/workers
endif
ifeq ($(filter-out kcl-handover,$(CAMPAIGN)),)
	REQUIRE_INTEGRATION=1 PENSTOCK_HANDOVERS=10 PENSTOCK_LEASE_MINUTES=10 $(GO) test -count=1 -timeout 3h -v -run 'TestKCLHandsOver|TestWhatLeasesCost' ./integration/clients
endif
ifeq ($(filter-out warehouse,$(CAMPAIGN)),)
	REQUIRE_INTEGRATION=1 PENSTOCK_KILLS=1200 PENSTOCK_EVENTS=10000000 $(GO) test -count=1 -timeout 6h -v -run TestTablesAreWhatWasPut ./integration/warehouse | grep -v 'server: '
endif
ifeq ($(filter-out clients,$(CAMPAIGN)),)
	REQUIRE_INTEGRATION=1 PENSTOCK_CLIENT_RECORDS=10000 $(GO) test -count=1 -timeout 60m -parallel 8 -v ./integration/clients
endif
ifeq ($(filter-out kpl,$(CAMPAIGN)),)
	REQUIRE_INTEGRATION=1 PENSTOCK_KPL_RECORDS=100000 $(GO) test -count=1 -timeout 60m -v -run TestKPL ./integration/clients
endif
ifeq ($(filter-out signatures,$(CAMPAIGN)),)
	PENSTOCK_SIGV4_ROUNDS=100000 $(GO) test -count=1 -timeout 60m -v -run TestRandomRequestsOfAWSSDK ./core/awsapi/sigv4
	REQUIRE_INTEGRATION=1 PENSTOCK_SIGNATURES=100000 $(GO) test -count=1 -timeout 60m -v ./integration/signatures
endif
ifeq ($(filter-out encryption,$(CAMPAIGN)),)
	REQUIRE_INTEGRATION=1 $(GO) test -count=1 -timeout 60m -v ./integration/encryption
endif
ifeq ($(filter-out traversal,$(CAMPAIGN)),)
	REQUIRE_INTEGRATION=1 $(GO) test -count=1 -timeout 60m -v -run TestNoNameLeadsOut ./integration
endif
ifeq ($(filter-out conformance,$(CAMPAIGN)),)
	REQUIRE_INTEGRATION=1 PENSTOCK_SOCKETS=5000 $(GO) test -count=1 -timeout 60m -v -run 'TestTheAPIIsAsTheModelHasIt|TestResourceBombs|Nobody$$|TestHeadsHaveToCome' ./integration/conformance
endif
ifeq ($(filter-out tls,$(CAMPAIGN)),)
	PENSTOCK_TLS_RELOADS=200 $(GO) test -count=1 -timeout 60m -v -run 'TestTLS$$' ./cmd/penstock
endif
ifeq ($(filter-out order,$(CAMPAIGN)),)
	PENSTOCK_ORDER_RECORDS=10000000 $(GO) test -count=1 -timeout 120m -v -run TestOrderThroughReshards ./integration/conformance
endif
ifeq ($(filter-out clocks,$(CAMPAIGN)),)
	REQUIRE_INTEGRATION=1 PENSTOCK_CLOCK_RUNS=200 $(GO) test -count=1 -timeout 120m -v -run 'TestClocksThatJump|TestAServerThatStartsAhead' ./integration/conformance
endif
ifeq ($(filter-out overload,$(CAMPAIGN)),)
	REQUIRE_INTEGRATION=1 PENSTOCK_OVERLOAD=5m $(GO) test -count=1 -timeout 60m -v -run 'TestQuotasUnderOverload|TestMoreThanTheMachineTakes' ./integration/conformance
endif
ifeq ($(filter-out linearizable,$(CAMPAIGN)),)
	PENSTOCK_HISTORIES=10000 $(GO) test -count=1 -timeout 10h -v -run TestHistoriesAreLinearizable ./integration/conformance
endif

# Every decoder against arbitrary input, one after another, for FUZZTIME each: a time, or a number of inputs such as 400000x.
FUZZTIME ?= 20s
FUZZ := core/FuzzSequenceNumber core/stream/FuzzParseNumber core/control/FuzzFold \
	core/shardlog/local/FuzzRecover core/shardlog/local/FuzzGroup core/shardlog/local/FuzzPayload core/shardlog/local/FuzzSegment core/shardlog/local/FuzzFooter \
	transforms/json/FuzzDecode transforms/json/FuzzBothWays connectors/file/FuzzSplit connectors/kpl/FuzzUnpack transforms/internal/expr/FuzzParse transforms/internal/expr/FuzzColumnsAndRowsAgree \
	sinks/internal/prefix/FuzzParsedPrefixesStayInside cmd/penstock/FuzzLoad pipelines/FuzzTheSchemaTakesWhatTheDecoderTakes \
	core/awsapi/wire/FuzzDecode core/awsapi/sigv4/FuzzVerify core/awsapi/iam/FuzzPolicy \
	transforms/logline/FuzzDecode transforms/csv/FuzzDecode transforms/regex/FuzzDecode transforms/raw/FuzzDecode core/cloudwatchapi/FuzzBodies core/awsapi/wire/FuzzJSON

fuzz:
	@for target in $(FUZZ); do \
		echo "fuzz $$target for $(FUZZTIME)"; \
		$(GO) test -run '^$$' -fuzz "^$${target##*/}\$$" -fuzztime $(FUZZTIME) ./$${target%/*} || exit 1; \
	done

# The table of the README: every stage, the bare disk, DuckDB, in turns. The folder to work in is on the disk that is measured.
bench:
	$(GO) run ./integration/bench $(BENCH)

bench-go:
	$(GO) test -run '^$$' -bench . -benchmem ./...
