# make check   format, vet (also for darwin and windows), lint, hermetic tests with -race
# make test    check and the tests that need real servers and real data, which it sets up
# make bench   the benchmarks
GO ?= go
GOFUMPT := mvdan.cc/gofumpt@v0.9.2
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: check test bench fmt lint vet race

check: fmt vet lint race

fmt:
	@out=$$($(GO) run $(GOFUMPT) -l .); test -z "$$out" || { echo "not gofumpt-formatted:"; echo "$$out"; exit 1; }

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

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...
