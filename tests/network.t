#!/bin/sh
# SPDX-License-Identifier: MIT
# network.t - the ways to a server: through a SOCKS5 proxy, through a tunnel, past an IPv6 address
# that swallows everything, and names that are none.
#
# The last part needs root, for a network of its own; real mail needs Dovecot.
. "$top_srcdir/tests/tap.sh"

RELAY=${RELAY:-$top_builddir/tests/relay}
relay_pid=
transcript=$work/transcript

start_proxy() {
	rm -f "$work/gate" "$work/log"
	: > "$work/log"
	"$RELAY" socks -l "$work/log" -m pop.internal 127.0.0.1 "$@" "$work/gate" &
	relay_pid=$!
	waited=0
	until [ -s "$work/gate" ] || [ $waited -gt 200 ]; do
		waited=$((waited + 1))
		sleep 0.02
	done
	gate=$(cat "$work/gate")
}

stop_proxy() {
	[ -n "$relay_pid" ] || return 0
	kill $relay_pid 2>/dev/null
	wait $relay_pid 2>/dev/null
	relay_pid=
}
trap 'stop_proxy; stop_pop3d; stop_dovecot; rm -rf "$work"' EXIT

config() {
	account "password = sesame-open" "keep = yes" "timeout = 3" "connect_timeout = 3" "$@" \
		"complain_after = 0"
}

fetch() {
	: > "$transcript"
	mailhaul -f "$work/config" "$@" >"$work/out" 2>"$work/err"
	status=$?
}

# fetched NAME: it went well, without a word.
fetched() {
	same "$1" "$status $(ls "$work/box/new" 2>/dev/null | wc -l) $(cat "$work/err")" "0 2 "
}

# refused NAME STATUS EXPRESSION
refused() {
	same "$1: status" "$status" "$2"
	ok "$1: says why" grep -qE "^mailhaul: work: $3" "$work/err"
	ok "$1: one line" test "$(wc -l < "$work/err")" = 1
	ok "$1: no password left us" sh -c "! grep -qE '^(PASS|AUTH)' '$transcript'"
}

serve() {
	printf 'tls %s\nuser joe sesame-open\nmessages 2 300\n' "$1" > "$work/script"
	start_pop3d "$work/script"
}

certs=$work/certs
mkdir "$certs"
sh "$top_srcdir/tests/make-certs.sh" "$certs" >/dev/null 2>&1 || certs=

# -- a proxy ------------------------------------------------------------------------------------

plain="tls = off"
serve off
start_proxy
config "host = pop.internal" "$plain" "allow_cleartext = yes" "proxy = socks5://127.0.0.1:$gate"
fetch
fetched "by a name that only the proxy knows"
same "the proxy was asked for the name" "$(cat "$work/log")" "name pop.internal $port nobody"
config "host = 127.0.0.1" "$plain" "allow_cleartext = yes" "proxy = socks5h://localhost:$gate"
fetch
fetched "by an address"
same "the proxy was asked for the address" "$(tail -n 1 "$work/log")" "ipv4 127.0.0.1 $port nobody"
config "host = 127.0.0.1" "$plain" "proxy = socks5://127.0.0.1:$gate"
fetch
refused "a loopback address behind a proxy is not this machine" 69 ".*"
config "host = nowhere.internal" "$plain" "allow_cleartext = yes" "proxy = socks5://127.0.0.1:$gate"
fetch
refused "a name that the proxy does not know" 75 \
	"the proxy 127.0.0.1 does not connect us to nowhere.internal port $port: .*unknown \(code 4\)"
stop_proxy
fetch
refused "no proxy there" 69 \
	"proxy: cannot connect to 127.0.0.1 port $gate \(127.0.0.1: Connection refused\)"

start_proxy -a 'jo e' 'p@ss:%w'
config "host = pop.internal" "$plain" "allow_cleartext = yes" \
	"proxy = socks5://jo%20e:p%40ss:%25w@127.0.0.1:$gate"
