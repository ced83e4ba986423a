#!/bin/sh
# SPDX-License-Identifier: MIT
# terminal.t - what people see: mailhaul at a terminal (pty.c), while it runs and when it is over.
#
# Everywhere: nothing but text, CR, LF, "erase to the end", "up", "do not wrap" and "wrap" reaches
# the terminal, no line of what moves is wider than it, and nothing of it is left behind.
. "$top_srcdir/tests/tap.sh"

PTY=$top_builddir/tests/pty
dir=$work/dir
mkdir "$dir"

# Each RETR takes 0.2 s, so the accounts run for 3 s.
cat > "$work/slow" <<'END'
parallel
capa USER
capa UIDL
messages 12 30000
on RETR slow 200
END

# section NAME [LINE]
section() {
	printf '[%s]\nhost = 127.0.0.1\nport = %s\nuser = joe\ntls = off\nkeep = yes\n' "$1" "$port"
	printf 'maildir = %s/box.%s\n' "$dir" "$1"
	printf '%s\n' "${2:-password = secret}"
}

two() {
	section work > "$dir/config"
	section home@example.org >> "$dir/config"
	chmod 600 "$dir/config"
}

# Puts the arguments between those of pty and the program; what came of it is in $work/screen.
term=xterm
terminal() {
	rm -rf "$work/home" "$dir"/box*
	mkdir "$work/home"
	env -i HOME="$work/home" PATH="$PATH" LC_ALL=C ${term:+TERM=$term} ${more:+"$more"} \
		${ASAN_OPTIONS:+ASAN_OPTIONS="$ASAN_OPTIONS"} \
		${UBSAN_OPTIONS:+UBSAN_OPTIONS="$UBSAN_OPTIONS"} \
		MAILHAUL="$MAILHAUL" CONFIG="$dir/config" "$PTY" "$@" > "$work/screen" 2>&1 </dev/null
}

# The lines between two marks; number of an "== NAME" line.
part() { sed -n "/^== $1/,/^==/{/^==/!p;}" "$work/screen"; }
value() { sed -n "s/^== $1 \([0-9]*\).*/\1/p" "$work/screen"; }

clean() {
	same "$1: no other control characters" "$(sed -n 's/^== odd //p' "$work/screen")" "0 "
	same "$1: no line is too wide" "$(value wrapped) $(value clipped)" '0 0'
	same "$1: the terminal wraps lines as before" "$(value wraps)" 1
}

