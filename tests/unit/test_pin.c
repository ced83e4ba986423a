/* SPDX-License-Identifier: MIT */
/* test_pin.c - pins: every spelling, and what is none. */
#include "config.h"

#include "pin.h"

#include <string.h>

#include "tap.h"

/* The SHA-256 of nothing, and of "abc" (FIPS 180-4). */
#define HEX_0 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define B64_0 "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
#define HEX_1 "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"
#define B64_1 "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
#define COLON_TAIL \
	"F:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD"
#define COLON_1 "BA:78:16:B" COLON_TAIL

static const struct {
	const char *what, *text;
	const char *pins[3]; /* in base64; none: it is no list of pins */
} lists[] = {
	{"hexadecimal, small", HEX_0, {B64_0}},
	{"hexadecimal, capitals", HEX_1, {B64_1}},
	{"hexadecimal with colons", COLON_1, {B64_1}},
	{"base64", B64_0, {B64_0}},
	{"as curl writes it", "sha256//" B64_1, {B64_1}},
	{"a prefix in capitals", "SHA256:" HEX_0, {B64_0}},
	{"sha256: and base64", "sha256:" B64_0, {B64_0}},
	{"sha256// and hexadecimal", "sha256//" HEX_1, {B64_1}},
	{"two, with a blank", B64_0 " " HEX_1, {B64_0, B64_1}},
	{"two, with commas and blanks", ", " HEX_0 " ,\tsha256//" B64_1 ",", {B64_0, B64_1}},
	{"the same twice", B64_1 "," B64_1, {B64_1, B64_1}},

	{"nothing", "", {NULL}},
	{"blanks", " , \t", {NULL}},
	{"a digit too few", "3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", {NULL}},
	{"a digit too many", HEX_0 "0", {NULL}},
	{"no digit", "g3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", {NULL}},
	{"colons in the wrong place",
     "B:A78:16:B" COLON_TAIL, {NULL}},
	{"base64 without its end", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", {NULL}},
	{"base64 with bits left over", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=", {NULL}},
	{"base64 of other letters", "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=", {NULL}},
	{"base64 that ends early", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF==", {NULL}},
	{"another hash", "sha1//2jmj7l5rSw0yVb/vlWAYkK/YBwk=", {NULL}},
	{"a prefix alone", "sha256//", {NULL}},
	{"two prefixes", "sha256//sha256//" B64_0, {NULL}},
	{"the second is none", B64_0 " and more", {NULL}},
	{"something between", B64_0 ";" B64_1, {NULL}},
};

static void test_list(size_t i)
{
	const char *at = lists[i].text;
	unsigned char pin[PIN_SIZE];
	char shown[PIN_TEXT], want[64];
	struct error err = {0};
	size_t n = 0;

	if (!lists[i].pins[0]) {
		OK(pin_check(at, &err) == -1 && err.kind == ERR_CONFIG && err.text[0], lists[i].what);
		return;
	}
	OK(pin_check(at, &err) == 0, lists[i].what);
	while (pin_next(&at, pin, &err) == 1 && n < 3 && lists[i].pins[n]) {
		snprintf(want, sizeof(want), "sha256//%s", lists[i].pins[n++]);
		SAME(pin_show(shown, pin), want, lists[i].what);
		OK(pin_matches(lists[i].text, pin), "it matches");
		pin[PIN_SIZE - 1] ^= 1;
		OK(!pin_matches(lists[i].text, pin), "another does not");
	}
	OK(n == 3 || !lists[i].pins[n], "all of them");
}

/* What is shown is read as the same. */
static void test_round_trip(void)
{
	unsigned char pin[PIN_SIZE], again[PIN_SIZE];
	char shown[PIN_TEXT];
	struct error err;
	size_t wrong = 0;

	for (unsigned k = 0; k < 256; k++) {
		const char *at = shown;

		for (unsigned i = 0; i < PIN_SIZE; i++)
			pin[i] = (unsigned char)(k * 37 + i * k);
		pin_show(shown, pin);
		wrong += pin_next(&at, again, &err) != 1 || memcmp(pin, again, PIN_SIZE) != 0 || *at;
	}
	EQUAL(wrong, 0, "there and back");
}

int main(void)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		test_list(i);
	test_round_trip();
	return tap_end();
}
