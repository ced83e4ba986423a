/* SPDX-License-Identifier: MIT */
/*
 * fuzz_link.c - what a captured worker may send to the supervisor: an event is whole and within its
 * limits, or nonsense.
 *
 * The input is judged as it is, and again as the beginning of a packet of the right size whose
 * rest is its last byte.
 */
#include "config.h"

#include "fuzz.h"

#include "link.h"

/* The bytes at an offset as link.h's struct has them, without that struct. */
static uint32_t word_at(const char *bytes, size_t at)
{
	uint32_t word;

	memcpy(&word, bytes + at, sizeof word);
	return word;
}

static bool is_event(const char *bytes, size_t len)
{
	const size_t text = offsetof(struct event, text);

	return len == sizeof(struct event) && word_at(bytes, 0) >= 1 &&
	       word_at(bytes, 0) < EVENT_KINDS && word_at(bytes, 4) <= ERR_STOP &&
	       word_at(bytes, 8) <= NOTE_TRACE && word_at(bytes, 12) <= 1 &&
	       memchr(bytes + text, '\0', 1600) != NULL;
}

static void try_packet(const char *bytes, size_t len)
{
	struct event event, before;

	memset(&event, 0x5a, sizeof event);
	before = event;
	if (link_decode(bytes, len, &event)) {
		CHECK(is_event(bytes, len));
		CHECK(memcmp(bytes, &event, sizeof event) == 0);
		CHECK(strlen(event.text) < sizeof event.text);
	} else {
		CHECK(!is_event(bytes, len));
		CHECK(memcmp(&before, &event, sizeof event) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = size < sizeof(struct event) ? size : sizeof(struct event);
	char *whole = malloc(sizeof(struct event));

	CHECK(whole != NULL);
	try_packet((const char *)data, size);
	memset(whole, size > 0 ? data[size - 1] : 0, sizeof(struct event));
	if (len > 0)
		memcpy(whole, data, len);
	try_packet(whole, sizeof(struct event));
	free(whole);
	return 0;
}
