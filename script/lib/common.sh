# shellcheck shell=bash
# What every script here needs. Source it after `set -euo pipefail`; it sets `root`, the project's directory.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export root

say() { printf '%s\n' "$*"; }

complain() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    complain "$@"
    exit 1
}

have() { command -v "$1" >/dev/null; }

as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        die "needs root, or sudo, for: $*"
    fi
}

debian_codename() {
    # shellcheck source=/dev/null
    (. /etc/os-release && echo "${VERSION_CODENAME-}")
}

# Debian's release with that PostgreSQL.
codename_of_pg() {
    case $1 in
        15) echo bookworm ;;
        17) echo trixie ;;
        18) echo forky ;;
        *) die "PostgreSQL $1 is in no Debian release known here: 15, 17 and 18 are" ;;
    esac
}

# The PostgreSQL to use where nobody names one: the one of this Debian.
default_pg() {
    case $(debian_codename) in
        trixie) echo 17 ;;
        forky) echo 18 ;;
        *) echo 15 ;;
    esac
}

# Commands to run, last one first, when this script ends, whether by itself or by a signal.
exit_commands=()

on_exit() {
    if [[ ${#exit_commands[@]} -eq 0 ]]; then
        trap run_exit_commands EXIT
        trap 'exit 129' HUP
        trap 'exit 130' INT
        trap 'exit 143' TERM
    fi
    exit_commands+=("$*")
}

run_exit_commands() {
    local status=$? i
    trap '' HUP INT TERM
    for ((i = ${#exit_commands[@]} - 1; i >= 0; i--)); do
        eval "${exit_commands[i]}" || true
    done
    exit "$status"
}
