#!/bin/sh
# SPDX-License-Identifier: MIT
# mdas.t - the real programs that mail is handed to, as contrib/examples has them: procmail,
# maildrop, dovecot-lda with Sieve, and bogofilter within the first two.
#
# Each gets MESSAGES (default 200) generated messages and four odd ones, and each must then be
# there once and whole, in the folder it belongs to, and be gone from the server.  Where the
# destination or the filter fails, no message may be lost.  What is not installed is skipped with
# a word (Debian: procmail maildrop dovecot-sieve bogofilter).
. "$top_srcdir/tests/tap.sh"

examples=$top_srcdir/contrib/examples
home=$work/home
lda=/usr/lib/dovecot/dovecot-lda
PATH=$PATH:/usr/sbin
export PATH
chmod 755 "$work"
had_mail=
[ ! -e "/var/mail/$(id -un)" ] || had_mail=yes

# The odd ones come first; all must survive.
cat > "$work/odd" <<'END'
message odd1 inline
Return-Path: <friend@example.org>
List-Id: Friends <friends.example.org>
Subject: lines that look like others

From the beginning of a line
>From a quote
..
 From behind a blank
.
message odd2 inline
Subject: cheap

cheap pills cheap pills winner
.
message odd3 inline
Subject: no text

.
END
{
	printf 'message odd4 raw %s/odd4\n' "$work"
	awk 'BEGIN {
		printf "Subject: 8 bits and a long line, no last newline\r\n\r\n\303\251\351 "
		for (i = 0; i < 500; i++) printf "word%03d ", i
		printf "\r\n"
	}' > "$work/odd4"
} >> "$work/odd"
{ cat "$work/odd"; echo "messages ${MESSAGES:-200} 2000"; } > "$work/many"
{ cat "$work/odd"; echo 'messages 16 2000'; } > "$work/few"
for script in many few; do
	mkdir "$work/want-$script"
	"$POP3D" -x "$work/want-$script" "$work/$script"
	cksum "$work/want-$script"/* | cut -d ' ' -f 1,2 | sort > "$work/$script.sums"
done

# split_mbox MBOX DIRECTORY: its messages, a file each, less what an mbox makes uncertain: how often
# a line is quoted, and the empty lines at the end.
split_mbox() {
	rm -rf "$2"
	mkdir "$2"
	awk -v dir="$2" '
		/^From / && (NR == 1 || blanks) { file = sprintf("%s/%05d", dir, ++n); blanks = 0; next }
		$0 == "" { blanks++; next }
		{
			for (; blanks; blanks--) print "" > file
			sub(/^>+From /, "From ")
			print > file
		}' "$1"
}

for file in "$work"/want-few/*; do
	echo 'From x'
	sed 's/^>*From />&/' "$file"
	echo
done > "$work/want.mbox"
split_mbox "$work/want.mbox" "$work/split"
cksum "$work/split"/* | cut -d ' ' -f 1,2 | sort > "$work/few.split"

# config ACCOUNT [LINE]: the example's account, at this server; LINE is its mda instead.
config() {
	rm -f "$work/config"
	{
		printf '[%s]\nhost = 127.0.0.1\nport = %s\ntls = off\nuser = joe\n' "$1" "$port"
		printf 'password = secret\nreceived = no\n'
		if [ $# -gt 1 ]; then
			echo "$2"
		else
			sed -n "/^\[$1\]/,/^\[/s/^mda/&/p" "$examples/config"
		fi
	} > "$work/config"
	chmod 600 "$work/config"
}

# fetch STATUS NAME
fetch() {
	mailhaul -f "$work/config" >"$work/out" 2>&1
	status=$?
	[ $status = "$1" ] || sed 's/^/# /' "$work/out" | head -n 20
	same "$2" $status "$1"
}

# A clean home for ACCOUNT, with the folders of the examples, and the server with SCRIPT's messages.
begin() {
	rm -rf "$home"
	for folder in inbox spam friends; do
		mkdir -p "$home/Mail/$folder/cur" "$home/Mail/$folder/new" "$home/Mail/$folder/tmp"
	done
	stop_pop3d
	start_pop3d "$work/$1"
}

# The messages in these files, less what a filter has put in front.
arrived() {
	sed -i '/^X-Bogosity: /d' "$@"
	cksum "$@" | cut -d ' ' -f 1,2 | sort
}

# whole NAME SUMS FILE...
whole() {
	name=$1 want=$2
	shift 2
	arrived "$@" > "$work/got"
	ok "$name: each message is here once and whole" diff "$work/got" "$work/$want"
	same "$name: it is gone from the server" "$(grep -c '^DELE' "$transcript")" \
		"$(grep -c . "$work/$want")"
}

# missing NAME: one skipped check.
missing() {
	tests=$((tests + 1))
	echo "ok $tests - $1 # SKIP it is not installed"
}

# The rules of an example, for this home; bogofilter knows a little, or is left out.
rules() {
	{
		case $1 in
		mailfilter) echo "BOGOFILTER_DIR=\"$work/words\"" ;;
		*) echo "BOGOFILTER_DIR=$work/words" ;;
		esac
		sed "s|\\\$HOME|$home|" "$examples/$1"
	} > "$work/$1"
	chmod 600 "$work/$1"
}

learn() {
	mkdir -p "$work/words"
	for n in 1 2 3 4 5; do
		bogofilter -s -d "$work/words" < "$work/want-few/2"
		bogofilter -n -d "$work/words" < "$work/want-few/9"
	done
}

has_bogofilter=
if command -v bogofilter >/dev/null; then
	has_bogofilter=yes
	learn
else
	missing bogofilter
fi

# folders NAME FRIENDS SPAM
folders() {
	same "$1: the list has its folder" "$(grep -l '^List-Id' "$2"/* | wc -l)/$(ls "$2" | wc -l)" 1/1
	[ -z "$has_bogofilter" ] || [ -z "$3" ] ||
		same "$1: spam is aside" "$(grep -l 'cheap pills' "$3"/* | wc -l)/$(ls "$3" | wc -l)" 1/1
}

# -- procmail ---------------------------------------------------------------------------------

if command -v procmail >/dev/null; then
	begin many
	rules procmailrc
	config procmail
	sed -i "/^mda/s|\$| $work/procmailrc|" "$work/config"
	fetch 0 "procmail takes all"
	folders procmail "$home/Mail/friends/new" "$home/Mail/spam/new"
	whole procmail many.sums "$home"/Mail/*/new/*

	begin few
	echo "DEFAULT=$home/mbox" > "$work/procmailrc"
	config procmail "mda = procmail -t -f %F $work/procmailrc"
	fetch 0 "procmail takes all into an mbox"
	split_mbox "$home/mbox" "$work/split"
	whole "procmail's mbox" few.split "$work/split"/*
	ok "procmail's mbox: the sender is in the From_ line" \
		grep -q '^From friend@example.org ' "$home/mbox"

	begin few
	rules procmailrc
	sed -i 's/bogofilter -p/bogofilter-is-broken/' "$work/procmailrc"
	config procmail "mda = procmail -t -f %F $work/procmailrc"
	fetch 0 "procmail takes all when the filter fails"
	whole "procmail and a broken filter" few.sums "$home"/Mail/*/new/*

	begin few
	rules procmailrc
	sed -i 's|^DEFAULT=.*|DEFAULT=/dev/full|' "$work/procmailrc"
	config procmail "mda = procmail -t -f %F $work/procmailrc"
	fetch 75 "procmail has no room in its inbox: later"
	same "and only what has a place elsewhere is deleted" \
		"$(grep '^DELE' "$transcript" | sort -u | wc -l)" \
		"$(find "$home/Mail" -type f | wc -l)"
else
	missing procmail
fi

# -- maildrop ---------------------------------------------------------------------------------

if command -v maildrop >/dev/null; then
	begin many
	rules mailfilter
	[ -n "$has_bogofilter" ] || sed -i '/bogofilter -p/d' "$work/mailfilter"
	config maildrop
	sed -i "/^mda/s|\$| $work/mailfilter|" "$work/config"
	fetch 0 "maildrop takes all"
	folders maildrop "$home/Mail/friends/new" "$home/Mail/spam/new"
	whole maildrop many.sums "$home"/Mail/*/new/*

	begin few
	echo "to \"$home/mbox\"" > "$work/mailfilter"
	config maildrop "mda = maildrop -f %F $work/mailfilter"
	fetch 0 "maildrop takes all into an mbox"
	split_mbox "$home/mbox" "$work/split"
	whole "maildrop's mbox" few.split "$work/split"/*

	begin few
	rules mailfilter
	sed -i 's/bogofilter -p/bogofilter-is-broken/' "$work/mailfilter"
	config maildrop "mda = maildrop -f %F $work/mailfilter"
	fetch 75 "maildrop's filter fails: later"
	same "and nothing is deleted" "$(grep -c '^DELE' "$transcript")" 0
else
	missing maildrop
fi

# -- dovecot-lda and Sieve --------------------------------------------------------------------

# dovecot-lda does not deliver to root: then all of it runs as another.
as=
if [ "$(id -u)" = 0 ]; then
	as='setpriv --reuid=65534 --regid=65534 --clear-groups'
fi
cp "$MAILHAUL" "$work/mailhaul"
begin many
mkdir -p "$home/.config/mailhaul"
cp "$examples/dovecot.sieve" "$home/.dovecot.sieve"
cp "$examples/dovecot-lda.conf" "$home/.config/mailhaul/"
config sieve
if [ -n "$as" ]; then
	chown -R 65534:65534 "$home" "$work/config"
fi
if [ ! -x $lda ] || ! ls /usr/lib/dovecot/modules/*sieve_plugin.so >/dev/null 2>&1; then
	missing "dovecot-lda with Sieve"
elif [ "$(dovecot --version | sed 's/\.[0-9].*//; s/^2$/2.3/')" != 2.3 ] ||
	! $as "$work/mailhaul" --version >/dev/null 2>&1; then
	missing "Dovecot 2.3 for an ordinary user"
