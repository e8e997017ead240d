# SPDX-License-Identifier: Apache-2.0
# The front door. `make help` lists what there is; meson.build has the rest.
MESON_TEST = meson test --print-errorlogs
SANITIZED  = --suite unit --suite device --suite disk --suite fuzz
SECONDS   ?= 30
STATES    ?= 20000
MINUTES   ?= 30
KILLS     ?= 500
SEED      ?= 1
GUESTS    ?= secure_boot memtest installer fwts

all: build/release/build.ninja ## build into build/release
	ninja -C build/release

packages: ## install the Debian packages that build, tests and demo need
	tools/packages.sh build web test lab suites

demo: build/release/build.ninja ## bring a host up with a Debian VM on it, this terminal at the VM's console
	@tools/packages.sh build web lab demo
	ninja -C build/release host
	lab/demo

demo-down: ## end the host that make demo left, and its VM
	lab/demo --down

check: packages all ## run all tests; the last line says how many passed and failed
	@$(MESON_TEST) -C build/release; status=$$?; \
	tools/test_summary.py build/release/meson-logs/testlog.json; exit $$status

asan: build/asan/build.ninja ## unit, device, disk and corpus tests under ASan and UBSan
	UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 $(MESON_TEST) -C build/asan $(SANITIZED)

tsan: build/tsan/build.ninja ## the same under TSan
	setarch -R $(MESON_TEST) -C build/tsan $(SANITIZED)

clang: build/clang/build.ninja ## build with clang, a warning is an error
	ninja -C build/clang

aarch64: build/aarch64/build.ninja ## build for aarch64, which has no engine yet; the same tests, emulated
	ninja -C build/aarch64
	$(MESON_TEST) -C build/aarch64 $(SANITIZED)

fuzz: all build/fuzz/build.ninja ## fuzz and compare with random input, each target for SECONDS=30 (TARGETS=...); findings in build/fuzz
	ninja -C build/fuzz fuzzers
	tools/fuzz.sh build/fuzz build/release $(SECONDS) $(TARGETS)

guests: packages all ## Secure Boot, memtest86+, the Debian installer, the firmware test suite; 15 minutes
	@status=0; for group in $(GUESTS); do tests/lab/run.py build/release $$group || status=1; done; exit $$status

suites: packages all ## the kernel's selftests and stress-ng in 64-bit and 32-bit guests of the software engine; 20 minutes
	tests/native/suites.py build/release

soak: packages all ## a guest of the software engine at hard work for MINUTES=30, results as the processor's
	tests/native/soak.py build/release --seconds $$(($(MINUTES) * 60))

crash-replay: all ## cut the power at STATES=20000 moments of a disk workload, check what is left
	SOCLE_TESTS=tests build/release/tests/disk/test-disk-crash $(STATES)

pictures: packages all ## pictures of the host client's pages, light, dark and narrow, in build/pictures
	SOCLE_PICTURES=$(CURDIR)/build/pictures node tests/web/pictures.mjs $(CURDIR)/build/release $(CURDIR)/web

crash: packages all ## kill -9 hostd KILLS=500 times in a stream of operations, SEED=1, and at each step of those on VMs; nothing may be lost
	tests/api/host_crash.py build/release --kills $(KILLS) --seed $(SEED)
	/usr/bin/python3 -B tests/api/host_steps.py build/release 0
	for seed in 1 2 3 4 5 6 7 8 9 10; do SOCLE_CRASH_SEED=$$seed /usr/bin/python3 -B tests/api/host_running.py build/release crashes || exit; done

bench: packages all ## one table of figures, with the peers measured in the same run
	bench/run

bench-transfer: packages all ## files to and from a datastore, beside cp, a plain nginx and bare TLS
	ninja -C build/release bench/bench-floor
	/usr/bin/python3 -B bench/transfer.py build/release

bench-engine: packages all ## the software engine against QEMU's TCG and the processor; some 15 minutes
	bench/engine/run

bench-api: packages all ## the API of a whole host with 1,024 VMs, vcsim beside it; 5 minutes
	bench/hostd build/release

bench-page: packages all ## how long until the host client's page can be used, in Chromium; a minute
	node bench/page.mjs $(CURDIR)/build/release $(CURDIR)/web

bench-console: packages all ## what a screen of 1280x800 costs to show, beside QEMU's VNC server; 15 minutes
	bench/console build/release

format: ## clang-format on all C files
	git ls-files -co --exclude-standard '*.[ch]' | xargs clang-format -i

install: all ## install below DESTDIR and the prefix that meson was configured with
	meson install -C build/release

clean: ## remove build/ but for what the lab has fetched
	rm -rf build/release build/asan build/tsan build/clang build/aarch64 build/fuzz

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /  \1\t/p' Makefile | expand -t 18

build/release/build.ninja:
	@tools/packages.sh build web
	meson setup build/release -Db_lto=true # 350 instructions of a trapped access become 290
build/asan/build.ninja:
	@tools/packages.sh build test
	meson setup build/asan -Dweb=disabled -Db_sanitize=address,undefined
build/tsan/build.ninja:
	@tools/packages.sh build test
	meson setup build/tsan -Dweb=disabled -Db_sanitize=thread
build/clang/build.ninja:
	@tools/packages.sh build
	CC=clang meson setup build/clang -Dweb=disabled --werror
build/aarch64/build.ninja:
	@tools/packages.sh build aarch64
	lab/fetch aarch64 qemu-user
	printf "[constants]\nlab = '%s'\n" "$(CURDIR)/build/lab" >build/lab/cross.ini
	meson setup build/aarch64 -Dweb=disabled --cross-file build/lab/cross.ini --cross-file tools/aarch64.cross
build/fuzz/build.ninja:
	@tools/packages.sh build fuzz
	CC=clang meson setup build/fuzz -Dweb=disabled -Dfuzz=true -Db_sanitize=address,undefined

.PHONY: all packages demo demo-down check asan tsan clang aarch64 fuzz guests soak suites crash-replay crash pictures bench bench-engine bench-transfer bench-page bench-console format install clean help
