/* SPDX-License-Identifier: MIT */
/*
 * fuzz_number.c - decimal numbers and their maxima.
 *
 * The input: eight bytes that are the maximum, then the digits.
 */
#include "config.h"

#include "fuzz.h"

#include "base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {(const char *)data, size};
	uint64_t max = 0, want = 0, got = 0;
	char *digits;
	bool good;

	for (int i = 0; i < 8; i++)
		max = max << 8 | take_byte(&in);
	digits = exact(in.p, in.len);
	good = number_of(digits, in.len, max, &want);
	CHECK(number_parse(digits, in.len, max, &got) == good);
	CHECK(got == (good ? want : 0)); /* untouched where there is none */
	free(digits);
	return 0;
}
