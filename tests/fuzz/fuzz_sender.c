/* SPDX-License-Identifier: MIT */
/*
 * fuzz_sender.c - the envelope sender: whatever stands in the header, what comes out is one
 * harmless word that fits.
 *
 * The input: the room (16 bytes and that many more), then the head of a message.
 */
#include "config.h"

#include "fuzz.h"

#include "wire.h"

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {(const char *)data, size};
	size_t room = 16 + take_byte(&in), len;
	char *head = exact(in.p, in.len), *to = malloc(room);

	CHECK(to != NULL);
	memset(to, '!', room);
	wire_sender(head, in.len, to, room);
	CHECK(memchr(to, '\0', room) != NULL);
	len = strlen(to);
	CHECK(len > 0 && to[0] != '-');
	for (size_t i = 0; i < len; i++)
		CHECK(strchr(letters, to[i]) != NULL || strchr("._%+=@/-", to[i]) != NULL);
	CHECK(strcmp(to, "MAILER-DAEMON") == 0 || memmem(head, in.len, to, len) != NULL);
	free(head);
	free(to);
	return 0;
}
