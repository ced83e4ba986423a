#!/bin/sh
# SPDX-License-Identifier: MIT
# bench.sh - mailhaul, its peers and a floor, on the same work in turns: `make bench`.
#
#     bench.sh [SCENARIO...]        all of them if none is named; they stand at the end of this file
#
# Prints a table for each scenario: medians over the rounds, and in parentheses how often
# mailhaul's own figure that is.  Then one line for each target: what was measured, the limit, "met"
# or "MISSED".
# $BENCH_OUT gets the same as lines of tabs, from which chart.sh draws.
#
#   wall, CPU   seconds; CPU is user and system, children included (gauge.c)
#   MiB         of the largest process
#   flights     how often the server had answered all and waited for the client (load.c)
#   syncs       calls of fsync, fdatasync, sync_file_range and syncfs, by strace in a run of its own
#   instr       millions of instructions, by callgrind, with CALLGRIND=1
#
# ROUNDS (5), MESSAGES (10000), BENCH_DIR (where the mail goes: a real disk), PEERS (mpop fetchmail
# getmail fdm, those that are installed), SYNCS=0 and CALLGRIND=1 may be set.  A loaded machine
# spoils seconds, not counts; ratios within one run survive most of it.
#
# Files are only removed at the end: ext4 without a journal passes over inodes that were freed
# within the last minutes one by one, and each file made costs up to a millisecond.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/sbin

rounds=${ROUNDS:-5}
messages=${MESSAGES:-10000}
syncs=${SYNCS:-1}
top=$(mktemp -d "${BENCH_DIR:-${TMPDIR:-/tmp}}/mailhaul-bench.XXXXXX")
chattr +T "$top" 2>/dev/null || true # each run's directory in a block group of its own
chmod 755 "$top"
out=${BENCH_OUT:-$top/table}
: > "$out"
server_pid=
dovecot=
trap 'unserve; rm -rf "$top"' EXIT
trap 'exit 1' HUP INT TERM

# -- the server ---------------------------------------------------------------------------------

certs=$top/certs
sh "$here/../make-certs.sh" "$certs"
chmod 755 "$certs"
chmod 644 "$certs/ca.pem"

serve() {
	rm -f "$top/port"
	: > "$top/tally"
	"$BENCH_BIN/load" "$@" ${tls:+-c "$certs"} -p "$top/port" -t "$top/tally" &
	server_pid=$!
	until [ -s "$top/port" ]; do
		kill -0 $server_pid
		sleep 0.02
	done
	port=$(cat "$top/port")
	ca=$certs/ca.pem
}

unserve() {
	if [ -n "$server_pid" ]; then
		kill $server_pid 2>/dev/null || true
		wait $server_pid 2>/dev/null || true
	fi
	if [ -n "$dovecot" ]; then
		sh "$here/../dovecot.sh" stop "$dovecot"
	fi
	server_pid=
	dovecot=
}

# -- the programs -------------------------------------------------------------------------------

# Each writes its configuration for $to (maildir, mbox, none) below $dir and sets the command.
dir=

config_mailhaul() {
	{
		printf '[work]\nhost = localhost\nport = %s\nuser = joe\npassword = sesame\n' "$port"
		printf 'tls = implicit\ntls_ca_file = %s\nkeep = %s\n' "$ca" "${keep:-no}"
		case $to in
		mda) printf 'mda = %s\nmda_jobs = %s\n' "$mda" "${jobs:-1}" ;;
		*) echo "$to = $dir/$to" ;;
		esac
	} > "$dir/config"
	chmod 600 "$dir/config"
	command="$MAILHAUL -f $dir/config"
}

config_mpop() {
	cat > "$dir/config" <<EOF
defaults
tls on
tls_starttls off
tls_trust_file $ca
account work
host localhost
port $port
user joe
password sesame
keep $([ "${keep:-no}" = no ] && echo off || echo on)
uidls_file $dir/uidls
delivery $to $([ "$to" = mda ] && echo "$mda" || echo "$dir/$to")
account default : work
EOF
	chmod 600 "$dir/config"
	command="mpop -q -C $dir/config"
}

