# Targets for people: build install test demo bench lint deb release. On a Debian machine, the targets install missing
# packages with apt-get.

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

# Debian packages for the tests: gcc for the race detector and a worker in C; container tools; real workers for the tests of
# the shim that do not need systemd (nginx is not started); groff and man for the manual pages; shells for the tests of
# completion; lintian for the packages.
TEST_PACKAGES = gcc libc6-dev systemd-container mmdebstrap iproute2 procps util-linux nodejs python3 gunicorn nginx-light groff-base \
	bash-completion zsh fish bsdutils man-db lintian

# Packages that Go, git and the tests use on the host.
TEST_PACKAGES += ca-certificates curl debian-archive-keyring git

# Tests that run real programs for minutes. These tests run without the race detector, because it would make them
# slower, and would find races only in the test itself. All other unit tests run with the race detector.
LONG = ^(TestRolling|TestSlowRequests|TestWithoutEpoll|TestKillAtEveryStep|TestKillTheRepair|TestKillAtRandom)$$

# Debian packages for the benchmarks. PM2 and the other programs of the comparison are in a separate image. The package
# npm is not in this list, because some nodejs packages already contain it.
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

# The output ends with a report of all steps: the failed tests, and the duration of each package. Missing images are built
# while the unit tests run.
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

# The version is pinned, because a newer one may report more problems.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
lint:
	@out=$$(gofmt -s -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt -s would change: $$out"; exit 1; fi
	$(GO) vet -tags lab,vm,programs ./...
	$(GO) run $(STATICCHECK) -tags lab,vm,programs ./...

# The tests that do not boot machines, with the race detector. These tests do not run go vet, because "make lint" runs
# it. The property tests use the same values in each run, so that a new failure comes from the change; "make fuzz" uses
# random values.
unit:
	CGO_ENABLED=1 RAPID_SEED=1 $(GO) test -vet off -race -timeout 30m -skip '$(LONG)' $$($(GO) list ./... | grep -v /internal/lab)
	$(GO) test -vet off -parallel 8 -timeout 30m -run '$(LONG)' ./activation/shim/drain ./units/install

# The images of Debian 11, 12, 13 and sid. They are built once and stored outside the tree.
images:
	$(GO) run ./internal/lab/cmd/labimages

# The tests on booted systemd. They spend most of their time waiting, for example for a drain or a restart. So three
# packages run at the same time, starting with the longest, and up to eight tests of each package run at the same time.
# Each package boots its own machines.
E2E = ./internal/e2e/matrix ./internal/e2e ./internal/e2e/hostile ./internal/e2e/deb ./units/control ./units ./internal/lab/...
e2e:
	$(GO) test -vet off -tags lab -p 3 -parallel 8 -count 1 -timeout 60m $(E2E)

# The tests with real programs: Debian packages that are too large for the images (daphne, gRPC, Java), and servers with a Unix
# socket in different directories. They write docs/programs.md, need a network, and take some minutes.
programs: deps images
	PROGRAMS=$(CURDIR)/docs/programs.md $(GO) test -vet off -tags lab,programs -p 1 -count 1 -timeout 60m -run 'OfTheWorld$$' ./internal/e2e/matrix

# The tests of the cgroup v2 controllers and of Yama, in a virtual machine. Without KVM they use about 130 s of CPU on two
# cores.
vm: deps
	$(GO) test -tags vm -v -count 1 -timeout 20m ./internal/lab/vm

# Runs the property tests with random seeds, each fuzz target for FUZZTIME, and the quoting test with VECTORS random apps on
# booted systemd of all four releases.
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

# The demo installs only the packages that it needs: no C compiler, and no tools for checks. The image is built while Go
# compiles. All programs are built with the flags of "build", so Go compiles each package only once.
DEMO_RUN = CGO_ENABLED=0 $(GO) run -trimpath -buildvcs=false
DEMO_PACKAGES = systemd-container mmdebstrap iproute2 util-linux debian-archive-keyring ca-certificates
demo:
	@.ci/deps $(DEMO_PACKAGES)
	@echo 'building clusterctl and an image of Debian 12, once'
	@$(MAKE) --no-print-directory -s -j2 build demo-image
	@$(DEMO_RUN) ./internal/demo

demo-image:
	@$(DEMO_RUN) ./internal/lab/cmd/labimages -quiet bookworm

# Compares clusterctl with PM2 and other programs in about 23 minutes, and writes bench/results/DATE.json, docs/benchmarks.md
# and the plots. QUICK=1 is a smoke test of less than four minutes; on a slow machine, it skips measurements. ONLY=balance runs
# one group of measurements. With QUICK or ONLY, docs/ stays unchanged.
bench: build
	@.ci/deps $(BENCH_PACKAGES)
	@command -v npm >/dev/null || .ci/deps npm
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -o bin/inside ./bench/inside
	$(GO) run ./internal/lab/cmd/labimages bench trixie
	$(GO) run ./bench $(if $(QUICK),-quick) $(if $(ONLY),-only $(ONLY))

# Go benchmarks of the hot paths of clusterctl. To compare two versions of the tree, use benchstat:
# make bench-go >old.txt; …; make bench-go >new.txt; benchstat old.txt new.txt
bench-go:
	@$(GO) test -run '^$$' -bench . -benchmem -count $(or $(COUNT),6) ./units ./units/config ./units/control ./units/install ./cmd/clusterctl

# Benchmarks on booted systemd: the time and the D-Bus calls of commands with 10, 100 and 500 instances, and the speed,
# latency and memory of "logs".
bench-lab: images
	$(GO) test -tags lab -run '^$$' -bench . -benchtime 1x -timeout 60m ./bench/scale500 ./bench/logs

# Builds a Debian package for each architecture. The build needs only Go and dpkg.
deb: $(ARCHES:%=deb-%)

deb-%: stage-%
	packaging/debian/build $* $(DIST)/stage/$*/root $(DIST)/clusterctl_$(VERSION)-1_$*.deb

# Builds all files that are published (packaging/RELEASE.md): packages, tarballs, bills of materials, checksums.
release:
	@case '$(VERSION)' in *dirty*|*devel*) echo 'commit all changes first: the version would be $(VERSION)'; exit 1 ;; esac
	rm -rf $(DIST)
	$(MAKE) --no-print-directory $(ARCHES:%=tar-%) $(ARCHES:%=deb-%) $(ARCHES:%=bom-%)
	rm -rf $(DIST)/stage
	cd $(DIST) && sha256sum * >SHA256SUMS && cat SHA256SUMS

