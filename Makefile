# make demo          a hub and two stations on this machine, live on the terminal
# make demo ONCE=1   four calls, measured, with one line of JSON at the end
# make quick         format, vet, staticcheck and the unit tests: needs Go only, and a minute
# make test          everything that is checked, as CI does
# make test-web      its part in real browsers: the SDK and the operator's pages (root, six minutes)
# make test-attacks  its part that attacks a hub and stations, and says what got through (docs/security.md)
# make test-board    its part on a virtual board: a real kernel, GPIO chip, systemd and journal (root, six minutes)
# make sdk           the browser SDK as an npm package with its types, into out/
# make deb           the Debian packages for amd64, arm64 and armhf, into out/packages
# make test-packages their part of the tests: a Debian machine in a container (root, two minutes)
# make image         a card for a Raspberry Pi, and an update for those that were flashed (ten minutes the first time)
# make test-image    its part of the tests: the same card for QEMU, provisioned, called, updated, unplugged (root, ten minutes)
# make build         the programs, into bin/
# make bench-hub     what hubs carry, measured
# make bench-web     calls with a browser, measured
# make bench-audio   the voice, measured: delay, loss, speech, echo, drift, use
# make deps          what the above need and Debian has (they call it themselves)

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

.PHONY: build quick format web sdk deb image test-image deps-image test-packages deps-packages test-attacks test-web test-board deps-board bench-hub bench-audio bench-web demo test deps deps-test check unit pure arm64 generate clean

build: deps
	go build -trimpath -o bin/ ./cmd/...

demo: build
	@bin/demo $(if $(ONCE),-once)

test: deps deps-test web check unit pure test-attacks test-web test-packages test-board test-image
	@echo "all checks passed"

# What one runs after each change: without cgo, root, packages of Debian, and tests that take their time (package needs).
# internal/house is not cached: it reads files that the test cache does not see.
quick: export CGO_ENABLED := 0
quick: format
	go vet ./...
	go tool staticcheck ./...
	go test -short ./...
	go test -short -count=1 ./internal/house
	@echo "quick checks passed; 'make test' is everything"

format:
	@bad=$$(find . -name node_modules -prune -o -name '*.go' -exec gofmt -l {} +); if [ -n "$$bad" ]; then echo "gofmt would change: $$bad"; exit 1; fi

# What checks and tests the pages, from npm, as web/package-lock.json has it.
web: web/node_modules/.package-lock.json
web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	@command -v npm >/dev/null || scripts/deps nodejs npm
	cd web && npm ci --silent
	@touch $@

# Attacks on a real hub and real stations; a flood is measured too. The report is in out/attacks.json.
test-attacks: build deps-test
	@mkdir -p out
	bin/intercom-attack -bin bin -json out/attacks.json

# The browser SDK as an npm package; the hub serves the same.
sdk: web
	@mkdir -p out
	cd web/sdk && npm pack --silent --pack-destination ../../out

# The SDK and the pages in real browsers, against a real hub, station and PulseAudio, in a network of their own.
test-web: web deps-test
	go test -tags=browser -count=1 -v -run TestInBrowsers ./web

# gofmt, vet, staticcheck; types, lint and unit tests of the SDK
check: web format
	go vet ./...
	go vet -tags=board ./images/...
	go vet -tags=browser ./web
	go vet -tags=machine ./images/machine
	go vet -tags=card ./images/card
	go tool staticcheck ./...
	cd web && npm run --silent check && npm run --silent unit

# Unit, property and fuzz seeds, and end to end on a real PulseAudio, all with the race detector. -count=1: the house's
# rules read files that the test cache does not see.
unit: web
	go test -race -count=1 -timeout 20m ./...

# The build without cgo: G.711 sent, Opus decoded.
pure:
	CGO_ENABLED=0 go build -trimpath -o out/pure/ ./cmd/...
	CGO_ENABLED=0 go test -count=1 ./audio/codec ./audio/jitter ./audio/rtp ./call/... ./device ./device/voice

# The programs for 64-bit boards, with libopus.
arm64: deps-test
	scripts/cross arm64 out/arm64

# The Debian packages of both programs, for three architectures, into out/packages.
deb: deps-packages
	@for arch in amd64 arm64 armhf; do scripts/deb $$arch out/packages || exit 1; done