fetch
fetched "with a login"
same "the login has arrived" "$(cat "$work/log")" "name pop.internal $port jo e"
fetch -v
ok "which -v does not show" sh -c "! grep -qE 'p@ss|p%40ss|cEBzc' '$work/err'"
mailhaul -f "$work/config" --print-config >"$work/out" 2>"$work/err"
ok "nor --print-config" grep -qxF 'proxy = ***' "$work/out"
sed -i 's/%25w/wrong/' "$work/config"
rm -rf "$work/box" "$work/home"/.local
fetch
refused "a wrong login" 69 ".* it refused the user or password"
ok "a wrong login: is not shown" sh -c "! grep -q wrong '$work/err'"
config "host = pop.internal" "$plain" "proxy = socks5://127.0.0.1:$gate"
fetch
refused "no login" 69 ".* it wants a login; set proxy = socks5://USER:PASSWORD@HOST"
stop_proxy

start_proxy -x drip
config "host = pop.internal" "$plain" "allow_cleartext = yes" "proxy = socks5://127.0.0.1:$gate"
fetch
fetched "a proxy that speaks octet by octet"
stop_proxy
for row in "mute 75 .*no answer in time" "close 75 .*it closed the connection" \
	"half 75 .*it closed the connection" "http 76 .*it does not speak SOCKS5"; do
	start_proxy -x "${row%% *}"
	rest=${row#* }
	config "host = pop.internal" "$plain" "allow_cleartext = yes" "connect_timeout = 1" \
		"proxy = socks5://127.0.0.1:$gate"
	sed -i '/^connect_timeout = 3/d' "$work/config"
	fetch
	refused "a proxy that plays ${row%% *}" "${rest%% *}" "${rest#* }"
	stop_proxy
done
for row in "2 69 .*rules do not allow.*code 2" "5 69 .*refused by the server.*code 5" \
	"3 75 .*network unreachable .code 3" "9 69 .*unknown code 9"; do
	start_proxy -r "${row%% *}"
	rest=${row#* }
	config "host = pop.internal" "$plain" "allow_cleartext = yes" "proxy = socks5://127.0.0.1:$gate"
	fetch
	refused "a proxy that answers ${row%% *}" "${rest%% *}" "${rest#* }"
	stop_proxy
done
config "host = pop.internal" "$plain" "proxy = http://127.0.0.1:1"
fetch
same "no SOCKS URL: status" "$status" 78
ok "no SOCKS URL: file and line" grep -qE '/config:11: proxy: it is no socks5:// URL' "$work/err"
config "host = pop.internal" "$plain" "proxy = socks5://127.0.0.1" "tunnel = cat"
fetch
same "only one route" "$status" 78
stop_pop3d

# -- a tunnel -----------------------------------------------------------------------------------

serve off
config "host = pop.internal" "$plain" "allow_cleartext = yes" \
	"tunnel = $RELAY tcp 127.0.0.1 \$MAILHAUL_PORT"
fetch
fetched "through a tunnel"
same "of which nothing is left" "$(pgrep -f "$RELAY tcp" | wc -l)" 0
ok "Received says so" grep -q 'from pop.internal (through a tunnel)' "$work/box/new/"*
config "host = 127.0.0.1" "$plain" "tunnel = $RELAY tcp 127.0.0.1 \$MAILHAUL_PORT"
fetch
refused "a loopback address behind a tunnel is not this machine" 69 ".*"
config "host = pop.internal" "$plain" "tunnel = 'echo gate is shut >&2; exit 7'"
fetch
same "a tunnel that fails: status" "$status" 75
same "a tunnel that fails: how it ended, and its own words" "$(cat "$work/err")" \
	"mailhaul: work: the tunnel to pop.internal ended (exit status 7: gate is shut) while waiting \
for the greeting"
config "host = pop.internal" "$plain" "allow_cleartext = yes" \
	"tunnel = 'yes gate is open | head -c 200000 >&2; exec $RELAY tcp 127.0.0.1 $port'"
fetch
same "a tunnel that talks much does not hold us up" "$status" "0"
same "a tunnel that is content is not heard" "$(cat "$work/err")" ""
config "host = pop.internal" "$plain" "tunnel = $work/nonexistent"
fetch
same "a tunnel that is not there" "$status" 75
config "host = pop.internal" "$plain" 'tunnel = exec cat'
fetch
same "a tunnel that only repeats what we say" "$status" 75
stop_pop3d

printf 'on PASS stall\non AUTH stall\nuser joe sesame-open\nmessages 2 300\n' > "$work/script"
start_pop3d "$work/script"
config "host = pop.internal" "$plain" "allow_cleartext = yes" \
	"tunnel = exec $RELAY tcp 127.0.0.1 \$MAILHAUL_PORT"
sed -i 's/^timeout = 3/timeout = 60/' "$work/config"

sed -i 's/^timeout = 60/timeout = 60\nlogin_timeout = 1/' "$work/config"
fetch
same "login_timeout bounds the login alone: status" "$status" 75
ok "login_timeout bounds the login alone: says so" grep -q \
	'no answer from pop.internal within 1 s while waiting for the answer to the login' "$work/err"
sed -i '/^login_timeout/d' "$work/config"

# Ends a run that waits in its login by a signal to itself, or to its worker alone.
interrupt() {
	env -i HOME="$work/home" PATH="$PATH" "$MAILHAUL" -f "$work/config" 2>"$work/err" </dev/null &
	run=$!
	waited=0
	until grep -qE '^(PASS|AUTH)' "$transcript" || [ $waited -gt 100 ]; do
		waited=$((waited + 1))
		sleep 0.05
	done
	case $2 in
	run) kill "-$1" $run ;;
	worker) pkill "-$1" -P $run ;;
	esac
	wait $run 2>/dev/null
	sleep 0.3
	: > "$transcript"
}
for how in "TERM run" "KILL worker" "KILL run"; do
	interrupt $how
	same "after SIG${how% *} to the ${how#* } no tunnel is left" \
		"$(pgrep -f "$RELAY tcp" | wc -l)" 0
