/* SPDX-License-Identifier: MIT */
/*
 * link.c - events between a worker and the supervisor, one packet each.
 *
 * A packet is a whole struct event, so there is no framing to get wrong; both ends are of one
 * program, so there is no byte order either.  Still the receiver believes nothing: a packet of
 * another size, with more than one descriptor, or that link_decode refuses is nonsense.
 *
 * Descriptors are close-on-exec on arrival.  Those nobody asked for are closed at once, so that
 * a captured worker cannot fill the supervisor's table.
 *
 * On failure: what was sent is sent or not, never in part; no descriptor stays with us.
 *
 * Called by the worker and the supervisor.
 */
#include "config.h"

#include "link.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS_MAX 8 /* descriptors we make room for; the kernel closes what goes beyond */

int link_pair(int ends[2], struct error *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return error_sys(err, error_kind_of(errno), "cannot make a pair of sockets");
	return 0;
}

int link_send(int end, const struct event *event, int fd, struct error *err)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	bool may_drop = event->kind == EVENT_PROGRESS ||
	                (event->kind == EVENT_ALIVE && event->num == 0);
	struct iovec part = {.iov_base = (void *)event, .iov_len = sizeof(*event)};
	struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
	struct pollfd room = {.fd = end, .events = POLLOUT};

	if (fd >= 0) {
		struct cmsghdr *head = &control.align;

		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	}
	while (sendmsg(end, &msg, MSG_NOSIGNAL | (may_drop ? MSG_DONTWAIT : 0)) < 0) {
		if (errno == EAGAIN && may_drop)
			return 0;
		if (errno == EAGAIN && poll(&room, 1, -1) >= 0)
			continue;
		if (errno != EINTR)
			return error_sys(err, ERR_IO, "cannot send to the other process");
	}
	return 0;
}

/* Collects the descriptors of a message.  Returns how many. */
static size_t collect(struct msghdr *msg, int fds[FDS_MAX])
{
	size_t count = 0;

	for (struct cmsghdr *head = CMSG_FIRSTHDR(msg); head; head = CMSG_NXTHDR(msg, head)) {
		size_t here = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < here && count < FDS_MAX; i++)
			memcpy(&fds[count++], CMSG_DATA(head) + i * sizeof(int), sizeof(int));
	}
	return count;
}

/* recvmsg, but EINTR, and the ECONNRESET that Linux reports once where the other side left
 * without having read all: what it sent before it left is still to come. */
static ssize_t receive(int end, struct msghdr *msg)
{
	size_t room = msg->msg_controllen;
	ssize_t n;

	do {
		msg->msg_controllen = room;
		n = recvmsg(end, msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	return n;
}

void link_tell(int end, const struct event *event)
{
	struct error ignored;

	link_send(end, event, -1, &ignored);
}

void link_failed(int end, uint32_t num, struct wire_span uid, bool told, const struct error *why)
{
	struct event event = {.kind = EVENT_FAILED, .error = why->kind, .num = num,
	                      .level = told ? NOTE_INFO : NOTE_WARN};

	snprintf(event.text, sizeof event.text, "%.*s\n%s", (int)uid.len, uid.len > 0 ? uid.p : "",
	         why->text);
	link_tell(end, &event);
}

void link_line(int end, const char *label, const char *fmt, ...)
{
	struct event event = {.kind = EVENT_LINE};
	int n = snprintf(event.text, sizeof event.text, "%.200s%s", label, label[0] ? ": " : "");
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(event.text + n, sizeof event.text - (size_t)n, fmt, ap);
	va_end(ap);
	link_tell(end, &event);
}

int link_take(int end, struct event *event, int *fd, struct error *err)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = {0};
	struct event packet;
	struct iovec part = {.iov_base = &packet, .iov_len = sizeof(packet)};
	struct msghdr msg = {.msg_iov = &part,
	                     .msg_iovlen = 1,
	                     .msg_control = control.bytes,
	                     .msg_controllen = sizeof(control.bytes)};
	ssize_t n = receive(end, &msg);
	int fds[FDS_MAX];
	size_t count = n < 0 ? 0 : collect(&msg, fds);
	bool good, keep;

	if (fd)
		*fd = -1;
	if (n < 0)
		return error_sys(err, errno == EAGAIN ? ERR_TEMP : ERR_IO,
		                 "cannot hear the other process");
	good = n > 0 && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && count <= 1 &&
	       link_decode(&packet, (size_t)n, event);
	keep = good && fd && (event->kind == EVENT_MDA || event->kind == EVENT_FILTER);
	if (keep && count == 1)
		*fd = fds[0];
	else
		for (size_t i = 0; i < count; i++)
			close(fds[i]);
	if (n == 0)
		return 0;
	return good ? 1 : error_set(err, ERR_BUG, "the other process talks nonsense");
}

bool link_decode(const void *bytes, size_t len, struct event *event)
{
	struct event seen;

	if (len != sizeof(seen))
		return false;
	memcpy(&seen, bytes, sizeof(seen));
	if (seen.kind < EVENT_NOTE || seen.kind >= EVENT_KINDS || seen.error >= ERR_KINDS ||
	    seen.level > NOTE_TRACE || seen.one_message > 1 ||
	    !memchr(seen.text, '\0', sizeof(seen.text)))
		return false;
	*event = seen;
	return true;
}
