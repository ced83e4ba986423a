#!/bin/sh
# SPDX-License-Identifier: MIT
# crash.t - mailhaul is killed at some of its system calls (see sweep.c).  All of them:
# `make check-crash`; each of them failing once: `make check-fault`.
if ! command -v "$top_builddir/tests/inject" >/dev/null; then
	echo "1..0 # SKIP inject is not built"
	exit 0
fi
exec "$top_builddir/tests/sweep" crash "${STRIDE:-60}"
