#!/bin/sh
# SPDX-License-Identifier: MIT
# walk.t - a short life of one account, drawn by lot (see walk.c); `make check-walk` is a long one.
exec "$top_builddir/tests/walk" -s "${SEED:-1}" -n "${SESSIONS:-200}"