# Into one file, unsynced, in batches of SMTP: it has no Maildir and no mbox.
config_fetchmail() {
	cat > "$dir/config" <<EOF
set no syslog
set idfile "$dir/ids"
poll localhost protocol POP3 port $port username "joe" password "sesame" fetchall nokeep ssl
  sslcertck sslcertfile "$ca" bsmtp "$dir/$to.bsmtp"
EOF
	chmod 600 "$dir/config"
	command="env FETCHMAILHOME=$dir fetchmail -s -f $dir/config"
}

# It does not deliver as root.
config_getmail() {
	command="getmail --getmaildir $dir"
	if [ "$(id -u)" = 0 ]; then
		command="setpriv --reuid=nobody --regid=nogroup --clear-groups $command"
	fi
	cat > "$dir/getmailrc" <<EOF
[retriever]
type = SimplePOP3SSLRetriever
server = localhost
port = $port
username = joe
password = sesame
ca_certs = $ca
[destination]
type = Maildir
path = $dir/maildir/
[options]
delete = true
verbose = 0
EOF
	if [ "$(id -u)" = 0 ]; then
		chown -R nobody:nogroup "$dir"
	fi
}

config_fdm() {
	cat > "$dir/config" <<EOF
set lock-file "$dir/lock"
$([ "$(id -u)" != 0 ] || echo 'set default-user "root"')
account "work" pop3s server "localhost" port $port user "joe" pass "sesame"
action "keep" $to "$dir/$to"
match all action "keep"
EOF
	chmod 600 "$dir/config"
	command="fdm -f $dir/config fetch"
}

config_floor() {
	command="$BENCH_BIN/floor $port $ca $count $dir/floor"
}

# What a bare posix_spawn and wait for each message costs.
config_spawn() {
	command="$BENCH_BIN/gauge -n $count $mda"
}

installed() {
	for program in ${PEERS:-mpop fetchmail getmail fdm}; do
		if command -v "$program" >/dev/null; then
			printf '%s ' "$program"
		fi
	done
}

# -- runs ---------------------------------------------------------------------------------------

fresh() {
	dir=$(mktemp -d "$top/run.XXXXXX")
	mkdir -p "$dir/home" "$dir/maildir/new" "$dir/maildir/cur" "$dir/maildir/tmp"
	chmod 755 "$dir"
	"config_$1"
}

# in_home COMMAND...: with next to no environment.
in_home() {
	env -i HOME="$dir/home" PATH="$PATH" LC_ALL=C "$@" >"$dir/output" 2>&1
}

# run SCENARIO PROGRAM: one line in $top/SCENARIO.PROGRAM.
run() {
	: > "$top/gauge"
	if ! in_home "$BENCH_BIN/gauge" ${large:+-w 2048} "$top/gauge" $command; then
		echo "bench.sh: $1: $2 failed:" >&2
		tail -n 3 "$dir/output" >&2
		return 0
	fi
	echo "$(cat "$top/gauge") $(tail -n 1 "$top/tally" 2>/dev/null)" >> "$top/$1.$2"
	if [ -n "${large:-}" ]; then # else the disk would be full; and who comes next should not pay
		find "$dir" -type f -size +1024k -exec truncate -s 0 {} +
		sync
	fi
}

count_syncs() {
	echo - > "$top/$1.$2.syncs"
	if [ "$syncs" = 1 ] && command -v strace >/dev/null; then
		fresh "$2"
		in_home strace -f -c -U name,calls -o "$top/strace" \
			-e trace=fsync,fdatasync,sync_file_range,syncfs $command || true
		awk '$1 ~ /sync/ { n += $2 } END { print n + 0 }' "$top/strace" > "$top/$1.$2.syncs"
	fi
}

count_instructions() {
	echo - > "$top/$1.$2.instr"
	if [ "${CALLGRIND:-0}" = 1 ] && command -v valgrind >/dev/null; then
		fresh "$2"
		in_home valgrind -q --tool=callgrind --trace-children=yes \
			--callgrind-out-file="$dir/cg.%p" $command || true
		cat "$dir"/cg.* | awk '/^(summary|totals):/ && !seen[FILENAME FNR]++ { n += $2 }
			END { printf "%.0f\n", n / 2e6 }' > "$top/$1.$2.instr"
	fi
}

