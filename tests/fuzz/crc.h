/* SPDX-License-Identifier: MIT */
/*
 * crc.h - the sum of a journal's line, computed a second time: CRC-32C bit by bit.
 */
#ifndef CRC_H
#define CRC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define CRC_DIGITS 8

/* The digits for a line whose first eight bytes are to hold them. */
static inline void crc_digits(const char *line, size_t len, char digits[CRC_DIGITS + 1])
{
	uint32_t sum = UINT32_MAX;

	for (size_t i = CRC_DIGITS; i < len; i++) {
		sum ^= (unsigned char)line[i];
		for (int bit = 0; bit < 8; bit++)
			sum = sum >> 1 ^ ((sum & 1) != 0 ? 0x82f63b78u : 0);
	}
	snprintf(digits, CRC_DIGITS + 1, "%08x", (unsigned)~sum);
}

static inline void crc_mend(char *line, size_t len)
{
	char digits[CRC_DIGITS + 1];

	if (len < CRC_DIGITS)
		return;
	crc_digits(line, len, digits);
	memcpy(line, digits, CRC_DIGITS);
}

static inline bool crc_is_right(const char *line, size_t len)
{
	char digits[CRC_DIGITS + 1];

	if (len < CRC_DIGITS)
		return false;
	crc_digits(line, len, digits);
	return memcmp(line, digits, CRC_DIGITS) == 0;
}

#endif
