#!/usr/bin/env bash
# A worker in bash: checks the files of installed Debian packages against their checksums.
#   worker.sh [NAME]      connects as psql does: PGHOST, PGDATABASE, PGUSER, …; stop it with SIGTERM
set -u
export LC_ALL=C
worker=${1:-$HOSTNAME-$$} stopping=
report=$(mktemp)
trap 'rm -f "$report"' EXIT
trap 'stopping=yes' TERM INT
trap '' PIPE

# One psql for the whole life of the worker; out of reach of a Ctrl-C, so that it can still give the job back.
coproc PSQL { exec setsid psql -XqAt -F $'\t'; }
exec {to}>&"${PSQL[1]}" {from}<&"${PSQL[0]}"

# call SQL [NAME VALUE]...: runs SQL, in which :'NAME' is VALUE, quoted by psql.
# $row is the first line of the answer, $state the SQLSTATE: 00000 when all is well.
call() {
    local sql=$1 value line first=yes
    shift
    {
        while (($#)); do
            value=${2//\\/\\\\} value=${value//"'"/"''"}
            printf "\\\\set %s '%s'\n" "$1" "${value//$'\n'/\\n}"
            shift 2
        done
        printf '%s;\n\\echo :SQLSTATE\n' "$sql"
    } >&"$to" || exit 1
    row='' state=''
    until [[ $state ]]; do
        IFS= read -r -u "$from" line || exit 1      # psql has gone: so do we
        if [[ $line =~ ^[0-9A-Z]{5}$ ]]; then state=$line; elif [[ $first ]]; then row=$line first=; fi
    done
}

# answer FUNCTION ARGUMENTS [NAME VALUE]...: what a worker says of its job. PT409: the lease was lost, the job
# is another's by now. Whatever the error, the job is not ours any more once its lease has run out: we go on.
answer() {
    call "select status from $1(:'id', :'lease' $2)" id "$id" lease "$lease" "${@:3}"
    echo "$worker: $package: ${1#job_}: ${row:-$state}"
}

verify() {
    local sums=/var/lib/dpkg/info/$package.md5sums of n differ missing bytes md5sum running stop=''
    if [[ $package == */* || ! -r $sums ]]; then
        answer job_fail ", :'message', permanent => true" message "$package is not installed"
        return
    fi
    of=$(grep -c . "$sums")
    # A pipe that nothing is written to: reading from it waits for md5sum's end, a second at most.
    exec {running}< <(cd / && exec md5sum --check "$sums" 3>&1 >"$report" 2>/dev/null)
    md5sum=$!
    while read -r -t 1 -u "$running"; (($? > 128)); do
        # Once a second: still here, and this far. The answer may be to stop.
        call "select cancel_requested_at is not null
                from job_heartbeat(:'id', :'lease', jsonb_build_object('checked', :n, 'of', :of))" \
             id "$id" lease "$lease" n "$(wc -l <"$report")" of "$of"
        case $state$row in
            00000f) ;;
            00000t) stop=cancelled ;;
            *) stop=lost ;;
        esac
        [[ ! $stop$stopping ]] || break
    done
    kill "$md5sum" 2>/dev/null
    wait "$md5sum"
    exec {running}<&-
    n=$(wc -l <"$report")
    differ=$(sed -n 's/: FAILED$//p' "$report") missing=$(sed -n 's/: FAILED open or read$//p' "$report")

    if [[ $stop == lost ]]; then echo "$worker: $package: $state, dropped"
    elif [[ $stop == cancelled ]]; then answer job_fail ", 'cancelled'"
    elif [[ $stopping ]] && ((n < of)); then answer job_release ''
    elif ((n < of)); then answer job_fail ", :'message'" message "md5sum ended after $n of $of files"
    elif [[ $differ$missing ]]; then
        # Not permanent: the package may be in the middle of an upgrade. At most 100 names of each kind.
        answer job_fail ", :'message', error_details => jsonb_build_object(
                   'differ', to_jsonb((string_to_array(:'differ', E'\n'))[:100]),
                   'missing', to_jsonb((string_to_array(:'missing', E'\n'))[:100]))" \
               differ "$differ" missing "$missing" \
               message "files that differ: $(grep -c . <<<"$differ"), missing or unreadable: $(grep -c . <<<"$missing")"
    else
        bytes=$(cd / && cut -c35- "$sums" | xargs -d '\n' stat -L -c %s -- | awk '{ n += $1 } END { printf "%d", n }')
        answer job_complete ", jsonb_build_object('files', :n, 'bytes', :bytes)" n "$n" bytes "$bytes"
    fi
}

until [[ $stopping ]]; do
    call "select id, lease_id, replace(input_payload ->> 'package', E'\n', ' ')
            from job_claim('{verify-package}', worker => :'worker', wait => '2s')" worker "$worker"
    [[ $state == 00000 ]] || exit 1
    [[ $row ]] || continue
    IFS=$'\t' read -r id lease package <<<"$row"
    verify
done