# median FILE COLUMN
median() {
	awk -v c="$2" '{ print $c }' "$1" | sort -n | awk '{ v[NR] = $1 }
		END { if (NR) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# compare SCENARIO PROGRAM...: in alternation, then the table.
compare() {
	scenario=$1
	shift
	round=0
	while [ $round -lt "${turns:-$rounds}" ]; do
		for program; do
			fresh "$program"
			run "$scenario" "$program"
		done
		round=$((round + 1))
	done
	for program; do
		if [ -s "$top/$scenario.$program" ]; then
			count_syncs "$scenario" "$program"
			count_instructions "$scenario" "$program"
			row "$scenario" "$program" >> "$out"
		fi
	done
	table "$scenario"
}

row() {
	file=$top/$1.$2
	printf '%s\t%s\t%s\t%s\t%.1f\t%s\t%s\t%s\n' "$1" "$2" "$(median "$file" 1)" \
		"$(median "$file" 2)" "$(median "$file" 3 | awk '{ print $1 / 1024 }')" \
		"$(median "$file" 5)" "$(cat "$file.syncs")" "$(cat "$file.instr")"
}

table() {
	echo
	awk -F'\t' -v scenario="$1" -v title="$title" '
		function times(v, own) { return own > 0 ? sprintf("(%.2f)", v / own) : "" }
		$1 == scenario { n++; for (i = 2; i <= 8; i++) v[n, i] = $i }
		$1 == scenario && $2 == "mailhaul" { wall = $3; cpu = $4 }
		END {
			print scenario ": " title
			printf "%-10s %9s %-9s %9s %-9s %7s %8s %8s %8s\n", "", "wall s", "", "CPU s", "",
				"MiB", "flights", "syncs", "instr M"
			for (i = 1; i <= n; i++)
				printf "%-10s %9.3f %-9s %9.4f %-9s %7.1f %8s %8s %8s\n", v[i, 2], v[i, 3],
					times(v[i, 3], wall), v[i, 4], times(v[i, 4], cpu), v[i, 5], v[i, 6],
					v[i, 7], v[i, 8]
		}' "$out"
}

# figure SCENARIO PROGRAM COLUMN, of the table: 3 wall, 4 CPU, 5 MiB, 6 flights.
figure() {
	awk -F'\t' -v s="$1" -v p="$2" -v c="$3" '$1 == s && $2 == p { print $c }' "$out"
}

# target WORDS VALUE LIMIT; nothing is said where a program was not there.
target() {
	if [ -n "$2" ] && [ -n "$3" ]; then
		awk -v words="$1" -v value="$2" -v limit="$3" 'BEGIN {
			printf "  %-6s %s: %.4g, at most %.4g\n", value <= limit ? "met" : "MISSED", words,
				value, limit }'
	fi
}

# ratio SCENARIO PROGRAM COLUMN: mailhaul's by the program's.
ratio() {
	own=$(figure "$1" mailhaul "$3")
	other=$(figure "$1" "$2" "$3")
	if [ -n "$own" ] && [ -n "$other" ]; then
		awk -v a="$own" -v b="$other" 'BEGIN { if (b > 0) print a / b }'
	fi
}

# -- scenarios ----------------------------------------------------------------------------------

all='maildir mbox large-maildir huge-maildir large-mbox mda window window-many lock-step known
nothing config accounts dovecot'

bench_maildir() {
	to=maildir title="$messages messages of 3 kB into a Maildir, deleted"
	count=$messages
	serve -n "$messages" -s 3000
	compare maildir mailhaul $(installed) floor
	target 'wall, by mpop' "$(ratio maildir mpop 3)" 0.3333
	target 'CPU, by mpop' "$(ratio maildir mpop 4)" 0.5
}

bench_mbox() {
	to=mbox title="$messages messages of 3 kB into an mbox, deleted"
	count=$messages
	serve -n "$messages" -s 3000
	compare mbox mailhaul $(installed | sed 's/getmail //') floor
	target 'wall, by mpop' "$(ratio mbox mpop 3)" 0.1667
	target 'CPU, by mpop' "$(ratio mbox mpop 4)" 0.2
}

bench_large_maildir() {
	to=maildir title='100 messages of 10 MiB into a Maildir'
	large=yes count=100
	serve -n 100 -s 10485760
	compare large-maildir mailhaul $(installed | grep -o mpop || true) floor
	target 'wall, by the floor' "$(ratio large-maildir floor 3)" 1.25
	target 'CPU, by the floor' "$(ratio large-maildir floor 4)" 1.25
	target 'MiB' "$(figure large-maildir mailhaul 5)" 12
}

bench_huge_maildir() {
	to=maildir title='one message of 1 GiB into a Maildir'
	large=yes count=1
	serve -n 1 -s 1073741824
	compare huge-maildir mailhaul floor
	target 'wall, by the floor' "$(ratio huge-maildir floor 3)" 1.25
	target 'CPU, by the floor' "$(ratio huge-maildir floor 4)" 1.25
	target 'MiB' "$(figure huge-maildir mailhaul 5)" 12
}

bench_large_mbox() {
	to=mbox title='100 messages of 10 MiB into an mbox'
	large=yes count=100
	serve -n 100 -s 10485760
	compare large-mbox mailhaul $(installed | grep -o mpop || true) floor
	target 'wall, by mpop' "$(ratio large-mbox mpop 3)" 1
	target 'CPU, by mpop' "$(ratio large-mbox mpop 4)" 1
}

bench_mda() {
	to=mda mda=/bin/true title='2000 messages of 3 kB, each to an MDA that is /bin/true'
	count=2000
	serve -n 2000 -s 3000
	compare mda mailhaul spawn
	target 'CPU, by as many posix_spawn' "$(ratio mda spawn 4)" 1.3
	target 'wall, by as many posix_spawn' "$(ratio mda spawn 3)" 1.3
	jobs=16 title='the same, up to 16 at a time'
	compare mda-jobs mailhaul spawn
	target 'CPU, by as many posix_spawn' "$(ratio mda-jobs spawn 4)" 1.3
	target 'wall, by as many posix_spawn' "$(ratio mda-jobs spawn 3)" 1.3
}

bench_window() {
	to=maildir title='300 messages of 3 kB, 50 ms a round trip'
	turns=1 count=300
	serve -n 300 -s 3000 -d 50
	compare window mailhaul $(installed)
	target 'flights, deleted' "$(figure window mailhaul 6)" 5
	keep=yes
	compare window-keep mailhaul
	target 'flights, kept' "$(figure window-keep mailhaul 6)" 5
}

bench_window_many() {
	to=maildir title="$messages messages of 3 kB, 50 ms a round trip"
	turns=1 count=$messages
	serve -n "$messages" -s 3000 -d 50
	compare window-many mailhaul $(installed | grep -o mpop || true)
	target 'flights, deleted' "$(figure window-many mailhaul 6)" 8
	keep=yes
	compare window-many-keep mailhaul
	target 'flights, kept' "$(figure window-many-keep mailhaul 6)" 8
}

bench_lock_step() {
	to=maildir title='50 messages of 3 kB, 20 ms a round trip, no PIPELINING'
	turns=1 count=50
	serve -n 50 -s 3000 -d 20 -P
	compare lock-step mailhaul $(installed)
	# CAPA, login, CAPA, STAT, UIDL, LIST, QUIT; RETR and DELE for each
	target 'flights' "$(figure lock-step mailhaul 6)" 107
}

# known_one COUNT: a mailbox of which all is known, a session with nothing to fetch.
known_one() {
	to=maildir keep=yes count=$1 title="$1 kept messages, nothing new"
	serve -n "$1" -s 300
	fresh mailhaul
	in_home $command --mark-seen || in_home $command
	round=0
	while [ $round -lt "$rounds" ]; do
		run "known-$1" mailhaul
		round=$((round + 1))
	done
	echo - > "$top/known-$1.mailhaul.syncs"
	echo - > "$top/known-$1.mailhaul.instr"
	row "known-$1" mailhaul >> "$out"
	table "known-$1"
	unserve
}

bench_known() {
	known_one 10000
	known_one 100000
	target 'CPU of 100,000' "$(figure known-100000 mailhaul 4)" 0.15
	target 'MiB for 100,000' "$(figure known-100000 mailhaul 5)" 35.07
	target 'CPU of 100,000 by 10,000' "$(awk -v a="$(figure known-100000 mailhaul 4)" \
		-v b="$(figure known-10000 mailhaul 4)" 'BEGIN { print a / b }')" 11
}

bench_nothing() {
	to=maildir title='an empty mailbox, with the trust store of the system' count=0
	serve -n 0
	cat /etc/ssl/certs/ca-certificates.crt "$certs/ca.pem" > "$top/bundle.pem" 2>/dev/null || true
	chmod 644 "$top/bundle.pem"
	ca=$top/bundle.pem
	compare nothing mailhaul $(installed)
	target 'CPU' "$(figure nothing mailhaul 4)" 0.025
}

bench_config() {
	title='a configuration of 1000 accounts, read'
	dir=$top/config
	mkdir -p "$dir/home"
	{
		printf '[defaults]\nhost = localhost\npassword = sesame\n'
		i=0
		while [ $i -lt 1000 ]; do
			printf '[a%d]\nuser = joe%d\nmaildir = ~/Mail/%d\nkeep = 30d\n' $i $i $i
			i=$((i + 1))
		done
	} > "$dir/config"
	chmod 600 "$dir/config"
	command="$MAILHAUL -f $dir/config --list-accounts"
	: > "$top/tally"
	round=0
	while [ $round -lt "$rounds" ]; do
		run config mailhaul
		round=$((round + 1))
	done
	echo - > "$top/config.mailhaul.syncs"
	echo - > "$top/config.mailhaul.instr"
	row config mailhaul >> "$out"
	table config
	target 'CPU' "$(figure config mailhaul 4)" 0.1
}

# accounts_one NAME COUNT
accounts_one() {
	fresh mailhaul
	{
		printf '[mailhaul]\njobs = 16\n[defaults]\nport = %s\n' "$port"
		printf 'password = sesame\ntls = off\n'
		i=0
		while [ $i -lt "$2" ]; do
			printf '[a%d]\nhost = 127.0.0.%d\nuser = joe%d\nmaildir = %s/mail/%d\n' $i \
				$((i % 100 + 1)) $i "$dir" $i
			i=$((i + 1))
		done
	} > "$dir/config"
	run "$1" mailhaul
}

bench_accounts() {
	to=maildir title='200 accounts of 50 messages, 16 at a time, 50 ms a round trip; and one'
	tls= # there is no certificate for so many hosts
	serve -a -n 50 -s 3000 -d 50
	round=0
	while [ $round -lt "$rounds" ]; do
		accounts_one accounts-1 1
		accounts_one accounts-200 200
		round=$((round + 1))
	done
	for scenario in accounts-1 accounts-200; do
		echo - > "$top/$scenario.mailhaul.syncs"
		echo - > "$top/$scenario.mailhaul.instr"
		row $scenario mailhaul >> "$out"
		table $scenario
	done
	target 'wall of 200, by 12.5 of one' "$(awk -v a="$(figure accounts-200 mailhaul 3)" \
		-v b="$(figure accounts-1 mailhaul 3)" 'BEGIN { print a / b / 12.5 }')" 1.3
}

# The mailbox is kept: Dovecot cannot make up mail as it goes.
bench_dovecot() {
	to=maildir keep=yes count=2000 title='2000 messages of 3 kB from Dovecot, kept'
	if ! command -v dovecot >/dev/null; then
		echo "bench.sh: no dovecot here" >&2
		return 0
	fi
	dovecot=$top/dovecot
	mkdir -p "$dovecot"
	sh "$here/../dovecot.sh" start "$dovecot"
	awk -v dir="$dovecot/mail/joe/new" 'BEGIN {
		for (i = 1; i <= 2000; i++) {
			file = sprintf("%s/%d.M%d.bench", dir, i, i)
			printf "From: load@example.org\nSubject: number %d\n\n", i > file
			for (k = 0; k < 47; k++)
				print "a line of sixty-two bytes that says nothing but that it is here" > file
			close(file)
		}
	}'
	sh "$here/../dovecot.sh" own "$dovecot"
	port=$(cat "$dovecot/tlsport") ca=$dovecot/ca.pem
	: > "$top/tally"
	compare dovecot mailhaul $(installed | grep -o mpop || true)
}

for name in ${*:-$all}; do
	keep= large= turns= title= jobs= tls=yes
	"bench_$(echo "$name" | tr - _)"
	unserve
done
