/* SPDX-License-Identifier: MIT */
/*
 * secret.h - where an account's password or token comes from: password, password_command,
 * password_file, token_command, or the terminal.
 *
 * A secret is one line of 1 to 65536 bytes without control characters.  A command runs by
 * `/bin/sh -c` with standard error left as it is and 60 seconds to answer; a file must be
 * readable by its owner alone, as the configuration must.  Memory is wiped after use.
 */
#ifndef SECRET_H
#define SECRET_H

#include "account.h"
#include "base.h"

/* The password or token by the configuration, freshly allocated (secret_free): NULL with ERR_AUTH
 * where the source fails, ERR_CONFIG for a file others can read, and ERR_AUTH where there is none;
 * ERR_TEMP where the command exits with 75 or is late, ERR_STOP where we were asked to stop.
 * $CREDENTIALS_DIRECTORY/NAME and ~/ in password_file are read.  auth = external needs none: "". */
char *secret_get(const struct login *login, struct error *err);

/* True where secret_get needs a terminal first. */
bool secret_is_missing(const struct login *login);

/* True where asking the source again may bring another one: it is a command. */
bool secret_may_change(const struct login *login);

/* Asks on /dev/tty with echo off (restored on signals too).  NULL: no terminal, or ended. */
char *secret_ask(const char *account, const struct login *login, struct error *err);

#endif