# The tarballs, for systems without dpkg. They must be unpacked in /, because the units contain the full path of the shim.
tar-%: stage-%
	tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@$(SOURCE_DATE_EPOCH) --format=gnu --transform 's,^\.,clusterctl-$(VERSION),' \
		-C $(DIST)/stage/$*/root -cf - . | gzip -9n >$(DIST)/clusterctl_$(VERSION)_linux_$*.tar.gz

# The bill of materials of each program. cyclonedx-gomod reads the list of modules from the program. The build has already
# downloaded these modules, so GOPROXY is off. The output does not depend on the directory or the time.
CYCLONEDX = github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

bom-%: stage-%
	CGO_ENABLED=0 GOBIN=$(abspath $(DIST))/stage/$*/tools $(GO) install -trimpath $(CYCLONEDX)
	for program in clusterctl clusterctl-shim; do \
	  GOPROXY=off $(DIST)/stage/$*/tools/cyclonedx-gomod bin -json -std -licenses -noserial -notimestamp -version v$(VERSION) \
	    -output $(DIST)/$${program}_$(VERSION)_linux_$*.cdx.json $(DIST)/stage/$*/bin/$$program || exit; \
	done

# Runs "make install" for one architecture. The packages and the tarballs are made from the result.
stage-%:
	rm -rf $(DIST)/stage/$*
	umask 022 && $(MAKE) --no-print-directory install BIN=$(DIST)/stage/$*/bin GOARCH=$* DESTDIR=$(abspath $(DIST))/stage/$*/root PREFIX=/usr

clean:
	rm -rf bin dist