else
	MAILHAUL=$work/mailhaul VALGRIND=$as
	fetch 0 "dovecot-lda takes all"
	folders dovecot-lda "$home/Maildir/.friends/new" ''
	whole dovecot-lda many.sums "$home"/Maildir/new/* "$home"/Maildir/.friends/new/*
	VALGRIND=
fi

# -- sendmail ---------------------------------------------------------------------------------

# The system's own would really send, so one of ours looks at how it is called.
begin few
mkdir "$work/bin"
cat > "$work/bin/sendmail" <<END
#!/bin/sh
echo "\$# \$*" >> "$work/calls"
exec cat >> "$work/sent"
END
chmod 755 "$work/bin/sendmail"
PATH=$work/bin:$PATH
config sendmail
fetch 0 "sendmail takes all"
same "the sender is handed on" "$(grep -c -e '^5 -i -f friend@example.org -- joe$' "$work/calls")" 1
same "a message without a sender has none" "$(grep -c -e '^5 -i -f  -- joe$' "$work/calls")" 3
same "and all of it went through" "$(wc -c < "$work/sent")" "$(cat "$work/want-few"/* | wc -c)"

# procmail makes it as soon as it starts; only root may remove it everywhere.
[ -n "$had_mail" ] || [ -s "/var/mail/$(id -un)" ] || rm -f "/var/mail/$(id -un)" 2>/dev/null
finish
