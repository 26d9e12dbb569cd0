# hermes-init. `make` builds the shipped executable, `make test` tests it, `make peer-test` beside the real Hermes Agent, `make demo` shows it at work.

TARGET  := x86_64-unknown-linux-musl
PREFIX  := /usr
DESTDIR :=
EXE     := target/dist/hermes-init
SOURCES := $(shell find src -type f ! -name '*.8') Cargo.toml Cargo.lock .cargo/config.toml tests/build

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

# The same executable beside the real Hermes Agent, from PyPI: tests/peer/run says what it needs.
peer-test: $(EXE)
	tests/setup
	tests/peer/run

demo: $(EXE)
	tests/demo $(EXE)

# What an image wants, below DESTDIR: the README's Dockerfile lines name the same.
BIN     := $(PREFIX)/bin/hermes-init
PAGE    := $(PREFIX)/share/man/man8/hermes-init.8
STEPS   := /etc/cont-init.d/015-supervise-perms /etc/cont-init.d/02-reconcile-profiles
SERVICE := /etc/s6-overlay/s6-rc.d/dashboard
ENABLED := /etc/s6-overlay/s6-rc.d/user/contents.d/dashboard
ALL     := $(BIN) $(PAGE) $(STEPS) $(SERVICE)/type $(SERVICE)/run $(SERVICE)/finish $(SERVICE)/dependencies.d/base $(ENABLED)

# $(call place,FILE,HOW TO MAKE IT AS "$$new"): made under a dot-name, which neither cont-init nor s6-rc reads, and renamed into
# place, so that two installs at once, or one that is interrupted, leave no half of anything. Modes do not depend on the umask.
place = @umask 022; to="$(DESTDIR)$(1)"; new="$${to%/*}/.$${to\#\#*/}.$$$$"; echo "install $$to"; \
        mkdir -p "$${to%/*}" && $(2) && mv -fT "$$new" "$$to" || { rm -f "$$new"; exit 1; }
put   = $(call place,$(1),$(3) > "$$new" && chmod $(2) "$$new")
link  = $(call place,$(1),ln -sfn $(BIN) "$$new")

install: $(EXE)
	@case '$(PREFIX)' in [!/]*|*[[:space:]]*) echo 'PREFIX is no absolute path without blanks: #! lines name it' >&2; exit 1;; esac
	$(call put,$(BIN),755,cat $(EXE))
	$(call put,$(PAGE),644,cat src/hermes-init.8)
	$(call link,$(word 1,$(STEPS)))
	$(call link,$(word 2,$(STEPS)))
	$(call put,$(SERVICE)/type,644,echo longrun)
	$(call put,$(SERVICE)/run,755,echo '#!$(BIN) dashboard-run')
	$(call put,$(SERVICE)/finish,755,echo '#!$(BIN) dashboard-finish')
	$(call put,$(SERVICE)/dependencies.d/base,644,:)
	$(call put,$(ENABLED),644,:)

# The service's own directories go with it, where nobody put anything else into them; all others are shared.
uninstall:
	rm -f $(foreach file,$(ALL),"$(DESTDIR)$(file)")
	@for dir in $(SERVICE)/dependencies.d $(SERVICE); do rmdir "$(DESTDIR)$$dir" 2>/dev/null || :; done

clean:
	rm -rf target

.PHONY: all test peer-test demo install uninstall clean
