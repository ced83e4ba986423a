#!/bin/sh
# SPDX-License-Identifier: MIT
# secrets.t - while a session hangs with the password in memory: it is not in any process's
# arguments or environment, not in the files of the account, and killing the processes leaves no
# core file.
. "$top_srcdir/tests/tap.sh"

secret=Xyzzy-plugh-4711
coded='WHl6enktcGx1Z2gt|h5enp5LXBsdWdo|YeXp6eS1wbHVnaC'
cd "$work" || exit 1
mkdir cores

# look CHANNEL LINE...: a run that hangs at STAT, and what can be seen of it.
look() {
	kind=$1
	shift
	{
		echo "user joe $secret"
		printf 'capa %s\n' UIDL USER "SASL PLAIN XOAUTH2 SCRAM-SHA-256"
		echo 'messages 1 300'
		echo 'on STAT stall'
	} > script
	start_pop3d script
	{
		printf '[work]\nhost = 127.0.0.1\nport = %s\ntls = off\nuser = joe\n' "$port"
		printf 'maildir = %s/box\n' "$work"
		printf '%s\n' "$@"
	} > config
	chmod 600 config
	rm -rf home/.local
	(
		cd cores || exit 1
		ulimit -c unlimited
		exec env -i HOME="$work/home" PATH="$PATH" "$MAILHAUL" -v -f ../config </dev/null
	) >trace 2>&1 &
	pid=$!
	i=0
	until grep -q '^STAT' transcript; do
		i=$((i + 1))
		[ $i -lt 200 ] || break
		sleep 0.05
	done
	ok "$kind: the session is under way" grep -q '^STAT' transcript
	workers=$(cat /proc/$pid/task/$pid/children 2>/dev/null)
	ok "$kind: there is a worker" test -n "$workers"
	for p in $pid $workers; do
		tr '\0' '\n' < /proc/$p/cmdline
		tr '\0' '\n' < /proc/$p/environ
	done > seen 2>/dev/null
	ok "$kind: not in the arguments or the environment" sh -c "! grep -qE '$secret|$coded' seen"
	ok "$kind: the arguments were seen" grep -q mailhaul seen
	kill -ABRT $workers $pid 2>/dev/null
	wait $pid
	ok "$kind: not in the trace" sh -c "! grep -qE '$secret|$coded' trace"
	ok "$kind: not in the state" sh -c "! grep -rqE '$secret|$coded' home box"
	stop_pop3d
}

echo "$secret" > pw
chmod 600 pw
look "password" "password = $secret"
look "password_file" "password_file = $work/pw"
look "password_command" "password_command = cat $work/pw" "auth = scram-sha-256"
look "token_command" "token_command = cat $work/pw"

# A core file is only missed where one could have been made: by a shell, as the control.
mkdir control
(cd control && ulimit -c unlimited && sh -c 'kill -ABRT $$') >/dev/null 2>&1
if grep -q __asan_init "$MAILHAUL"; then
	echo "# no word about core files: the sanitizers need theirs"
elif [ -n "$(ls control)" ]; then
	same "no core file" "$(ls cores)" ""
else
	echo "# core files are not made in the working directory here: nothing to see"
fi
finish
