# Everything that a person or a machine does with this tree has a target here: `make help` lists them.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION)

# The Debian packages that the tests start: a real Redis, a real browser, a real reverse proxy.
PACKAGES := redis-server chromium nginx

TOOL    := go tool -modfile=tools/go.mod
GOTEST  := $(TOOL) gotestsum --format pkgname --
NPM     := npm --prefix web

FUZZTIME ?= 30s
SOAK     ?= 30m
BENCH    ?= all
NODES    ?= 2
LISTEN   ?= 127.0.0.1:8080

.PHONY: help test build lint bench fuzz soak web picture demo cluster vuln clean packages go-lint go-test web-lint web-dist web-unit e2e

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Cheap checks stand first, so that a slip is told within a minute.
test: packages web-lint web-dist web-unit go-lint go-test e2e ## all that a change must pass; installs what the tests need
.NOTPARALLEL: test

build: ## bin/laurel, with the version from git
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/laurel ./cmd/laurel

lint: web-lint go-lint ## the page's and the Go code's checks without the tests

bench: build ## figures, each beside its yardstick; thirteen minutes on a machine with nothing else to do (BENCH='http delay')
	bin/laurel bench $(BENCH)

fuzz: ## each fuzz target of the tree in turn, FUZZTIME=30s each
	@scripts/fuzz $(FUZZTIME)

soak: ## the oracle for SOAK=30m: faults of servers, Redis and network under traffic, compared with a model (LAUREL_SEED=n repeats a run)
	@mkdir -p bin
	LAUREL_SOAK=$(SOAK) go test -run '^Test(KilledServer|Nodes)' -parallel 4 -count 1 -timeout 0 -v -artifacts -outputdir $(CURDIR)/bin ./internal/oracle

web: web/node_modules/.package-lock.json ## rebuild web/dist, which is committed
	$(NPM) run build

picture: build web/node_modules/.package-lock.json ## take docs/images/board.png anew, with the browser test's board
	cd web && LAUREL_BIN=$(CURDIR)/bin/laurel LAUREL_SCREENSHOT=$(CURDIR)/docs/images/board.png \
		node --test --test-name-pattern 'a picture' e2e/page.test.mjs

demo: ## the demo on http://127.0.0.1:8000
	go run ./cmd/laurel demo

cluster: build ## NODES=2 nodes on one Redis behind nginx, at LISTEN=127.0.0.1:8080; needs redis-server and nginx
	go run ./deploy/cluster -laurel bin/laurel -nodes $(NODES) -listen $(LISTEN)

vuln: ## known vulnerabilities in what we call; needs the network
	$(TOOL) govulncheck ./...

clean: ## remove what the targets above have made, except the committed web/dist
	rm -rf bin web/node_modules

packages:
	@scripts/packages $(PACKAGES)

# npm writes this file last, so its age is that of a complete installation.
web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci
	@touch $@

web-lint: web/node_modules/.package-lock.json
	$(NPM) run lint

web-dist: web
	@scripts/clean-tree web/dist 'the page was built anew and differs from what is committed; commit the result of `make web`'

web-unit: web/node_modules/.package-lock.json
	$(NPM) test
	$(NPM) run size

go-lint:
	go vet ./...
	$(TOOL) golangci-lint run ./...

go-test:
	$(GOTEST) -race -shuffle=on ./...

e2e: build web/node_modules/.package-lock.json
	LAUREL_BIN=$(CURDIR)/bin/laurel $(NPM) run e2e
