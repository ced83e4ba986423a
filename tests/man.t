#!/bin/sh
# SPDX-License-Identifier: MIT
# man.t - the manuals say what the program knows: every option of the table, and no other; and
# mandoc has nothing to say against them.
. "$top_srcdir/tests/tap.sh"

man=$top_srcdir/man
mailhaul --help > "$work/help"

# --help lists the command line's options first, then those of the table.
sed -n '/^Account options/,$ s/^  \([a-z_][a-z_]*\) .*/\1/p' "$work/help" | sort > "$work/table"
sed -n 's/^\.It Cm \([a-z_]*\) No = .*/\1/p' "$man/mailhaul-config.5" | sort > "$work/paragraphs"
ok "no line of the help is wider than a terminal" test -z "$(awk 'length > 80' "$work/help")"
ok "there are options to compare" test -s "$work/table"
ok "every option has its paragraph, and every paragraph its option" \
	diff "$work/table" "$work/paragraphs"

sed -n '/^Account options/q; s/^  .*--\([a-z-]*\) .*/\1/p' "$work/help" | sort > "$work/flags"
sed -n '/^\.It Fl/ {
	s/.*Fl .*-\{0,1\} -\([a-z][a-z-]*\).*/\1/
	s/^\.It Fl -\([a-z-]*\).*/\1/
	p
}' "$man/mailhaul.1" | sort > "$work/described"
ok "every option of the command line is described, and no other" \
	diff "$work/flags" "$work/described"

# Every exit status of base.h, and no other.
sed -n 's/^\tERR_[A-Z]*, *\/\* \([0-9]*\):.*/\1/p' "$top_srcdir/src/base.h" > "$work/codes"
sed -n '/^\.Sh EXIT STATUS/,/^\.El/ s/^\.It \([1-9][0-9]*\)$/\1/p' "$man/mailhaul.1" > "$work/told"
ok "every exit status is told" diff "$work/codes" "$work/told"

# The examples stand first, on purpose: most readers need no more.
clean() {
	mandoc -T lint -W warning "$1" 2>&1 |
		grep -v 'out of conventional order: Sh DESCRIPTION$' | tee "$work/faults"
	test ! -s "$work/faults"
}

for page in "$man/mailhaul.1" "$man/mailhaul-config.5" "$man/mailhaul-messages.7"; do
	if command -v mandoc >/dev/null; then
		ok "${page##*/} is clean" clean "$page"
	else
		tests=$((tests + 1))
		echo "ok $tests - ${page##*/} # SKIP mandoc is not installed"
	fi
done
finish
