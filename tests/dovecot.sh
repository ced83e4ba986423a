#!/bin/sh
# SPDX-License-Identifier: MIT
# dovecot.sh - a private Dovecot POP3 server on loopback, for tests and for contrib/try.sh.
#
#   dovecot.sh start DIR   makes DIR/ca.pem and starts the server; writes DIR/port (plain and
#                          STLS) and DIR/tlsport; returns when it listens
#   dovecot.sh stop DIR    stops it and waits until it is gone
#
# Works as root (mail then belongs to nobody) and as an ordinary user.  Users joe and ann have
# the password "sesame", and the user "odd" a hard one.  Their mailboxes are the Maildirs
# DIR/mail/USER: put messages into new/ (dovecot.sh own DIR hands them to the mail user).
# MORE may hold further lines of dovecot.conf.  Needs dovecot-pop3d and certtool (gnutls-bin).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
what=$1
dir=$2
dovecot=$(command -v dovecot || echo /usr/sbin/dovecot)

stop() {
	pid=$(cat "$dir/run/master.pid" 2>/dev/null) || return 0
	kill "$pid" 2>/dev/null || return 0
	i=0
	while kill -0 "$pid" 2>/dev/null && [ $i -lt 400 ]; do
		sleep 0.05
		i=$((i + 1))
	done
}

own() {
	[ "$(id -u)" != 0 ] || chown -R nobody:nogroup "$dir/mail"
}

identity() {
	if [ "$(id -u)" = 0 ]; then
		userdb='uid=nobody gid=nogroup'
		who=
		chroot=
	else
		userdb="uid=$(id -u) gid=$(id -g)"
		who="default_internal_user = $(id -un)
default_internal_group = $(id -gn)
default_login_user = $(id -un)
first_valid_uid = 1
first_valid_gid = 1"
		chroot='chroot ='
	fi
}

# A failed login costs 2 s and soon 15 s by default; tests fail logins on purpose.
configure() {
	cat > "$dir/dovecot.conf" <<EOF
protocols = pop3
base_dir = $dir/run
state_dir = $dir/state
log_path = $dir/dovecot.log
listen = 127.0.0.1
$who
mail_location = maildir:$dir/mail/%u
ssl = yes
ssl_cert = <$dir/server.pem
ssl_key = <$dir/server.key
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
service anvil {
  $chroot
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%u $dir/users
}
userdb {
  driver = static
  args = $userdb home=$dir/mail/%u
}
service auth {
  $chroot
}
service stats {
  $chroot
}
service pop3-login {
  $chroot
  inet_listener pop3 {
    port = $1
  }
  inet_listener pop3s {
    port = $2
    ssl = yes
  }
}
${MORE:-}
EOF
}

# Starts with these two ports; fails where one of them is taken.
try_ports() {
	configure "$1" "$2"
	rm -f "$dir/dovecot.log"
	"$dovecot" -c "$dir/dovecot.conf" 2>"$dir/start.err" || return 1
	i=0
	until grep -q 'starting up' "$dir/dovecot.log" 2>/dev/null; do
		i=$((i + 1))
		[ $i -lt 100 ] || return 1
		sleep 0.05
	done
	echo "$1" > "$dir/port"
	echo "$2" > "$dir/tlsport"
}

start() {
	[ -x "$dovecot" ] || { echo "dovecot.sh: no dovecot here" >&2; exit 1; }
	mkdir -p "$dir/run" "$dir/state"
	chmod 755 "$dir"
	[ -f "$dir/server.pem" ] || sh "$here/make-certs.sh" "$dir"
	for user in joe ann odd; do
		mkdir -p "$dir/mail/$user/new" "$dir/mail/$user/cur" "$dir/mail/$user/tmp"
	done
	own
	printf '%s\n' 'joe:{PLAIN}sesame::::::' 'ann:{PLAIN}sesame::::::' \
		"odd:{PLAIN}p;a#s \"x'\\y::::::" > "$dir/users"
	identity
	port=$((20000 + $$ % 20000))
	tries=0
	until try_ports $port $((port + 1)); do
		tries=$((tries + 1))
		[ $tries -lt 20 ] || { cat "$dir/start.err" "$dir/dovecot.log" >&2; exit 1; }
		port=$((port + 37))
	done
}

case $what in
start | stop | own) $what ;;
*) echo "usage: dovecot.sh start|stop|own DIR" >&2; exit 64 ;;
esac
