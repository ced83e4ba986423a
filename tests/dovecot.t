#!/bin/sh
# SPDX-License-Identifier: MIT
# dovecot.t - whole mailboxes from a real Dovecot over TLS and STLS, to every destination, each
# message compared byte for byte with the server's own copy.
#
# MESSAGES is how many (default 300).  Skipped where there is no Dovecot or no certtool.
. "$top_srcdir/tests/tap.sh"

count=${MESSAGES:-300}
start_dovecot || skip_all "there is no dovecot, or no certtool, or it does not start"

# Messages of every shape, one a file, in LF form with a last newline: what must come out.
make_messages() {
	rm -rf "$1"
	mkdir "$1"
	awk -v dir="$1" -v count="$count" 'BEGIN {
		long = "x"
		while (length(long) < 100000) long = long long
		for (i = 1; i <= count; i++) {
			file = sprintf("%s/%07d.M%d.test", dir, i, i)
			printf "Return-Path: <a%d@example.org>\nSubject: message %d\n", i, i > file
			if (i % 7 == 0) print "From: =?utf-8?q?r=C3=BCdiger?= <r@example.org>" > file
			if (i % 50 != 0) print "" > file
			if (i % 5 == 0) printf ".\n..\n.From\n...dots\n.\r.\n" > file
			if (i % 6 == 0) printf "From x\n>From y\n>>From z\nFrom\n" > file
			if (i % 11 == 0) printf "8-bit \303\274 \377\200 and a tab\t\n" > file
			if (i % 13 == 0) print long > file
			for (k = 0; k < (i * 37) % 90; k++) print "line", k, "of message", i > file
			if (i % 17 == 0) printf "\n\n\n" > file
			close(file)
		}
	}'
}

# Gives user the messages anew.
fill_box() {
	rm -rf "$server/mail/$1"
	mkdir -p "$server/mail/$1/new" "$server/mail/$1/cur" "$server/mail/$1/tmp"
	find "$work/messages" -type f -exec cp -t "$server/mail/$1/new" {} +
	dovecot_own
}

left() {
	find "$server/mail/$1/new" "$server/mail/$1/cur" -type f | wc -l
}

# The contents of a directory of files, as sorted checksums.
sums() {
	find "$1" -type f -exec sha256sum {} + | cut -c1-64 | sort
}

# mbox to files: the reverse of mboxrd quoting, and the empty line behind each message taken away.
unbox() {
	mkdir "$2"
	awk -v dir="$2" '
		function put(line) { if (have) print held > file; held = line; have = 1 }
		/^From / { if (file) close(file); have = 0; file = sprintf("%s/%07d", dir, ++n); next }
		/^>+From / { sub(/^>/, "") }
		{ put($0) }' "$1"
}

config() {
	{
		printf '[work]\nhost = localhost\nuser = joe\npassword = sesame\nreceived = no\n'
		printf 'tls_ca_file = %s/ca.pem\n' "$server"
		printf '%s\n' "$@"
	} > "$work/config"
	chmod 600 "$work/config"
}

fetch() {
	mailhaul -f "$work/config" "$@"
}

make_messages "$work/messages"
sums "$work/messages" > "$work/want"
implicit="port = $(cat "$server/tlsport")
tls = implicit"
stls="port = $(cat "$server/port")
tls = stls"

same_as_server() {
	sums "$1" > "$work/got"
	cmp "$work/want" "$work/got"
}

fill_box joe
config "$implicit" "keep = yes" "maildir = $work/maildir"
ok "Maildir over TLS, kept" fetch
ok "every message equals the server's" same_as_server "$work/maildir/new"
ok "a second run" fetch
same "fetches nothing" "$(ls "$work/maildir/new" | wc -l)" "$count"
same "all is still there" "$(left joe)" "$count"

config "$stls" "mbox = $work/mbox"
rm -rf "$work/home"/.local
ok "mbox over STLS, deleted" fetch
unbox "$work/mbox" "$work/unboxed"
ok "every message equals the server's" same_as_server "$work/unboxed"
same "the mailbox is empty" "$(left joe)" 0
ok "a second run" fetch
same "adds nothing" "$(grep -c '^From ' "$work/mbox")" "$count"

fill_box joe
mkdir "$work/mda"
printf '#!/bin/sh\nexec cat > "%s/mda/$UIDL"\n' "$work" > "$work/deliver"
chmod 755 "$work/deliver"
config "$implicit" "mda = $work/deliver"
ok "MDA, deleted" fetch
ok "every message equals the server's" same_as_server "$work/mda"
same "the mailbox is empty" "$(left joe)" 0

fill_box joe
config "$implicit" "stdout = yes"
rm -rf "$work/home"/.local
fetch > "$work/stream"
same "standard output" $? 0
unbox "$work/stream" "$work/unstreamed"
ok "every message equals the server's" same_as_server "$work/unstreamed"
same "all is still there" "$(left joe)" "$count"

config "$implicit" "maildir = $work/other" "pipelining = off" "keep = yes"
rm -rf "$work/home"/.local
ok "in lock-step" fetch
ok "every message equals the server's" same_as_server "$work/other/new"

config "$implicit" "maildir = $work/other" "password = wrong"
fetch 2>"$work/err"
same "a wrong password in Dovecot's words" $? 78
sed -i '/^password = sesame/d' "$work/config"
fetch 2>"$work/err"
same "is refused" $? 77
config "port = $(cat "$server/tlsport")" "tls = implicit" "maildir = $work/other"
sed -i '/^tls_ca_file/d' "$work/config"
fetch 2>"$work/err"
same "an unknown CA is refused" $? 69
config "host = localhost.localdomain" "$implicit" "maildir = $work/other"
sed -i '/^host = localhost$/d' "$work/config"
fetch 2>"$work/err"
same "a certificate for another name is refused" "$(($? == 69 || $? == 68))" 1
config "$implicit" "user = odd" "password_file = $work/pw" "maildir = $work/odd"
sed -i '/^user = joe/d; /^password = /d' "$work/config"
printf '%s\n' "p;a#s \"x'\\y" > "$work/pw"
chmod 600 "$work/pw"
ok "a hard password from a file" fetch
finish