done
stop_pop3d

# -- TLS goes all the way -----------------------------------------------------------------------

if [ -n "$certs" ]; then
	for way in implicit stls; do
		serve $way
		start_proxy -m localhost 127.0.0.1
		config "host = localhost" "tls = $way" "tls_ca_file = $certs/ca.pem" \
			"proxy = socks5://127.0.0.1:$gate"
		fetch
		fetched "$way through a proxy"
		config "host = localhost" "tls = $way" "tls_ca_file = $certs/ca.pem" \
			"tunnel = $RELAY tcp 127.0.0.1 $port"
		fetch
		fetched "$way through a tunnel"
		config "host = elsewhere.example.org" "tls = $way" "tls_ca_file = $certs/ca.pem" \
			"tunnel = $RELAY tcp 127.0.0.1 $port"
		fetch
		refused "$way through a tunnel to a wrong host" 69 \
			".*the certificate was refused for elsewhere.example.org: it is not for this host.*"
		mailhaul -f "$work/config" --server-info work >"$work/out" 2>"$work/err"
		same "$way: --server-info through a tunnel" "$? $(grep -c ^tls_pin "$work/out")" "0 1"
		stop_proxy
		stop_pop3d
	done
else
	skip "TLS through proxy and tunnel" "there is no certtool here"
fi

# -- names that are none ------------------------------------------------------------------------

