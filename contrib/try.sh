#!/bin/sh
# SPDX-License-Identifier: MIT
# try.sh [--keep] - shows mailhaul at work: nothing to prepare, nothing to clean up.
#
# Installs what is missing (packages.sh), builds a copy of this tree in a temporary directory,
# starts a private Dovecot on loopback with the same sample mail for two users, and fetches it:
# one account into a Maildir over TLS, leaving it on the server, the other into an mbox over STLS,
# taking it away.  A second run shows that nothing comes twice.  What came is then compared.
#
# Nothing is written to this tree or your home: mailhaul gets one in the temporary directory.  In
# the end the server is stopped and the directory removed, or kept with --keep.  Exit status 0 if
# all is as it should be, else 1 (64: wrong usage).
set -eu
keep=no
case $* in
'') ;;
--keep) keep=yes ;;
*) echo 'usage: try.sh [--keep]' >&2; exit 64 ;;
esac

export LC_ALL=C
unset MAKEFLAGS MFLAGS MAKELEVEL CDPATH XDG_CONFIG_HOME XDG_STATE_HOME XDG_DATA_HOME XDG_CACHE_HOME
umask 022
exec </dev/null
root=$(cd "$(dirname "$0")/.." && pwd)

# Whatever the end is.  Once it has begun, nothing interrupts it.
finish()
{
	status=$?
	trap '' EXIT HUP INT PIPE TERM
	set +e
	sh "$root/tests/dovecot.sh" stop "$work/server"
	if [ $keep = yes ]; then
		echo "Kept: $work (the program in src, its home in home, the server's mail in server)"
	else
		rm -rf "$work"
	fi
	exit $status
}

wrong()
{
	echo "Not as it should be: $1"
	exit 1
}

# Hundredths of a second since the machine started; as a text, since such a point of time.
now()
{
	read -r up _ </proc/uptime
	echo "${up%.*}${up#*.}"
}

since()
{
	spent=$(($(now) - $1))
	printf '%d.%02d s\n' $((spent / 100)) $((spent % 100))
}

# step TEXT FUNCTION: what the function prints goes to a log, which is shown if it fails.
step()
{
	printf '%s ... ' "$1"
	begun=$(now)
	if ! ("$2") >"$work/log" 2>&1; then
		echo failed
		tail -n 30 "$work/log"
		exit 1
	fi
	since "$begun"
}

# What was built in the tree before is not copied.  A release needs no autotools.
build()
{
	mkdir "$work/src"
	tar -C "$root" -cf - --exclude=.git --exclude=.deps --exclude=autom4te.cache \
		--exclude='./_*' --exclude='*.[ao]' --exclude=config.status . | tar -C "$work/src" -xof -
	cd "$work/src" && chmod -R u+rwX . &&
		if [ -e "$root/.git" ] || [ ! -f configure ]; then autoreconf -i; fi &&
		./configure -q && make -s -j"$(getconf _NPROCESSORS_ONLN)" mailhaul
}

# Not to be interrupted: a server that is half started could not be stopped.
serve()
{
	trap '' HUP INT TERM
	sh "$root/contrib/try-messages.sh" "$work/letters" &&
		mkdir -p "$work/server/mail/joe" "$work/server/mail/ann" &&
		cp -R "$work/letters" "$work/server/mail/joe/new" &&
		cp -R "$work/letters" "$work/server/mail/ann/new" &&
		sh "$root/tests/dovecot.sh" start "$work/server"
}

configure_mailhaul()
{
	umask 077 # a file that holds a password must be its owner's alone
	mkdir -p "$HOME/.config/mailhaul" "$HOME/Mail"
	cp "$work/server/ca.pem" "$HOME/ca.pem"
	cat >"$HOME/.config/mailhaul/config" <<-CONFIG
	[defaults]
	host = localhost
	# better: password_command = pass show mail
	password = sesame
	tls_ca_file = ~/ca.pem    ; this server's certificate is home-made

	[work]
	port = $(cat "$work/server/tlsport")
	tls = implicit            ; from the first byte; understood with port 995
	user = joe
	maildir = ~/Mail/work
	keep = yes                ; leave copies on the server

	[isp]
	port = $(cat "$work/server/port")
	tls = stls                ; understood with port 110
	user = ann
	mbox = ~/Mail/isp
	CONFIG
}

