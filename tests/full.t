#!/bin/sh
# SPDX-License-Identifier: MIT
# full.t - the disk is full: what does not fit stays on the server, what fits is delivered, nothing
# partial is ever visible, and when there is room again all comes, once.
#
# Twice: with a limit on the size of files, which anybody can set, and with a file system of
# some hundred kilobytes, for which one must be root.  And where few files may be open, groups
# are as small as they must be.
. "$top_srcdir/tests/tap.sh"

cat > "$work/three" <<EOF
capa PIPELINING
capa UIDL
capa USER
message u1 size 20000
message u2 size 3000000
message u3 size 20000
EOF

script=$work/three

config() {
	printf '[work]\nhost = 127.0.0.1\nport = %s\nuser = joe\npassword = secret\ntls = off\n' "$port"
	printf 'timeout = 5\n%s\n' "$1"
}

prepare() {
	rm -rf "$work/home" "$work/box" "$work/mbox"
	mkdir "$work/home"
	start_pop3d "$script"
	config "$1" > "$work/config"
	chmod 600 "$work/config"
}

# What is to be seen by a mail reader.
messages() {
	case $1 in
	maildir*) ls "$2/new" | wc -l ;;
	mbox*) grep -c '^From ' "$2" ;;
	esac
}

# check NAME OPTION PATH: the first run could not deliver the second of three; another run can.
check() {
	same "$1: the status" "$status" 74
	same "$1: one line" "$(wc -l < "$work/err")" 1
	ok "$1: says why" grep -qE "File too large|No space left" "$work/err"
	same "$1: the others are delivered, nothing partial is visible" "$(messages "$2" "$3")" 2
	case $2 in
	maildir*) ok "$1: nothing is left in tmp" test -z "$(ls -A "$3/tmp")" ;;
	mbox*) ok "$1: the mbox has nothing of it" test "$(wc -c < "$3")" -lt 50000 ;;
	esac
}

for option in maildir mbox; do
	place=$work/box
	prepare "$option = $place"
	(ulimit -f 1000; mailhaul -f "$work/config") 2>"$work/err"
	status=$?
	check "$option, limited" $option "$place"
	ok "$option, limited: then there is room" mailhaul -f "$work/config"
	same "$option, limited: all are there, once" "$(messages $option "$place")" 3
	stop_pop3d
done

script=$work/many
{
	printf 'capa PIPELINING\ncapa UIDL\ncapa USER\n'
	seq 200 | sed 's/.*/message few& size 300/'
} > "$script"
for option in maildir mbox; do
	prepare "$option = $work/box"
	(ulimit -n 64; mailhaul -f "$work/config") 2>"$work/err"
	same "$option, 64 descriptors: the status, and what is said" "$? $(cat "$work/err")" "0 "
	same "$option, 64 descriptors: all are there" "$(messages $option "$work/box")" 200
	stop_pop3d
done
script=$work/three

mkdir "$work/small"
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=600k none "$work/small" 2>/dev/null; then
	trap 'stop_pop3d; umount "$work/small"; rm -rf "$work"' EXIT
	for option in maildir mbox; do
		for state in home small; do
			place=$work/small/$option.$state
			prepare "$option = $place"
			XDG=$work/home/.local/state
			[ $state = home ] || XDG=$work/small/state.$option
			run() {
				env -i HOME="$work/home" XDG_STATE_HOME="$XDG" PATH="$PATH" \
					$VALGRIND "$MAILHAUL" -f "$work/config"
			}
			mount -o remount,size=600k "$work/small"
			run 2>"$work/err" </dev/null
			status=$?
			check "$option, state in $state" $option "$place"
			mount -o remount,size=20m "$work/small"
			ok "$option, state in $state: then there is room" run
			same "$option, state in $state: all are there, once" "$(messages $option "$place")" 3
			stop_pop3d
			rm -rf "$work/small"/*
		done
	done
	# A group of the mbox stands twice on the disk for a moment; one by one they still fit.
	{
		printf 'capa PIPELINING\ncapa UIDL\ncapa USER\n'
		seq 60 | sed 's/.*/message tight& size 3000/'
	} > "$work/tight"
	script=$work/tight
	prepare "mbox = $work/small/mbox"
	XDG=$work/small/state
	mount -o remount,size=320k "$work/small"
	run 2>"$work/err" </dev/null
	same "mbox, hardly room: the status, and what is said" "$? $(cat "$work/err")" "0 "
	same "mbox, hardly room: all are there" "$(messages mbox "$work/small/mbox")" 60
	stop_pop3d
	# Where the spool file hardly has room, those are not blamed who would fit.
	while read -r option count size room; do
		script=$work/few
		printf 'capa PIPELINING\ncapa UIDL\ncapa USER\nmessages %s %s\n' "$count" "$size" \
			> "$script"
		mount -o remount,size=20m "$work/small"
		rm -rf "$work/small"/*
		prepare "$([ "$option" = stdout ] && echo stdout = yes || echo "$option = $work/box")"
		mount -o remount,size="$room" "$work/small"
		run >"$work/out" 2>"$work/err" </dev/null
		same "$option, hardly room to spool: the status, and what is said" \
			"$? $(cat "$work/err")" "0 "
		[ "$option" = stdout ] || cat "$work/box" > "$work/out"
		same "$option, hardly room to spool: all, once" "$(messages mbox "$work/out")" "$count"
		stop_pop3d
	done <<-END
		mbox 100 3000 60k
		stdout 100 3000 60k
		stdout 75 600 40k
	END
else
	echo "# not root, or no tmpfs: only the limit on files was tried"
fi
finish
