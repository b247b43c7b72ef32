# SPDX-License-Identifier: Apache-2.0

GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/crau-otel
SAMPLE := examples/sample/sample

export CGO_ENABLED = 0

.PHONY: all
all: build sample ## build everything (the default)

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: build
build: ## build bin/crau-otel, a static binary; needs Go only
	$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/crau-otel ./cmd/crau-otel

.PHONY: sample
sample: ## build the sample program; needs a C compiler
	$(MAKE) -s -C examples/sample

.PHONY: demo
demo: build sample ## show the trees of the sample program's handshakes on the console; needs root
	@./examples/demo.sh bin/crau-otel $(SAMPLE)

# One package at a time: several attach to, or look at, all that runs on the host.
.PHONY: test
test: sample ## run all tests; those of the kernel need root
	$(GO) test -count=1 -p 1 ./...
	cd tools/blocksize && $(GO) test -count=1 ./...

.PHONY: test-race
test-race: sample ## run the tests with the race detector; needs cgo
	CGO_ENABLED=1 $(GO) test -count=1 -race ./...

.PHONY: test-gnutls
test-gnutls: build ## build GnuTLS with probes into the cache and trace real handshakes; needs root
	examples/gnutls/build.sh "$(CACHE)/gnutls"
	GNUTLS_CACHE="$(CACHE)/gnutls" $(GO) test -count=1 -v -tags gnutls -run GnuTLS ./test/e2e

.PHONY: test-adversary
test-adversary: build sample ## attack the audit as an unprivileged user, beside a victim that must be audited; needs root
	$(GO) test -count=1 -v -tags adversary ./test/adversary

.PHONY: chaos
chaos: ## let programs come and go for five minutes while the agent is killed and restarted; needs root; CHAOS="-duration 75s -seed 7"
	$(GO) test -count=1 -v -timeout 30m -tags chaos ./test/chaos $(CHAOS)

.PHONY: test-vm
test-vm: build sample ## run on other kernels and on arm64 in QEMU, one after the other
	VM_CACHE="$(CACHE)/vm" $(GO) test -count=1 -v -timeout 25m -tags vm ./test/vm

.PHONY: bench
bench: ## measure what tracing costs; needs root, a C compiler and minutes; BENCH=--quick: a minute
	$(GO) run ./test/bench $(BENCH)

.PHONY: soak
soak: ## a load of ten minutes, for losses and growing memory; needs root and a C compiler; SOAK="--outage 60s"
	$(GO) run ./test/bench --soak $(SOAK)

.PHONY: generate
generate: ## rebuild the BPF objects; needs clang-19, llvm-strip-19 and libbpf-dev
	$(GO) generate ./bpf

.PHONY: docs
docs: ## write what is made of tables in the code: pages of docs/, semconv/, Grafana's dashboards
	$(GO) run ./cmd/crau-otel/internal/gendocs .
	cd tools && $(GO) run ./dashboards ../examples/grafana/dashboards

.PHONY: lint
lint: bin/golangci-lint ## run the linters
	bin/golangci-lint run ./...
	cd tools && $(GO) vet ./...
	cd tools/blocksize && $(GO) vet ./...
	shellcheck .ci/run $$(git ls-files '*.sh')

.PHONY: vuln
vuln: bin/govulncheck ## look for known vulnerabilities in what is called; needs jq; STDLIB=fail: those of Go as well
	tools/vuln.sh bin/govulncheck

.PHONY: dist
dist: bin/nfpm bin/cyclonedx-gomod ## build the release into bin/dist: binaries, deb, rpm, SBOM, checksums
	packaging/dist.sh bin/dist $(VERSION)

.PHONY: test-packages
test-packages: dist sample ## install the packages of the release in chroots of Debian; needs root and debootstrap
	test/packages/chroot.sh bookworm "$(CACHE)/chroots/bookworm"
	test/packages/chroot.sh sid "$(CACHE)/chroots/sid"
	DIST="$(CURDIR)/bin/dist" CHROOTS="$(CACHE)/chroots" $(GO) test -count=1 -v -tags packages ./test/packages

.PHONY: kubernetes
kubernetes: bin/helm ## write examples/kubernetes/base from the chart
	bin/helm template crau-otel examples/kubernetes/chart --namespace crau-otel --kube-version 1.34.1 >examples/kubernetes/base/crau-otel.yaml

.PHONY: test-fleet
test-fleet: build sample bin/helm bin/kubeconform bin/kustomize ## build a collector, Jaeger and a broker into the cache and send handshakes through them; needs root
	test/fleet/build.sh "$(CACHE)/fleet"
	cd tools && $(GO) build -o "$(CACHE)/fleet/broker" ./broker
	examples/gnutls/build.sh "$(CACHE)/gnutls"
	FLEET="$(CACHE)/fleet" GNUTLS_CACHE="$(CACHE)/gnutls" $(GO) test -count=1 -v -timeout 20m -tags fleet ./test/fleet

# Tools are built from the module in tools, which pins their versions.
TOOL_golangci-lint := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
TOOL_nfpm := github.com/goreleaser/nfpm/v2/cmd/nfpm
TOOL_cyclonedx-gomod := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
TOOL_kubeconform := github.com/yannh/kubeconform/cmd/kubeconform
TOOL_helm := helm.sh/helm/v3/cmd/helm
TOOL_kustomize := sigs.k8s.io/kustomize/kustomize/v5
TOOL_govulncheck := golang.org/x/vuln/cmd/govulncheck

bin/golangci-lint bin/nfpm bin/cyclonedx-gomod bin/kubeconform bin/helm bin/kustomize bin/govulncheck: bin/%: tools/go.mod
	cd tools && $(GO) build -o ../$@ $(TOOL_$*)

.PHONY: clean
clean: ## remove what was built here
	rm -rf bin
	$(MAKE) -s -C examples/sample clean
