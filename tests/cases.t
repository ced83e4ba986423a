#!/bin/sh
# SPDX-License-Identifier: MIT
# cases.t - runs every case of tests/cases, or those named on the command line.
#
# A case is a text file in sections.  A section begins with "== NAME ARGUMENT" and holds the lines
# up to the next.  First what the case is made of:
#
#   == server         the script for pop3d (see the head of pop3d.c)
#   == config         lines for the account [work]; host, port, user and password stand there
#                     already, and maildir unless a destination is named, and that every failure
#                     is told.  Or, beginning with a "[": the whole file
#   == file NAME      a file in @DIR@; == script NAME: an executable one
#   == setup          shell lines run in @DIR@ before the first step
#
# Then one or more steps:
#
#   == run ARGUMENTS  runs mailhaul; what follows is expected of it:
#   == status N       (0 if not said)
#   == stderr         its lines (none if not said); a line that begins with "~" is a regular
#   == stdout         expression (awk's, without {N}) for the whole line
#   == transcript     the client's lines, and pop3d's marks but for "-- sent"; in the same form
#   == flights N      at most so many
#   == delivered      the subjects of the messages in the Maildir's new/, sorted, one a line
#   == check          shell lines that must succeed, run in @DIR@ by sh -e
#
# @DIR@ is the scratch directory, @PORT@ the server's port.
. "$top_srcdir/tests/tap.sh"

cases=${*:-$(ls "$top_srcdir"/tests/cases/*.case)}
certs=$work/certs
mkdir "$certs"
sh "$top_srcdir/tests/make-certs.sh" "$certs" >/dev/null 2>&1 || certs=

# Cuts a case into files: $work/case/NUMBER.NAME with the lines, NUMBER.NAME.arg with the argument.
cut_case() {
	rm -rf "$work/case" && mkdir "$work/case"
	awk -v dir="$work/case/" '
		/^== [a-z]+/ {
			if (out) close(out)
			out = sprintf("%s%03d.%s", dir, ++n, $2)
			arg = $0
			sub(/^== [a-z]+ ?/, "", arg)
			print arg > (out ".arg")
			close(out ".arg")
			printf "" > out
			next
		}
		out { print > out }' "$1"
}

fill_in() {
	sed "s|@DIR@|$dir|g; s|@PORT@|${port:-0}|g; s|@CERTS@|$certs|g" "$1"
}

make_config() {
	if head -n 1 "$1" | grep -q '^\['; then
		fill_in "$1" > "$dir/config"
	else
		{
			printf '[work]\nhost = 127.0.0.1\nport = %s\nuser = joe\n' "$port"
			grep -q '^tls *=' "$1" || echo 'tls = off'
			grep -qE '^(password|token_command)' "$1" || echo 'password = secret'
			grep -q '^timeout' "$1" || printf 'timeout = 5\n'
			grep -qE '^(maildir|mbox|mda|mda_shell|stdout) *=' "$1" || echo "maildir = $dir/box"
			fill_in "$1"
			grep -q '^complain_after' "$1" || echo 'complain_after = 0'
		} > "$dir/config"
	fi
	chmod 600 "$dir/config"
}

# The expected lines may be expressions, so lines are compared one by one.
same_lines() {
	fill_in "$2" > "$work/want"
	awk -v want="$work/want" '
		function differ() { print "got:  " $0 "\nwant: " expected; bad = 1 }
		function next_want() { have = (getline expected < want) > 0 }
		BEGIN { next_want() }
		{
			if (!have) { print "unexpected: " $0; bad = 1; next }
			if (substr(expected, 1, 1) == "~") {
				if ($0 !~ ("^" substr(expected, 2) "$")) differ()
			} else if ($0 != expected) differ()
			next_want()
		}
		END {
			while (have) { print "missing: " expected; bad = 1; next_want() }
			exit bad
		}' "$1"
}

subjects() {
	[ -d "$dir/box/new" ] || return 0
	for message in "$dir"/box/new/*; do
		[ ! -f "$message" ] || sed -n '/^$/q; s/^Subject: //p' "$message"
	done | sort
}

run_step() {
	case_file=$1
	before=$(wc -l < "$transcript")
	expect_status=0
	expect_stderr=/dev/null
	expect_stdout=
	shift
	words=$(fill_in "$case_file.arg")
	eval "mailhaul -f '$dir/config' $words" >"$work/stdout" 2>"$work/stderr"
	got_status=$?
	sleep 0.02
	tail -n +$((before + 1)) "$transcript" > "$work/lines"
}

judge_step() {
	same "$title: status" "$got_status" "$expect_status"
	ok "$title: standard error" same_lines "$work/stderr" "$expect_stderr"
	if [ -n "$expect_stdout" ]; then
		ok "$title: standard output" same_lines "$work/stdout" "$expect_stdout"
	fi
}

# One case.  The sections stand in the order of their numbers.
run_case() {
	title=$(basename "$1" .case)
	dir=$work/dir
	rm -rf "$dir" && mkdir "$dir"
	rm -rf "$work/home" && mkdir "$work/home"
	port=
	pending=
	transcript=/dev/null
	cut_case "$1"
	for section in "$work/case"/*.arg; do
		section=${section%.arg}
		argument=$(fill_in "$section.arg")
		case $section in
		*.file) fill_in "$section" > "$dir/$argument" ;;
		*.script) fill_in "$section" > "$dir/$argument"; chmod 755 "$dir/$argument" ;;
		*.setup) (cd "$dir" && fill_in "$section" | sh -e) ;;
		esac
	done
	if ls "$work/case"/*.server >/dev/null 2>&1; then
		for server in "$work/case"/*.server; do fill_in "$server" > "$dir/server.script"; done
		start_pop3d "$dir/server.script"
	fi
	for section in "$work/case"/*.arg; do
		section=${section%.arg}
		argument=$(fill_in "$section.arg")
		case $section in
		*.server | *.file | *.script | *.setup) ;;
		*.config) make_config "$section" ;;
		*.run)
			[ -z "$pending" ] || judge_step
			run_step "$section"
			pending=yes
			;;
		*.status) expect_status=$argument ;;
		*.stderr) expect_stderr=$section ;;
		*.stdout) expect_stdout=$section ;;
		*.transcript)
			grep -vE '^-- (sent|close)' "$work/lines" > "$work/said"
			ok "$title: transcript" same_lines "$work/said" "$section"
			;;
		*.flights)
			flights=$(sed -n 's/^-- close (flights \([0-9]*\))/\1/p' "$work/lines" | tail -n 1)
			ok "$title: $flights flights, at most $argument" test "${flights:-999}" -le "$argument"
			;;
		*.delivered)
			subjects > "$work/subjects"
			ok "$title: delivered" same_lines "$work/subjects" "$section"
			;;
		*.check)
			fill_in "$section" > "$work/check"
			ok "$title: check" sh -ec "cd '$dir'; . '$work/check'"
			;;
		*) echo "Bail out! $1: unknown section ${section##*.}"; exit 1 ;;
		esac
	done
	[ -z "$pending" ] || judge_step
	stop_pop3d
}

for case in $cases; do
	run_case "$case"
done
finish
