#!/bin/sh
# SPDX-License-Identifier: MIT
# cron.t - what cron's reader gets: nothing when all is well, two letters for an outage, and for all
# else one that says what failed and what comes of it.
#
# As cron does it: no terminal, no input, an environment of HOME and a short PATH, the C locale; and
# what a run prints is a letter.
. "$top_srcdir/tests/tap.sh"

mail=$work/mail
conf=$work/home/.config/mailhaul/config
mkdir -p "$mail" "${conf%/*}"
run=0

# One run; its output is the file of its number, and gone if it is empty, as cron does.
cron() {
	run=$((run + 1))
	env -i HOME="$work/home" PATH=/usr/bin:/bin \
		${ASAN_OPTIONS:+ASAN_OPTIONS="$ASAN_OPTIONS"} \
		${UBSAN_OPTIONS:+UBSAN_OPTIONS="$UBSAN_OPTIONS"} \
		/bin/sh -c "$VALGRIND '$MAILHAUL' $*" </dev/null >"$mail/$run" 2>&1
	status=$?
	[ -s "$mail/$run" ] || rm -f "$mail/$run"
}

letters() {
	ls "$mail" | wc -l
}

# What the only letter says; they are read once.
letter() {
	cat "$mail"/* 2>/dev/null
	rm -f "$mail"/*
}

configure() {
	{
		printf '[work]\nhost = 127.0.0.1\nport = %s\ntls = off\nuser = joe\n' "${port:-1}"
		printf 'password = secret\nmaildir = ~/Mail\ntimeout = 2\n'
		printf '%s\n' "$@"
	} > "$conf"
	chmod 600 "$conf"
}

# -- 50 runs, and an outage in the middle -----------------------------------------------------

# The server's mailbox, which outlives it.  It gets a new port with each start.
sent=0
printf 'persist %s\n' "$work/mailbox" > "$work/script"

arrive() {
	for i in $(seq "$1"); do
		sent=$((sent + 1))
		printf 'message uid%s text Subject: letter %s\\r\\n\\r\\nx\\r\\n\n' $sent $sent
	done >> "$work/script"
}

server() {
	stop_pop3d
	{
		cat "$work/script"
		printf '%s\n' "$@"
	} > "$work/script.now"
	start_pop3d "$work/script.now"
	configure
}

# Down is down in more than one way: nobody there, no such name, a server that hangs up, one that
# says that it is busy.
outage() {
	case $1 in
	19 | 20 | 21) stop_pop3d; configure ;;
	22 | 23) configure; sed -i 's/^host.*/host = pop.invalid/' "$conf" ;;
	24 | 25) server 'on GREETING close' ;;
	26 | 27) server 'on GREETING reply -ERR [SYS/TEMP] go away' ;;
	28 | 29) server 'on STAT close' ;;
	*) stop_pop3d; configure ;;
	esac
}

# What an outage's run may end with, 75 unless said.
awaited() {
	case $1 in
	19 | 20 | 21 | 3?) echo 69 ;;
	22 | 23) echo "68 75" ;;
	*) echo 75 ;;
	esac
}

wrong=
for n in $(seq 50); do
	case $n in
	1 | 4 | 11 | 18 | 23 | 30 | 41 | 46 | 47) arrive $((n % 3 + 1)) ;;
	esac
	if [ $n -ge 19 ] && [ $n -le 33 ]; then
		outage $n
		want=$(awaited $n)
	else
		server
		want=0
	fi
	cron
	case " $want " in
	*" $status "*) ;;
	*) wrong="$wrong $n:$status" ;;
	esac
	[ $n != 20 ] || { before=$(letters); mailhaul --status > "$work/status.20"; }
	[ $n != 21 ] || { complaint=$(letters); mailhaul --status > "$work/status.21"; }
	[ $n != 33 ] || last=$(letters)
