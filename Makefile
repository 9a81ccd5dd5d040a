# Targets for people: build install test demo bench lint deb release. Everything that is missing on a Debian machine is
# installed by apt-get.

PREFIX  ?= /usr
DESTDIR ?=
GO      ?= go
BIN     ?= bin
DIST    ?= dist
ARCHES  ?= amd64 arm64
ifndef VERSION
VERSION := $(shell packaging/version)
endif
ifndef SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH := $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)
endif
MAINTAINER ?= The clusterctl authors <clusterctl@users.noreply.github.com>
export VERSION SOURCE_DATE_EPOCH MAINTAINER
BUILD    = CGO_ENABLED=0 GOARCH=$(GOARCH) $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -buildid= -X main.version=$(VERSION)'

# The C compiler for the race detector and a C worker; the container tools; real workers for the tests of the shim that
# need no systemd (nginx is not started); groff and man for the manual; shells to complete in; lintian for the packages.
TEST_PACKAGES = gcc libc6-dev systemd-container mmdebstrap iproute2 procps util-linux nodejs python3 gunicorn nginx-light groff-base \
	bash-completion zsh fish bsdutils man-db lintian

# What Go, git and the tests themselves call on the host.
TEST_PACKAGES += ca-certificates curl debian-archive-keyring git

# Tests that drive real programs for minutes. The race detector sees all else; here it would only slow them down.
LONG = ^(TestRolling|TestSlowRequests|TestWithoutEpoll|TestKillAtEveryStep|TestKillTheRepair|TestKillAtRandom)$$

# Debian packages of the benchmarks; the peers are in an image of their own. npm is part of some packages of nodejs.
BENCH_PACKAGES = systemd-container mmdebstrap iproute2 util-linux nodejs

.PHONY: build install test demo demo-image bench bench-go bench-lab lint deps unit e2e programs vm fuzz images deb release clean

build:
	$(BUILD) -o $(BIN)/clusterctl ./cmd/clusterctl
	$(BUILD) -o $(BIN)/clusterctl-shim ./cmd/clusterctl-shim

