#!/bin/sh
# SPDX-License-Identifier: MIT
# certificates.t - whom is a login told to?  Every kind of certificate, by TLS at once and by STLS:
# where it is not accepted, the server's transcript has not one line of a login.
#
# Then our own certificate: against a real Dovecot that demands one, from a file and from a token.
. "$top_srcdir/tests/tap.sh"

command -v certtool >/dev/null || skip_all "there is no certtool here"
certs=$work/certs
mkdir "$certs"
sh "$top_srcdir/tests/make-certs.sh" "$certs" >"$work/make" 2>&1 || {
	sed 's/^/# /' "$work/make"
	echo "Bail out! no certificates"
	exit 1
}

config() {
	account "password = sesame-open" "keep = yes" "timeout = 5" "$@"
}

fetch() {
	mailhaul -f "$work/config" "$@" >"$work/out" 2>"$work/err"
}

serve() {
	printf 'tls %s\ncert %s\nuser joe sesame-open\nmessages 2 300\n' "$1" "$2" > "$work/script"
	start_pop3d "$work/script"
}

# Nothing of a login, in whatever form: by its verbs, its words and their base64.
nothing_told() {
	! grep -aE '^(USER|PASS|AUTH|APOP)|joe|sesame|c2VzYW1lLW9wZW4|am9l' "$transcript"
}

# judge NAME CERT WHAT OPTION...: what is "accepted", or an expression for the error.
judge() {
	name=$1 cert=$2 want=$3
	shift 3
	for way in implicit stls; do
		serve $way "$cert"
		config "tls = $way" "tls_ca_file = $certs/ca.pem" "$@"
		fetch
		status=$?
		if [ "$want" = accepted ]; then
			same "$name, $way: accepted" "$status $(ls "$work/box/new" 2>/dev/null | wc -l)" "0 2"
			same "$name, $way: nothing to say" "$(cat "$work/err")" ""
		else
			same "$name, $way: refused" "$status" 69
			ok "$name, $way: says why" grep -qE "^mailhaul: work: .*$want" "$work/err"
			ok "$name, $way: in one line that is whole" \
				test "$(wc -l < "$work/err")" = 1 -a "$(wc -c < "$work/err")" -lt 600
			ok "$name, $way: no login left us" nothing_told
			ok "$name, $way: but the server was there" grep -q '^-- tls failed' "$transcript"
		fi
		stop_pop3d
	done
}

# The pin, by another program.
pin_of() {
	certtool -i --infile "$certs/$1.pem" | sed -n 's/^.*pin-sha256:/sha256\/\//p' | head -n 1
}
right=$(pin_of server)
other=$(pin_of wronghost)
hex=$(certtool -i --infile "$certs/server.pem" |
	sed -n 's/^[[:blank:]]*sha256:\([0-9a-f]\{64\}\)$/\1/p' | tail -n 1)
here="host = localhost"
address="host = 127.0.0.1"

judge "right" server accepted "$here"
judge "right, by address" server accepted "$address"
judge "an address alone" address accepted "$address"
judge "an address alone, by name" address \
	"refused for localhost: it is not for this host; .*127.0.0.1" "$here"
judge "a host called like an address" textaddress "not for this host" "$address"
not_here="it is not for this host; it is for elsewhere.example.org, issued by CN=ca"
judge "wrong host" wronghost \
	"refused for localhost: $not_here, its key is sha256//[A-Za-z0-9+/]{43}=; set host, or tls" \
	"$here"
judge "wrong host that is expected" wronghost accepted "$here" "tls_host = elsewhere.example.org"
judge "right, but another is expected" server "refused for elsewhere.example.org: it is not for" \
	"$here" "tls_host = elsewhere.example.org"
judge "expired" expired "it has expired \(2001-12-31\);.*the provider must renew it" "$here"
judge "not yet valid" notyet "not valid yet \(2099-01-01\);.*clock" "$here"
judge "self-signed" selfsigned "its issuer is unknown;.*self-signed by .*tls_pin" "$here"
judge "wrong authority" wrongca "its issuer is unknown;.*issued by CN=unknown.*tls_ca_file" "$here"
judge "wrong usage" client "it is not meant for servers" "$here"
judge "a NUL in the name" nulname \
	'not for this host; it is for localhost.x00.elsewhere.example.org' "$here"