# Installed, started, upgraded, removed and purged on a Debian machine in a container; those for armhf by qemu-user.
test-packages: build deb
	go test -tags=machine -count=1 -timeout 15m -v ./images/machine

# A card for a Raspberry Pi, and its update, into out/image.
image: deps-image deps-packages
	scripts/deb arm64 out/packages
	images/card/build pi out/image
	xz -T0 -kf out/image/intercom-pi.img
	@ls -l out/image/intercom-pi.img.xz | awk '{ printf "%s %.0f MB\n", $$9, $$5 / 1e6 }'

# The same card for QEMU's "virt", provisioned, called, updated, unplugged; the one for a Raspberry Pi, started on QEMU's.
test-image: build deb image
	openssl req -x509 -newkey rsa:3072 -nodes -days 7300 -subj "/CN=own" -keyout out/image/own.key -out out/image/own.pem 2>/dev/null
	ROOT_SIZE=480M IMAGE_KEY=$(CURDIR)/out/image/own.key IMAGE_CERT=$(CURDIR)/out/image/own.pem images/card/build virt out/image
	go test -tags=card -count=1 -timeout 30m -v ./images/card

deps-image:
	@scripts/deps mmdebstrap qemu-user-static binfmt-support arch-test uidmap genimage mtools dosfstools e2fsprogs fdisk u-boot-tools rauc squashfs-tools openssl xz-utils dpkg-dev \
		qemu-system-arm u-boot-qemu dnsmasq-base openssh-client systemd-journal-remote stunnel4 iproute2 python3 pulseaudio pulseaudio-utils

deps-packages:
	@scripts/deps debhelper dpkg-dev lintian man-db libopus-dev pkg-config gcc libc6-dev systemd-container mmdebstrap qemu-user-static util-linux \
		gcc-arm-linux-gnueabihf libc6-dev-armhf-cross $(if $(filter arm64,$(shell go env GOHOSTARCH)),gcc-x86-64-linux-gnu libc6-dev-amd64-cross,gcc-aarch64-linux-gnu libc6-dev-arm64-cross)

deps:
	@scripts/deps pulseaudio pulseaudio-utils libopus-dev pkg-config gcc libc6-dev ca-certificates

deps-test:
	@scripts/deps $(if $(filter arm64,$(shell go env GOHOSTARCH)),,gcc-aarch64-linux-gnu libc6-dev-arm64-cross) python3 python3-websockets iproute2 nftables procps systemd espeak-ng util-linux pipewire pipewire-pulse wireplumber dbus chromium firefox-esr libnss3-tools mosquitto mosquitto-clients openssl

# The station on a virtual board (images/board): its image is made of Debian packages once and kept in the user's cache.
# -p 1: one board at a time. A board that cannot be had is said, and skipped.
test-board: build arm64 deb deps-board
	go test -tags=board -count=1 -timeout 30m -v ./images/board

deps-board:
	@scripts/deps qemu-system-arm qemu-user-static binfmt-support arch-test mmdebstrap e2fsprogs cpio kmod iproute2 pulseaudio pulseaudio-utils $(if $(filter amd64,$(shell go env GOHOSTARCH)),qemu-system-x86 seabios linux-headers-amd64 linux-source-6.1 gcc make) || echo "no board: its packages cannot be had"

# What hubs carry: client and hubs on this machine, medians of three runs, a table and bin/bench-hub.json. 15 minutes.
bench-hub: build
	bin/intercom-load bench -hub-program bin/intercom-hub -json bin/bench-hub.json

# The voice of two stations, over a cable that can be made bad. It needs root; half an hour with nothing else running.
bench-audio: build
	@scripts/deps pulseaudio pulseaudio-utils espeak-ng iproute2 util-linux pipewire pipewire-pulse wireplumber dbus
	bin/intercom-lab -bin bin -json bin/bench-audio.json -svg docs/img/latency.svg

# Calls between a station and Chromium, and between two Chromiums, over the same cable, and between machines that move. It
# needs root; ten minutes.
bench-web: build web
	@scripts/deps pulseaudio pulseaudio-utils iproute2 util-linux chromium
	bin/intercom-lab -bin bin -only web,webmove -json bin/bench-web.json

# The documents and golden files that are made from the code.
generate: web
	go test ./device ./device/setup ./hub ./hub/access ./hub/call ./wire ./call ./systemd -update
	cd web/sdk && npm run --silent types

clean:
	rm -rf bin out
