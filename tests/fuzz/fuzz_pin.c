/* SPDX-License-Identifier: MIT */
/*
 * fuzz_pin.c - lists of pins: what is accepted is read to its end, shown, and read as the same; and
 * it matches what it names and nothing beside it.
 *
 * The input is the list.
 */
#include "config.h"

#include "fuzz.h"

#include "pin.h"

static void check_one(const char *text, const unsigned char pin[PIN_SIZE])
{
	unsigned char again[PIN_SIZE];
	char shown[PIN_TEXT];
	const char *at = pin_show(shown, pin);
	struct error err = {0};

	CHECK(strlen(shown) == PIN_TEXT - 4 && strncmp(shown, "sha256//", 8) == 0);
	CHECK(pin_next(&at, again, &err) == 1 && memcmp(pin, again, PIN_SIZE) == 0 && *at == '\0');
	CHECK(pin_matches(text, pin));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = string((struct input){(const char *)data, size});
	const char *at = text;
	unsigned char pin[PIN_SIZE];
	struct error err = {0};
	size_t n = 0;
	int rc;

	while ((rc = pin_next(&at, pin, &err)) == 1) {
		CHECK(at <= text + strlen(text));
		check_one(text, pin);
		n++;
	}
	CHECK(rc == 0 ? *at == '\0' : err.kind == ERR_CONFIG && is_harmless(err.text));
	CHECK((pin_check(text, &err) == 0) == (rc == 0 && n > 0));
	free(text);
	return 0;
}