judge "pin: right" server accepted "$here" "tls_pin = $right"
judge "pin: in hexadecimal" server accepted "$here" "tls_pin = $hex"
judge "pin: the second of two" server accepted "$here" "tls_pin = $other, $right"
judge "pin: self-signed" selfsigned accepted "$here" "tls_pin = $(pin_of selfsigned)"
judge "pin: expired" expired accepted "$here" "tls_pin = $(pin_of expired)"
judge "pin: another host" wronghost accepted "$here" "tls_pin = $other"
judge "pin: wrong, all else right" server \
	"refused for localhost: its key is not one of tls_pin; it is for localhost, .*its key is $(
		echo "$right" | sed 's/[+]/[+]/g')" "$here" "tls_pin = $other"

# A pin that is none ends the run before anybody is dialled, with its line.
port=1
config "$here" "tls_pin = $right sha256//oops"
fetch
same "a pin that is none: status" $? 78
ok "a pin that is none: file and line" grep -qE \
	"^mailhaul: .*config:9: tls_pin: 'sha256//oops' is not a pin" "$work/err"

# -- what is shown ------------------------------------------------------------------------------

for cert in server selfsigned expired nulname; do
	serve stls "$cert"
	mailhaul --server-info "pop3://localhost:$port" -o "tls_ca_file=$certs/ca.pem" \
		>"$work/out" 2>"$work/err"
	same "--server-info, $cert: status" $? 0
	same "--server-info, $cert: the pin to paste" "$(grep '^tls_pin' "$work/out")" \
		"tls_pin = $(pin_of $cert)"
	ok "--server-info, $cert: CAPA without and with TLS" \
		test "$(grep -c '^CAPA with' "$work/out")" = 2
	ok "--server-info, $cert: no login" nothing_told
	case $cert in
	server) ok "--server-info, $cert: accepted" grep -qx 'accepted: yes' "$work/out" ;;
	*) ok "--server-info, $cert: not accepted" grep -q \
		'^accepted: no: the certificate was refused' "$work/out" ;;
	esac
	ok "--server-info, $cert: fit for a terminal" sh -c "! LC_ALL=C grep -q '[^ -~]' '$work/out'"
	stop_pop3d
done

# -- its end is near ----------------------------------------------------------------------------

serve implicit soon
config "$here" "tls = implicit" "tls_ca_file = $certs/ca.pem"
fetch
same "soon over: fetched" "$? $(ls "$work/box/new" | wc -l)" "0 2"
ok "soon over: a warning" grep -qE \
	'^mailhaul: work: the certificate of localhost ends in 4 days, on 20' "$work/err"
fetch
same "soon over: not twice a day" "$(cat "$work/err")" ""
touch -d '25 hours ago' "$work/home/.local/state/mailhaul/work/warned"
fetch
ok "soon over: again the next day" grep -q 'ends in 4 days' "$work/err"
config "$here" "tls = implicit" "tls_pin = $(pin_of soon)"
fetch
same "soon over: not with a pin" "$(cat "$work/err")" ""
stop_pop3d

# -- priorities ---------------------------------------------------------------------------------

serve implicit server
config "$here" "tls = implicit" "tls_ca_file = $certs/ca.pem" "tls_priorities = NORMAL:-VERS-TLS1.3"
fetch -v
ok "tls_priorities are obeyed" grep -q 'certificate accepted, TLS1.2' "$work/err"
config "$here" "tls = implicit" "tls_ca_file = $certs/ca.pem" "tls_priorities = NORMAL:+BOGUS:+TOO"
fetch
same "bad priorities: status" $? 78
ok "bad priorities: where" grep -q "tls_priorities: cannot be read from character 8 on: '+BOGUS" \
	"$work/err"
stop_pop3d
printf 'tls implicit\ntls-priority NORMAL:-VERS-ALL:+VERS-TLS1.1\nmessages 1 300\n' > "$work/script"
start_pop3d "$work/script"
config "$here" "tls = implicit" "tls_ca_file = $certs/ca.pem" "tls_priorities = NORMAL"
fetch
same "a string without versions brings no old ones back" $? 69
stop_pop3d

# -- our own ------------------------------------------------------------------------------------

MORE="ssl_ca = <$certs/ca.pem
ssl_verify_client_cert = yes
ssl_require_crl = no
auth_ssl_username_from_cert = yes
auth_ssl_require_client_cert = yes
auth_mechanisms = external plain"
export MORE
if ! start_dovecot; then
	skip "our own certificate" "there is no dovecot that starts here"
	finish
