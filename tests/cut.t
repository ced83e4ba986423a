#!/bin/sh
# SPDX-License-Identifier: MIT
# cut.t - the connection is cut at some places of a session (see cut.c), or, with CUTS=all, after
# every byte of it, which is `make check-cut` and takes a while.
. "$top_srcdir/tests/tap.sh"

certs=$work/certs
mkdir "$certs"
sh "$top_srcdir/tests/make-certs.sh" "$certs" >/dev/null 2>&1 || certs=
cuts=${CUTS:-150}
if [ "$cuts" = all ]; then
	cuts=0
fi
"$top_builddir/tests/cut" ${certs:+-c "$certs"} -n "$cuts"
