# The only builder of jobs_ext.so (PGXS). CMakeLists.txt serves editors and unit tests.
#
#   make [PG_CONFIG=…] [CXX=clang++-14]   build
#   make install                          into the directories of that PostgreSQL
#   make installcheck                     all tests that need a server, against the one PGHOST names
#   make check-symbols                    prove that no C++ runtime is needed
#   make tidied                           what clang-tidy finds, by .clang-tidy; script/lint does it
#
# Whatever is built goes to build/, but for jobs_ext.so, which PGXS wants here. In another folder too: make -f ../Makefile

# Where this file is: every path to a source begins with it.
tree := $(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST))))

EXTENSION  = jobs_ext
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(tree)/$(EXTENSION).control)
INSTALL_SQL = build/$(EXTENSION)--$(EXTVERSION).sql

MODULE_big = $(EXTENSION)
SOURCES    = $(sort $(wildcard $(tree)/src/*.cpp $(tree)/src/*/*.cpp))
OBJS       = $(SOURCES:$(tree)/src/%.cpp=build/%.o)
SQL_PARTS  = $(sort $(wildcard $(tree)/sql/parts/*.sql))
DATA       = $(patsubst $(tree)/%,%,$(wildcard $(tree)/sql/upgrade/$(EXTENSION)--*--*.sql))
DATA_built = $(INSTALL_SQL)
EXTRA_CLEAN = build

# One flag a line, shared with CMake; quoted, since one of them holds parentheses.
PG_CXXFLAGS = $(shell sed "s/.*/'&'/" $(tree)/src/compile_flags.txt)
# PGXS hands on the warnings of the compiler that built Postgres; another one need not know them all.
PG_CXXFLAGS += $(if $(findstring clang,$(CXX)),-Wno-unknown-warning-option)
PG_CPPFLAGS = -I$(tree)/src -isystem $(includedir_server) -DJOBS_EXT_VERSION='"$(EXTVERSION)"'

REGRESS       := $(sort $(patsubst sql/%.sql,%,$(wildcard sql/*.sql)))
REGRESS_OPTS   = --launcher=script/lib/then_check --outputdir=build/regress
REGRESS_PREP   = build/regress build/isolation
ISOLATION     := $(sort $(patsubst test/isolation/specs/%.spec,%,$(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --launcher=script/lib/then_check --load-extension=$(EXTENSION) --inputdir=test/isolation --outputdir=build/isolation
PROVE_TESTS   := $(sort $(wildcard test/tap/*.pl))
TAP_TESTS     := $(if $(PROVE_TESTS),1)

# JIT bitcode helps functions inlined into expressions; a queue has none.
override with_llvm := no

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)
# PGXS has make look for files in the tree as well, and so for the objects of a build there.
override VPATH :=
vpath %.control $(tree)
$(shell mkdir -p build)
-include $(OBJS:.o=.d)

# PGXS has no header dependencies and knows no build directory, hence our own rule.
build/%.o: $(tree)/src/%.cpp build/settings
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<

# What the objects were compiled with: another PostgreSQL, compiler or flag rebuilds them all.
build/settings: FORCE | build
	$(file >$@.new,$(shell $(PG_CONFIG) --version) $(CXX) $(CXXFLAGS) $(CPPFLAGS))
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# A directory is newer than what was made of it when a file of it has gone.
$(shlib): $(sort $(dir $(SOURCES)))
$(INSTALL_SQL): $(tree)/sql/parts $(SQL_PARTS) $(tree)/$(EXTENSION).control | build
	cat $(SQL_PARTS) > $@

build build/regress build/isolation:
	@mkdir -p $@

# One error mechanism, Postgres's: nothing here may throw, allocate with new or need libstdc++.
CXX_RUNTIME = std::|operator (new|delete)|__cxa_(throw|rethrow|begin_catch|guard|atexit|pure)|__gxx_personality
check-symbols: all
	@nm -C -u $(shlib) > build/undefined
	@if grep -E '$(CXX_RUNTIME)' build/undefined; then \
		echo '$(shlib) needs the C++ runtime for the symbols above' >&2; exit 1; fi

# A file in which clang-tidy found nothing is looked at again when it, a header, a flag or the list of checks has changed.
TIDIED = $(patsubst $(tree)/%,build/tidied/%,$(SOURCES) $(wildcard $(tree)/test/unit/*.cpp))
tidied: $(TIDIED)
$(TIDIED): $(wildcard $(tree)/src/*.hpp $(tree)/src/*/*.hpp) $(tree)/src/compile_flags.txt $(tree)/.clang-tidy
$(TIDIED): build/tidied/%: $(tree)/%
	clang-tidy --quiet $(TIDY_FLAGS) $< -- $(PG_CPPFLAGS) $(PG_CXXFLAGS) -Wno-error -DSOURCE_DIR='""'
	@mkdir -p $(@D) && touch $@

.PHONY: check-symbols tidied FORCE
FORCE:
