# streamcache. `make help` lists the targets and the words they take.
#
# Every source is compiled by one rule per flavour. A flavour is a directory and a set of flags:
#
#   build/          what is installed: sc static, scd a position-independent executable
#   build/test/     with the hooks of the tests (-DSC_TEST_BUILD), dynamic, so that preload shims work;
#                   older/ and newer/ in it: the same, of a protocol before and after ours
#   build/san/      under ASan and UBSan, dynamic; build/san/test/ the same with the hooks
#   build/tsan/     under ThreadSanitizer: only what tests/unit/tsan_*.c link

# ---- words one may give ---------------------------------------------------------------------------------------------

BIN     = sc
PREFIX  = /usr/local
DESTDIR =
STATIC  = 1
WERROR  = 0
SAN     = 0
V       = 0
T       =
ONLY    =

# Where everything is built. Two makes at once in one tree need two of these.
B = build

CC     = gcc
CFLAGS = -O2 -g

# ---- sources --------------------------------------------------------------------------------------------------------

LIB_SRC = \
	lib/beneath.c \
	lib/buf.c \
	lib/build.c \
	lib/checksum.c \
	lib/clock.c \
	lib/config.c \
	lib/digest.c \
	lib/err.c \
	lib/frame.c \
	lib/gen.c \
	lib/human.c \
	lib/keyfile.c \
	lib/killpoint.c \
	lib/lockfile.c \
	lib/log.c \
	lib/memfd.c \
	lib/msg.c \
	lib/object.c \
	lib/pack.c \
	lib/page.c \
	lib/page_ring.c \
	lib/paths.c \
	lib/seal.c \
	lib/sock.c \
	lib/tags.c

CMD_SRC = \
	cmd/admin.c \
	cmd/again.c \
	cmd/capture.c \
	cmd/complete.c \
	cmd/content.c \
	cmd/doctor.c \
	cmd/doctor_sealed.c \
	cmd/explain.c \
	cmd/follow.c \
	cmd/get.c \
	cmd/get_end.c \
	cmd/get_hit.c \
	cmd/get_key.c \
	cmd/get_lead.c \
	cmd/give.c \
	cmd/hashes.c \
	cmd/help.c \
	cmd/hold.c \
	cmd/key.c \
	cmd/keygen.c \
	cmd/list.c \
	cmd/load.c \
	cmd/logged.c \
	cmd/main.c \
	cmd/move.c \
	cmd/options.c \
	cmd/output.c \
	cmd/progress.c \
	cmd/prove.c \
	cmd/ps.c \
	cmd/put.c \
	cmd/quote.c \
	cmd/reader.c \
	cmd/remove.c \
	cmd/request.c \
	cmd/row.c \
	cmd/sealed.c \
	cmd/session.c \
	cmd/settings.c \
	cmd/signals.c \
	cmd/spawn.c \
	cmd/spawn_beside.c \
	cmd/spawn_command.c \
	cmd/spawn_feed.c \
	cmd/source.c \
	cmd/spool.c \
	cmd/stats.c \
	cmd/status.c \
	cmd/sync.c \
	cmd/talk.c \
	cmd/touch.c \
	cmd/verify.c \
	cmd/watch.c \
	cmd/writer.c \
	cmd/writer_daemon.c

DAEMON_SRC = \
	daemon/admit.c \
	daemon/answer.c \
	daemon/chore.c \
	daemon/circle.c \
	daemon/conn.c \
	daemon/decide.c \
	daemon/dispatch.c \
	daemon/event.c \
	daemon/evict.c \
	daemon/flight.c \
	daemon/flight_begin.c \
	daemon/flight_end.c \
	daemon/flight_table.c \
	daemon/flightfile.c \
	daemon/history.c \
	daemon/hot.c \
	daemon/index.c \
	daemon/index_evict.c \
	daemon/index_file.c \
	daemon/index_names.c \
	daemon/index_read.c \
	daemon/index_row.c \
	daemon/index_sweep.c \
	daemon/index_thread.c \
	daemon/jobs.c \
	daemon/key.c \
	daemon/keyring.c \
	daemon/lease.c \
	daemon/listener.c \
	daemon/listing.c \
	daemon/main.c \
	daemon/nesting.c \
	daemon/room.c \
	daemon/sieve.c \
	daemon/sql.c \
	daemon/stats.c \
	daemon/ticker.c \
	daemon/trust.c \
	daemon/upkeep.c \
	daemon/walk.c \
	daemon/watch.c

