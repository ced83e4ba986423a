#!/bin/sh
# SPDX-License-Identifier: MIT
# layers.t - the floors only look down, in the includes and in the objects.
echo 1..1
if faults=$(sh "$top_srcdir/contrib/layers.sh" "$top_srcdir" "$top_builddir" 2>&1); then
	echo "ok 1 - the floors only look down"
else
	echo "not ok 1 - the floors only look down"
	echo "$faults" | sed 's/^/# /'
fi
