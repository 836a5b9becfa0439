# shellcheck shell=bash
# A throw-away place for a server: a temporary directory that holds a copy of the tree, a private copy of the
# PostgreSQL installation with this extension in it, and one cluster. Nothing of the machine's is written to,
# no running server is used. It is removed when the script ends, whatever ends it.
#
#   . script/lib/workspace.sh
#   workspace_open 15 [bin]                              sets PGHOST, PGUSER, PGDATABASE and PATH; bin: where the
#                                                        programs of another PostgreSQL 15 than Debian's are
#   workspace_install                                    copies the tree, builds it, installs it privately
#   cluster_start "shared_preload_libraries = 'jobs_ext'"    each argument is a line of postgresql.conf
#   psql …
#   cluster_stop                                         only to start again: the exit does it by itself
#
# PostgreSQL refuses to run as root. For root, everything that runs in the workspace runs as the user postgres
# of Debian's package, who may not be able to read the tree itself: hence the copy.
# shellcheck source=script/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

workspace=

workspace_open() {
    local debian=/usr/lib/postgresql/$1/bin
    local bin=${2-$debian}
    [[ -x $bin/postgres ]] || die "no PostgreSQL $1 in $bin: script/bootstrap --pg $1 installs it"
    # Not TMPDIR: the path of a Unix socket has 107 bytes at most.
    workspace=$(mktemp -d /tmp/jobs_ext.XXXXXX)
    on_exit "$root/script/lib/sweep" "$workspace"
    # No trap sees SIGKILL: a process outside our group and session waits for our end as well.
    setsid "$root/script/lib/sweep" "$workspace" "$$" </dev/null >/dev/null 2>&1 &
    disown
    [[ $EUID -ne 0 ]] || chown postgres: "$workspace"
    workspace_copy_postgres "$bin"
    [[ $bin == "$debian" ]] || workspace_lend_extensions "$debian"
    unset PGSERVICE PGHOSTADDR PGPASSWORD PGOPTIONS PGPORT
    export PGHOST=$workspace PGUSER=postgres PGDATABASE=postgres
}

# Run in the workspace, as a user whom PostgreSQL accepts. LANG too: the TAP modules drop LC_ALL, and the servers that
# they make take their encoding from what is left.
as_server() {
    local user=()
    [[ $EUID -ne 0 ]] || user=(setpriv --reuid=postgres --regid=postgres --init-groups)
    (
        cd "$workspace/tree" 2>/dev/null || cd "$workspace" || exit
        exec "${user[@]}" env HOME="$workspace" LANG=C.UTF-8 LC_ALL=C.UTF-8 "$@"
    )
}

# PostgreSQL finds its libraries and extensions relative to its own executable. So a copy of bin, with lib and
# share full of symbolic links beside it, is an installation to which we can add.
workspace_copy_postgres() {
    local bin=$1 lib share
    lib=$("$bin/pg_config" --pkglibdir)
    share=$("$bin/pg_config" --sharedir)
    pg_config=$bin/pg_config
    install_root=$workspace/install
    as_server mkdir -p "$install_root$bin" "$install_root$lib" "$install_root$share"
    as_server cp -r "$bin/." "$install_root$bin"
    as_server cp -rs "$lib/." "$install_root$lib"
    as_server cp -rs "$share/." "$install_root$share"
    # What an earlier `make install` left must not pass for ours.
    as_server rm -f "$install_root$lib/jobs_ext.so" "$install_root$share"/extension/jobs_ext*
    private_bin=$install_root$bin
    export PATH=$private_bin:$PATH
}

# The extensions that Debian packages for its own server, and no other server has. They fit any build of the same
# release.
workspace_lend_extensions() {
    local lib share
    lib=$("$1/pg_config" --pkglibdir)
    share=$("$1/pg_config" --sharedir)
    as_server cp -s "$lib"/pg_cron.so "$install_root$("$pg_config" --pkglibdir)"
    as_server cp -s "$share"/extension/{pgtap,pg_cron}* "$install_root$("$pg_config" --sharedir)/extension"
}

# Objects built in the tree come along; make knows which of them still hold.
workspace_copy_tree() {
    as_server mkdir -p "$workspace/tree"
    tar -C "$root" --exclude=./.git --exclude=./build/cmake --exclude=./build/test -cf - . |
        as_server tar -C "$workspace/tree" --no-same-owner -xf -
}

workspace_make() { as_server make -s -j"$(nproc)" PG_CONFIG="$pg_config" "$@"; }

workspace_build() {
    workspace_make all && workspace_make DESTDIR="$install_root" install >/dev/null
}

workspace_install() {
    workspace_copy_tree
    workspace_build
}

cluster_start() {
    local data=$workspace/data log=$workspace/postgres.log
    [[ -d $data ]] ||
        as_server initdb --no-sync --no-instructions --username=postgres --auth=trust --encoding=UTF8 \
            --locale=C.UTF-8 --pgdata="$data" >/dev/null || die "initdb failed"
    printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$workspace'" "$@" |
        as_server tee "$data/postgresql.conf" >/dev/null
    if ! as_server pg_ctl start --silent --wait --timeout=60 --pgdata="$data" --log="$log" </dev/null; then
        tail -n 20 "$log" >&2
        die "the throw-away server did not start; the end of its log is above"
    fi
}

cluster_stop() {
    as_server pg_ctl stop --silent --wait --timeout=60 --mode="${1:-fast}" --pgdata="$workspace/data"
}
