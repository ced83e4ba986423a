#!/bin/sh
# SPDX-License-Identifier: MIT
# lint.t - the manners of the house.
echo 1..1
if faults=$(sh "$top_srcdir/contrib/lint.sh" "$top_srcdir" 2>&1); then
	echo "ok 1 - lint"
else
	echo "not ok 1 - lint"
	echo "$faults" | sed 's/^/# /'
fi