fi
printf 'joe:{PLAIN}::::::nopassword=y\n' > "$server/users"
printf 'Subject: hello\n\nworld\n' > "$server/mail/joe/new/1.M1.test"
$dovecot own "$server"
port=$(cat "$server/tlsport")

own() {
	config "$here" "tls = implicit" "tls_ca_file = $server/ca.pem" "$@"
	sed -i '/^password/d' "$work/config"
}

own "auth = external" "tls_cert = $certs/joe.pem" "tls_key = $certs/joe.key"
fetch
same "our certificate is the login" "$? $(ls "$work/box/new" 2>/dev/null | wc -l)" "0 1"
cat "$certs/joe.pem" "$certs/joe.key" > "$work/both.pem"
chmod 600 "$work/both.pem"
own "auth = external" "tls_cert = $work/both.pem"
fetch
same "certificate and key in one file" "$? $(ls "$work/box/new" 2>/dev/null | wc -l)" "0 1"
own "auth = external"
fetch
same "without one: refused" "$(($? != 0))" 1
own "auth = external" "tls_cert = $certs/joe.pem" "tls_key = $certs/server.key"
fetch
same "another's key: status" $? 78
ok "another's key: says so" grep -q 'tls_key is not the key of this certificate' "$work/err"
chmod 644 "$work/both.pem"
own "auth = external" "tls_cert = $work/both.pem"
fetch
same "a key that others can read: status" $? 78
ok "a key that others can read: what to do" grep -q 'chmod 600' "$work/err"
own "auth = external" "tls_key = $certs/joe.key"
fetch
same "a key without a certificate" $? 78
own "auth = external" "tls_cert = $work/none.pem"
fetch
ok "a certificate that is not there" grep -qE "tls_cert .*none.pem: No such file" "$work/err"

# -- a token ------------------------------------------------------------------------------------

module=$(find /usr/lib -name libsofthsm2.so 2>/dev/null | head -n 1)
if [ -z "$module" ] || ! command -v softhsm2-util >/dev/null ||
	! command -v p11tool >/dev/null; then
	skip "a certificate in a token" "there is no softhsm2 and p11tool here"
	finish
fi
mkdir "$work/tokens"
echo "directories.tokendir = $work/tokens" > "$work/softhsm2.conf"
SOFTHSM2_CONF=$work/softhsm2.conf
export SOFTHSM2_CONF
softhsm2-util --init-token --free --label mailtest --pin 4711 --so-pin 0815 >/dev/null
for thing in "--load-privkey $certs/joe.key" "--load-certificate $certs/joe.pem"; do
	GNUTLS_PIN=4711 p11tool --provider "$module" --login --write $thing --label joe --batch \
		'pkcs11:token=mailtest' >/dev/null 2>&1
done

# The program as before, with the token in reach.  What such modules leak is no business of ours.
fetch() {
	env -i HOME="$work/home" PATH="$PATH" LC_ALL=C SOFTHSM2_CONF="$SOFTHSM2_CONF" \
		ASAN_OPTIONS=detect_leaks=0 \
		"$MAILHAUL" -f "$work/config" >"$work/out" 2>"$work/err" </dev/null
}

token='pkcs11:token=mailtest;object=joe;type='
own "auth = external" "tls_cert = \"${token}cert\"" "tls_key = \"${token}private?pin-value=4711\""
fetch
same "a token" "$? $(ls "$work/box/new" 2>/dev/null | wc -l)" "0 1"
printf 4711 > "$work/pin"
own "auth = external" "tls_cert = \"${token}cert\"" \
	"tls_key = \"${token}private?pin-source=$work/pin\""
fetch
same "its PIN in a file" "$? $(ls "$work/box/new" 2>/dev/null | wc -l)" "0 1"
own "auth = external" "tls_cert = \"${token}cert\"" "tls_key = \"${token}private?pin-value=1234\""
fetch
same "a wrong PIN: status" $? 78
ok "a wrong PIN: says so" grep -q 'refused the PIN, which was tried once' "$work/err"
ok "a wrong PIN: is not shown" sh -c "! grep -q 1234 '$work/err'"
own "auth = external" "tls_cert = \"${token}cert\"" "tls_key = \"${token}private\""
fetch
same "no PIN: status" $? 78
ok "no PIN: what to do" grep -q 'pin-source' "$work/err"
finish
