#!/bin/sh
# SPDX-License-Identifier: MIT
# logins.t - every mechanism against a real Dovecot: over TLS, STLS and in clear, with the right
# password, a wrong one, and a token that expires; and that no secret is left anywhere.
#
# Users: those of dovecot.sh; "hash", whose password is stored hashed, and "client", who has a
# certificate.  For XOAUTH2 and OAUTHBEARER the password is the token.  Skipped where there is no
# Dovecot or no certtool.
. "$top_srcdir/tests/tap.sh"

MORE="auth_mechanisms = plain login apop cram-md5 scram-sha-1 scram-sha-256 xoauth2 oauthbearer
auth_mechanisms = \$auth_mechanisms external
auth_ssl_username_from_cert = yes
ssl_ca = <$server/ca.pem
ssl_verify_client_cert = yes
ssl_require_crl = no
passdb {
  driver = static
  mechanisms = external
  args = nopassword=y
}"
export MORE
start_dovecot || skip_all "there is no dovecot, or no certtool, or it does not start"
hashed=$(doveadm pw -s SHA512-CRYPT -p sesame 2>/dev/null) || hashed=
[ -z "$hashed" ] || echo "hash:$hashed::::::" >> "$server/users"

# message USER: one more in its mailbox.
message() {
	mkdir -p "$server/mail/$1/new" "$server/mail/$1/cur" "$server/mail/$1/tmp"
	printf 'Subject: one for %s\n\nText.\n' "$1" > "$server/mail/$1/new/1.M$$.test"
	dovecot_own
}

# config CHANNEL LINE...
config() {
	case $1 in
	tls) port=$(cat "$server/tlsport") how=implicit ;;
	stls) port=$(cat "$server/port") how=stls ;;
	clear) port=$(cat "$server/port") how=off ;;
	esac
	shift
	{
		printf '[work]\nhost = 127.0.0.1\nport = %s\ntls = %s\nkeep = yes\n' "$port" "$how"
		[ $how = off ] || printf 'tls_ca_file = %s/ca.pem\n' "$server"
		printf 'maildir = %s/box\n' "$work"
		printf '%s\n' "$@"
	} > "$work/config"
	chmod 600 "$work/config"
	rm -rf "$work/home/.local" "$work/box"
}

# try NAME STATUS ARGUMENT...: the run ends so, and nothing that it says is a secret.
try() {
	name=$1
	want=$2
	shift 2
	mailhaul -f "$work/config" -v "$@" >"$work/trace" 2>&1
	got=$?
	[ $got = "$want" ] || sed 's/^/# /' "$work/trace"
	same "$name" $got "$want"
	cat "$work/trace" >> "$work/traces"
	state=$work/home/.local/state/mailhaul
	[ ! -d "$state" ] || cat "$state"/*/journal >> "$work/journals"
	[ "$want" != 0 ] || [ -n "$(ls "$work/box/new" 2>/dev/null)" ] || [ -n "$empty" ] ||
		same "$name: mail" none some
}

printf 'cat "%s/next"\necho sesame > "%s/next"\n' "$work" "$work" > "$work/renew"
message joe
empty=
: > "$work/traces"
: > "$work/journals"

# -- the matrix -----------------------------------------------------------------------------

for channel in tls stls clear; do
	for auth in user plain login apop cram-md5 scram-sha-1 scram-sha-256 xoauth2 oauthbearer; do
		config $channel "user = joe" "auth = $auth" "password = sesame"
		try "$auth, $channel" 0
		config $channel "user = joe" "auth = $auth" "password = Wr0ng-horse-battery"
		try "$auth, $channel, wrong" 77
		config $channel "user = joe" "auth = $auth" "password_command = sh $work/renew"
		echo Expired-horse > "$work/next"
		try "$auth, $channel, expired, then renewed" 0
	done
	config $channel "user = joe" "token_command = echo sesame"
	try "a token by itself, $channel" 0
	ok "is said by XOAUTH2, $channel" grep -q '^mailhaul: work: > AUTH XOAUTH2$' "$work/trace"
	config $channel "user = joe" "password = sesame"
	try "auto, $channel" 0
done

# -- hashed passwords -------------------------------------------------------------------------

if [ -n "$hashed" ]; then
	message hash
	for channel in tls stls; do
		config $channel "user = hash" "password = sesame"
		try "auto with a hashed password, $channel" 0
		for auth in user plain login; do
			config $channel "user = hash" "password = sesame" "auth = $auth"
			try "$auth with a hashed password, $channel" 0
		done
		config $channel "user = hash" "password = sesame" "auth = scram-sha-256"
		try "SCRAM with a hashed password, $channel" 77
	done
	config clear "user = hash" "password = sesame"
	try "in clear SCRAM is tried and refused" 77
	ok "and PLAIN is not tried behind it" \
		sh -c "! grep -qE '> (AUTH (PLAIN|LOGIN)|PASS)' '$work/trace'"
	ok "which is explained" grep -q 'chosen because there is no TLS' "$work/trace"
fi

# -- other ways in ----------------------------------------------------------------------------

empty=yes
for channel in tls stls; do
	config $channel "user = client" "auth = external" "tls_cert = $server/client.pem" \
		"tls_key = $server/client.key"
	try "EXTERNAL with a certificate, $channel" 0
	config $channel "user = client" "auth = external"
	try "EXTERNAL without one, $channel" 77
done
config tls "user = joe" "auth = scram-sha-256-plus" "password = sesame"
try "-PLUS is not offered" 69
config tls "user = odd" "password_file = $work/pw"
printf '%s\n' "p;a#s \"x'\\y" > "$work/pw"
chmod 600 "$work/pw"
for auth in user plain login apop cram-md5 scram-sha-1 scram-sha-256; do
	try "a hard password by $auth" 0 -o auth=$auth
done
head -c 5000 /dev/zero | tr '\0' 'x' > "$work/long"
config tls "user = joe" "token_command = cat $work/long"
mailhaul -f "$work/config" >"$work/trace" 2>&1
same "a token of 5000 bytes that is wrong is refused in good order" $? 77
ok "with its reason" grep -q 'its reason: {"status":"' "$work/trace"

# -- what is left -----------------------------------------------------------------------------

coded='c2VzYW1l|zZXNhbWU|V3Iwbmc|XcjBuZ|RXhwaXJlZ|FeHBpcmVk'
ok "no secret in the traces" \
	sh -c "! grep -qE 'sesame|Wr0ng|Expired-horse|$coded' '$work/traces'"
ok "nor in the journals" sh -c "! grep -qE 'sesame|c2VzYW1l|Wr0ng|Expired' '$work/journals'"
finish