done
same "50 runs: the statuses tell the truth" "$wrong" ""
same "two failures are nobody's business" "$before" 0
same "the third is told" "$complaint" 1
same "and no further one of fifteen" "$last" 1
same "two letters in all" "$(letters)" 2
ok "--status knows that it is not told yet" grep -q "not told .* yet" "$work/status.20"
ok "and that it is" grep -q "this was told" "$work/status.21"
ok "the first is what failed, and what comes next" grep -qxE "mailhaul: work: cannot connect to \
127\.0\.0\.1 port [0-9]+ \(.*[Rr]efused\) \(failed 3 times in [0-9]+ s; told again only when it \
works\)" "$mail/21"
ok "the second is the end" grep -qxE "mailhaul: work: works again after 15 failures in [0-9]+ s; \
the last was: cannot connect to .*" "$mail/34"
same "each letter is one line" "$(cat "$mail"/* | wc -l)" 2
sed -n 's/^Subject: letter //p' "$work"/home/Mail/new/* | sort -n > "$work/got"
seq $sent > "$work/want"
ok "every mail came once" diff "$work/want" "$work/got"
same "and is gone from the server" "$(tr -d D < "$work/mailbox" | wc -c)" 0
letter >/dev/null

# -- what is no outage ------------------------------------------------------------------------

# told NAME STATUS LETTER: the last run's; LETTER is an expression for all of it, "" for none.
told() {
	letter > "$work/letter"
	same "$1: the status" "$status" "$2"
	if [ -z "$3" ]; then
		same "$1: no letter" "$(cat "$work/letter")" ""
	else
		ok "$1: the letter" grep -qxE "$3" "$work/letter"
		same "$1: one line" "$(wc -l < "$work/letter")" 1
	fi
}

rm -rf "$work/home/Mail" "$work/home/.local"
printf 'message a size 300\nmessage b size 3000000\n' > "$work/script"
server
configure 'keep = yes'

refused='login refused: \[AUTH\] wrong name or password'
configure 'keep = yes' 'password = wr0ng'
sed -i '/^password = secret/d' "$conf"
cron; told "a wrong password" 77 "mailhaul: work: $refused"
cron; told "the second time" 77 "mailhaul: work: $refused"
cron; told "the third time" 77 "mailhaul: work: refused 3 times in a row, and not tried again for \
an hour unless user or password change: $refused"
cron; told "it is not tried" 77 ""
configure 'keep = yes'
cron; told "the right one" 0 ""

configure 'keep = yes'
sed -i 's|^maildir.*|maildir = /dev/null/Mail|' "$conf"
cron; told "a destination that cannot be" 73 \
	"mailhaul: work: Maildir /dev/null/Mail: cannot make directory /dev/null: Not a directory"
cron; told "each time" 73 "mailhaul: work: Maildir /dev/null/Mail: cannot make .*"
rm -rf "$work/home/.local"
sed -i 's|^maildir.*|mda = no-such-program %F|' "$conf"
cron; told "an MDA that is not in cron's PATH" 74 "mailhaul: work: (no message can be delivered: \
cannot run no-such-program: No such file or directory|MDA 'no-such-program' failed: .*)"

rm -rf "$work/home/Mail" "$work/home/.local"
configure 'keep = yes'
limit=$(ulimit -f)
ulimit -S -f 1000
cron; told "a full disk" 74 \
	"mailhaul: work: message 2 \(uid b\): in .*/Mail: cannot write the spool file: File too large"
cron; told "of the same message nothing more" 74 ""
ulimit -S -f "$limit"
cron; told "when there is room again" 0 ""

lock=$work/home/.local/state/mailhaul/work/lock
if command -v flock >/dev/null; then
	sh -c 'exec 9>>"$1"; flock 9 && echo here > "$2" && exec sleep 60' sh "$lock" "$work/locked" &
	holder=$!
	until [ -s "$work/locked" ]; do sleep 0.02; done
	for n in 1 2 3 4; do cron; done
	told "while another run is at work" 75 ""
	touch -d '2 days ago' "$lock"
	cron; cron; told "even when it takes long, the first two times" 75 ""
	cron; told "but then" 75 "mailhaul: work: another run of this account is at work, for more \
than a day now; it holds the lock $lock \(failed 3 times .*\)"
	cron; told "once" 75 ""
	kill $holder
	wait $holder 2>/dev/null
	cron; told "and its end" 0 "mailhaul: work: works again after 4 failures in .*"
else
	echo "# there is no flock(1): nobody holds the lock"
fi

chmod 644 "$conf"
cron; told "a configuration for all to see" 78 "mailhaul: .*/config:[0-9]+: .* others can read it \
\(mode 644\): chmod 600 .*"
rm "$conf"
cron; told "none" 78 "mailhaul: there is no configuration: .*"
configure 'keep = yes'
sed -i '/^password/d' "$conf"
cron; told "no password, and nobody to ask" 77 "mailhaul: work: no password is configured, and \
there is no terminal to ask on; set password_command or password_file"
stop_pop3d
configure 'complain_after = 4'
cron --check; told "who asks is answered" 69 "mailhaul: work: cannot connect to .*"
cron -v; ok "with -v all is told" grep -q 'cannot connect to' "$mail/$run"
letter >/dev/null
cron; told "without it is not" 69 ""
finish
