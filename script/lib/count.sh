# shellcheck shell=bash
# How many tests passed and failed, read from what a stage of script/test left: "PASSED FAILED" on stdout. The
# argument names the stage's output without its suffix: .log is what it printed, .tap a directory of TAP.

# pg_regress and pg_isolation_regress: "All 3 tests passed." or "1 of 3 tests failed.", since 16 after a "#".
count_regress() {
    awk '/^(# | )?All [0-9]+ tests passed/ { sub(/^[# ]*/, ""); passed += $2 }
         /^(# | )?[0-9]+ of [0-9]+ tests failed/ { sub(/^[# ]*/, ""); failed += $1; passed += $3 - $1 }
         END { print passed + 0, failed + 0 }' "$1.log"
}

# ctest: "75% tests passed, 1 tests failed out of 4".
count_ctest() {
    awk '/ tests failed out of / { failed = $4; passed = $NF - $4 } END { print passed + 0, failed + 0 }' "$1.log"
}

# What prove leaves in PERL_TEST_HARNESS_DUMP_TAP, a file for each test file. A test that was planned and not
# reported has failed, and so has a file without a plan; a test marked TODO has not. Indented lines are a subtest's,
# which has a line of its own.
count_tap() {
    [[ -d $1.tap ]] || { echo 0 0; return; }
    # shellcheck disable=SC2016  # for awk
    find "$1.tap" -type f -exec echo file: \; -exec cat {} \; | awk '
        function end_file() { if (files) failed += planned < 0 ? 1 : planned > ran ? planned - ran : 0 }
        /^file:$/ { end_file(); files++; planned = -1; ran = 0 }
        /^1\.\.[0-9]+/ { planned = substr($1, 4) + 0 }
        /^(not )?ok( |$)/ { ran++; if (/^ok/ || /# *TODO/) passed++; else failed++ }
        END { end_file(); print passed + 0, failed + 0 }'
}

# One check, by its exit code, and a step that is no test unless it fails.
count_check() { echo 1 0; }
count_step() { echo 0 0; }
