#!/bin/sh
# SPDX-License-Identifier: MIT
# fault.t - some of mailhaul's system calls fail, one in each run (see sweep.c).  All of them:
# `make check-fault`.
exec "$top_builddir/tests/sweep" fault "${STRIDE:-150}"
