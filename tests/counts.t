#!/bin/sh
# SPDX-License-Identifier: MIT
# counts.t - it stays fast: counts instead of times, which no loaded machine can spoil.
#
# The bounds are generous; who passes one has made each message cost something new.  What they were
# when this was written stands behind each.  Needs strace and valgrind for some of them.
. "$top_srcdir/tests/tap.sh"

load=$top_builddir/tests/bench/load
[ -x "$load" ] || skip_all "there is no load server here"
count=512
load_pid=
trap 'stop_load; rm -rf "$work"' EXIT

start_load() {
	rm -f "$work/port"
	: > "$work/tally"
	"$load" "$@" -p "$work/port" -t "$work/tally" &
	load_pid=$!
	waited=0
	until [ -s "$work/port" ]; do
		waited=$((waited + 1))
		if [ $waited -gt 200 ] || ! kill -0 $load_pid 2>/dev/null; then
			echo "Bail out! the load server did not start"
			exit 1
		fi
		sleep 0.02
	done
	port=$(cat "$work/port")
}

stop_load() {
	if [ -n "$load_pid" ]; then
		kill $load_pid 2>/dev/null
		wait $load_pid 2>/dev/null
	fi
	load_pid=
}

# fetch LINE...: one run with a fresh home and destination, under $tool.  In clear: TLS has its own
# counts, and they are GnuTLS's.
fetch() {
	rm -rf "$work/home" "$work/box" "$work/mbox"
	mkdir "$work/home"
	{
		printf '[work]\nhost = 127.0.0.1\nport = %s\nuser = joe\npassword = secret\n' "$port"
		printf '%s\n' "tls = off" "$@"
	} > "$work/config"
	chmod 600 "$work/config"
	env -i HOME="$work/home" PATH="$PATH" ${tool:-} "$MAILHAUL" -f "$work/config" </dev/null
}

tally() {
	tail -n 1 "$work/tally" | awk -v c="$1" '{ print $c }'
}

# at_most NAME VALUE LIMIT: an empty value fails.
at_most() {
	ok "$1: $2, at most $3" awk -v a="$2" -v b="$3" 'BEGIN { exit !(a != "" && a <= b) }'
}

can_strace() {
	command -v strace >/dev/null && strace -f -o /dev/null true 2>/dev/null
}

# Calls by strace whose names match.
calls() {
	awk -v want="$1" '$1 ~ want && $2 ~ /^[0-9]+$/ { n += $2 } END { print n + 0 }' "$work/strace"
}

# -- flights ------------------------------------------------------------------------------------

start_load -n 300 -s 3000 -d 20
ok "300 messages, deleted" fetch "maildir = $work/box"
same "all of them" "$(tally 2) $(tally 3) $(tally 5)" "300 300 quit"
at_most "flights" "$(tally 1)" 6 # 5: CAPA, AUTH, the lists, RETR, DELE with QUIT
ok "300 messages, all by way of a filter" fetch "maildir = $work/box" "filter = true"
same "all of them" "$(tally 2) $(tally 3) $(tally 5)" "300 300 quit"
at_most "flights" "$(tally 1)" 9 # 7: the headers, and a RETR follows each answer of the filter
ok "300 messages, kept" fetch "maildir = $work/box" "keep = yes"
at_most "flights" "$(tally 1)" 6 # 5
stop_load

start_load -n 20 -s 3000 -d 5 -P
ok "20 messages without PIPELINING" fetch "maildir = $work/box"
at_most "flights" "$(tally 1)" 50 # 47: one a command
stop_load

# -- system calls -------------------------------------------------------------------------------

start_load -n $count -s 3000
if can_strace; then
	tool="strace -f -c -U name,calls -o $work/strace"
	ok "$count messages into a Maildir" fetch "maildir = $work/box"
	same "all of them" "$(ls "$work/box/new" | wc -l)" $count
	at_most "system calls a message" $(($(calls '^total$') / count)) 10 # 7
	syncs=$(calls '^f(data)?sync$')
	at_most "syncs beside one a message" $((syncs - count)) 100 # 22, of 2 groups
	ok "$count messages into an mbox" fetch "mbox = $work/mbox"
	same "all of them" "$(grep -c '^From ' "$work/mbox")" $count
	at_most "system calls a message" $(($(calls '^total$') / count)) 4 # 1
	at_most "syncs" "$(calls '^f(data)?sync$')" 100 # 23, of 2 groups
	fetch "stdout = yes" > "$work/out"
	same "and to standard output" "$(grep -c '^From ' "$work/out")" $count
	at_most "system calls a message" $(($(calls '^total$') / count)) 4 # 1
	stop_load
	start_load -n 50 -s 3000
	ok "50 messages to an MDA" fetch "mda = /bin/true"
	at_most "syncs" "$(calls '^f(data)?sync$')" 30 # 9, of runs that take no half second
	tool="strace -f -o $work/strace -e trace=write,fdatasync,sendto"
	ok "and again" fetch "mda = /bin/true"
	same "no DELE before the journal is synced" "$(awk '
		/ write\(.* S [0-9]+ load/ { dirty = 1; fates++ }
		/ fdatasync\(/ { dirty = 0 }
		/ sendto\(.*DELE/ { early += dirty; sent++ }
		END { print fates, early + 0, (sent > 0) }' "$work/strace")" "50 0 1"
	tool=
fi
stop_load

# -- instructions -------------------------------------------------------------------------------

# instructions PER: those of the process that had most, for each of so many bytes or messages.
callgrind="valgrind -q --tool=callgrind --trace-children=yes
	--callgrind-out-file=$work/callgrind.%p"

instructions() {
	awk -v per="$1" '/^(summary|totals):/ && $2 > most { most = $2 }
		END { if (most > 0) printf "%.2f\n", most / per }' "$work"/callgrind.*
	rm -f "$work"/callgrind.*
}

if [ -z "${ASAN_OPTIONS:-}" ] && valgrind -q true 2>/dev/null; then
	start_load -n 1 -s 8388608
	tool="$callgrind --toggle-collect=wire_undot"
	ok "8 MiB under callgrind" fetch "maildir = $work/box"
	at_most "instructions a byte of un-dotting" "$(instructions 8388608)" 3 # 1.2
	stop_load
	start_load -n 2000 -s 3000
	tool=$callgrind
	ok "2000 messages into an mbox" fetch "mbox = $work/mbox"
	at_most "instructions a message" "$(instructions 2000)" 80000 # 39000
	stop_load
	{
		printf '[defaults]\nhost = localhost\npassword = secret\nkeep = 30d\n'
		seq 1000 | sed 's/.*/[account&]\nuser = joe&\nmaildir = ~\/Mail\/&/'
	} > "$work/config"
	$tool "$MAILHAUL" -f "$work/config" --list-accounts > "$work/accounts"
	same "accounts of a configuration" "$(wc -l < "$work/accounts")" 1000
	at_most "instructions an account" "$(instructions 1000)" 300000 # 142000
fi
finish
