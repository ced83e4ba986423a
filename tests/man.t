#!/bin/sh
# SPDX-License-Identifier: MIT
# man.t - mandoc has nothing to say against the manuals.
if ! command -v mandoc >/dev/null; then
	echo "1..0 # SKIP mandoc is not installed"
	exit 0
fi
count=0
for page in "$top_srcdir"/man/*.[15]; do
	test -f "$page" || continue
	count=$((count + 1))
	if faults=$(mandoc -T lint -W warning "$page" 2>&1); then
		echo "ok $count - ${page##*/}"
	else
		echo "not ok $count - ${page##*/}"
		echo "$faults" | sed 's/^/# /'
	fi
done
if [ $count = 0 ]; then
	echo "1..0 # SKIP there are no manuals"
else
	echo "1..$count"
fi
