# SPDX-License-Identifier: MIT
# packages.sh - sourced by check.sh and try.sh: what a build and its tests need from the system.
#
# packages_need PACKAGE... names Debian packages.  What is missing is installed with apt-get, as
# root or through sudo, after saying so; where that cannot be done it is named.  Returns 1 unless
# all is there in the end.  What counts is what works here, not who installed it.

packages_build='gcc libc6-dev make autoconf automake pkg-config libgnutls28-dev libiniparser-dev'
packages_tests='gnutls-bin dovecot-pop3d mandoc
	procmail maildrop dovecot-sieve bogofilter softhsm2 zsh fish python3'

package_compiles()
{
	echo "#include <$1>" | ${CC:-cc} -E -
}

package_works()
{
	case $1 in
	gcc) echo 'int x;' | ${CC:-cc} -x c -c -o /dev/null - ;;
	libc6-dev) package_compiles stdio.h ;;
	libgnutls28-dev) pkg-config --exists 'gnutls >= 3.7.2' ;;
	libiniparser-dev)
		pkg-config --exists iniparser || package_compiles iniparser/iniparser.h ||
			package_compiles iniparser.h ;;
	gnutls-bin) command -v certtool ;;
	dovecot-pop3d) ls /usr/lib/dovecot/pop3 || ls /usr/libexec/dovecot/pop3 ;;
	dovecot-sieve) command -v sievec ;;
	softhsm2) command -v softhsm2-util ;;
	*) command -v "$1" ;;
	esac >/dev/null 2>&1
}

# Prints those of the packages that are not here.
packages_missing()
{
	for package; do
		package_works "$package" || printf '%s ' "$package"
	done
}

# Runs as root.  Debian starts a server as soon as it is installed, and at every boot: Dovecot is
# wanted as a program alone, so its service is kept down, unless it was there before.  The output is
# shown if it fails.
packages_apt='
set -eu
export DEBIAN_FRONTEND=noninteractive
policy= log=$(mktemp)
units=
for unit in dovecot.service dovecot.socket; do
	[ -e /lib/systemd/system/$unit ] || units="$units $unit"
done
trap "rm -f \"$log\" \$policy" EXIT
trap "exit 1" HUP INT TERM
if [ ! -e /usr/sbin/policy-rc.d ]; then
	policy=/usr/sbin/policy-rc.d
	printf "#!/bin/sh\nexit 101\n" >$policy
	chmod 755 $policy
fi
lock="-o DPkg::Lock::Timeout=120"
if ! { apt-get $lock -q update && apt-get $lock -q -y --no-install-recommends install "$@"; } \
	>"$log" 2>&1 </dev/null; then
	tail -n 30 "$log"
	exit 1
fi
for unit in $units; do
	if [ -e /lib/systemd/system/$unit ] && command -v systemctl >/dev/null; then
		systemctl disable $unit >/dev/null 2>&1 || true
	fi
done'

packages_need()
{
	packages_lack=$(packages_missing "$@")
	packages_lack=${packages_lack% }
	if [ -z "$packages_lack" ]; then
		return 0
	fi
	packages_root=
	if [ "$(id -u)" != 0 ]; then
		packages_root=sudo
	fi
	if ! command -v apt-get >/dev/null || ! command -v ${packages_root:-sh} >/dev/null; then
		echo "Missing here, by the names of Debian's packages: $packages_lack"
		echo "Install them (as root, on Debian: apt-get install $packages_lack) and come back."
		return 1
	fi
	echo "Installing with ${packages_root:+$packages_root }apt-get: $packages_lack"
	case $packages_lack in
	*dovecot*) echo "(Dovecot's own service stays off: only its programs are wanted)" ;;
	esac
	if ! $packages_root sh -c "$packages_apt" apt-get $packages_lack; then
		echo "apt-get could not install: $packages_lack"
		return 1
	fi
	packages_lack=$(packages_missing "$@")
	packages_lack=${packages_lack% }
	if [ -n "$packages_lack" ]; then
		echo "Installed, but not found to work: $packages_lack"
		return 1
	fi
}
