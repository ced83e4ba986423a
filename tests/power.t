#!/bin/sh
# SPDX-License-Identifier: MIT
# power.t - the plug is pulled at some steps (see check-power.sh); `make check-power` pulls it at all.
exec /bin/sh "$top_srcdir/tests/check-power.sh" -s
