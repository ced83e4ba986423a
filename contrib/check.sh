#!/bin/sh
# SPDX-License-Identifier: MIT
# check.sh [--plain] [--sanitizers] [--valgrind] - builds mailhaul in a directory of its own and
# tests it.
#
# Each option asks for one build: the plain one, one with the compiler's sanitizers, and the unit
# tests of the plain one under valgrind.  Without options: the first two.  What is missing is
# installed first (packages.sh).  The source tree is not written to.
#
# The logs of what failed are shown.  The last line is "N passed, N failed" or "N passed, N
# failed, N skipped", over all builds; the exit status is 0 if nothing failed and something ran.
set -eu
usage='usage: check.sh [--plain] [--sanitizers] [--valgrind]'
wanted=
for option; do
	case $option in
	--plain | --sanitizers | --valgrind) wanted="$wanted ${option#--}" ;;
	--help) echo "$usage"; exit 0 ;;
	*) echo "$usage" >&2; exit 64 ;;
	esac
done
wanted=${wanted:-plain sanitizers}

LC_ALL=C
export LC_ALL
unset MAKEFLAGS MFLAGS MAKELEVEL GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE CDPATH
root=$(cd "$(dirname "$0")/.." && pwd)
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
passed=0 failed=0 skipped=0

. "$root/contrib/packages.sh"
case $wanted in
*valgrind*) packages_tests="$packages_tests valgrind" ;;
esac
packages_need $packages_build $packages_tests || exit 1
exec </dev/null

# Others may pass through: Dovecot, started by root, reads its mail as somebody else.
work=$(mktemp -d "${TMPDIR:-/tmp}/mailhaul-check.XXXXXX")
chmod 711 "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
TMPDIR=$work/tmp
export TMPDIR
mkdir -m 1777 "$TMPDIR"

# fail WHAT FILE: counts a failure, shows the end of the file.
fail()
{
	failed=$((failed + 1))
	echo "FAILED: $1"
	tail -n 40 "$2" | sed 's/^/    /'
}

# Sets src to a tree from which one can configure elsewhere: a copy of a git tree (it may be
# configured itself), or an unpacked tarball as it is.
prepare()
{
	src=$root
	if [ -f "$root/configure" ] && [ ! -e "$root/.git" ]; then
		return
	fi
	src=$work/src
	mkdir "$src"
	(cd "$root" && { git -c safe.directory="$root" ls-files -co --exclude-standard 2>/dev/null ||
		find . -type f ! -path './.git/*'; }) |
		while read -r file; do
			if [ -f "$root/$file" ]; then
				echo "$file"
			fi
		done >"$work/files"
	tar -C "$root" -cf - -T "$work/files" | tar -C "$src" -xf -
	(cd "$src" && autoreconf -i)
}

# tally NAME DIR: adds up what the tests of a build said, shows what failed.  An error beside
# failures is the exit status that tells of them; alone it counts.
tally()
{
	sum=$(find "$2" -name '*.trs' -exec cat {} + | awk '
		function settle() {
			failed += failures ? failures : errors > 0
			failures = errors = 0
		}
		BEGIN { passed = failed = skipped = 0 }
		/^:global-test-result:/ { settle() }
		/^:test-result: (PASS|XFAIL)/ { passed++ }
		/^:test-result: (FAIL|XPASS)/ { failures++ }
		/^:test-result: ERROR/ { errors++ }
		/^:test-result: SKIP/ { skipped++ }
		END { settle(); print passed, failed, skipped }')
	set -- "$1" "$2" $sum
	echo "$1: passed $3, failed $4, skipped $5"
	passed=$((passed + $3)) failed=$((failed + $4)) skipped=$((skipped + $5))
	find "$2" -name '*.log' ! -name test-suite.log -exec grep -h '^SKIP:' {} + | head -n 20
	find "$2" -name '*.trs' -exec grep -lE '^:test-result: (FAIL|XPASS|ERROR)' {} + | head -n 10 |
		while read -r trs; do
			echo "FAILED: $1, ${trs#"$2"/}" | sed 's/\.trs$//'
			grep -vE '^(ok|PASS:) ' "${trs%.trs}.log" | tail -n 40 | sed 's/^/    /'
		done
}

# try NAME TARGET CONFIGURE-OPTION...: one build, one `make TARGET`.
try()
{
	name=$1 target=$2
	shift 2
	dir=$work/$name
	mkdir "$dir"
	echo "$name: building"
	if ! (cd "$dir" && "$src/configure" -q --enable-werror "$@" && make -s -j"$jobs" V=1) \
		>"$dir/build" 2>&1; then
		fail "$name, the build" "$dir/build"
		return
	fi
	echo "$name: make $target"
	before=$failed
	made=yes
	# A report goes into a file, as standard error may be the test's to keep; gcc's UBSan cannot
	# do that, so it dies by a signal, which no test takes for an answer.
	ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}log_path=$dir/report" \
	UBSAN_OPTIONS="log_path=$dir/report:print_stacktrace=1:abort_on_error=1" \
		make -C "$dir" -s -j"$jobs" V=1 "$target" >"$dir/check" 2>&1 || made=no
	tally "$name" "$dir"
	if [ $made = no ] && [ $failed = "$before" ]; then
		fail "$name, make $target" "$dir/check"
	fi
	# A thread that is just ending when leaks are looked for makes a line, and is none.
	for report in "$dir"/report.*; do
		if grep -qsv 'Unable to get registers from thread' "$report"; then
			fail "$name, a sanitizer's report" "$report"
		fi
	done
}

if prepare >"$work/prepare" 2>&1; then
	for pass in $wanted; do
		case $pass in
		plain) try plain check ;;
		sanitizers) try sanitizers check --enable-sanitizers ;;
		valgrind) try valgrind check-valgrind ;;
		esac
	done
else
	fail autoreconf "$work/prepare"
fi

skips=
if [ $skipped -gt 0 ]; then
	skips=", $skipped skipped"
fi
echo "$passed passed, $failed failed$skips"
[ $failed = 0 ] && [ $passed -gt 0 ]