# What the tests bring, found by name.
UNIT_SRC   = $(wildcard tests/unit/test_*.c)
TSAN_SRC   = $(wildcard tests/unit/tsan_*.c)
SIM_SRC    = $(wildcard tests/sim/*.c)
HELPER_SRC = $(filter-out tests/helpers/shim_%,$(wildcard tests/helpers/*.c))
SHIM_SRC   = $(wildcard tests/helpers/shim_*.c)
BENCH_SRC  = $(wildcard tests/bench/*.c)
FUZZ_SRC   = $(wildcard tests/fuzz/fuzz_*.c)
# Of the client, what the fuzzers reach.
FUZZED_SRC = $(LIB_SRC) cmd/progress.c cmd/sealed.c cmd/source.c cmd/spool.c

# ---- flags ----------------------------------------------------------------------------------------------------------

# Messages are cut on purpose, so format-truncation has nothing to say.
WARN = \
	-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wcast-qual \
	-Wcast-align -Wformat=2 -Wundef -Wvla -Wwrite-strings -Wimplicit-fallthrough -Wdouble-promotion -Wlogical-op \
	-Wduplicated-cond -Wduplicated-branches -Wnull-dereference -Wredundant-decls -Wnested-externs -Wdate-time \
	-Wno-missing-field-initializers -Wno-format-truncation

HARDEN = -fstack-protector-strong -fstack-clash-protection -fno-plt
ifeq ($(shell uname -m),x86_64)
HARDEN += -fcf-protection
endif
ifeq ($(shell uname -m),aarch64)
HARDEN += -mbranch-protection=standard
endif
FORTIFY = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2

COMMON   = -std=gnu11 $(WARN) $(if $(filter 1,$(WERROR)),-Werror) $(HARDEN) -fPIE -pthread
CPPFLAGS = -D_GNU_SOURCE -DSC_BIN='"$(BIN)"' -I.
LDFLAGS  = -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed
SAN_LD   = -fsanitize=address,undefined
# The checks they insert confuse the compiler's own: warnings are judged in the other flavours.
SAN_CF   = $(SAN_LD) -fno-sanitize-recover=all -fno-omit-frame-pointer -Wno-error

# No pkg-config: nothing here may need a package that `make deps` has yet to install.
SC_LIBS  = -lmsgpackc -ljansson -linih -lsodium
SCD_LIBS = -luv -lsqlite3 -lmsgpackc -lsodium -linih -ljansson
ALL_LIBS = -luv -lsqlite3 -lmsgpackc -ljansson -lsodium -linih -pthread -ldl

# What the simulator of flights does in the place of the kernel, for the daemon's code.
SIM_WRAP = $(addprefix -Wl$(comma)--wrap=,close fcntl lseek socketpair syscall open read poll getsid sc_bug malloc calloc realloc free)
comma    = ,

SAY = $(if $(filter 1,$(V)),,@printf '  %-5s %s\n' $(1) $(2);)

# ---- targets --------------------------------------------------------------------------------------------------------

.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
.PHONY: all test-build help deps deps-build check lint format fuzz bench demo man install uninstall clean FORCE
.DEFAULT_GOAL := all

ifeq ($(SAN),1)
PLAIN = $(B)/san
else
PLAIN = $(B)
endif
HOOKED = $(PLAIN)/test

all: $(PLAIN)/$(BIN) $(PLAIN)/scd

# $(call flavour,DIRECTORY,COMPILER FLAGS,LINKER FLAGS OF sc,LINKER FLAGS OF scd AND OF TESTS)
define flavour
$(1)/flags: FORCE
	@mkdir -p $$(@D)
	@printf '%s\n' $$(call quote,$$(CC) $$(COMMON) $$(CPPFLAGS) $(2) $(3) $(4)) | cmp -s - $$@ || \
	 printf '%s\n' $$(call quote,$$(CC) $$(COMMON) $$(CPPFLAGS) $(2) $(3) $(4)) >$$@

$(1)/obj/%.o: %.c $(1)/flags
	@mkdir -p $$(@D)
	$$(call SAY,CC,$$@)$$(CC) $$(COMMON) $$(CPPFLAGS) -I$(B) $(2) $$(EXTRA) -MMD -MP -c -o $$@ $$<

$(1)/libsc.a: $(LIB_SRC:%.c=$(1)/obj/%.o)
$(1)/libcmd.a: $(patsubst %.c,$(1)/obj/%.o,$(filter-out cmd/main.c,$(CMD_SRC)))
$(1)/libscd.a: $(patsubst %.c,$(1)/obj/%.o,$(filter-out daemon/main.c,$(DAEMON_SRC)))
$(1)/libsc.a $(1)/libcmd.a $(1)/libscd.a:
	$$(call SAY,AR,$$@)rm -f $$@ && ar rcs $$@ $$^

$(1)/$(BIN): $(CMD_SRC:%.c=$(1)/obj/%.o) $(1)/libsc.a
	$$(call SAY,LD,$$@)$$(CC) $(2) $(LDFLAGS) $(3) -o $$@ $$^ $(SC_LIBS)

$(1)/scd: $(DAEMON_SRC:%.c=$(1)/obj/%.o) $(1)/libsc.a
	$$(call SAY,LD,$$@)$$(CC) $(2) $(LDFLAGS) $(4) -o $$@ $$^ $(SCD_LIBS) -pthread

# A test takes from the archives what it names; the hooks of cmocka and everybody's libraries are there if wanted.
$(1)/unit/%: $(1)/obj/tests/unit/%.o $(1)/libscd.a $(1)/libcmd.a $(1)/libsc.a
	@mkdir -p $$(@D)
	$$(call SAY,LD,$$@)$$(CC) $(2) $(LDFLAGS) $(4) -o $$@ $$^ -lcmocka $(ALL_LIBS)

# A fuzzer without libFuzzer, for what is kept of it.
$(1)/corpus/%: $(1)/obj/tests/fuzz/%.o $(1)/obj/tests/fuzz/replay.o $(1)/libcmd.a $(1)/libsc.a
	@mkdir -p $$(@D)
	$$(call SAY,LD,$$@)$$(CC) $(2) $(LDFLAGS) $(4) -o $$@ $$^ -lcmocka $(ALL_LIBS)

# The daemon's decisions among fakes of everything else. What a fake defines is not taken from the archives.
$(1)/sim/flights: $(SIM_SRC:%.c=$(1)/obj/%.o) $(1)/libscd.a $(1)/libsc.a
	@mkdir -p $$(@D)
	$$(call SAY,LD,$$@)$$(CC) $(2) $(LDFLAGS) $(4) $(SIM_WRAP) -o $$@ $$^ -lcmocka $(ALL_LIBS)

$(1)/obj/lib/build.o: EXTRA = -DSC_BUILD='"$$(shell cat $(B)/gen/build.txt)"'
$(1)/obj/lib/build.o: $(B)/gen/build.txt

# One object differs; named before the archive, it is taken instead of the archive's.
$(1)/older/%: SKEW = 0
$(1)/newer/%: SKEW = 1000000
$(1)/older/build.o $(1)/newer/build.o: lib/build.c lib/build.h lib/proto.h $(1)/flags
	@mkdir -p $$(@D)
	$$(call SAY,CC,$$@)$$(CC) $$(COMMON) $$(CPPFLAGS) $(2) -DSC_PROTO_VERSION=$$(SKEW) -c -o $$@ $$<
$(1)/older/$(BIN) $(1)/newer/$(BIN): $(1)/%/$(BIN): $(1)/%/build.o $(CMD_SRC:%.c=$(1)/obj/%.o) $(1)/libsc.a
	$$(call SAY,LD,$$@)$$(CC) $(2) $(LDFLAGS) $(3) -o $$@ $$^ $(SC_LIBS)
$(1)/older/scd $(1)/newer/scd: $(1)/%/scd: $(1)/%/build.o $(DAEMON_SRC:%.c=$(1)/obj/%.o) $(1)/libsc.a
	$$(call SAY,LD,$$@)$$(CC) $(2) $(LDFLAGS) $(4) -o $$@ $$^ $(SCD_LIBS) -pthread
$(DAEMON_SRC:%.c=$(1)/obj/%.o): | $(B)/gen/schema.inc

-include $$(wildcard $(1)/obj/*/*.d $(1)/obj/*/*/*.d)
endef

