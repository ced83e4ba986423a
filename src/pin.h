/* SPDX-License-Identifier: MIT */
/*
 * pin.h - pins: which public key a server must have.  Pure: bytes in, facts out.
 *
 * A pin is the SHA-256 of the key as it stands in a certificate (SubjectPublicKeyInfo, as in RFC
 * 7469), so it outlives certificates that are made anew for the same key.  It is written as 64
 * hexadecimal digits, with or without colons between the bytes, or in base64, as curl does;
 * `sha256:` or `sha256//` may stand in front.  Several are parted by blanks or commas.
 */
#ifndef PIN_H
#define PIN_H

#include "base.h"

#define PIN_SIZE 32
#define PIN_TEXT 56 /* what pin_show writes, and its NUL */

/* Takes the next pin of a text and moves *text behind it: 1, 0 at the end, -1 ERR_CONFIG. */
int pin_next(const char **text, unsigned char pin[PIN_SIZE], struct error *err);

/* 0 where there is a pin, and nothing else; -1 ERR_CONFIG says what is wrong. */
int pin_check(const char *text, struct error *err);

/* True where one of the text's pins is this one. */
bool pin_matches(const char *text, const unsigned char pin[PIN_SIZE]);

/* "sha256//BASE64".  Returns to. */
char *pin_show(char to[PIN_TEXT], const unsigned char pin[PIN_SIZE]);

#endif
