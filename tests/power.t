#!/bin/sh
# SPDX-License-Identifier: MIT
# power.t - the plug is pulled at some steps (see check-power.sh); at all of them:
# `make check-power`.
exec /bin/sh "$top_srcdir/tests/check-power.sh" -s
