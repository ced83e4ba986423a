#!/bin/sh
# SPDX-License-Identifier: MIT
#
# make-certs.sh DIR - certificates for the test suite, made afresh: NAME.pem and NAME.key in DIR.
#
#   ca         the test authority; the only one that a test trusts
#   server     for localhost, 127.0.0.1 and ::1, signed by ca: the one that is right
#   wronghost  for another host
#   expired    was valid in 2001
#   notyet     will be valid in 2099
#   wrongca    right, but signed by an authority that nobody knows
#   selfsigned right, but signed by itself
#   client     right, but only for clients
#   nulname    for "localhost", a NUL, and ".elsewhere.example.org"
#   address    for the address 127.0.0.1 and no name
#   textaddress  for a host that is called "127.0.0.1"
#   soon       right, and ends in five days
#   joe        a client certificate of joe, for logging in
#
# Keys are P-256.  Needs certtool (GnuTLS).  Prints nothing; exit status 1 with what certtool said.
set -eu

[ $# -eq 1 ] || { echo "usage: make-certs.sh DIR" >&2; exit 2; }
mkdir -p "$1"
cd "$1"
umask 077

quietly() {
	certtool "$@" >certtool.log 2>&1 || { cat certtool.log >&2; exit 1; }
}

key() {
	quietly --generate-privkey --key-type ecdsa --curve secp256r1 --no-text --outfile "$1.key"
}

# template NAME LINE...: validity comes from the template lines, or is ten years from now.
template() {
	name=$1
	shift
	printf '%s\n' "cn = \"$name\"" "$@" >"$name.tmpl"
}

authority() {
	key "$1"
	template "$1" ca cert_signing_key "expiration_days = 3650"
	quietly --generate-self-signed --load-privkey "$1.key" --template "$1.tmpl" \
		--no-text --outfile "$1.pem"
}

# signed NAME CA LINE...
signed() {
	name=$1 ca=$2
	shift 2
	key "$name"
	template "$name" signing_key "$@"
	quietly --generate-certificate --load-privkey "$name.key" --load-ca-privkey "$ca.key" \
		--load-ca-certificate "$ca.pem" --template "$name.tmpl" --no-text --outfile "$name.pem"
}

here='dns_name = "localhost"
ip_address = "127.0.0.1"
ip_address = "::1"'
years='expiration_days = 3650'

authority ca
authority unknown
signed server ca "$here" "$years" tls_www_server
signed wronghost ca 'dns_name = "elsewhere.example.org"' "$years" tls_www_server
signed expired ca "$here" tls_www_server \
	'activation_date = "2001-01-01 00:00:00"' 'expiration_date = "2001-12-31 00:00:00"'
signed notyet ca "$here" tls_www_server \
	'activation_date = "2099-01-01 00:00:00"' 'expiration_date = "2099-12-31 00:00:00"'
signed wrongca unknown "$here" "$years" tls_www_server
signed client ca "$here" "$years" tls_www_client

signed address ca 'ip_address = "127.0.0.1"' "$years" tls_www_server
signed textaddress ca 'dns_name = "127.0.0.1"' "$years" tls_www_server
signed soon ca "$here" tls_www_server 'expiration_days = 5'
# SEQUENCE { [2] "localhost\0.elsewhere.example.org" }, for no template can hold a NUL.
nul_name=302282206c6f63616c686f7374002e656c736577686572652e6578616d706c652e6f7267
signed nulname ca "$years" tls_www_server "add_extension = \"2.5.29.17 0x$nul_name\""
signed joe ca "$years" tls_www_client

key selfsigned
template selfsigned "$here" "$years" signing_key tls_www_server
quietly --generate-self-signed --load-privkey selfsigned.key --template selfsigned.tmpl \
	--no-text --outfile selfsigned.pem
rm -f ./*.tmpl certtool.log unknown.key
