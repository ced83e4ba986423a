#!/bin/sh
# SPDX-License-Identifier: MIT
# json.t - what --json says is read by an independent parser (python3, else jq), and held against
# the files that were delivered and against what is said without it.
. "$top_srcdir/tests/tap.sh"

# parses FILE: every line is an object in UTF-8 with "v" 1 and "event", no key twice, nothing that a
# terminal would obey.  get FILE EVENT KEY: its values, a line each.
cat > "$work/read.py" <<'END'
import json, sys

def whole(pairs):
    assert len(pairs) == len(dict(pairs)), "a key twice"
    return dict(pairs)

lines = open(sys.argv[1], "rb").read().decode("utf-8")
assert lines == "" or lines.endswith("\n"), "the last line is not whole"
for line in lines.split("\n")[:-1]:
    assert all(c >= " " and not 0x7f <= ord(c) < 0xa0 and not 0x202a <= ord(c) <= 0x202e
               for c in line), "a control character"
    o = json.loads(line, object_pairs_hook=whole)
    assert o["v"] == 1 and isinstance(o["event"], str), line
    if len(sys.argv) > 2 and o["event"] == sys.argv[2] and sys.argv[3] in o:
        value = o[sys.argv[3]]
        print(str(value).lower() if isinstance(value, bool) else value)
END
if command -v python3 >/dev/null; then
	parses() { python3 "$work/read.py" "$1"; }
	get() { PYTHONIOENCODING=utf-8 python3 "$work/read.py" "$@"; }
elif command -v jq >/dev/null; then
	parses() { ! jq -e '.v == 1 and (.event | type) == "string"' "$1" | grep -vx true; }
	get() { jq -r --arg e "$2" --arg k "$3" 'select(.event == $e) | .[$k] // empty' "$1"; }
else
	skip_all 'neither python3 nor jq is here'
fi

# json ARGUMENT...: what is on standard output is in $work/json, and must parse; the status in
# $status; standard error is silent.
json() {
	mailhaul -f "$work/config" --json "$@" > "$work/json" 2> "$work/stderr"
	status=$?
	ok "--json $*: every line is an object" parses "$work/json"
	same "--json $*: standard error is silent" "$(cat "$work/stderr")" ''
	same "--json $*: its end is the run" "$(tail -n 1 "$work/json" | cut -c 1-21)" \
		'{"v":1,"event":"run",'
	same "--json $*: the status" "$(get "$work/json" run status)" "$status"
}

section() {
	printf '[%s]\nhost = 127.0.0.1\nport = %s\nuser = joe\ntls = off\nkeep = yes\n' "$1" "$port"
	printf 'received = no\nmaildir = %s/box.%s\npassword = %s\n' "$work" "$1" "$2"
}

