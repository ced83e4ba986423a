/* SPDX-License-Identifier: MIT */
/*
 * inspect.c - what a server offers: its certificate, its greeting, CAPA before and after TLS.
 *
 * The certificate is shown whatever it is, for who sets up a pin has no trust in it yet.  So
 * nothing that a stranger must not hear may be said here: no user name, no password, not our own
 * certificate; CAPA, STLS and QUIT is all.
 *
 * Runs in a worker, for the words are a stranger's.  Called by worker.c.
 */
#include "config.h"

#include "inspect.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "conn.h"
#include "json.h"
#include "link.h"
#include "wire.h"

#define MAX_CAPA_LINES 200
#define DAY 86400

struct inspection {
	const struct account *account; /* foreign */
	int link;
	struct conn conn;
	struct tls_trust *trust;
	struct wire_capa capa; /* the last answer */
};

/* One fact; label "" is the line for the configuration. */
PRINTF(3, 4)
static void show(const struct inspection *in, const char *label, const char *fmt, ...)
{
	const char *name = in->account->name;
	char text[LINK_TEXT], object[LINK_TEXT];
	struct json json;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!in->account->json) {
		link_line(in->link, label, "%s", text);
		return;
	}
	json_begin(&json, object, sizeof(object), "server", name);
	json_text(&json, "item", label == name ? "address" : label[0] ? label : "option");
	json_text(&json, "text", text);
	json_end(&json);
	link_line(in->link, "", "%s", object);
}

static void show_certificate(const struct inspection *in)
{
	const struct cert *cert = tls_cert(in->conn.tls);
	const struct error *fault = tls_fault(in->conn.tls);
	char from[16], until[16], pin[PIN_TEXT];
	char *words = tls_describe(in->conn.tls);

	show(in, "TLS", "%s", words);
	free(words);
	show(in, "certificate for", "%s", cert->names[0] ? cert->names : "nobody");
	show(in, cert->self_signed ? "self-signed by" : "issued by", "%s", cert->issuer);
	show(in, "valid", "%s to %s (%" PRId64 " days left)", cert_day(from, cert->from),
	     cert_day(until, cert->until), (cert->until - (int64_t)time(NULL)) / DAY);
	show(in, "accepted", "%s%s", fault->kind ? "no: " : "yes", fault->kind ? fault->text : "");
	show(in, "", "tls_pin = %s", pin_show(pin, cert->pin));
}

static int start_tls(struct inspection *in, struct error *err)
{
	if (conn_start_tls(&in->conn, in->trust, err) == -1)
		return -1;
	show_certificate(in);
	return 0;
}

/* A line that must be a status; shown if it has a label.  1: +OK; 0: -ERR; -1. */
static int take_status(struct inspection *in, const char *doing, const char *label,
                       struct error *err)
{
	struct wire_status status;
	const char *line;
	char shown[400];
	size_t len;

	conn_expect(&in->conn, doing);
	if (conn_line(&in->conn, &line, &len, err) == -1)
		return -1;
	printable(shown, sizeof(shown), line, len);
	wire_status(line, len, &status);
	if (status.verdict != WIRE_OK && status.verdict != WIRE_ERR)
		return error_set(err, ERR_PROTOCOL, "the server does not speak POP3: it said '%.200s'",
		                 shown);
	if (label)
		show(in, label, "%s", shown);
	return status.verdict == WIRE_OK;
}

/* Gathers the capabilities; what does not fit into one line to show is left out. */
static int read_capa(struct inspection *in, struct str *list, struct error *err)
{
	const char *line;
	char shown[200];
	size_t len;

	for (int left = MAX_CAPA_LINES; left > 0; left--) {
		if (conn_line(&in->conn, &line, &len, err) == -1)
			return -1;
		if (len == 1 && line[0] == '.')
			return 0;
		wire_capa(line, len, &in->capa);
		str_printf(list, "%s%s", list->len ? ", " : "",
		           printable(shown, sizeof(shown), line, len));
	}
	return error_set(err, ERR_PROTOCOL, "the server's listing does not end");
}

static int ask_capa(struct inspection *in, const char *label, struct error *err)
{
	struct str list = {.max = 1400};
	int rc;

	in->capa = (struct wire_capa){0};
	if (conn_put(&in->conn, "CAPA", NULL, err) == -1)
		return -1;
	rc = take_status(in, "waiting for the answer to CAPA", NULL, err);
	in->capa.known = rc == 1;
	if (rc == 0)
		show(in, label, "the server does not know CAPA");
	else if (rc == 1 && (rc = read_capa(in, &list, err)) == 0)
		show(in, label, "%s", list.len ? list.s : "nothing");
	str_free(&list);
	return rc == -1 ? -1 : 0;
}

/* STLS, where it is offered. */
static int ask_stls(struct inspection *in, struct error *err)
{
	int rc;

	if (in->capa.known && !in->capa.stls) {
		show(in, "STLS", "not offered");
		return 0;
	}
	if (conn_put(&in->conn, "STLS", NULL, err) == -1)
		return -1;
	rc = take_status(in, "waiting for the answer to STLS", "STLS", err);
	if (rc != 1)
		return rc;
	if (start_tls(in, err) == -1)
		return -1;
	return ask_capa(in, "CAPA with TLS", err);
}

static int visit(struct inspection *in, struct error *err)
{
	const struct server *server = &in->account->server;
	bool at_once = server->tls == TLS_IMPLICIT;
	struct error ignored;

	show(in, in->account->name, "%s port %llu (%s)%s", server->host,
	     (unsigned long long)server->port, in->conn.peer, at_once ? ", TLS at once" : "");
	if ((at_once && start_tls(in, err) == -1) ||
	    take_status(in, "waiting for the greeting", "greeting", err) == -1 ||
	    ask_capa(in, at_once ? "CAPA with TLS" : "CAPA without TLS", err) == -1 ||
	    (server->tls == TLS_STLS && ask_stls(in, err) == -1))
		return -1;
	if (conn_put(&in->conn, "QUIT", NULL, &ignored) == 0) /* only manners */
		take_status(in, "waiting for the answer to QUIT", NULL, &ignored);
	return 0;
}

int inspect_run(const struct account *account, int link, struct error *err)
{
	struct inspection in = {.account = account, .link = link, .conn = {.fd = -1}};
	int rc = 0;

	if (account->server.tls != TLS_OFF) {
		in.trust = tls_trust_load(&account->server, TLS_LOOK, err);
		rc = in.trust ? 0 : -1;
	}
	if (rc == 0)
		rc = conn_dial(&in.conn, &account->server, err);
	if (rc == 0) {
		conn_be_patient(&in.conn, account->server.login_timeout);
		rc = visit(&in, err);
	}
	conn_close(&in.conn);
	tls_trust_free(&in.trust);
	return rc;
}
