#!/bin/sh
# SPDX-License-Identifier: MIT
# fuzz.sh [-n RUNS | -t SECONDS] [-d DIR] [TARGET...] - looks for bytes that break a promise.
#
# Builds the targets of tests/fuzz/ with clang's libFuzzer, AddressSanitizer and UBSan in DIR
# (default: ./fuzz) and runs each for RUNS executions, or for SECONDS (default: 60), one after
# another.  What was found interesting stays in DIR/corpus and is where the next call goes on.
#
# One line for each target: "wire: 10000000 executions, 0 findings (70000 a second)".  An input that
# breaks something is in DIR/findings, the end of what the target said is shown.  The last line is
# "N executions, N findings" over all; the exit status is 0 if there were none.
#
# Needs clang with its run-time libraries, pkg-config, the program's own libraries, and config.h as
# configure makes it: it is called by `make fuzz`, in the build directory.  CLANG, JOBS,
# FUZZ_FLAGS (more options for libFuzzer) and FUZZ_CFLAGS (for the compiler) are taken from the
# environment.  With FUZZ_CFLAGS=-fno-sanitize-coverage=trace-cmp comparisons are not looked into:
# up to four times as fast, for many executions where the corpus is rich already.
set -eu
LC_ALL=C
export LC_ALL
usage='usage: fuzz.sh [-n RUNS | -t SECONDS] [-d DIR] [TARGET...]'
runs= seconds=60 dir=fuzz
while getopts n:t:d: option; do
	case $option in
	n) runs=$OPTARG ;;
	t) seconds=$OPTARG ;;
	d) dir=$OPTARG ;;
	*) echo "$usage" >&2; exit 64 ;;
	esac
done
shift $((OPTIND - 1))

root=$(cd "$(dirname "$0")/.." && pwd)
clang=${CLANG:-clang}
if [ ! -f config.h ]; then
	echo "fuzz.sh: there is no config.h here; call it by make fuzz" >&2
	exit 64
fi
if ! command -v "$clang" >/dev/null; then
	echo "fuzz.sh: there is no $clang (Debian: apt-get install clang)" >&2
	exit 69
fi
if [ $# = 0 ]; then
	for source in "$root"/tests/fuzz/fuzz_*.c; do
		name=${source##*/fuzz_}
		set -- "$@" "${name%.c}"
	done
fi

# -- the build ----------------------------------------------------------------------------------

mkdir -p "$dir/obj" "$dir/findings" "$dir/log"
flags="-std=c11 -D_GNU_SOURCE -g -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all"
flags="$flags -fsanitize=address,undefined -I. -iquote $root/src ${FUZZ_CFLAGS:-}"
libs=$(pkg-config --cflags --libs gnutls)
if pkg-config --exists iniparser; then
	libs="$libs $(pkg-config --cflags --libs iniparser)"
else
	libs="$libs -liniparser"
fi

# Compiles what is older than its source or any header; prints nothing where all is well.
newest=$(ls -t "$root"/src/*.h "$root"/tests/fuzz/*.h config.h | head -n 1)
for source in "$root"/src/*.c; do
	object=$dir/obj/$(basename "$source" .c).o
	if [ "${source##*/}" != main.c ] &&
		[ -z "$(find "$object" -newer "$source" -newer "$newest" 2>/dev/null)" ]; then
		echo "$object $source"
	fi
done | xargs -r -n 2 -P "${JOBS:-1}" sh -c \
	'exec $0 -fsanitize=fuzzer-no-link -c -o "$@"' "$clang $flags"

for target; do
	"$clang" $flags -fsanitize=fuzzer -o "$dir/fuzz_$target" "$root/tests/fuzz/fuzz_$target.c" \
		"$dir"/obj/*.o $libs
done

# -- the runs -----------------------------------------------------------------------------------

# Targets that need files make them here: in memory where there is such a place.
scratch=${TMPDIR:-/tmp}
if [ -d /dev/shm ] && [ -w /dev/shm ]; then
	scratch=/dev/shm
fi
scratch=$(mktemp -d "$scratch/mailhaul-fuzz.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

# stat_of NAME: a number of libFuzzer's last words.
stat_of()
{
	sed -n "s/^stat::$1: *//p" "$log" | tail -n 1
}

# Deep stacks for each block, and a long quarantine, cost a third of the time.
ASAN_OPTIONS=malloc_context_size=2:quarantine_size_mb=8:${ASAN_OPTIONS:-}
export ASAN_OPTIONS
limit=-max_total_time=$seconds
if [ -n "$runs" ]; then
	limit=-runs=$runs
fi
executions=0 findings=0
for target; do
	log=$dir/log/$target found=0
	mkdir -p "$dir/corpus/$target"
	TMPDIR=$scratch "$dir/fuzz_$target" -print_final_stats=1 -timeout=20 -rss_limit_mb=2048 \
		-artifact_prefix="$dir/findings/$target-" $limit ${FUZZ_FLAGS:-} \
		"$dir/corpus/$target" "$root/tests/corpus/$target" >"$log" 2>&1 </dev/null || found=1
	count=$(stat_of number_of_executed_units)
	rate=$(stat_of average_exec_per_sec)
	echo "$target: ${count:-0} executions, $found findings (${rate:-0} a second)"
	if [ $found = 1 ]; then
		tail -n 30 "$log" | sed 's/^/    /'
	fi
	executions=$((executions + ${count:-0}))
	findings=$((findings + found))
done
echo "$executions executions, $findings findings"
[ $findings = 0 ]