# The shell sees what is in it, quotes and all, as one word.
quote = '$(subst ','\'',$(1))'

STATIC_LD = $(if $(filter 1,$(STATIC)),-static,-pie)

$(eval $(call flavour,$(B),$(CFLAGS) $(FORTIFY),$(STATIC_LD),-pie))
$(eval $(call flavour,$(B)/test,$(CFLAGS) $(FORTIFY) -DSC_TEST_BUILD,-pie,-pie))
$(eval $(call flavour,$(B)/san,-O1 -g $(SAN_CF),$(SAN_LD) -pie,$(SAN_LD) -pie))
$(eval $(call flavour,$(B)/san/test,-O1 -g $(SAN_CF) -DSC_TEST_BUILD,$(SAN_LD) -pie,$(SAN_LD) -pie))
$(eval $(call flavour,$(B)/tsan,-O1 -g -fsanitize=thread -Wno-error -DSC_TEST_BUILD,-pie,-pie))

# What the tests run as commands and clients: never under a sanitizer, so that their speed and memory are their own.
$(B)/helpers/%: $(B)/obj/tests/helpers/%.o $(B)/libsc.a
	@mkdir -p $(@D)
	$(call SAY,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -pie -o $@ $^ $(SC_LIBS) -pthread

$(B)/helpers/shim_%.so: tests/helpers/shim_%.c $(B)/flags
	@mkdir -p $(@D)
	$(call SAY,CC,$@)$(CC) $(COMMON) $(CPPFLAGS) $(CFLAGS) -fPIC -shared -o $@ $< -ldl

HELPERS = $(HELPER_SRC:tests/helpers/%.c=$(B)/helpers/%) $(SHIM_SRC:tests/helpers/%.c=$(B)/helpers/%.so)
SKEWED  = $(foreach s,older newer,$(HOOKED)/$(s)/$(BIN) $(HOOKED)/$(s)/scd)
UNITS   = $(UNIT_SRC:tests/unit/%.c=$(HOOKED)/unit/%) $(HOOKED)/sim/flights $(TSAN_SRC:tests/unit/%.c=$(B)/tsan/unit/%) \
	$(FUZZ_SRC:tests/fuzz/%.c=$(HOOKED)/corpus/%)

test-build: all $(HOOKED)/$(BIN) $(HOOKED)/scd $(SKEWED) $(HELPERS) $(UNITS)

# Changes with every commit, so only one small object may depend on it.
$(B)/gen/build.txt: FORCE
	@mkdir -p $(@D)
	@{ test -e .git && git describe --always 2>/dev/null || echo unknown; } >$@.$$$$ && \
	 if cmp -s $@.$$$$ $@; then rm -f $@.$$$$; else mv -f $@.$$$$ $@; fi

# A string literal, one line of SQL a line: static const char schema[] = followed by #include "gen/schema.inc".
$(B)/gen/schema.inc: daemon/schema.sql
	@mkdir -p $(@D)
	@sed -e 's/[\\"]/\\&/g' -e 's/^/"/' -e 's/$$/\\n"/' $< >$@

# ---- for people -----------------------------------------------------------------------------------------------------

# A sub-make builds, because deps must be done before anything is compiled, whatever -j says. One that was given no -j
# uses every processor.
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$$(nproc))

