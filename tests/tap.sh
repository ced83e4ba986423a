# SPDX-License-Identifier: MIT
# tap.sh - sourced by the shell tests: TAP, a scratch directory, and the words they share.
#
#   ok NAME COMMAND...      one check: the command succeeds
#   same NAME GOT WANT      two strings are equal; else both are shown
#   skip NAME WHY           one check cannot be made here
#   skip_all WHY            ends the test before its first check
#   finish                  the plan; cleans up
#   start_pop3d SCRIPT      runs the scripted server; sets port, transcript; one at a time
#   stop_pop3d
#   account LINE...         $work/config: the account "work" of joe, into the Maildir $work/box;
#                           neither home nor box is left over.  Needs port
#   start_dovecot           a real server in $work/server (see dovecot.sh, and there MORE); fails
#                           where there is none
#   stop_dovecot; dovecot_own
#
# $work is the scratch directory, gone at the end.  mailhaul runs with an empty environment and a
# home of its own in $work/home: see `mailhaul`.
tests=0
failures=0
work=$(mktemp -d "${TMPDIR:-/tmp}/mailhaul-test.XXXXXX")
trap 'stop_pop3d; stop_dovecot; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$work/home"
pop3d_pid=
server=$work/server

ok() {
	name=$1
	shift
	tests=$((tests + 1))
	if "$@" >"$work/ok.out" 2>&1; then
		echo "ok $tests - $name"
	else
		echo "not ok $tests - $name"
		sed 's/^/# /' "$work/ok.out" | head -n 20
		failures=$((failures + 1))
	fi
}

same() {
	tests=$((tests + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $tests - $1"
	else
		echo "not ok $tests - $1"
		printf 'got:  %s\nwant: %s\n' "$2" "$3" | head -n 40 | sed 's/^/# /'
		failures=$((failures + 1))
	fi
}

skip() {
	tests=$((tests + 1))
	echo "ok $tests - $1 # SKIP $2"
}

skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

finish() {
	echo "1..$tests"
	exit $((failures > 0))
}

# The program as cron would run it: no terminal, nearly no environment.
mailhaul() {
	env -i HOME="$work/home" PATH="$PATH" LC_ALL=C ${ASAN_OPTIONS:+ASAN_OPTIONS="$ASAN_OPTIONS"} \
		${UBSAN_OPTIONS:+UBSAN_OPTIONS="$UBSAN_OPTIONS"} \
		$VALGRIND "$MAILHAUL" "$@" </dev/null
}

start_pop3d() {
	rm -f "$work/port" "$work/transcript"
	: > "$work/transcript"
	"$POP3D" -p "$work/port" -t "$work/transcript" -c "${certs:-.}" "$1" 2>"$work/pop3d.err" &
	pop3d_pid=$!
	waited=0
	until [ -s "$work/port" ]; do
		waited=$((waited + 1))
		if [ $waited -gt 200 ] || ! kill -0 $pop3d_pid 2>/dev/null; then
			echo "Bail out! pop3d did not start: $(cat "$work/pop3d.err")"
			exit 1
		fi
		sleep 0.02
	done
	port=$(cat "$work/port")
	transcript=$work/transcript
}

stop_pop3d() {
	[ -n "$pop3d_pid" ] || return 0
	kill $pop3d_pid 2>/dev/null
	wait $pop3d_pid 2>/dev/null
	pop3d_pid=
}

account() {
	{
		printf '[work]\nuser = joe\nport = %s\nmaildir = %s/box\n' "$port" "$work"
		printf '%s\n' "$@"
	} > "$work/config"
	chmod 600 "$work/config"
	rm -rf "$work/box" "$work/home"
	mkdir "$work/home"
}

# Started by root it reads its mail as somebody else.
start_dovecot() {
	PATH=$PATH:/usr/sbin
	chmod 755 "$work"
	mkdir -p "$server"
	if ! command -v dovecot >/dev/null || ! command -v certtool >/dev/null; then
		return 1
	fi
	if ! sh "$top_srcdir/tests/dovecot.sh" start "$server" >"$work/start" 2>&1; then
		sed 's/^/# /' "$work/start"
		return 1
	fi
}

stop_dovecot() {
	[ ! -d "$server/run" ] || sh "$top_srcdir/tests/dovecot.sh" stop "$server"
}

# Hands the messages that were put into its mailboxes to the mail user.
dovecot_own() {
	sh "$top_srcdir/tests/dovecot.sh" own "$server"
}