install: build
	install -D -m 0755 $(BIN)/clusterctl $(DESTDIR)$(PREFIX)/bin/clusterctl
	install -D -m 0755 $(BIN)/clusterctl-shim $(DESTDIR)$(PREFIX)/lib/clusterctl/clusterctl-shim
	install -D -m 0644 packaging/polkit/50-clusterctl-operators.rules $(DESTDIR)$(PREFIX)/share/doc/clusterctl/50-clusterctl-operators.rules
	install -D -m 0644 internal/cmdline/completion/clusterctl.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/clusterctl
	install -D -m 0644 internal/cmdline/completion/clusterctl.zsh $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_clusterctl
	install -D -m 0644 internal/cmdline/completion/clusterctl.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/clusterctl.fish
	install -D -m 0644 activation/shim/nodepreload/clusterctl-node-preload.cjs $(DESTDIR)$(PREFIX)/lib/clusterctl/clusterctl-node-preload.cjs
	install -D -m 0644 packaging/schema/clusterctl-output.schema.json $(DESTDIR)$(PREFIX)/share/clusterctl/clusterctl-output.schema.json
	for page in packaging/man/*.[1-8]; do install -D -m 0644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit; done
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/clusterctl README.md CHANGELOG.md LICENSE
	cd packaging/examples && find . -type f ! -name '*_test.go' -exec install -D -m 0644 {} $(DESTDIR)$(PREFIX)/share/doc/clusterctl/examples/{} \;

# What each step said is repeated at the end, so that the last lines tell what failed and where the time went. The images
# are made while the unit tests run, where they are not there yet.
REPORT = $(CURDIR)/bin/test-report
test:
	@mkdir -p bin && rm -f $(REPORT)
	@start=$$(date +%s); status=0; \
	for step in deps lint "unit images" e2e; do \
	  REPORT=$(REPORT) .ci/step "$$step" $(MAKE) --no-print-directory -j2 $$step || { status=1; break; }; \
	done; \
	echo; echo "make test, in $$(($$(date +%s) - start)) s:"; cat $(REPORT); exit $$status

deps:
	@.ci/deps $(TEST_PACKAGES)

# Pinned: a new version may find more.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
lint:
	@out=$$(gofmt -s -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt -s would change: $$out"; exit 1; fi
	$(GO) vet -tags lab,vm,programs ./...
	$(GO) run $(STATICCHECK) -tags lab,vm,programs ./...

# Without systemd, with the race detector; what boots machines belongs to e2e. lint has vetted all of it. The property tests
# draw the same values each time, so that a run says something about the change at hand; "make fuzz" draws others.
unit:
	CGO_ENABLED=1 RAPID_SEED=1 $(GO) test -vet off -race -timeout 30m -skip '$(LONG)' $$($(GO) list ./... | grep -v /internal/lab)
	$(GO) test -vet off -parallel 8 -timeout 30m -run '$(LONG)' ./activation/shim/drain ./units/install

# The images of Debian 11, 12, 13 and sid, made once and kept outside the tree.
images:
	$(GO) run ./internal/lab/cmd/labimages

# On booted systemd. Most of it waits: for a drain, for a restart, for a worker that computes. So three packages run beside
# one another, the longest first, each on machines of its own, and eight tests or releases of a package.
E2E = ./internal/e2e/matrix ./internal/e2e ./internal/e2e/hostile ./internal/e2e/deb ./units/control ./units ./internal/lab/...
e2e:
	$(GO) test -vet off -tags lab -p 3 -parallel 8 -count 1 -timeout 60m $(E2E)

# Real programs: those from Debian that are too large for the images (daphne, gRPC, Java), and each Unix socket server in each
# place. Writes docs/programs.md. Needs a network, and takes some minutes.
programs: deps images
	PROGRAMS=$(CURDIR)/docs/programs.md $(GO) test -vet off -tags lab,programs -p 1 -count 1 -timeout 60m -run 'OfTheWorld$$' ./internal/e2e/matrix

# In a virtual machine: the controllers of cgroup v2, and Yama. Without KVM it takes some 130 s of CPU, on two cores.
vm: deps
	$(GO) test -tags vm -v -count 1 -timeout 20m ./internal/lab/vm

# The property tests with random seeds, each fuzz target for a while, and thousands of random apps through booted systemd on
# all four releases.
CHECKS   ?= 10000
FUZZTIME ?= 30s
VECTORS  ?= 2000
fuzz: deps images
	@files=$$(grep -rl --include='*_test.go' 'rapid\.Check(' .) && \
	names=$$(awk '/^func Test/ { split($$2, n, "("); name = n[1] } /rapid\.Check\(/ { print name }' $$files | paste -sd '|') && \
	RAPID_SEED=0 RAPID_CHECKS=$(CHECKS) $(GO) test -vet off -count 1 -timeout 60m -run "^($$names)\$$" $$(dirname $$files | sort -u)
	@set -e; for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p; \
	  done; \
	done
	$(GO) test -tags lab -count 1 -timeout 60m -run '^TestQuotingOnSystemd$$' ./units -vectors $(VECTORS) -seed $$(date +%s)

# What the demo needs and no more: no compiler, no checks. Its image is made while Go compiles, and every package is compiled
# once, since all programs are built with the flags of "build".
DEMO_RUN = CGO_ENABLED=0 $(GO) run -trimpath -buildvcs=false
DEMO_PACKAGES = systemd-container mmdebstrap iproute2 util-linux debian-archive-keyring ca-certificates
demo:
	@.ci/deps $(DEMO_PACKAGES)
	@echo 'building clusterctl and an image of Debian 12, once'
	@$(MAKE) --no-print-directory -s -j2 build demo-image
	@$(DEMO_RUN) ./internal/demo

demo-image:
	@$(DEMO_RUN) ./internal/lab/cmd/labimages -quiet bookworm

# Side by side with PM2 and the others, in about 23 minutes: bench/results/DATE.json, docs/benchmarks.md and its plots.
# QUICK=1 is a smoke run of under four minutes, which skips what a slow machine has no time for; ONLY=balance is some of it.
# Neither touches docs/.
bench: build
	@.ci/deps $(BENCH_PACKAGES)
	@command -v npm >/dev/null || .ci/deps npm
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -o bin/inside ./bench/inside
	$(GO) run ./internal/lab/cmd/labimages bench trixie
	$(GO) run ./bench $(if $(QUICK),-quick) $(if $(ONLY),-only $(ONLY))

# Our own hot paths; compare two runs with benchstat: make bench-go >old.txt; …; make bench-go >new.txt; benchstat old.txt new.txt
bench-go:
	@$(GO) test -run '^$$' -bench . -benchmem -count $(or $(COUNT),6) ./units ./units/config ./units/control ./units/install ./cmd/clusterctl

# Time and D-Bus calls of commands with 10, 100 and 500 instances; speed, latency and memory of logs. On booted systemd.
bench-lab: images
	$(GO) test -tags lab -run '^$$' -bench . -benchtime 1x -timeout 60m ./bench/scale500 ./bench/logs

# The Debian packages, one for each architecture; dpkg is all that it takes on top of Go.
deb: $(ARCHES:%=deb-%)

deb-%: stage-%
	packaging/debian/build $* $(DIST)/stage/$*/root $(DIST)/clusterctl_$(VERSION)-1_$*.deb