deps:
	@tests/deps.sh build test lint man
deps-build:
	@tests/deps.sh build

check:
	@tests/deps.sh build test
	@$(MAKE) --no-print-directory $(JOBS) WERROR=1 test-build
	@PLAIN=$(PLAIN) HOOKED=$(HOOKED) B=$(B) BIN=$(BIN) SAN=$(SAN) UNITS='$(UNITS)' tests/run.sh $(T)

demo:
	@tests/deps.sh build
	@$(MAKE) --no-print-directory $(JOBS) all
	@SC=$(abspath $(PLAIN)/$(BIN)) B=$(B) tests/demo.sh

# The programs that measure need nothing of ours, but the one that asks how well the daemon chooses, and the one that speaks to it.
$(B)/bench/eviction: $(B)/libscd.a
$(B)/bench/scale: $(B)/libsc.a
$(B)/bench/sodium: BENCH_LIBS = -lsodium
$(B)/bench/%: $(B)/obj/tests/bench/%.o
	@mkdir -p $(@D)
	$(call SAY,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -pie -o $@ $^ $(if $(filter %/libsc.a,$^),$(SC_LIBS)) $(BENCH_LIBS)

bench:
	@tests/deps.sh build
	@$(MAKE) --no-print-directory $(JOBS) all $(HOOKED)/scd $(BENCH_SRC:tests/bench/%.c=$(B)/bench/%)
	@SC=$(abspath $(PLAIN)/$(BIN)) SCD_TEST=$(abspath $(HOOKED)/scd) BENCH=$(abspath $(B)/bench) N=$(N) tests/bench/run.sh $(if $(SCALE),scale,$(ONLY))

# Begins from what is kept in the tree and from what it has found before, and writes only below build.
FUZZERS = $(FUZZ_SRC:tests/fuzz/%.c=$(B)/fuzz/%)

$(B)/fuzz/%: tests/fuzz/%.c $(wildcard tests/fuzz/*.h) $(FUZZED_SRC) $(wildcard lib/*.h cmd/*.h)
	@mkdir -p $(@D)
	$(call SAY,LD,$@)clang -std=gnu11 -g -O1 $(CPPFLAGS) -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	 -o $@ $< $(FUZZED_SRC) $(SC_LIBS) -pthread

fuzz:
	@tests/deps.sh build lint
	@$(MAKE) --no-print-directory $(JOBS) $(FUZZERS)
	@for f in $(FUZZERS); do \
	  kept=tests/fuzz/corpus/$${f##*/}; mkdir -p $$f.corpus && echo "$$f" && \
	  $$f -max_total_time=$(or $(T),60) -artifact_prefix=$$f. $$f.corpus $$kept || exit; \
	done

lint:
	@tests/deps.sh build test lint
	@$(MAKE) --no-print-directory $(JOBS) WERROR=1 test-build
	@B=$(B) CPPFLAGS=$(call quote,$(CPPFLAGS) -I$(B)) tests/lint.sh

format:
	clang-format -i $$(find lib cmd daemon tests -name '*.[ch]')

# ---- the manual, and where all of it goes ---------------------------------------------------------------------------

# PAGE.SECTION of a .scd file: what the program itself says of its verbs and options is put into the prose.
MAN       = $(B)/man/$(BIN).1 $(B)/man/scd.8 $(B)/man/$(BIN)-config.5
MAN_SRC_1 = cmd/sc.1.scd
MAN_SRC_8 = daemon/scd.8.scd
MAN_SRC_5 = lib/sc-config.5.scd

$(MAN): cmd/manual.awk $(MAN_SRC_1) $(MAN_SRC_5) $(MAN_SRC_8) $(PLAIN)/$(BIN)
	@mkdir -p $(@D)
	@command -v scdoc >/dev/null || { echo '$@: scdoc is missing, which makes the pages of the manual (make deps installs it)' >&2; exit 1; }
	$(call SAY,MAN,$@)$(PLAIN)/$(BIN) table | awk -f cmd/manual.awk -v bin=$(BIN) - $(MAN_SRC_$(subst .,,$(suffix $@))) | scdoc >$@

man: $(MAN)

# They ask the program by the name on the command line; only where they say whose they are it stands in them.
COMPLETIONS = $(B)/completions/$(BIN).bash $(B)/completions/_$(BIN) $(B)/completions/$(BIN).fish
$(B)/completions/$(BIN).bash: completions/sc.bash
$(B)/completions/_$(BIN): completions/_sc
$(B)/completions/$(BIN).fish: completions/sc.fish
$(COMPLETIONS):
	@mkdir -p $(@D)
	@sed 's/\bsc\b/$(BIN)/g' $< >$@

# Where each piece goes below PREFIX, its mode, and what it is made of.
PIECES = \
	bin/$(BIN):755:$(PLAIN)/$(BIN) \
	libexec/$(BIN)/scd:755:$(PLAIN)/scd \
	share/man/man1/$(BIN).1:644:$(B)/man/$(BIN).1 \
	share/man/man5/$(BIN)-config.5:644:$(B)/man/$(BIN)-config.5 \
	share/man/man8/scd.8:644:$(B)/man/scd.8 \
	share/bash-completion/completions/$(BIN):644:$(B)/completions/$(BIN).bash \
	share/zsh/site-functions/_$(BIN):644:$(B)/completions/_$(BIN) \
	share/fish/vendor_completions.d/$(BIN).fish:644:$(B)/completions/$(BIN).fish

install:
	@tests/deps.sh build man
	@$(MAKE) --no-print-directory $(JOBS) all man $(COMPLETIONS)
	@for piece in $(PIECES); do \
	  to=$(call quote,$(DESTDIR)$(PREFIX))/$${piece%%:*}; piece=$${piece#*:}; \
	  install -D -m $${piece%%:*} "$${piece#*:}" "$$to" && printf '  %s\n' "$$to" || exit 1; \
	done

uninstall:
	@for piece in $(PIECES); do rm -f $(call quote,$(DESTDIR)$(PREFIX))/"$${piece%%:*}" || exit 1; done
	@! test -d $(call quote,$(DESTDIR)$(PREFIX))/libexec/$(BIN) || \
	 rmdir --ignore-fail-on-non-empty $(call quote,$(DESTDIR)$(PREFIX))/libexec/$(BIN)

clean:
	rm -rf $(B)

help:
	@echo 'make            $(B)/$(BIN) and $(B)/scd'
	@echo 'make demo       the main job on a real build step, live (installs missing build packages first)'
	@echo 'make check      every test; the last line is "N passed, N failed" (installs missing packages first)'
	@echo 'make lint       format, static analysis, and the rules of the house'
	@echo 'make fuzz       every fuzzer for a minute; T=600 for as many seconds'
	@echo 'make bench      speed beside cat, cp and tee, as ratios'
	@echo 'make bench SCALE=1   a million entries (N=… for another number)'
	@echo 'make deps       the Debian packages for all of this; make deps-build: only for make'
	@echo 'make format     lay the sources out with clang-format'
	@echo 'make man        the pages of the manual, in $(B)/man'
	@echo 'make install    both, the manual and the completions below $(DESTDIR)$(PREFIX) (installs missing packages first);'
	@echo '                the program as $(BIN), the daemon in libexec/$(BIN); make uninstall takes them away'
	@echo 'make clean'
	@echo
	@echo 'Words: SAN=1 (ASan and UBSan) · WERROR=1 · STATIC=0 · T=cli/get.bats (check: only these; fuzz: seconds of each)'
	@echo '       V=1 (show commands) · ONLY="hit miss" (bench: only these) · B=DIR (build there) · BIN=NAME · PREFIX=DIR'
	@echo '       DESTDIR=DIR · CC=… · CFLAGS=…'
