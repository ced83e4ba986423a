#!/bin/sh
# SPDX-License-Identifier: MIT
# check-power.sh [-s1e] [-n SEEDS] [-r SEED] [-d DEST] [KIND...] - pulls the plug at every step.
#
# mailhaul fetches, and behind each system call that matters (stepper.c) what is on the platter is
# put aside.  Each such state is then a machine that comes up again: the disk is mounted,
# sometimes another program delivers first, a clean run of mailhaul follows against a server
# that has what it had at that instant, and every message must be there exactly once and whole,
# foreign mail as it was, nothing left over, the server empty (delete) or untouched (keep), and a
# second run must change nothing.  Of some states that clean run is recorded, too, and the plug
# is pulled at every step of it.
#
# KIND is ext2, ext3, ext4, xfs or btrfs, on loop devices: the platter is the image file, which has
# what the kernel has written.  With a seed it is asked to write back more, here and there, before
# each step.  Or posix: the cruellest disk that POSIX allows (platter.c); its seed 0 keeps what
# was synced and nothing else.  Default: all (-s: posix and ext4).  What is not there is left out.
#
# The journal is with the mail ("same"), on another file system ("other"), or one of them is in
# memory that no cut reaches, so that the journal is "ahead" of the mail, or "behind" it.
#
# -s  short: some seconds                    -d  maildir or mbox: no other destination
# -n  how many seeds (default 3)             -r  the first of them (1)
# -1  the plug is pulled once only           -e  ends with the first fault
#
# Prints TAP, what was wrong, and counts.  Must be root.  With POWER_KEEP=DIRECTORY the states
# that fail are kept there.

# What is mounted goes with the last process, however it ends.
if [ -z "$POWER_MOUNTS" ] && unshare -m true 2>/dev/null; then
	POWER_MOUNTS=own exec unshare -m /bin/sh "$0" "$@"
fi
. "$top_srcdir/tests/tap.sh"

short='' single='' end='' seeds=3 first_seed=1 destinations='maildir mbox'
while getopts s1en:r:d: option; do
	case $option in
	s) short=yes ;;
	1) single=yes ;;
	e) end=yes ;;
	n) seeds=$OPTARG ;;
	r) first_seed=$OPTARG ;;
	d) destinations=$OPTARG ;;
	*) exit 64 ;;
	esac
done
shift $((OPTIND - 1))

STEPPER=${STEPPER:-$top_builddir/tests/stepper}
PLATTER=${PLATTER:-$top_builddir/tests/platter}
[ "$(id -u)" = 0 ] || skip_all "must be root"
"$STEPPER" -c : true 2>/dev/null || skip_all "may not trace processes here"

total_steps=0 total_states=0 lost=0 doubled=0 partial=0 other=0

# -- disks ----------------------------------------------------------------------------------------

# A volume is m or s, at $work/m or $work/s; $work/V.kind says what it is: a file system (in
# $work/V.img), plain (a directory: what is written is there) or posix.
trap 'stop_pop3d; unmount_all; rm -rf "$work"' EXIT

unmount_all() {
	umount "$work/m" 2>/dev/null
	umount "$work/s" 2>/dev/null
	umount "$work/dummy" 2>/dev/null
}

# xfs makes a small image only where it believes to be tested itself.
make_image() {
	case $1 in
	ext*)
		truncate -s 16M "$2"
		mkfs.$1 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$2"
		;;
	xfs)
		truncate -s 24M "$2"
		TEST_DIR=/ TEST_DEV=/ QA_CHECK_FS=/ mkfs.xfs -q "$2"
		;;
	btrfs)
		truncate -s 112M "$2"
		mkfs.btrfs -q "$2"
		;;
	esac >/dev/null 2>&1
}

# What has no journal is repaired before it is mounted, as it would be.
mount_image() {
	case $1 in
	ext2) e2fsck -fy "$2" >/dev/null 2>&1; mount -t ext2 -o loop "$2" "$3" ;;
	xfs) mount -t xfs -o loop "$2" "$3" ;;
	*) mount -t "$1" -o loop,commit=300 "$2" "$3" ;;
	esac
}

