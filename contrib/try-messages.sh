#!/bin/sh
# SPDX-License-Identifier: MIT
# try-messages.sh DIR - writes the sample mail of try.sh into the new directory DIR: 40 messages,
# one a file, named so that a Maildir hands them out in this order.
#
# Twelve have a subject of their own, and most of these a shape that has broken mail programs:
# dots, "From " lines, bytes of no character set, no body, a line longer than any buffer.  The
# rest is what mailboxes are full of, replies.  Always the same bytes.
set -eu
mkdir "$1"
LC_ALL=C awk -v dir="$1" '
# Begins message n with its headers.  Each has come through a server that has left its mark.
function message(from, subject, type,    day) {
	if (file)
		close(file)
	file = sprintf("%s/%d.M%02dP1.try", dir, 1762150000 + ++n, n)
	day = 3 + int(n / 4)
	printf "Received: from mx.example.org by pop.example.org\n\twith ESMTPS id %05d\n", n >file
	printf "Date: %s, %d Nov 2025", week[(day - 1) % 7 + 1], day >file
	printf " %02d:12:00 +0100\n", 8 + n % 10 >file
	printf "From: %s\nTo: joe@example.org\nSubject: %s\n", from, subject >file
	printf "Message-ID: <try.%d@example.org>\n", n >file
	if (type)
		printf "MIME-Version: 1.0\nContent-Type: %s\n", type >file
	print "" >file
}
# Replies in a thread, by one person after another, each quoting more.
function replies(subject, count,    k, quote) {
	for (k = 1; k <= count; k++) {
		message(people[n % 6], "Re: " subject)
		for (quote = 1; quote < 12 * k; quote++)
			printf "%s line %d of what was said before\n", k % 2 ? ">" : "> >", quote >file
		printf "\nAgreed.\n-- \n%s\n%s", people[n % 6], k % 4 ? "" : "\n\n" >file
	}
}
function attachment(lines,    i, k, line) {
	print "--=cut\nContent-Type: text/plain\n\nHere it is.\n\n--=cut" >file
	print "Content-Type: image/png; name=scan.png\nContent-Transfer-Encoding: base64\n" >file
	for (i = 1; i <= lines; i++) {
		line = ""
		for (k = 1; k <= 76; k++) {
			seed = (seed * 75 + 74) % 65537
			line = line substr(base64, seed % 64 + 1, 1)
		}
		print line >file
	}
	print "--=cut--" >file
}
BEGIN {
	split("Sat Sun Mon Tue Wed Thu Fri", week) # 1 November 2025 was a Saturday
	people[0] = "Anna Berg <anna@example.org>"
	people[1] = "Tom Okafor <tom@example.net>"
	people[2] = "\"Lind, Eva\" <eva@example.com>"
	people[3] = "R\303\263bert N\303\251meth <robi@example.org>"
	people[4] = "joe@example.org"
	people[5] = "Mei Tanaka <mei@example.net>"
	base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

	message(people[0], "Lunch on Thursday?")
	print "The usual place, at noon?\n\nAnna" >file
	replies("Lunch on Thursday?", 8)
	message("Shop <orders@shop.example.com>", "Your order 4711 is on its way", "text/html")
	print "<!DOCTYPE html>\n<html><body>\n<p>It left our house <b>today</b>.</p>" >file
	print "</body></html>" >file
	message(people[2], "Scan of the contract", "multipart/mixed; boundary=\"=cut\"")
	attachment(1300)
	message(people[0], "Gr\303\274\303\237e aus K\303\266ln", "text/plain; charset=utf-8")
	print "Sch\303\266n ist es hier: \342\200\236alles gut\342\200\234, \360\237\221\215" >file
	message(people[1], "Minutes of Monday")
	print "1. Everybody was there.\n2. Nothing was decided." >file
	replies("Minutes of Monday", 9)
	message(people[5], "Dots where lines begin")
	print ".\n..\n...and on\n.\n\n." >file
	message(people[1], "Lines that begin with From")
	print "From here to there\n>From me to you\n>>From afar\nFrom\nFrom: no header" >file
	message(people[2], "Bytes of no character set")
	print "\200\201\376\377 \344\366\374 \033 and a tab\t at the end\t" >file
	message(people[4], "Nothing below the headers")
	message(people[5], "One line of 65536 characters")
	for (line = "0123456789abcdef"; length(line) < 65536; )
		line = line line
	print line >file
	message("root <root@build.example.net>", "Nightly build, the whole log")
	for (i = 1; i <= 12000; i++)
		printf "[%5d] cc -O2 -c part%d.c ... ok\n", i, i * 7 % 1000 >file
	message(people[2], "Who waters the plants?")
	print "In August, I mean." >file
	replies("Who waters the plants?", 11)
}'
