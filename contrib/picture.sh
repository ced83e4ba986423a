#!/bin/sh
# SPDX-License-Identifier: MIT
# picture.sh BUILDDIR - makes contrib/terminal.svg: a real run, as a terminal of 80 columns has it.
#
# Runs the mailhaul of BUILDDIR, where `make check` has built tests/pop3d and tests/pty, against
# three servers on this machine: first --list, then a fetch that is caught half way.
set -eu
LC_ALL=C
export LC_ALL
build=$(cd "${1:?usage: picture.sh BUILDDIR}" && pwd)
contrib=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/mailhaul-picture.XXXXXX")
servers=
trap 'kill $servers 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# As mail writes it.
ago() {
	date -R -d "-$1"
}

cat >"$work/club" <<END
message a inline
Date: $(ago '9 days')
From: Anna Berg <anna@example.org>
Subject: Minutes of the meeting

.
message b inline
Date: $(ago '3 days')
From: =?utf-8?Q?J=C3=BCrgen_M=C3=BCller?= <juergen@example.org>
Subject: =?iso-8859-1?Q?Gr=FC=DFe?= aus =?iso-8859-1?Q?K=F6ln?=

.
message c inline
Date: $(ago '26 hours')
From: =?koi8-r?B?7cHSydEg6dfBzs/XwQ==?= <maria@example.org>
Subject: =?windows-1251?B?z/Do4+vg+OXt6OU=?=

.
message d inline
Date: $(ago '3 hours')
From: "Ivan Petrov (treasurer)" <ivan@example.org>
Subject: The accounts of this year, with all that was asked for

.
message e text Date: $(ago '5 min')\r\nFrom: Somebody <x@y>\r\nSubject: \x1b[2J you have won\r\n\r\n
END
printf 'messages 300 8000\non RETR slow 10\n' >"$work/work"
printf 'messages 40 250000\non RETR slow 50\n' >"$work/home"

for name in club work home; do
	"$build/tests/pop3d" -p "$work/$name.port" "$work/$name" &
	servers="$servers $!"
	until [ -s "$work/$name.port" ]; do sleep 0.05; done
	printf '[%s]\nhost = 127.0.0.1\nport = %s\nuser = joe\npassword = secret\ntls = off\n' \
		$name "$(cat "$work/$name.port")"
	printf 'keep = 30d\nmaildir = %s/Mail/%s\n' "$work" $name
done >"$work/config"
chmod 600 "$work/config"
mkdir "$work/Mail"

cat >"$work/session" <<END
for words in '--list club' ''; do
	echo "\\$ mailhaul \$words"
	'$build/mailhaul' -f '$work/config' \$words
done
END
env -i HOME="$work" PATH="$PATH" TERM=xterm "$build/tests/pty" -s 80x24 \
	-e 'wait 100/300' -e show sh "$work/session" >"$work/screen"

sed -n '/^== show/,/^==$/{/^==/!p;}' "$work/screen" | awk '
	{
		gsub(/&/, "\\&amp;")
		gsub(/</, "\\&lt;")
		gsub(/>/, "\\&gt;")
		sub(/ +$/, "")
		line[++count] = $0
	}
	END {
		width = 80 * 8.4 + 32
		height = count * 19 + 44
		printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\"", width, height
		printf " role=\"img\" aria-label=\"mailhaul at a terminal\">\n"
		print "<!-- SPDX-License-Identifier: MIT; made by contrib/picture.sh -->"
		print "<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1c2128\"/>"
		print "<g font-family=\"ui-monospace,DejaVu Sans Mono,Menlo,Consolas,monospace\"" \
		      " font-size=\"14\" fill=\"#d0d7de\" xml:space=\"preserve\" style=\"white-space:pre\">"
		for (i = 1; i <= count; i++)
			printf "<text x=\"16\" y=\"%d\"%s>%s</text>\n", i * 19 + 19,
			       line[i] ~ /^\$ / ? " fill=\"#ffffff\" font-weight=\"bold\"" : "", line[i]
		print "</g>"
		print "</svg>"
	}' >"$work/svg"
grep -q '100/300\|10[0-9]/300' "$work/svg"
mv "$work/svg" "$contrib/terminal.svg"