# What a person would type and see, and two facts more.
fetch()
{
	printf '\n$ mailhaul\n'
	begun=$(now) status=0
	mailhaul || status=$?
	echo "(exit status $status, $(since "$begun"))"
	[ $status = 0 ] || wrong 'the exit status'
}

# tell ACCOUNT PLACE COUNT USER LEFT: what an account came to, and whether that is right.
tell()
{
	left=$(find "$work/server/mail/$4/new" "$work/server/mail/$4/cur" -type f | wc -l)
	printf '  %-6s%d messages in %s, %d left on the server\n' "$1:" "$3" "$2" "$left"
	[ "$3" = "$sent" ] && [ "$left" = "$5" ] || wrong "not $sent, or not $5 left"
}

# Messages as an mbox would hold them.
as_mbox()
{
	awk 'FNR == 1 { print gap "From "; gap = "\n" }
		{ print (/^>*From / ? ">" : "") $0 }
		END { print "" }' "$@"
}

# An mbox without what mailhaul adds: what follows "From ", and one Received header.
bare()
{
	awk '/^From / { front = 1; print "From "; next }
		front == 1 && /^Received: / || front == 2 && /^[ \t]/ { front = 2; next }
		{ front = 0; print }' "$@"
}

. "$root/contrib/packages.sh"
packages_need $packages_build gnutls-bin dovecot-pop3d || exit 1
work=$(mktemp -d "${TMPDIR:-/tmp}/mailhaul-try.XXXXXX")
trap finish EXIT
trap 'echo; exit 1' HUP INT TERM
trap 'exit 1' PIPE
chmod 711 "$work" # Dovecot, started by root, reads its mail as somebody else
export HOME="$work/home" PATH="$work/src:$PATH"

step 'Building mailhaul' build
step 'Starting a Dovecot on 127.0.0.1 with mail for joe and ann' serve
configure_mailhaul
printf '\nThe configuration, ~/.config/mailhaul/config in a home of its own:\n\n'
sed 's/^./    &/' "$HOME/.config/mailhaul/config"
fetch
fetch
if [ ! -t 2 ] || [ "${TERM:-dumb}" = dumb ]; then
	echo '(Without a terminal it says nothing while all is well, so cron sends no mail.)'
fi

printf '\nWhat came of it:\n'
sent=$(ls "$work/letters" | wc -l)
tell work '~/Mail/work (Maildir)' "$(ls "$HOME/Mail/work/new" | wc -l)" joe "$sent"
tell isp '~/Mail/isp (mbox)' "$(grep -c '^From ' "$HOME/Mail/isp")" ann 0
as_mbox "$work/letters"/* >"$work/want"
as_mbox "$HOME/Mail/work/new"/* | bare | cmp - "$work/want" || wrong 'messages in the Maildir'
bare "$HOME/Mail/isp" | cmp - "$work/want" || wrong 'messages in the mbox'
echo "In both places all $sent messages equal the server's copies byte for byte, but"
echo 'for the Received header that mailhaul puts in front of each.'
printf '\nSome of them, as they lie in ~/Mail/work/new (bytes, sender, subject):\n\n'
awk 'function row() { if (subject !~ /^Re: /) printf "%8d  %-20s  %s\n", size, from, subject }
	FNR == 1 { if (NR > 1) row(); header = 1; size = 0 }
	{ size += length($0) + 1 }
	/^$/ { header = 0 }
	header && sub(/^Subject: /, "") { subject = $0 }
	header && sub(/^From: /, "") { gsub(/"| <.*/, ""); from = $0 }
	END { row() }' "$HOME/Mail/work/new"/*
cat <<END

Where to go from here, in $root:
  man ./man/mailhaul.1           what mailhaul does, and how to call it
  man ./man/mailhaul-config.5    what can be configured
  less README                    how to build and install it
END