# All that is published, as packaging/RELEASE.md says: packages, tarballs, the bills of materials, checksums.
release:
	@case '$(VERSION)' in *dirty*|*devel*) echo 'there are changes that are not committed: $(VERSION)'; exit 1 ;; esac
	rm -rf $(DIST)
	$(MAKE) --no-print-directory $(ARCHES:%=tar-%) $(ARCHES:%=deb-%) $(ARCHES:%=bom-%)
	rm -rf $(DIST)/stage
	cd $(DIST) && sha256sum * >SHA256SUMS && cat SHA256SUMS

# For systems without dpkg: unpacked over /, since the units name the shim by its full path.
tar-%: stage-%
	tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@$(SOURCE_DATE_EPOCH) --format=gnu --transform 's,^\.,clusterctl-$(VERSION),' \
		-C $(DIST)/stage/$*/root -cf - . | gzip -9n >$(DIST)/clusterctl_$(VERSION)_linux_$*.tar.gz

# The bill of materials of each program, read from the program itself. Nothing is downloaded for it but the tool: the modules
# are in the cache since the build. The same tool in any directory and at any time writes the same bytes.
CYCLONEDX = github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

bom-%: stage-%
	CGO_ENABLED=0 GOBIN=$(abspath $(DIST))/stage/$*/tools $(GO) install -trimpath $(CYCLONEDX)
	for program in clusterctl clusterctl-shim; do \
	  GOPROXY=off $(DIST)/stage/$*/tools/cyclonedx-gomod bin -json -std -licenses -noserial -notimestamp -version v$(VERSION) \
	    -output $(DIST)/$${program}_$(VERSION)_linux_$*.cdx.json $(DIST)/stage/$*/bin/$$program || exit; \
	done

# The tree of "make install" for an architecture, for the packages and the tarballs. The notes of a Debian package are
# elsewhere, so that LICENSE is left out there.
stage-%:
	rm -rf $(DIST)/stage/$*
	umask 022 && $(MAKE) --no-print-directory install BIN=$(DIST)/stage/$*/bin GOARCH=$* DESTDIR=$(abspath $(DIST))/stage/$*/root PREFIX=/usr

clean:
	rm -rf bin dist
