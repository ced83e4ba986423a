#!/bin/sh
# SPDX-License-Identifier: MIT
# mailutils.t - a second real server: GNU mailutils' pop3d, which has no AUTH, a timestamp in its
# greeting though it refuses APOP, and sizes that are not those of its messages.
#
# Over TLS, STLS and in clear, with the right and a wrong password.  Skipped where it is not
# installed (Debian: mailutils-pop3d) or does not start.
. "$top_srcdir/tests/tap.sh"

PATH=$PATH:/usr/sbin
command -v pop3d >/dev/null || skip_all "there is no pop3d of mailutils here"
command -v certtool >/dev/null || skip_all "there is no certtool here"
[ "$(id -u)" = 0 ] || skip_all "pop3d needs root"
server=$work/server
mkdir -p "$server/domains" "$server/mail" "$server/locks"
chmod 755 "$work" "$server"
sh "$top_srcdir/tests/make-certs.sh" "$server"
hash=$(openssl passwd -6 sesame 2>/dev/null) || skip_all "there is no openssl here"
echo "joe:$hash:65534:65534:Joe:$server/mail:/bin/false" > "$server/domains/example.org"
port=$((20000 + $$ % 20000))
cat > "$server/conf" <<END
mode daemon;
pidfile "$server/pid";
logging { syslog no; }
auth { authentication generic; authorization virtdomain; }
virtdomain { passwd-dir "$server/domains"; }
mandatory-locking { enable yes; lock-directory "$server/locks"; }
tls {
  ssl-certificate-file "$server/server.pem";
  ssl-key-file "$server/server.key";
  ssl-ca-file "$server/ca.pem";
}
server 127.0.0.1:$port { tls-mode ondemand; }
server 127.0.0.1:$((port + 1)) { tls-mode connection; }
END
for n in 1 2 3; do
	printf 'From x Thu Jan  1 00:00:00 2026\nSubject: number %s\n\nText %s.\n\n' $n $n
done > "$server/mail/INBOX"
chown -R nobody "$server/mail"
pop3d --config-file="$server/conf" --foreground >"$server/log" 2>&1 &
pop3d_pid=$!
sleep 0.5
if ! kill -0 $pop3d_pid 2>/dev/null; then
	sed 's/^/# /' "$server/log"
	skip_all "it does not start here"
fi

# config PORT TLS LINE...
config() {
	{
		printf '[work]\nhost = 127.0.0.1\nport = %s\ntls = %s\nkeep = yes\n' "$1" "$2"
		[ "$2" = off ] || printf 'tls_ca_file = %s/ca.pem\n' "$server"
		shift 2
		printf 'user = joe@example.org\nmaildir = %s/box\n' "$work"
		printf '%s\n' "$@"
	} > "$work/config"
	chmod 600 "$work/config"
}

fetch() {
	mailhaul -f "$work/config" -v >"$work/trace" 2>&1
	status=$?
	[ $status = "$1" ] || sed 's/^/# /' "$work/trace"
	same "$2" $status "$1"
}

config $port off "password = sesame" "auth = user"
fetch 0 "USER in clear"
same "all mail is here" "$(ls "$work/box/new" | wc -l)" 3
config $port off "password = sesame"
fetch 77 "in clear its timestamp promises APOP, which it refuses"
ok "and nothing else is tried" sh -c "! grep -q '> PASS' '$work/trace'"
rm -rf "$work/home/.local"
mv "$work/box" "$work/first"
config $port stls "password = sesame"
fetch 0 "auto, STLS"
config $((port + 1)) implicit "password = sesame"
fetch 0 "auto, TLS"
config $((port + 1)) implicit "password = Wr0ng"
fetch 77 "a wrong password"
config $((port + 1)) implicit "password = sesame" "auth = plain"
fetch 69 "PLAIN is not offered"
same "nothing came twice" "$(ls "$work/box/new" | wc -l)" 3
same "and it is the same mail" "$(cat "$work"/box/new/* | grep -c '^Text [123]')" 3
finish