is_image() {
	case $(cat "$work/$1.kind") in
	plain | posix) return 1 ;;
	esac
}

volumes() {
	for volume in m s; do
		[ ! -f "$work/$volume.kind" ] || echo $volume
	done
}

make_volume() {
	rm -rf "$work/$1" && mkdir "$work/$1"
	echo "$2" > "$work/$1.kind"
	is_image "$1" || return 0
	make_image "$2" "$work/$1.img" && mount_image "$2" "$work/$1.img" "$work/$1" 2>/dev/null
}

unmount() {
	for volume in $(volumes); do
		! is_image $volume || umount "$work/$volume"
	done
}

# An mbox in a directory keeps its inode, by which mailhaul knows it, as one on an image does.  It
# is put aside while there are states without it.
restore_directory() {
	if [ -f "$2/mail/mbox" ] && [ ! -f "$work/mbox.aside" ]; then
		mv "$2/mail/mbox" "$work/mbox.aside"
	fi
	rm -rf "$2"
	cp -a "$1" "$2"
	if [ -f "$2/mail/mbox" ] && [ -f "$work/mbox.aside" ]; then
		cat "$2/mail/mbox" > "$work/mbox.aside"
		mv "$work/mbox.aside" "$2/mail/mbox"
	fi
}

# restore STATE: the machine comes up.  It was off for a while: lock files are ten minutes old, and
# the process numbers in them are somebody else's by now.
restore() {
	for volume in $(volumes); do
		if is_image $volume; then
			cp --sparse=always "$1/$volume.img" "$work/$volume.img"
			mount_image "$(cat "$work/$volume.kind")" "$work/$volume.img" "$work/$volume" || return
		else
			restore_directory "$1/$volume" "$work/$volume"
		fi
	done
	cp "$1/persist" "$work/persist"
	for lock in "$mail"/*.lock; do
		[ ! -s "$lock" ] || sed -i "1s/^[0-9][0-9]*/1/" "$lock"
		[ ! -f "$lock" ] || touch -d '10 minutes ago' "$lock"
	done
}

# -- server and client ----------------------------------------------------------------------------

cat > "$work/script" <<END
capa PIPELINING
capa UIDL
capa USER
persist $work/persist
message u1 size 500
message u2 size 3000
message u3 size 20000
message u4 size 90000
message u5 size 700
END
mkdir "$work/texts" "$work/dummy"
mkfifo "$work/port"
"$POP3D" -x "$work/texts" "$work/script"

start_server() {
	"$POP3D" "$work/script" > "$work/port" 2>"$work/pop3d.err" &
	pop3d_pid=$!
	read -r port < "$work/port"
	export port
}

# A script, for stepper starts it, too.
cat > "$work/fetch" <<'END'
[ -z "${FILES:-}" ] || ulimit -n "$FILES"
env -i HOME="$work/home" XDG_STATE_HOME="$state" PATH="$PATH" LC_ALL=C $VALGRIND "$MAILHAUL" \
	-f "$work/config" -o port="$port" "$@" </dev/null
END

# Two sessions: the second begins with what the first has left in journal and mailbox.  With so few
# files the first one has two groups.
cat > "$work/twice" <<'END'
FILES=34 sh "$work/fetch" -o limit=3 && sh "$work/fetch"
END

write_config() {
	printf '[work]\nhost = 127.0.0.1\nuser = joe\npassword = secret\ntls = off\ntimeout = 60\n'
	case $dest in
	maildir) echo "maildir = $mail/box" ;;
	mbox) echo "mbox = $mail/mbox" ;;
	esac
	echo "keep = $keep"
}

# The mail of another program, which does not look what the mbox ends in.
foreign() {
	printf 'From %s@example.org Fri Jan  2 03:04:05 2026\n' "$1"
	printf 'From: %s\nSubject: foreign\n\n>From another program\n\n' "$1"
}

# -- recording ------------------------------------------------------------------------------------

