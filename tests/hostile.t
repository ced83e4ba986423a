#!/bin/sh
# SPDX-License-Identifier: MIT
# hostile.t - the cases once more, and mailhaul may have 256 MiB of memory and 20 s each time.
#
# Those that weigh most; with HOSTILE=all every one, which is `make check-hostile`.  A build with
# sanitizers, or valgrind, needs more memory than that: there only the time is limited.
. "$top_srcdir/tests/tap.sh"

all=$(ls "$top_srcdir"/tests/cases/*.case)
heavy='body-large|capa-lies|greeting-length|stat-lies|uid-huge'
if [ "${HOSTILE:-}" != all ]; then
	all=$(echo "$all" | grep -E "/($heavy)\.case\$")
fi

memory=unlimited
if [ -z "${VALGRIND:-}" ] && ! grep -q __asan_init "$MAILHAUL"; then
	memory=262144
fi
cat > "$work/mailhaul" <<EOF
#!/bin/sh
ulimit -v $memory
exec timeout --foreground -s KILL 20 ${VALGRIND:-} "$MAILHAUL" "\$@"
EOF
chmod 755 "$work/mailhaul"

status=0
MAILHAUL=$work/mailhaul VALGRIND='' TMPDIR=$work sh "$top_srcdir/tests/cases.t" $all >"$work/out" ||
	status=1
cat "$work/out"
served=$(grep -l '^== server' $all)
echo "# $(echo "$all" | wc -l) cases, $(echo "$served" | wc -l) of them servers with" \
	"$(cat $served | grep -c '^on ') sins by script; $(cat $all | grep -c '^== run') runs," \
	"$(grep -c '^ok' "$work/out") checks passed," \
	"$(grep -c '^not ok' "$work/out") failed"
exit $status
