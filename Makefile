# `make` builds the executable, `make check` tests a debug build in less than a minute, `make test` tests the executable
# (`make image-test`: only in containers), `make peer-test` tests it beside the real Hermes Agent, `make torture` makes its system
# calls fail, `make soak` does things at random, `make bench` times it, `make fresh-test` does what README.md says on fresh machines, `make demo` shows gateways that live,
# `make dist` makes the archives and `make image` the image that users fetch, `make dist-test` makes the archives twice and compares them.

# For this machine, or for another one: make TARGET=aarch64-unknown-linux-musl
HOST    := $(shell uname -m)-unknown-linux-musl
TARGET  := $(HOST)
$(if $(strip $(TARGET)),,$(error TARGET is empty: without it, make builds for $(HOST)))
FOREIGN := $(filter-out $(HOST),$(TARGET))
PREFIX  := /usr
DESTDIR :=
EXE     := target/dist/$(if $(FOREIGN),$(FOREIGN)/)hermes-init
SOURCES := $(shell find src -type f ! -name '*.8' ! -name Dockerfile) Cargo.toml Cargo.lock tests/build tests/rustc tests/sbom.py

# What `--version` says. Of a build that is up to date, it is the commit that it was made from.
COMMIT  := $(shell tests/commit)

# For cargo: what is tested is for the same target, and linked in the same way.
export CARGO_BUILD_TARGET := $(TARGET)
export RUSTC_WRAPPER      := $(abspath tests/rustc)

all: $(EXE)
	@size=$$(wc -c < $(EXE)); echo "$(EXE): $$size bytes ($$((($$size + 1023) / 1024)) KiB)"

# If rustup cannot download, tests/build prints how to build without it.
$(EXE): $(SOURCES) $(dir $(EXE)).kind-$(if $(STOCK),stock,small)-$(TARGET)-$(firstword $(filter unknown modified,$(COMMIT)) clean)
	STOCK='$(STOCK)' BUILD_COMMIT='$(COMMIT)' tests/build $(TARGET) $(EXE)

# The kind of build is part of what the executable depends on, and whether the commit describes it.
$(dir $(EXE)).kind-%:
	@mkdir -p $(@D)
	@rm -f $(@D)/.kind-*
	@touch $@

# An executable for another machine is tested by an emulator; tests/support/not_emulated.py lists what is not.
EMULATED := $(if $(FOREIGN),tests/emulated $(TARGET) $(EXE) env HERMES_INIT=$(abspath $(EXE)))
PYTEST   := PYTHONDONTWRITEBYTECODE=1 $(EMULATED) tests/python -m pytest -c tests/pytest.ini --rootdir .

# All tests, or those of the files T below tests/ whose names match K: make test T='test_sealed.py test_seed.py' K='switch or mode'
T :=
K :=
test: $(EXE)
	tests/setup
	$(if $(FOREIGN),tests/setup emulation $(TARGET))
	$(if $(T)$(K),,$(EMULATED) cargo test --locked --lib)
	$(PYTEST) $(if $(K),-k '$(K)') $(if $(T),$(addprefix tests/,$(T)),tests)

# What needs neither s6 nor podman, with a debug build: in less than a minute after each change. Without root, some are skipped.
check:
	tests/toolchain $(TARGET)
	tests/setup check
	cargo test --locked --lib
	cargo build --locked
	HERMES_INIT=$(abspath target/$(TARGET)/debug/hermes-init) $(PYTEST) -m 'not s6' \
		tests/test_cli.py tests/test_contract.py tests/test_explain.py tests/test_help.py tests/test_readme.py tests/test_seed.py