# Run by stepper: puts the state aside, unless it is the one before.
cat > "$work/aside" <<'END'
file=$FILE
echo "$STEP" > "$states/steps"
[ "$CALL" != send ] || sleep 0.03 # the server takes it up
is_same() {
	cmp -s "$1/persist" "$2/persist" || return 1
	for volume in m s; do
		if [ -f "$1/$volume.img" ]; then
			cmp -s "$1/$volume.img" "$2/$volume.img" || return 1
		elif [ -d "$1/$volume" ]; then
			diff -r "$1/$volume" "$2/$volume" >/dev/null 2>&1 || return 1
		fi
	done
}
put() {
	cp "$work/persist" "$1/persist"
	echo "step $STEP, behind $CALL $file" > "$1/what"
	if [ -d "$2" ] && is_same "$1" "$2/"; then
		rm -rf "$1"
	else
		ln -sfn "$1" "$2"
	fi
}
out=$states/$(printf %05d "$STEP")
if [ "$(cat "$work/m.kind")" = posix ]; then
	[ "$CALL" = fsync ] || FILE=
	for seed in $posix_seeds; do
		"$PLATTER" step "$states/store.$seed" "$work/m" $((seed > 0 ? seed * 1000 + STEP : 0)) \
			$FILE && mkdir "$out.$seed" &&
			"$PLATTER" cut "$states/store.$seed" "$out.$seed/m" || exit
		put "$out.$seed" "$states/last.$seed"
	done
	exit 0
fi
mkdir "$out" || exit
for volume in m s; do
	[ -f "$work/$volume.kind" ] || continue
	if [ ! -f "$work/$volume.img" ]; then
		cp -a "$work/$volume" "$out/$volume"
		continue
	fi
	[ "$nudge" = 0 ] || "$PLATTER" nudge "$work/$volume" $((nudge * 1000 + STEP)) || exit
	cp --sparse=always "$work/$volume.img" "$out/$volume.img"
done
put "$out" "$states/last"
END

# record STATES SCRIPT
record() {
	states=$1
	rm -rf "$states" && mkdir "$states"
	if [ "$(cat "$work/m.kind")" = posix ]; then
		for seed in $posix_seeds; do "$PLATTER" begin "$states/store.$seed" "$work/m"; done
	fi
	start_server
	export states work state posix_seeds nudge PLATTER MAILHAUL VALGRIND
	"$STEPPER" -d "$work/m" -d "$work/s" -c '. "$work/aside"' sh "$2" >"$work/err" 2>&1 ||
		{ echo "# recording: status $?"; sed 's/^/# /' "$work/err"; faults=$((faults + 1)); }
	stop_pop3d
	total_steps=$((total_steps + $(cat "$states/steps")))
}

# -- judging --------------------------------------------------------------------------------------

