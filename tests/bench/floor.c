/* SPDX-License-Identifier: MIT */
/*
 * floor.c - what nobody can be faster than: GnuTLS receives, write(2) writes, nothing else.
 *
 *     floor PORT CA MESSAGES FILE
 *
 * Logs in at 127.0.0.1, sends all RETRs and QUIT in one go, and writes whatever comes, as it comes,
 * to one file, until the server closes.  It looks at nothing, journals nothing, syncs nothing.
 * Used by bench.sh, against load.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK 65536

static void die(const char *what, const char *why)
{
	fprintf(stderr, "floor: %s: %s\n", what, why);
	exit(1);
}

static unsigned number(const char *s)
{
	unsigned n = 0;

	for (; *s >= '0' && *s <= '9'; s++)
		n = n * 10 + (unsigned)(*s - '0');
	return n;
}

static int dial(unsigned port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1 || connect(fd, (struct sockaddr *)&at, sizeof at) == -1)
		die("connect", strerror(errno));
	return fd;
}

static gnutls_session_t open_tls(int fd, const char *ca)
{
	gnutls_certificate_credentials_t credentials;
	gnutls_session_t tls;
	int rc;

	if (gnutls_certificate_allocate_credentials(&credentials) < 0 ||
	    gnutls_certificate_set_x509_trust_file(credentials, ca, GNUTLS_X509_FMT_PEM) < 1 ||
	    gnutls_init(&tls, GNUTLS_CLIENT) < 0 || gnutls_set_default_priority(tls) < 0 ||
	    gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, credentials) < 0)
		die("TLS", "cannot begin");
	gnutls_session_set_verify_cert(tls, "localhost", 0);
	gnutls_transport_set_int(tls, fd);
	do
		rc = gnutls_handshake(tls);
	while (rc < 0 && !gnutls_error_is_fatal(rc));
	if (rc < 0)
		die("handshake", gnutls_strerror(rc));
	return tls;
}

/* GnuTLS sends a record at a time. */
static void send_all(gnutls_session_t tls, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = gnutls_record_send(tls, text, len);

		if (n <= 0)
			die("send", gnutls_strerror((int)n));
		text += n;
		len -= (size_t)n;
	}
}

static void ask(gnutls_session_t tls, unsigned count)
{
	size_t size = (size_t)count * 20 + 64, len;
	char *text = malloc(size);

	if (text == NULL)
		die("memory", "none");
	len = (size_t)snprintf(text, size, "USER joe\r\nPASS sesame\r\n");
	for (unsigned i = 1; i <= count; i++)
		len += (size_t)snprintf(text + len, size - len, "RETR %u\r\n", i);
	len += (size_t)snprintf(text + len, size - len, "QUIT\r\n");
	send_all(tls, text, len);
	free(text);
}

int main(int argc, char **argv)
{
	static char block[BLOCK];
	gnutls_session_t tls;
	size_t have = 0;
	ssize_t n;
	int fd;

	if (argc != 5)
		die("usage", "floor PORT CA MESSAGES FILE");
	tls = open_tls(dial(number(argv[1])), argv[2]);
	fd = open(argv[4], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd == -1)
		die(argv[4], strerror(errno));
	ask(tls, number(argv[3]));
	do {
		n = gnutls_record_recv(tls, block + have, BLOCK - have);
		have += n > 0 ? (size_t)n : 0;
		if (have == BLOCK || (have > 0 && n <= 0)) {
			if (write(fd, block, have) != (ssize_t)have)
				die(argv[4], strerror(errno));
			have = 0;
		}
	} while (n > 0 || n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED);
	if (n < 0 && n != GNUTLS_E_PREMATURE_TERMINATION)
		die("receive", gnutls_strerror((int)n));
	return close(fd) == 0 ? 0 : 1;
}