# shown WHAT PATTERN...: the lines of the first screen fit the patterns.
shown() {
	name=$1
	shift
	part show | head -n $# > "$work/lines"
	lines=$(part show | wc -l)
	n=0
	good=yes
	for pattern; do
		n=$((n + 1))
		sed -n "${n}p" "$work/lines" | grep -qxE -e "$pattern" || good="line $n: $pattern"
	done
	[ "$lines" -le $# ] || good="$lines lines"
	same "$name" "$good" yes
	[ "$good" = yes ] || sed 's/^/# /' "$work/screen"
}

summary='home@example.org: 12 new (357 kB)
work: 12 new (357 kB)'

start_pop3d "$work/slow"
two

# -- while it runs ----------------------------------------------------------------------------

begun=$(date +%s)
terminal -e 'wait 7/12' -e show "$MAILHAUL" -f "$dir/config"
seconds=$(($(date +%s) - begun + 1))
shown '80 columns' \
	'work +\[=+> +\] +[5-9]/12 +[0-9]+ kB +[0-9]+ kB/s +0:0[0-9] left' \
	'home@example.org +\[=+> +\] +[5-9]/12 +[0-9]+ kB +[0-9]+ kB/s +0:0[0-9] left'
clean '80 columns'
same '80 columns: at the end there are two lines' "$(part end | sort)" "$summary"
same '80 columns: the status' "$(value end)" 0
ok "80 columns: at most ten times a second ($(value writes) in $seconds s)" \
	test "$(value writes)" -le $((seconds * 10 + 4))

terminal -s 40x10 -e 'wait 7/12' -e show "$MAILHAUL" -f "$dir/config"
shown '40 columns' 'work +\[=+> +\] +[5-9]/12 +0:0[0-9]' \
	'home@e\.\.\. +\[=+> +\] +[5-9]/12 +0:0[0-9]'
clean '40 columns'

terminal -s 20x5 -e 'wait 7/12' -e show "$MAILHAUL" -f "$dir/config"
shown '20 columns' 'work +[5-9]/12' 'home@... +[5-9]/12'
same '20 columns: no other control characters' "$(value odd)" 0

terminal -e 'wait 3/12' -e 'size 38x8' -e 'wait 7/12' -e show "$MAILHAUL" -f "$dir/config"
shown 'a smaller terminal' 'work .* [5-9]/12 .*' 'home@e... .* [5-9]/12 .*'
clean 'a smaller terminal'
same 'a smaller terminal: at the end there are two lines' "$(part end | sort)" "$summary"

# The rows that come before anybody knows that it is smaller are cut by the terminal.
terminal -e 'wait 3/12' -e 'narrow 40' -e 'sleep 500' -e 'size 40x24' -e 'wait 7/12' -e show \
	"$MAILHAUL" -f "$dir/config"
shown 'a terminal that tells late' 'work .* [5-9]/12 .*' 'home@e... .* [5-9]/12 .*'
same 'a terminal that tells late: it wraps lines as before' "$(value wraps)" 1
same 'a terminal that tells late: at the end there are two lines' "$(part end | sort)" "$summary"

more=NO_COLOR=1
terminal -e 'wait 7/12' "$MAILHAUL" -f "$dir/config"
clean 'without colours'
more=

# More accounts than lines; there are never more than four for one host.
for name in a b c d e f g h; do section $name; done > "$dir/config"
terminal -s 80x4 -e 'wait 7/12' -e show "$MAILHAUL" -f "$dir/config"
shown 'eight accounts on four lines' 'a .*' 'b .*' 'and 2 more'
clean 'eight accounts on four lines'
same 'eight accounts on four lines: the end' "$(part end | sort | tr '\n' ' ')" \
	"$(for name in a b c d e f g h; do printf '%s: 12 new (357 kB) ' $name; done)"

# -- who does not want it ---------------------------------------------------------------------

two
term=dumb
terminal "$MAILHAUL" -f "$dir/config"
same 'a dumb terminal: no escape sequences' "$(value escapes)" 0
same 'a dumb terminal: the summary' "$(part end | sort)" "$summary"
term=
terminal "$MAILHAUL" -f "$dir/config"
same 'no word of what terminal it is: no escape sequences' "$(value escapes)" 0
term=xterm
terminal "$MAILHAUL" -q -f "$dir/config"
same 'quiet: nothing at all' "$(value writes)" 0
terminal "$MAILHAUL" -f "$dir/config" work -o limit=1
same 'what is over at once is not shown' "$(value escapes)" 0
same 'what is over at once is summed up' "$(part end)" 'work: 1 new (30 kB), 11 kept'
terminal "$MAILHAUL" -f "$dir/config" work --stdout
same 'mail on the terminal stays alone' "$(value escapes)" 0
terminal "$MAILHAUL" -f "$dir/config" work --json
same 'objects stay alone' "$(value escapes)" 0

# -- interruptions ----------------------------------------------------------------------------

terminal -e 'wait 3/12' -e 'key ^C' "$MAILHAUL" -f "$dir/config"
clean '^C'
same '^C: it dies by the signal' "$(sed -n 's/^== end //p' "$work/screen")" 'signal 2'
part end | sort > "$work/lines"
ended='(work|home@example.org): [0-9]+ new \([0-9]+ kB\), stopped: .*'
ok '^C: at the end there are the summaries and no more' \
	sh -c "! grep -vxE '$ended' '$work/lines'"

terminal -e 'wait 3/12' -e 'sleep 300' -e 'key ^Z' -e 'wait stopped' -e show \
	-e 'wait 7/12' -e show \
	sh -c 'set -m; "$MAILHAUL" -f "$CONFIG"; echo stopped; fg >/dev/null'
part show | sed '/^stopped/q' > "$work/lines"
ok '^Z: nothing of the display is left' sh -c "! grep '/12' '$work/lines'"
clean '^Z'
same '^Z: it is completed' "$(part end | grep new | sort)" "$summary"

# A worker is killed; its process is the parent of its password command.
section work "password_command = sh -c \"echo \$PPID > $dir/worker && echo secret\"" > "$dir/config"
section home@example.org >> "$dir/config"
(
	sleep 1.5
	kill -9 "$(cat "$dir/worker")"
) &
terminal -s 120x24 "$MAILHAUL" -f "$dir/config"
wait $!
clean 'a worker is killed'
same 'a worker is killed: what is told' "$(part end | cut -c 1-60)" \
	'mailhaul: work: its process died by signal 9 (Killed): nothi
home@example.org: 12 new (357 kB)'

# Who asks has the terminal alone: ours, before all begins, and a command.
section work 'auth = user' > "$dir/config"
terminal -e 'wait Password' -e 'sleep 1200' -e show -e 'key secret^M' -e 'wait 7/12' -e show \
	"$MAILHAUL" -f "$dir/config"
same 'a question' "$(part show | head -n 1)" 'Password for work (joe):'
same 'a question: the end' "$(part end)" "Password for work (joe):
work: 12 new (357 kB)"
section home@example.org > "$dir/config"
section work "password_command = sh -c \"sleep 2 && echo secret\"" >> "$dir/config"
terminal -e 'sleep 1500' -e show -e 'wait 7/12' "$MAILHAUL" -f "$dir/config"
same 'a command that may ask has the terminal alone' "$(part show)" ''
clean 'a command that may ask'
stop_pop3d

# -- what servers and mail say ----------------------------------------------------------------

cat - "$work/slow" > "$work/hostile" <<'END'
greeting \x1b]0;title\x07\x1b[2J\x9b31m hello
on RETR 3 reply -ERR \x1b[2J\x1b[H\xc2\x9b no\x07
END
printf '%s\n' 'message \x1b[31m\xe2\x80\xae text Subject: \x1b[2J\r\n\r\nx\r\n' >> "$work/hostile"
start_pop3d "$work/hostile"
two
terminal -s 120x24 -e 'wait 7/13' -e show "$MAILHAUL" -f "$dir/config" work
shown 'a failure stands above' \
	'mailhaul: work: message 3 \(uid u3\): the server does not hand it out: .*' \
	'work +\[=+> +\] +[5-9]/13 .*'
clean 'a failure stands above'
terminal -s 390x50 "$MAILHAUL" -v -f "$dir/config"
same 'the protocol holds no escape sequences' "$(value odd)" 0
ok 'though the server does' grep -qF '\x1b]0;title\x07\x1b[2J\x9b31m hello' "$work/screen"
stop_pop3d

# The mailbox of look-list.case, as one sees it.
sed -n '/^== server/,/^== config/{/^==/!p;}' "$top_srcdir/tests/cases/look-list.case" \
	> "$work/forty"
start_pop3d "$work/forty"
two
for columns in 80 40; do
	terminal -s ${columns}x60 "$MAILHAUL" -f "$dir/config" --list work
	part end > "$work/list-$columns"
	clean "--list in $columns columns"
	ok "--list in $columns columns: the screen" \
		diff "$top_srcdir/tests/screens/list-$columns" "$work/list-$columns"
done
stop_pop3d

# -- characters of every width ----------------------------------------------------------------

# Each subject begins with a bar: where these stand is where the column begins.
n=0
mail() {
	n=$((n + 1))
	printf '%s\n' "message u$n text From: $1\r\nSubject: | $2 $2$2$2$2$2$2$2\r\n\r\n"
}
joiner='\xe2\x80\x8d'
as_emoji='\xef\xb8\x8f'
family=👨${joiner}👩${joiner}👧
{
	mail Anna plain
	mail '한국어 이름' '한국어 제목'
	mail '\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab of a Mac' '\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab'
	mail 'か\xe3\x82\x99 of a Mac' 'き\xe3\x82\x99'
	mail 'ภัทรา ใจดี' 'สวัสดีครับ'
	mail 'हिन्दी नाम' 'नमस्ते'
	mail '✅ Shop ⭐' '⭐✨ Sale ❌❗⚡⏰'
	mail "❤$as_emoji love" "❤$as_emoji"
	mail "1$as_emoji"'\xe2\x83\xa3 key' "#$as_emoji"'\xe2\x83\xa3'
	mail '🇩🇪 Berlin' '🇫🇷🇮🇹🇪🇸🇵🇹'
	mail "$family and 👍🏽" "$family"
	mail '🫨 newer than some libraries' '🫨'
	mail '⭐⭐⭐⭐⭐⭐⭐⭐⭐⭐⭐⭐⭐⭐⭐⭐⭐⭐' many
} > "$work/wide"
start_pop3d "$work/wide"
two
for columns in 80 61 40 20; do
	terminal -s ${columns}x60 -e 'wait end' -e 'where |' \
		sh -c '"$MAILHAUL" -f "$CONFIG" --list work; echo end; sleep 1'
	clean "all widths in $columns columns"
	[ $columns -gt 20 ] || continue
	part where > "$work/columns"
	same "all widths in $columns columns: all subjects are shown" \
		"$(($(wc -l < "$work/columns")))" $n
	same "all widths in $columns columns: and begin in the same one" \
		"$(($(sort -u "$work/columns" | wc -l)))" 1
done
stop_pop3d

# -- what would be done -----------------------------------------------------------------------

long=$(printf '%070d' 7)
cat > "$work/plan" <<END
message $long size 400
message u2 size 400000
message 日本語のとても長い名前でありまして端末の一行にはとても入りきらないものであります size 29200
message u4 size 400
END
start_pop3d "$work/plan"
two
terminal -s 80x24 "$MAILHAUL" -f "$dir/config" --dry-run work -o max_size=100k -o limit=2
clean '--dry-run in 80 columns'
same '--dry-run in 80 columns' "$(part end)" \
	'work: 4 messages, 2 to fetch (30 kB)
NUM     SIZE  WHAT   WHY             UID
  1    400 B  fetch  new             000000000000000000000000000000000000000...
  2   400 kB  leave  too big         u2
  3    29 kB  fetch  new             日本語のとても長い名前でありまして端末...
  4    400 B  leave  over the limit  u4'
terminal -s 40x24 "$MAILHAUL" -f "$dir/config" --dry-run work -o keep=no
clean '--dry-run in 40 columns'
same '--dry-run in 40 columns' "$(part end)" \
	'work: 4 messages, 4 to fetch (430 kB)
NUM  WHAT              WHY  UID
  1  fetch and delete  new  00000000...
  2  fetch and delete  new  u2
  3  fetch and delete  new  日本語の...
  4  fetch and delete  new  u4'
terminal -s 20x24 "$MAILHAUL" -f "$dir/config" --dry-run work
clean '--dry-run in 20 columns'
terminal -s 80x24 sh -c '"$MAILHAUL" -q -f "$CONFIG" work
	"$MAILHAUL" -f "$CONFIG" --dry-run work -K'
same '--dry-run: what goes without being fetched' "$(part end | head -n 1)" \
	'work: 4 messages, 0 to fetch (0 B), 4 to delete'
stop_pop3d

echo 'message u1 size 1999' > "$work/plan"
start_pop3d "$work/plan"
two
terminal -s 80x24 sh -c 'for mode in --list --dry-run --check; do
	"$MAILHAUL" -f "$CONFIG" $mode work; done'
same 'a size is the same everywhere' \
	"$(part end | grep -o '[0-9.]* kB' | paste -s -d , -)" '2 kB,2 kB,2 kB,2 kB,2 kB'
stop_pop3d

# -- how old mail is --------------------------------------------------------------------------

# ago SECONDS: a Date field.
ago() { LC_ALL=C date -u -d "@$(($(date +%s) - $1))" '+Date: %a, %d %b %Y %H:%M:%S +0000'; }
{
	printf '%s\n' 'message u1 text Subject: none\r\n\r\n'
	for seconds in 300 10800 1000000 100000000 1000000000 -600 -259200; do
		printf 'message u%s text %s\\r\\n\\r\\n\n' "$seconds" "$(ago $seconds)"
	done
	printf '%s\n' 'message u2 text Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n\r\n' \
		'message u3 text Date: yesterday\r\n\r\n' 'message u4 text Date:\r\n\r\n' \
		'message u5 text Date: Fri, 31 Dec 9999 23:59:59 +0000\r\n\r\n'
} > "$work/old"
if ago 0 > /dev/null 2>&1; then
	start_pop3d "$work/old"
	two
	terminal -s 80x24 "$MAILHAUL" -f "$dir/config" --list work
	clean 'AGE'
	same 'AGE of new mail is by its Date' \
		"$(part end | sed 1,2d | cut -c 14-20 | sed 's/^ *//' | paste -s -d , -)" \
		',5 min,3 h,11 d,3 y,31 y,0 min,,,,,'
	terminal -s 80x24 sh -c '"$MAILHAUL" -q -f "$CONFIG" work
		"$MAILHAUL" -f "$CONFIG" --list work'
	same 'AGE of what was delivered is since then' \
		"$(part end | sed 1,2d | cut -c 14-20 | sort -u)" '  0 min'
	stop_pop3d
else
	skip 'AGE' 'date(1) does not know -d @SECONDS'
fi
finish
