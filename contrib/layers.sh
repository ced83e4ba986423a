#!/bin/sh
# SPDX-License-Identifier: MIT
# layers.sh [SRCDIR [BUILDDIR]] - checks that the floors of the house only look down.
#
# src/floors gives each file its floor.  A fault is an include, or in the objects of BUILDDIR a
# symbol, of the same floor or a higher one (a file's own header excepted); a file without a
# floor or a floor without a file; and whatever wire.o needs from outside but a few functions
# that are as pure as it is.  Prints the faults; exit status 1 if there are any.
set -eu
LC_ALL=C
export LC_ALL
srcdir=${1:-$(dirname "$0")/..}
builddir=${2:-$srcdir}
cd "$builddir"
builddir=$PWD
cd "$OLDPWD"
cd "$srcdir"
status=0

# Reads src/floors, then the sources.
includes='
function stem(path) {
	sub(/.*\//, "", path)
	sub(/\.[ch]$/, "", path)
	return path
}
function fault(text) {
	print text
	faults++
}
FILENAME == "src/floors" {
	if ($1 !~ /^#/)
		for (i = 2; i <= NF; i++)
			floor[$i] = $1
	next
}
FNR == 1 {
	me = stem(FILENAME)
	seen[me] = 1
	if (!(me in floor))
		fault(FILENAME ": has no floor in src/floors")
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
	split($0, part, "\"")
	other = stem(part[2])
	if (part[2] == "config.h" || !(me in floor) || (other == me && FILENAME ~ /\.c$/))
		next
	if (part[2] != other ".h" || !(other in floor))
		fault(FILENAME ":" FNR ": \"" part[2] "\" is no header of the house")
	else if (floor[other] >= floor[me])
		fault(FILENAME ":" FNR ": floor " floor[me] " includes " part[2] " of floor " floor[other])
}
END {
	for (name in floor)
		if (!(name in seen))
			fault("src/floors: there is no " name)
	exit faults > 0
}'

# Reads src/floors, then what nm -P -A says: "src/wire.o: memchr U".
symbols='
FILENAME == "src/floors" {
	if ($1 !~ /^#/)
		for (i = 2; i <= NF; i++)
			floor[$i] = $1
	next
}
{
	me = $1
	sub(/:$/, "", me)
	sub(/.*\//, "", me)
	sub(/\.o$/, "", me)
	if ($3 ~ /^[Uw]$/) {
		needs[++count] = $2
		by[count] = me
	} else if ($3 ~ /^[A-Z]$/)
		home[$2] = me
}
# What compilers add of their own: stack guards, fortified copies, sanitizers, arithmetic.
function helper(name) {
	return name ~ /^(_GLOBAL_OFFSET_TABLE_|__stack_chk_fail.*|__mem[a-z]*_chk|bcmp)$/ ||
	       name ~ /^__(asan|ubsan|sanitizer|gcov|llvm|sancov)_/ || name ~ /^__[a-z]+[dst]i[0-9]$/
}
function pure(name) {
	return name ~ /^(mem(chr|cpy|move|cmp|set)|str(len|chr)|number_parse|text_copy)$/
}
END {
	for (i = 1; i <= count; i++) {
		name = needs[i]
		me = by[i]
		other = home[name]
		if (other != "" && other != me && floor[other] >= floor[me]) {
			print me ".o: floor " floor[me] " uses " name " of " other ", floor " floor[other]
			faults++
		}
		if (me == "wire" && !pure(name) && !helper(name)) {
			print "wire.o: uses " name ", but wire.c is pure"
			faults++
		}
	}
	exit faults > 0
}'

awk "$includes" src/floors src/*.[ch] || status=1

# Objects exist where something was built; the sources alone can be checked without.
if [ -f "$builddir/src/wire.o" ]; then
	for source in src/*.c; do
		echo "$builddir/${source%.c}.o"
	done | xargs "${NM:-nm}" -P -A | awk "$symbols" src/floors - || status=1
fi
exit $status
