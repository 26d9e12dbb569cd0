# hermes-init. `make` builds the shipped executable, `make test` tests it, `make demo` shows it at work.

TARGET  := x86_64-unknown-linux-musl
PREFIX  := /usr
DESTDIR :=
EXE     := target/dist/hermes-init
SOURCES := $(shell find src -type f) Cargo.toml Cargo.lock .cargo/config.toml tests/build

all: $(EXE)
	@size=$$(wc -c < $(EXE)); echo "$(EXE): $$size bytes ($$((($$size + 1023) / 1024)) KiB)"

# tests/build says what it does, and how to build where rustup cannot download.
$(EXE): $(SOURCES) target/dist/.kind-$(if $(STOCK),stock,small)
	STOCK='$(STOCK)' tests/build $(TARGET) $(EXE)

# The kind of build is part of what the executable depends on.
target/dist/.kind-%:
	@mkdir -p target/dist
	@rm -f target/dist/.kind-*
	@touch $@

test: $(EXE)
	tests/setup
	cargo test --locked --lib
	PYTHONDONTWRITEBYTECODE=1 tests/python -m pytest -c tests/pytest.ini --rootdir . tests

demo: $(EXE)
	tests/demo $(EXE)

# What an image wants, below DESTDIR. Each file is put in its place in one step, so that two installs at once do no harm.
BIN     := $(PREFIX)/bin/hermes-init
SERVICE := /etc/s6-overlay/s6-rc.d/dashboard
ENABLED := /etc/s6-overlay/s6-rc.d/user/contents.d/dashboard
PAGE    := $(PREFIX)/share/man/man8/hermes-init.8
STEPS   := /etc/cont-init.d/015-supervise-perms /etc/cont-init.d/02-reconcile-profiles

put  = mkdir -p "$(DESTDIR)$(dir $(1))" && $(2) > "$(DESTDIR)$(1).new.$$$$" && chmod $(3) "$(DESTDIR)$(1).new.$$$$" \
       && mv -f "$(DESTDIR)$(1).new.$$$$" "$(DESTDIR)$(1)"
link = mkdir -p "$(DESTDIR)$(dir $(1))" && ln -sf $(BIN) "$(DESTDIR)$(1).new.$$$$" && mv -fT "$(DESTDIR)$(1).new.$$$$" "$(DESTDIR)$(1)"

install: $(EXE)
	$(call put,$(BIN),cat $(EXE),755)
	$(foreach step,$(STEPS),$(call link,$(step)) &&) :
	$(call put,$(SERVICE)/type,echo longrun,644)
	$(call put,$(SERVICE)/run,echo '#!$(BIN) dashboard-run',755)
	$(call put,$(SERVICE)/finish,echo '#!$(BIN) dashboard-finish',755)
	$(call put,$(SERVICE)/dependencies.d/base,:,644)
	$(call put,$(ENABLED),:,644)
	$(call put,$(PAGE),cat src/hermes-init.8,644)

uninstall:
	rm -f $(foreach file,$(BIN) $(STEPS) $(SERVICE)/type $(SERVICE)/run $(SERVICE)/finish $(SERVICE)/dependencies.d/base \
	  $(ENABLED) $(PAGE),"$(DESTDIR)$(file)")
	-rmdir "$(DESTDIR)$(SERVICE)/dependencies.d" "$(DESTDIR)$(SERVICE)" 2>/dev/null || :

clean:
	rm -rf target

.PHONY: all test demo install uninstall clean
