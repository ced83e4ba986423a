#!/bin/sh
# SPDX-License-Identifier: MIT
# lint.sh [SRCDIR] - checks what a machine can check of the house's manners.
#
# Everywhere: no blanks at a line's end, at most 100 columns (a tab is 4), a newline at the end,
# an SPDX line at the top.  In C: at most 80 lines a function, no banned call.  In src/: at most
# 600 lines a file, config.h is included first.  And whatever is to be built or run stands in
# Makefile.am.  Prints the faults; exit status 1 if there are any.
set -eu
LC_ALL=C
export LC_ALL
cd "${1:-$(dirname "$0")/..}"
status=0

text='
function fault(text) {
	print FILENAME ":" FNR ": " text
	faults++
}
# Columns, not bytes: tabs are 4, a UTF-8 sequence is 1.
function columns(s,    n, at) {
	gsub(/[\200-\277]/, "", s)
	for (n = 0; (at = index(s, "\t")) > 0; s = substr(s, at + 1))
		n = int((n + at - 1) / 4) * 4 + 4
	return n + length(s)
}
FNR == 1 {
	if (!spdx && last != "")
		faults += missing()
	spdx = 0
	last = FILENAME
}
function missing() {
	print last ":1: no SPDX-License-Identifier"
	return 1
}
FNR <= 3 && /SPDX-License-Identifier: MIT/ { spdx = 1 }
/[ \t\r]$/ { fault("blanks at the end") }
columns($0) > 100 { fault("wider than 100 columns") }
END {
	if (!spdx && last != "")
		faults += missing()
	exit faults > 0
}'

code='
function fault(line, text) {
	print FILENAME ":" line ": " text
	faults++
}
# The line without comments, and with empty strings: what is left is code.
function bare(s,    out, c) {
	out = ""
	while (s != "") {
		if (comment) {
			if (!match(s, /\*\//))
				return out
			s = substr(s, RSTART + 2)
			comment = 0
			continue
		}
		if (!match(s, /\/\*|\/\/|"|\047/))
			return out s
		c = substr(s, RSTART, 2)
		out = out substr(s, 1, RSTART - 1)
		s = substr(s, RSTART)
		if (c == "//")
			return out
		if (c == "/*") {
			comment = 1
			s = substr(s, 3)
		} else {
			c = substr(c, 1, 1)
			if (!match(s, c == "\"" ? "^\"([^\"\\\\]|\\\\.)*\"" : "^\047([^\047\\\\]|\\\\.)*\047"))
				return out
			out = out c c
			s = substr(s, RLENGTH + 1)
		}
	}
	return out
}
FNR == 1 { comment = begin = included = 0 }
FNR == 601 && FILENAME ~ /^src\// { fault(FNR, "more than 600 lines") }
{ line = bare($0) }
/^#[ \t]*include/ && !included++ && FILENAME ~ /^src\/.*\.c$/ && $2 != "\"config.h\"" {
	fault(FNR, "the first include is not \"config.h\"")
}
/^\{/ { begin = FNR }
/^\}/ {
	if (begin && FNR - begin - 1 > 80)
		fault(begin, "a function of " FNR - begin - 1 " lines")
	begin = 0
}
match(" " line, "[^A-Za-z0-9_.>](" banned ")[ \t]*\\(") {
	word = substr(" " line, RSTART + 1, RLENGTH - 2)
	sub(/[ \t]*$/, "", word)
	fault(FNR, word "() is banned")
}
END { exit faults > 0 }'

banned='v?sscanf|strto(l|ul|ll|ull|imax|umax|f|d|ld)|ato([fil]|ll)|strcpy|strcat|v?sprintf|gets'
banned="$banned|strtok|strtok_r|system|popen|alarm|tmpfile|tmpnam|tempnam|mktemp|access"
banned="$banned|_?setjmp|sigsetjmp|_?longjmp|siglongjmp|setlocale"

# The files there are of these; a tarball has no more than it needs.
present()
{
	for file; do
		if [ -f "$file" ]; then
			echo "$file"
		fi
	done
}

c_files=$(present src/*.[ch] tests/*.[ch] tests/unit/*.[ch] tests/fuzz/*.[ch] tests/bench/*.c)
other_files=$(present configure.ac Makefile.am m4/*.m4 .ci/run contrib/*.sh tests/run* tests/*.sh \
	tests/*.t tests/bench/*.sh)
awk "$text" $c_files $other_files || status=1
awk -v banned="$banned" "$code" $c_files || status=1

for file in $c_files $other_files; do
	if [ -n "$(tail -c 1 "$file")" ]; then
		echo "$file: no newline at the end"
		status=1
	fi
done

# A test that is never run is worse than none.
for file in $(present src/*.[ch] tests/*.c tests/unit/*.[ch] tests/fuzz/*.[ch] tests/bench/*.c \
	tests/bench/*.sh tests/*.t tests/*.sh tests/cases/*.case contrib/*.sh); do
	case $file in
	tests/*.c | tests/bench/*.c) word="${file%.c}(\\.c)?" ;; # the program
	*) word=$file ;;
	esac
	if ! grep -Eq "(^|[[:blank:]])$word([[:blank:]]|\$)" Makefile.am; then
		echo "$file: not named in Makefile.am"
		status=1
	fi
done
exit $status