port=1
cr=$(printf '\r') esc=$(printf '\033')
bad() {
	rm -rf "$work/home" && mkdir "$work/home"
	mailhaul "$@" >"$work/out" 2>"$work/err"
	status=$?
	same "${title}: status" "$status" "$want"
	ok "${title}: fit for a terminal" sh -c "! LC_ALL=C grep -q '[^ -~]' '$work/err'"
}
for name in "a${cr}b" "a
QUIT" "a${esc}[2Jb" "a b" "a@b" "a/b" "" "$(printf '%0300d' 0)"; do
	shown=$(printf %s "$name" | cut -c1-20 | tr -c 'a-zA-Z0-9 @/' '?')
	want=64 title="host '$shown'"
	bad pop3s://joe@h --maildir "$work/box" -o "host=$name"
	bad pop3s://joe@h --maildir "$work/box" -o "tls_host=$name"
done
for url in pop3s://joe@a%0d%0aQUIT pop3s://joe@a%00b pop3s://joe%0a@a pop3s://joe@a%1b[2J; do
	want=64 title=$url
	bad "$url" --maildir "$work/box"
done
config "host = a$(printf '\001')b"
want=78 title="a control character in the file"
bad -f "$work/config"
config "host = 127.0.0.1" "source_address = localhost"
want=78 title="a source address that is a name"
bad -f "$work/config"
config "host = 127.0.0.1" "source_address = 127.0.0.1" "family = 6"
bad -f "$work/config"

# -- real mail ----------------------------------------------------------------------------------

if [ -n "$certs" ] && start_dovecot; then
	for n in 1 2; do
		awk -v n=$n 'BEGIN {
			printf "Subject: letter %d\n\n", n
			for (i = 0; i < 20000 * n; i++) print "line", i, "\303\274 .\n."
		}' > "$server/mail/joe/new/$n.M$n.test"
	done
	$dovecot own "$server"
	(cd "$server/mail/joe/new" && cat ./* | sha256sum) > "$work/want"
	port=$(cat "$server/tlsport")
	start_proxy -m localhost 127.0.0.1
	for route in "proxy = socks5://127.0.0.1:$gate" "tunnel = $RELAY tcp 127.0.0.1 $port"; do
		config "host = localhost" "tls = implicit" "tls_ca_file = $server/ca.pem" "received = no" \
			"password = sesame" "$route"
		sed -i '/^password = sesame-open/d' "$work/config"
		fetch
		fetched "real mail, ${route%% *}"
		(cd "$work/box/new" && cat $(grep -l 'letter 1' ./*) $(grep -l 'letter 2' ./*) |
			sha256sum) > "$work/got"
		ok "real mail, ${route%% *}: byte for byte" cmp "$work/want" "$work/got"
	done
	stop_proxy
	stop_dovecot
else
	skip "real mail" "there is no dovecot that starts here"
fi

# -- an address that swallows everything --------------------------------------------------------

# In a network of its own: pop.example is 2001:db8::2, behind a wire that leads nowhere, and
# 127.0.0.1.
cat > "$work/inside" <<EOF
set -eu
. "$work/vars"
ip link set lo up
ip link add wire type veth peer name end
ip link set wire arp off up
ip link set end up
ip -6 addr add 2001:db8::1/64 dev wire nodad
ip addr add 192.0.2.1/24 dev wire # or look-ups leave IPv4 out
printf '2001:db8::2 pop.example\n127.0.0.1 pop.example\n' > "$work/hosts"
mount --bind "$work/hosts" /etc/hosts
"$POP3D" -p "$work/port" -t "$work/transcript" "$work/script" &
server=\$!
until [ -s "$work/port" ]; do sleep 0.02; done
sed -i "s/^port = .*/port = \$(cat "$work/port")/" "$work/config"
rm -f "$work/times"
for family in any 4 6; do
	rm -rf "$work/home" "$work/box"
	mkdir "$work/home"
	begin=\$(date +%s%N)
	status=0
	env -i HOME="$work/home" PATH="\$PATH" "$MAILHAUL" -f "$work/config" -o family=\$family \\
		2>>"$work/err" </dev/null || status=\$?
	end=\$(date +%s%N)
	count=\$(ls "$work/box/new" 2>/dev/null | wc -l)
	echo "\$family \$status \$(((end - begin) / 1000000)) \$count"
done > "$work/times"
kill \$server
EOF
: > "$work/vars"
rm -f "$work/port" "$work/err" "$work/times"
printf 'user joe sesame-open\nmessages 2 300\n' > "$work/script"
port=0
config "host = pop.example" "$plain"
if [ "$(id -u)" = 0 ] && unshare -n -m true 2>/dev/null && command -v ip >/dev/null &&
	unshare -n -m sh "$work/inside" >"$work/out" 2>&1; then
	while read -r family code ms count; do
		echo "# family = $family: status $code, $count messages, $ms ms"
		case $family in
		any) same "a dead IPv6 address is no obstacle" "$code $count" "0 2" ;;
		4) same "family = 4" "$code $count" "0 2" ;;
		6) ok "family = 6 tries nothing else" test "$code" = 75 -a "$ms" -ge 2900 ;;
		esac
	done < "$work/times"
	ok "the dead address costs at most half a second" awk '
		$1 == "any" { any = $3 }
		$1 == "4" { four = $3 }
		END { exit !(any - four < 500 && any >= 240 && four < any) }' "$work/times"
	same "all three were seen" "$(wc -l < "$work/times")" 3
else
	skip "a dead IPv6 address" "a network of one's own needs root, unshare and ip"
	sed 's/^/# /' "$work/out"
fi
finish