# Checks the format of Rust and Python, and lints Rust, Python, shell, Dockerfiles and the workflows of GitHub.
SCRIPTS = .ci/run src/cli/completions/hermes-init.bash tests/build tests/commit tests/demo tests/dist tests/emulated tests/fresh tests/peer/root tests/peer/run tests/python tests/rustc tests/setup tests/toolchain tests/with-home $(shell grep -rl '^#!.*sh' tests/image/rootfs)
lint:
	tests/setup lint
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	target/venv/bin/ruff format --check tests
	target/venv/bin/ruff check tests
	target/venv/bin/shellcheck $(SCRIPTS)
	target/venv/bin/python tests/dockerfiles.py
	target/venv/bin/zizmor --offline --quiet --persona=auditor .github
	PATH="$(CURDIR)/target/venv/bin:$$PATH" target/venv/bin/actionlint $(wildcard .github/workflows/*)

# Holds the crates to deny.toml: licences, bans, sources, and advisories where there is a network.
SCRIPTS += tests/deny
deny:
	tests/setup lint
	tests/deny
.PHONY: deny

# The tests that build README.md's Dockerfile block with podman, and run the image.
image-test: T := image
image-test: test

# The same executable beside the real Hermes Agent, from PyPI: tests/peer/run says what it needs.
peer-test: $(EXE)
	tests/setup
	tests/peer/run

# Every system call of every command fails once with each errno, and is the last one once: a sample that takes SECONDS. SEED repeats one.
SECONDS := 600
SEED    :=
torture: $(EXE)
	tests/setup
	PYTHONDONTWRITEBYTECODE=1 HERMES_INIT=$(abspath $(EXE)) tests/python tests/torture.py $(SECONDS) $(SEED)

# Random sequences of commands, edits, kills and restarts, compared with a model, for SECONDS. SEED repeats one; ROUND is one round of
# it, ONLY some of its steps.
ROUND   :=
ONLY    :=
soak: $(EXE)
	tests/setup
	PYTHONDONTWRITEBYTECODE=1 HERMES_INIT=$(abspath $(EXE)) tests/python tests/soak.py $(SECONDS) '$(SEED)' '$(ROUND)' '$(ONLY)'

# How long things take, on an idle machine, as root: target/bench.md and target/bench.svg. REFERENCE is a command that makes the same pass
# over HERMES_HOME, as Hermes Agent's module, in PATH=/usr/bin:/bin. In a minute: make bench SIZES='1 5 50' ROUNDS=3
SIZES     := 1 5 50 500 5000
ROUNDS    := 0
REFERENCE :=
bench: $(EXE)
	tests/setup bench
	python=target/venv-bench/bin/python; [ -x $$python ] || python=tests/python; \
		HERMES_INIT=$(abspath $(EXE)) PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1 $$python -m bench --sizes '$(SIZES)' --rounds $(ROUNDS) \
		--reference '$(REFERENCE)'

demo: $(EXE)
	@tests/setup demo
	@tests/demo $(EXE)

# What README.md says, in fresh root file systems of Debian 12 and 13: T as for `make test`. Needs root, mmdebstrap and a network.
fresh-test: $(EXE)
	T='$(T)' BUILD_COMMIT='$(COMMIT)' tests/fresh

# The installed files. The Dockerfile in the README lists the same.
BIN     := $(PREFIX)/bin/hermes-init
PAGE    := $(PREFIX)/share/man/man8/hermes-init.8
DOC     := $(PREFIX)/share/doc/hermes-init
BASH    := $(PREFIX)/share/bash-completion/completions/hermes-init
ZSH     := $(PREFIX)/share/zsh/site-functions/_hermes-init
FISH    := $(PREFIX)/share/fish/vendor_completions.d/hermes-init.fish
STEPS   := /etc/cont-init.d/015-supervise-perms /etc/cont-init.d/02-reconcile-profiles
SERVICE := /etc/s6-overlay/s6-rc.d/dashboard
ALL     := $(BIN) $(PAGE) $(DOC)/LICENSE $(DOC)/NOTICES $(DOC)/README.md $(BASH) $(ZSH) $(FISH) $(STEPS) $(SERVICE)/type $(SERVICE)/run $(SERVICE)/finish $(SERVICE)/dependencies.d/base

# The directory of the image's bundles, if `make install` is to add the dashboard to the bundle `user` in it. Which one it is depends
# on the image: from s6-overlay 3.2.3.2 on, user-bundles.d is ignored as soon as s6-rc.d/user exists.
BUNDLES :=
PLACES  := /etc/s6-overlay/s6-rc.d /etc/s6-overlay/user-bundles.d
enabled  = $(addsuffix /user/contents.d/dashboard,$(1))

# $(call place,FILE,COMMAND THAT CREATES "$$new"): creates a dot-named file, which cont-init and s6-rc ignore, and renames it to
# FILE, so that concurrent or interrupted installs leave no partial files. Modes do not depend on the umask.
place = @umask 022; to="$(DESTDIR)$(1)"; new="$${to%/*}/.$${to\#\#*/}.$$$$"; echo "install $$to"; \
        mkdir -p "$${to%/*}" && $(2) && mv -fT "$$new" "$$to" || { rm -f "$$new"; exit 1; }
put   = $(call place,$(1),$(3) > "$$new" && chmod $(2) "$$new")
# $(call completion,FILE,SOURCE): it runs the executable by its absolute path, since whoever completes a command line is often root.
completion = $(call put,$(1),644,sed 's|/usr/bin/hermes-init|$(BIN)|' $(2))
link  = $(call place,$(1),ln -sfn $(BIN) "$$new")

install: $(EXE)
	@case '$(BUNDLES)' in ''|/*) ;; *) echo 'BUNDLES must be an absolute path' >&2; exit 1;; esac
	@case '$(subst ','"'"',$(PREFIX))' in [!/]*|*[!A-Za-z0-9/._+,:@%=~-]*) \
		echo 'PREFIX must be an absolute path of letters, digits and /._+,:@%=~-, since scripts contain it' >&2; exit 1;; esac
	$(call put,$(BIN),755,cat $(EXE))
	$(call put,$(PAGE),644,cat src/hermes-init.8)
	$(call put,$(DOC)/LICENSE,644,cat LICENSE)
	$(call put,$(DOC)/NOTICES,644,cat src/NOTICES)
	$(call put,$(DOC)/README.md,644,cat README.md)
	$(call completion,$(BASH),src/cli/completions/hermes-init.bash)
	$(call completion,$(ZSH),src/cli/completions/hermes-init.zsh)
	$(call completion,$(FISH),src/cli/completions/hermes-init.fish)
	$(call link,$(word 1,$(STEPS)))
	$(call link,$(word 2,$(STEPS)))
	$(call put,$(SERVICE)/type,644,echo longrun)
	$(call put,$(SERVICE)/run,755,echo '#!$(BIN) dashboard-run')
	$(call put,$(SERVICE)/finish,755,echo '#!$(BIN) dashboard-finish')
	$(call put,$(SERVICE)/dependencies.d/base,644,:)
	$(if $(BUNDLES),$(call put,$(call enabled,$(BUNDLES)),644,:))

# Whoever enabled the dashboard, a bundle that names a service which is gone stops the boot. Directories that are empty now go too:
# below DESTDIR all that hold one of the files; without DESTDIR those of s6-overlay, since the others are the machine's.
uninstall: files := $(ALL) $(call enabled,$(PLACES) $(filter-out $(PLACES),$(BUNDLES)))
uninstall:
	rm -f $(foreach file,$(files),"$(DESTDIR)$(file)")
	@cd "$(DESTDIR)/" 2>/dev/null || exit 0; \
	for dir in $(patsubst /%/,%,$(sort $(dir $(if $(DESTDIR),$(files),$(filter /etc/s6-overlay/%,$(files)))))); do \
		rmdir -p "$$dir" 2>/dev/null || :; \
	done

# What users fetch, in target/dist: an archive of the installed tree and an SBOM for each of TARGETS, and SHA256SUMS.
TARGETS := x86_64-unknown-linux-musl aarch64-unknown-linux-musl
dist:
	@tests/dist $(TARGETS)

# The image to copy from, hermes-init, for this machine or for another one: make image PLATFORM=linux/arm64. src/Dockerfile says what is in it.
PLATFORM := linux/$(if $(filter aarch64,$(firstword $(subst -, ,$(HOST)))),arm64,amd64)
# Docker without BuildKit does not say TARGETARCH itself.
ENGINE   := $(firstword $(foreach engine,docker podman,$(if $(wildcard $(addsuffix /$(engine),$(subst :, ,$(PATH)))),$(engine))))
image: engine dist
	$(ENGINE) build --platform $(PLATFORM) --build-arg TARGETARCH=$(word 2,$(subst /, ,$(PLATFORM))) -t hermes-init -f $(CURDIR)/src/Dockerfile $(CURDIR)/target/dist

engine:
	@[ -n '$(ENGINE)' ] || { echo 'image: error: neither docker nor podman is on PATH' >&2; exit 1; }

# Builds them twice, in two directories with two CARGO_HOMEs, and compares the bytes: some minutes.
dist-test:
	PYTHONDONTWRITEBYTECODE=1 python3 tests/dist_twice.py

# What an archive is made of says the commit that it is made of: an executable of an earlier one, with the same sources, is built again.
exact:
	@grep -aqsF '$(COMMIT)' $(EXE) || rm -f $(EXE)

clean:
	rm -rf target

.PHONY: all check lint test image-test peer-test fresh-test torture soak bench demo install uninstall dist image engine dist-test exact clean