# Reads the texts that should be there, then what is there: files of a message each, or an mbox.
# Our Received: header goes; behind a message of an mbox there may be more empty lines.
cat > "$work/compare" <<'END'
function finish_one() {
	if (name == "")
		return
	sub(/\n+$/, "\n", text)
	if (wanted)
		uid[text] = name
	else if (text in uid)
		found[uid[text]]++
	else
		print "partial: " name
	name = text = ""
}
function begin(what) {
	finish_one()
	name = what
	header = 1
}
FNR == 1 {
	path = FILENAME
	finish_one()
	wanted = path ~ /\/texts\//
	sub(/.*\//, "", path)
	if (wanted)
		all[path]
	if (wanted || !mbox)
		begin(path)
	before = ""
}
mbox && !wanted && /^From / && before == "" {
	begin("the mail at line " FNR)
	next
}
{ before = $0 }
!wanted && header == 1 && /^Received: from 127\.0\.0\.1/ { header = 2 }
header == 2 && /^(Received:|\t)/ { next }
{ header = 0 }
mbox && !wanted && /^>+From / { sub(/^>/, "") }
mbox && !wanted && name == "" && $0 != "" { begin("line " FNR) }
{ text = text $0 "\n" }
END {
	finish_one()
	for (name in all)
		if (found[name] != 1)
			print (found[name] > 1 ? "doubled: " : "lost: ") name
}
END

# What is wrong after a clean run, a line each.
faults_of() {
	rm -f "$work/texts"/foreign*
	for who in $foreigners; do
		foreign "$who" | sed '1d; s/^>From/From/' > "$work/texts/foreign-$who"
	done
	case $dest in
	maildir)
		awk -f "$work/compare" "$work/texts"/* $(find "$mail/box/new" -type f)
		find "$mail/box/tmp" "$mail/box/cur" -type f | sed 's/^/left: /'
		;;
	mbox)
		awk -v mbox=1 -f "$work/compare" "$work/texts"/* "$mail/mbox"
		# What was renamed to be removed, PATH.lock.XXXXXXXX, is nobody's lock.
		find "$mail" -type f ! -name mbox ! -name 'mbox.lock.????????' | sed 's/^/left: /'
		;;
	esac
	find "$state/mailhaul/work" -type f ! -name journal ! -name lock ! -name last |
		sed 's/^/left: /'
	case $keep in
	no) ! tr -d 'D' < "$work/persist" | grep -q . || echo "server: something is there still" ;;
	yes) ! tr -d '.' < "$work/persist" | grep -q . || echo "server: something was deleted" ;;
	esac
}

run_clean() {
	sh "$work/fetch" > "$work/err" 2>&1 || echo "$1: status $?: $(head -n 1 "$work/err")"
}

# What a run with nothing to do must not change.
everything() {
	find "$mail" -type f -exec cksum {} + | sort
	wc -l < "$state/mailhaul/work/journal"
}

judge_mounted() {
	start_server
	run_clean "the clean run"
	faults_of 2>&1
	once=$(everything)
	run_clean "the run with nothing to do"
	[ "$once" = "$(everything)" ] || echo "the run with nothing to do changed something"
	stop_pop3d
}

# A mail of another program, durably: it is not mailhaul's to lose.
disturb() {
	[ $dest = mbox ] || return 0
	mkdir -p "$mail"
	foreign late >> "$mail/mbox"
	sync "$mail/mbox" "$mail"
	foreigners="$foreigners late"
}

count() {
	grep -c "$1" "$work/faults"
}

# judge STATE
judge() {
	total_states=$((total_states + 1))
	judge_mounted > "$work/faults"
	unmount
	[ -s "$work/faults" ] || return 0
	faults=$((faults + 1))
	lost=$((lost + $(count ^lost)))
	doubled=$((doubled + $(count ^doubled)))
	partial=$((partial + $(count ^partial)))
	other=$((other + $(grep -vc '^lost\|^doubled\|^partial' "$work/faults")))
	if [ $faults -le 3 ]; then
		echo "# $config, ${1#"$work/"}, $(cat "$1/what"):"
		sed 's/^/#     /' "$work/faults"
	fi
	if [ -n "$end" ]; then
		same "$config, ${1#"$work/"}" "$(cat "$work/faults")" ''
		finish
	fi
	[ -z "$POWER_KEEP" ] ||
		cp -a "$1" "$POWER_KEEP/$(echo "$config.${1#"$work/"}" | tr -cs 'a-z0-9\n' .)"
}

# judge_all STATES EVERY: every EVERY-th; another program disturbs every second of these.
judge_all() {
	taken=0 judged=0
	for aside in "$1"/[0-9]*; do
		taken=$((taken + 1))
		[ $((taken % $2)) = 0 ] && restore "$aside" || continue
		judged=$((judged + 1))
		undisturbed=$foreigners
		[ $((judged % 2)) = 0 ] || disturb
		judge "$aside"
		foreigners=$undisturbed
	done
}

# Pulls the plug in the clean run that follows every EVERY-th state.
judge_twice() {
	taken=0
	for first in "$work/states"/[0-9]*; do
		taken=$((taken + 1))
		[ $((taken % $1)) = 0 ] && restore "$first" || continue
		undisturbed=$foreigners
		[ $((taken / $1 % 2)) = 0 ] || disturb
		[ ! -f "$work/mbox.aside" ] || mv "$work/mbox.aside" "$work/mbox.first"
		record "$work/again" "$work/fetch"
		unmount
		for aside in "$work/again"/[0-9]*; do
			[ -d "$aside" ] && restore "$aside" && judge "$aside"
		done
		[ ! -f "$work/mbox.first" ] || mv "$work/mbox.first" "$work/mbox.aside"
		foreigners=$undisturbed
	done
}

# -- the matrix -----------------------------------------------------------------------------------

# While it is recorded other disks are there: what comes up again has other device numbers.
occupy() {
	make_image ext2 "$work/dummy.img" && mount -t ext2 -o loop "$work/dummy.img" "$work/dummy"
}

make_volumes() {
	rm -rf "$work"/[ms].*
	case $2 in
	same) make_volume m "$1" ;;
	other) make_volume m "$1" && make_volume s "$1" ;;
	ahead) make_volume m "$1" && make_volume s plain ;;
	behind) make_volume m plain && make_volume s "$1" ;;
	esac
}

# try KIND DEST KEEP LAYOUT SEED [EVERY [TWICE]]
try() {
	dest=$2 keep=$3 nudge=0 posix_seeds='' foreigners='' faults=0
	config="$1, $2, keep = $3, journal $4, seed $5"
	case $1 in
	posix) posix_seeds=$5 ;;
	*) nudge=$5; occupy ;;
	esac
	rm -rf "$work/home" "$work"/mbox.* "$work/persist" && mkdir "$work/home"
	make_volumes "$1" "$4" || return
	mail=$work/m/mail state=$work/m/state
	[ ! -d "$work/s" ] || [ "$4" = same ] || state=$work/s/state
	write_config > "$work/config" && chmod 600 "$work/config"
	if [ "$dest $keep" = "mbox no" ]; then
		foreigners="early middle"
		mkdir "$mail"
		for who in $foreigners; do foreign $who; done > "$mail/mbox"
	fi
	sync
	steps=$total_steps
	record "$work/states" "$work/twice"
	steps=$((total_steps - steps))
	unmount
	[ "$1" = posix ] || umount "$work/dummy"
	judged_before=$total_states
	judge_all "$work/states" "${6:-1}"
	[ -z "$7" ] || [ -n "$single" ] || judge_twice "$7"
	same "$config: $steps steps, $((total_states - judged_before)) states" "$faults" 0
}

# try_all KIND KEEPS LAYOUTS SEEDS [EVERY [TWICE]]
try_all() {
	for layout in $3; do
		for where in $destinations; do
			for how in $2; do
				if [ "$1" = posix ]; then
					try posix $where $how $layout "$4" $5 $6 # all seeds at once
					continue
				fi
				for seed_of_try in $4; do
					try "$1" $where $how $layout $seed_of_try $5 $6
				done
			done
		done
	done
}

# Prints nothing where a kind of file system can be had.
missing() {
	[ "$1" != posix ] || return 0
	command -v "mkfs.$1" >/dev/null || echo "mkfs.$1 is not installed"
	rm -f "$work/m.img"
	make_volume m "$1" 2>/dev/null && umount "$work/m" || echo "$1 cannot be mounted here"
}

kinds=${*:-posix ext2 ext3 ext4 xfs btrfs}
[ -z "$short" ] || kinds=${*:-posix ext4}
seed_list=$(seq $first_seed $((first_seed + seeds - 1)))
for kind in $kinds; do
	why=$(missing $kind | head -n 1)
	if [ -n "$why" ]; then
		tests=$((tests + 1))
		echo "ok $tests - $kind # SKIP $why"
	elif [ -n "$short" ] && [ $kind = posix ]; then
		try_all posix no same "0 $first_seed" 4
	elif [ -n "$short" ]; then
		try_all $kind no other 0 2
	elif [ $kind = posix ]; then
		try_all posix "no yes" same "$(echo 0 $seed_list)" 1 20
	else
		try_all $kind "no yes" "same other" 0 1 10
		try_all $kind "no yes" "ahead behind" 0
		try_all $kind "no yes" other "$seed_list"
	fi
done
echo "# $total_steps steps, $total_states power states: $lost lost, $doubled doubled," \
	"$partial partial, $other other faults"
finish