files() { ls "$1/new" | wc -l; }
weight() { cat "$1"/new/* | wc -c; }

# The mailbox of look-list.case, and UIDs that are hard to tell.
long=$(printf '%01000d' 7)
{
	printf 'greeting hello \\x1b]0;title\\x07 \\xff\n'
	sed -n '/^== server/,/^== config/{/^==/!p;}' "$top_srcdir/tests/cases/look-list.case"
	printf '%s\n' "message $long text Subject: long uid\\r\\n\\r\\nx\\r\\n"
	printf '%s\n' 'message \xe4\xff"\\ text Subject: odd uid\r\n\r\nx\r\n'
	turns=$(printf '%0600d' 1 | sed 's/0/\\xe2\\x80\\xae/g')
	printf '%s\n' "message u43 text Subject: $turns\\r\\n\\r\\nx\\r\\n"
} > "$work/odd"
start_pop3d "$work/odd"
section work secret > "$work/config"
section wrong nonsense >> "$work/config"
chmod 600 "$work/config"

# -- looking ----------------------------------------------------------------------------------

json --list work
cp "$work/json" "$work/list"
mailhaul -f "$work/config" --list work > "$work/text"
same 'list: all messages' "$(get "$work/list" message number)" "$(seq 43)"
same 'list: all bytes' "$(get "$work/list" message size | awk '{ n += $1 } END { print n }')" \
	"$(get "$work/list" mailbox bytes)"
get "$work/list" message subject > "$work/subjects"
for subject in Hello 'Grüße aus Köln' 'Łódź i Kraków' '日本語の件名' '🎉 party 🎉' 'one two three'; do
	ok "list: $subject" grep -qxF "$subject" "$work/subjects"
	ok "list: $subject, as in the text" grep -qE "  $subject\$" "$work/text"
done
ok 'list: escape sequences are told, not made' grep -qF '\u001b[31mred\u001b[0m' "$work/list"
ok 'list: and no bidirectional override' grep -qF 'exe\u202efdp.doc' "$work/list"
ok 'list: a UID that is no UTF-8' grep -qF '"uid":"��\"\\"' "$work/list"
ok 'list: a long UID is cut' grep -qE '"uid":"0{397}\.\.\."' "$work/list"
ok 'list: a long subject is cut, and the object whole' grep -qE '(\\u202e)+\.\.\."}$' "$work/list"

json --dry-run work
same 'dry run: what would be done' "$(get "$work/json" message action | grep -cx fetch)" 43
same 'dry run: why' "$(get "$work/json" message reason | sort -u)" new
json --dry-run work -o filter=true
same 'dry run: why, with a filter' "$(get "$work/json" message reason | sort -u)" \
	'the filter decides'
mailhaul -f "$work/config" --dry-run work -o filter=true > "$work/text"
same 'dry run: why, with a filter, as in the text' \
	"$(grep -c '  the filter decides  ' "$work/text")" 43
json --check work
same 'check: mail waits' "$status $(get "$work/json" account new)" '0 43'

# -- fetching ---------------------------------------------------------------------------------

json work
same 'fetch: as many as there are files' "$(get "$work/json" account new)" \
	"$(($(files "$work/box.work")))"
same 'fetch: as many bytes' "$(get "$work/json" account bytes)" "$(($(weight "$work/box.work")))"
same 'fetch: the run has the same' "$(get "$work/json" run bytes)" \
	"$(get "$work/json" account bytes)"
json --check work
same 'check: none waits' "$status $(get "$work/json" account new)" '1 0'
json --list work
same 'list: now they are kept' "$(get "$work/json" message reason | sort -u)" kept
json --status work
same 'status: what is known' \
	"$(get "$work/json" status known) $(get "$work/json" status on_server)" 'true 43'
same 'status: what was new' "$(get "$work/json" status last_new)" 43

# -- failures ---------------------------------------------------------------------------------

json
same 'a refused login: the status of each' \
	"$(get "$work/json" account account | paste -sd ' ' -) $(get "$work/json" account status |
		sort | paste -sd ' ' -)" "$(get "$work/json" account account | paste -sd ' ' -) 0 77"
same 'a refused login: whose' "$(get "$work/json" error account)" wrong
same 'a refused login: in a word' "$(get "$work/json" error result)" noperm
get "$work/json" error text > "$work/why"
mailhaul -f "$work/config" wrong 2> "$work/stderr"
same 'a refused login: as in the text' "mailhaul: wrong: $(cat "$work/why")" \
	"$(sed 's/\\\\/\\/g' "$work/stderr")"
json -v work
same 'notes' "$(get "$work/json" note level | sort -u | paste -sd ' ' -)" 'info trace'
ok 'notes hold no password' sh -c "! grep -q 'secret' '$work/json'"
stop_pop3d

cat > "$work/poison" <<'END'
message u1 text Subject: one\r\n\r\nx\r\n
message u\x80"2 text Subject: two\r\n\r\nx\r\n
message u3 text Subject: three\r\n\r\nx\r\n
on RETR 2 reply -ERR no \x1b[2J \xff
END
start_pop3d "$work/poison"
section work secret > "$work/config"
rm -rf "$work/home" "$work"/box*
mkdir "$work/home"
json
same 'a message fails: which' \
	"$(get "$work/json" failed number) $(get "$work/json" failed uid)" '2 u�"2'
same 'a message fails: the status' "$status $(get "$work/json" failed result)" '69 unavailable'
same 'a message fails: for the first time' "$(get "$work/json" failed again)" false
same 'a message fails: it is counted' "$(get "$work/json" account failed)" 1
json --retry
same 'a message fails: again' "$(get "$work/json" failed again)" true
json --list
same 'a message fails: when it is tried again' "$(get "$work/json" message failures)" 2
json --status
same 'a message fails: the status tells' "$(get "$work/json" retry failures)" 2

# -- the others -------------------------------------------------------------------------------

json --test-login
same 'login' "$(get "$work/json" login user)" joe
json --server-info
same 'server' "$(get "$work/json" server item | head -n 2 | paste -sd ' ' -)" 'address greeting'
json --list-accounts
same 'accounts' "$(get "$work/json" configured account)" work
json --print-config
same 'configuration' "$(get "$work/json" option key | grep -cx maildir)" 1
ok 'configuration: no secrets' sh -c "! grep -q secret '$work/json'"
json --mark-seen
same 'marked' "$(get "$work/json" marked marked) $(get "$work/json" marked known)" '1 2'
printf '[x]\nhots = a\n[y]\nuser = b\n' > "$work/bad"
mv "$work/config" "$work/good"
mv "$work/bad" "$work/config"
json --test-config
same 'a bad configuration' "$status $(get "$work/json" error result | sort -u)" '78 config'
ok 'a bad configuration: with its line' grep -q 'config:2: ' "$work/json"
mv "$work/good" "$work/config"
json nobody
same 'an unknown account' "$status" 64
json --stdout
same 'mail does not mix with objects' "$status $(get "$work/json" error result)" '64 usage'

# -- nobody listens ---------------------------------------------------------------------------

rm -rf "$work/home" "$work"/box*
mkdir "$work/home"
mailhaul -f "$work/config" --json > /dev/full 2> "$work/stderr"
same 'no room for objects: the status, and what is said' "$? $(cat "$work/stderr")" \
	'74 mailhaul: standard output: No space left on device'
same 'no room for objects: the mail is there' "$(($(files "$work/box.work")))" 2
rm -rf "$work/home" "$work"/box*
mkdir "$work/home"
{
	sleep 1
	mailhaul -f "$work/config" --json 2> "$work/stderr"
	echo $? > "$work/status"
} | true
until [ -s "$work/status" ]; do sleep 0.1; done
same 'nobody listens: the status, and what is said' "$(cat "$work/status" "$work/stderr")" \
	'74
mailhaul: standard output: Broken pipe'
same 'nobody listens: the mail is there' "$(($(files "$work/box.work")))" 2
stop_pop3d
finish
