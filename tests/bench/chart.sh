#!/bin/sh
# SPDX-License-Identifier: MIT
# chart.sh TABLE [SCENARIO...] - draws what bench.sh left in $BENCH_OUT as SVG, on standard output:
# for each scenario a group of bars, one a program, of seconds by the clock; the darker part of a
# bar is CPU.  Each group has its own scale, for its longest bar.
set -eu
LC_ALL=C
export LC_ALL
table=$1
shift
scenarios=${*:-maildir mbox large-maildir window}

awk -F'\t' -v scenarios="$scenarios" '
	BEGIN {
		groups = split(scenarios, order, " ")
		for (g = 1; g <= groups; g++) place[order[g]] = g
		label["maildir"] = "10,000 messages of 3 kB into a Maildir"
		label["mbox"] = "10,000 messages of 3 kB into an mbox"
		label["large-maildir"] = "100 messages of 10 MiB into a Maildir"
		label["large-mbox"] = "100 messages of 10 MiB into an mbox"
		label["window"] = "300 messages of 3 kB, 50 ms a round trip"
		label["mda"] = "2000 messages of 3 kB, each to an MDA"
		label["dovecot"] = "2000 messages of 3 kB from Dovecot"
	}
	$1 in place {
		g = place[$1]
		i = ++bars[g]
		name[g, i] = $2; wall[g, i] = $3; cpu[g, i] = $4 < $3 ? $4 : $3
		if ($3 > longest[g]) longest[g] = $3
		rows++
	}
	function text(x, y, class, s) {
		printf "<text x=\"%d\" y=\"%d\" class=\"%s\">%s</text>\n", x, y, class, s
	}
	function bar(x, y, width, class) {
		printf "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"14\" class=\"%s\"/>\n", x, y,
			width < 1 ? 1 : width, class
	}
	END {
		height = rows * 20 + groups * 44 + 10
		printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 %d\" ", height
		print "font-family=\"sans-serif\" font-size=\"12\">"
		print "<style>text{fill:#333}.t{font-weight:bold}.n{text-anchor:end}.w{fill:#c8ccd0}"
		print ".c{fill:#7b858f}.mw{fill:#8fc3a5}.mc{fill:#2e7d4f}"
		print "@media(prefers-color-scheme:dark){text{fill:#ddd}}</style>"
		y = 10
		for (g = 1; g <= groups; g++) {
			if (!bars[g])
				continue
			text(10, y + 16, "t", (order[g] in label ? label[order[g]] : order[g]) ", seconds")
			y += 26
			for (i = 1; i <= bars[g]; i++) {
				own = name[g, i] == "mailhaul" ? "m" : ""
				text(90, y + 11, "n", name[g, i])
				bar(100, y, wall[g, i] / longest[g] * 440, own "w")
				bar(100, y, cpu[g, i] / longest[g] * 440, own "c")
				text(108 + wall[g, i] / longest[g] * 440, y + 11, "v", sprintf("%.2f", wall[g, i]))
				y += 20
			}
			y += 18
		}
		print "</svg>"
	}' "$table"
