#!/bin/sh
# SPDX-License-Identifier: MIT
# controls.sh [STEP...] - leaves out one step of the order after another, and a suite must see it.
#
# A suite that cannot go red proves nothing.  For each step (enum safety_step in base.h; default:
# all) mailhaul is built without it, in a scratch directory, and the suite of the table below must
# find the harm that the table names.  Before that the same suites must find nothing in a program
# that was built in the same way and lacks nothing.
#
# Run by `make check-controls`, which sets COMPILE, CCLD and OBJECTS as the build has them.  The
# power suite needs root; without, its rows are skipped.
. "$top_srcdir/tests/tap.sh"

# The step, the harm that it prevents, and who sees it: crash is sweep, with a stride at which
# little more is left than the kills that matter most, and a scene; power is check-power.sh on the
# cruellest disk (seed 0: what is not synced is lost; others: some of it is not).
cat > "$work/table" <<'END'
SYNC_SPOOL    lost     power -1 -e -n 0 -d maildir posix
INTEND        doubled  crash 1000 maildir-delete
SYNC_NEW      lost     power -1 -e -n 0 -d maildir posix
SYNC_STAGE    partial  power -1 -e -n 2 -d mbox posix
RESERVE       partial  crash 1000 mbox-delete
SYNC_RESERVE  partial  power -1 -e -n 2 -d mbox posix
SYNC_FILL     lost     power -1 -e -n 2 -d mbox posix
SYNC_JOURNAL  doubled  power -1 -n 0 -d maildir posix
END

red=0 green=0 skipped=0

# build STEP: $work/STEP lacks it (NONE: nothing).  Only what steps stand in is compiled again; the
# linker takes that before it looks into the libraries.
build() {
	rm -rf "$work/objects" && mkdir "$work/objects"
	for source in $(grep -l 'STEP_[A-Z]' "$top_srcdir"/src/*.c); do
		$COMPILE -DWITHOUT=STEP_$1 -c "$source" \
			-o "$work/objects/$(basename "$source" .c).o" || return
	done
	$CCLD -o "$work/$1" "$work/objects"/*.o $OBJECTS
}

# try STEP SUITE ARGUMENTS...
try() {
	program=$work/$1 who=$2
	shift 2
	case $who in
	crash) MAILHAUL=$program "$top_builddir/tests/sweep" crash "$@" ;;
	power) MAILHAUL=$program /bin/sh "$top_srcdir/tests/check-power.sh" "$@" ;;
	esac >"$work/out" 2>&1
	status=$?
}

is_green() {
	[ $status = 0 ] && grep -q '^ok' "$work/out"
}

is_red() {
	[ $status != 0 ] && grep -q "^# *$1:" "$work/out"
}

# judge NAME COMMAND...: a check on what the suite said, which is shown where that is not it.
# Succeeds where it passed and was not skipped.
judge() {
	tests=$((tests + 1))
	name=$1
	shift
	why=$(sed -n 's/^1\.\.0 # SKIP //p' "$work/out")
	if [ -n "$why" ]; then
		echo "ok $tests - $name # SKIP $why"
		skipped=$((skipped + 1))
		return 1
	fi
	if "$@"; then
		echo "ok $tests - $name"
		return 0
	fi
	echo "not ok $tests - $name"
	grep -v '^ok' "$work/out" | tail -n 20 | sed 's/^/# /'
	failures=$((failures + 1))
	return 1
}

# The table and the enum know of each other.
sed -n 's/^\tSTEP_\([A-Z_]*\).*/\1/p' "$top_srcdir/src/base.h" | grep -v '^NONE$' | sort \
	> "$work/steps"
cut -d ' ' -f 1 "$work/table" | sort > "$work/rows"
ok "each step of base.h has its row" diff "$work/steps" "$work/rows"
[ $# -gt 0 ] || set -- $(cut -d ' ' -f 1 "$work/table")
for step; do grep "^$step " "$work/table"; done > "$work/wanted"

ok "it builds" build NONE
sed 's/^[A-Z_]* *[a-z]* *//; s/ -e / /' "$work/wanted" | sort -u > "$work/suites"
while read -r suite; do
	try NONE $suite
	judge "with all steps: $suite: green" is_green && green=$((green + 1))
done < "$work/suites"
while read -r step harm suite; do
	ok "it builds without STEP_$step" build "$step"
	try "$step" $suite
	judge "without STEP_$step: $suite: red, $harm" is_red "$harm" && red=$((red + 1))
done < "$work/wanted"
echo "1..$tests"
echo "# $(wc -l < "$work/wanted") steps left out: $red red; $green of $(wc -l < "$work/suites")" \
	"suites green with all steps; $skipped skipped"
exit $((failures > 0))
