/* SPDX-License-Identifier: MIT */
/*
 * test_tls.c - TLS as the connection uses it, against GnuTLS servers forked here.
 *
 * The certificates are made by certtool in a temporary directory; without certtool there is
 * nothing to test.
 */
#include "config.h"

#include "conn.h"
#include "tls.h"

#include <dirent.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <netinet/tcp.h>
#include <spawn.h>
#include <sys/stat.h>

#include "loopback.h"

#define ANY_VERSION "NORMAL"
#define FLOOD ((size_t)8 << 20)

extern char **environ;

static char localhost[] = "localhost", address[] = "127.0.0.1";
/* What the next server does. */
static const char *cert, *priorities;
static bool wants_client;
static int (*talk)(gnutls_session_t session, int fd);

/* -- certificates ------------------------------------------------------------------------- */

static char dir[200];

#define DAYS "expiration_days = 365\n"
#define FOR_SERVERS "tls_www_server\nsigning_key\n"
#define FOR_US "cn = \"localhost\"\ndns_name = \"localhost\"\nip_address = \"127.0.0.1\"\n"

static const struct {
	const char *name, *text;
} templates[] = {
	{"ca", "cn = \"Test CA\"\nca\ncert_signing_key\n" DAYS},
	{"good", FOR_US FOR_SERVERS DAYS},
	{"other",
     "cn = \"a\"\ndns_name = \"one.example\"\ndns_name = \"two.example\"\n"
     "dns_name = \"three.example\"\nip_address = \"192.0.2.9\"\nip_address = \"192.0.2.8\"\n"
     FOR_SERVERS DAYS},
	{"expired", FOR_US FOR_SERVERS "activation_date = \"2019-02-01 00:00:00\"\n"
                               "expiration_date = \"2020-02-01 00:00:00\"\n"},
	{"early", FOR_US FOR_SERVERS "activation_date = \"2090-02-01 00:00:00\"\n"
                             "expiration_date = \"2091-02-01 00:00:00\"\n"},
	{"client", FOR_US "tls_www_client\nsigning_key\n" DAYS},
	{"evil", "cn = \"x\033[2Jy\"\n" FOR_SERVERS DAYS},
	{"self", FOR_US FOR_SERVERS DAYS},
};

/* A path in the temporary directory, good until the eighth call from now. */
static char *path(const char *name, const char *ending)
{
	static char paths[8][256];
	static unsigned at;
	char *to = paths[at++ % 8];

	snprintf(to, sizeof(paths[0]), "%s/%s%s", dir, name, ending);
	return to;
}

static void put_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	if (!file || fputs(text, file) == EOF || fclose(file) == EOF)
		exit(99);
}

static int certtool(char *const *argv)
{
	posix_spawn_file_actions_t quiet;
	int status = -1;
	pid_t pid;

	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, "certtool", &quiet, NULL, argv, environ) == 0)
		waitpid(pid, &status, 0);
	posix_spawn_file_actions_destroy(&quiet);
	return status;
}

#define CERTTOOL(...) certtool((char *[]){(char[]){"certtool"}, __VA_ARGS__, NULL})
#define W(text) ((char[]){text})

static int make_keys(void)
{
	return CERTTOOL(W("--generate-privkey"), W("--key-type"), W("ecdsa"), W("--outfile"),
	                path("ca", ".key")) ||
	       CERTTOOL(W("--generate-privkey"), W("--key-type"), W("ecdsa"), W("--outfile"),
	                path("srv", ".key"));
}

static int make_certificate(size_t i)
{
	const char *name = templates[i].name;
	bool ca = i == 0, self = strcmp(name, "self") == 0;
	char *file = path(name, ".tmpl");

	put_file(file, templates[i].text);
	if (ca || self)
		return CERTTOOL(W("--generate-self-signed"), W("--load-privkey"),
		                path(ca ? "ca" : "srv", ".key"), W("--template"), file, W("--outfile"),
		                path(name, ".pem"));
	return CERTTOOL(W("--generate-certificate"), W("--load-privkey"), path("srv", ".key"),
	                W("--load-ca-certificate"), path("ca", ".pem"), W("--load-ca-privkey"),
	                path("ca", ".key"), W("--template"), file,
	                W("--outfile"), path(name, ".pem"));
}

static void clear_directory(void)
{
	DIR *open = opendir(dir);
	struct dirent *entry;

	while (open && (entry = readdir(open)))
		if (entry->d_name[0] != '.')
			unlink(path(entry->d_name, ""));
	if (open)
		closedir(open);
	rmdir(dir);
}

/* -- servers ------------------------------------------------------------------------------ */

/* The handshake, and what is talked then: 0, or 100 and the alert where the client refuses. */
static int serve(gnutls_session_t session, int fd)
{
	int rc;

	if (wants_client)
		gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
	gnutls_transport_set_int(session, fd);
	do
		rc = gnutls_handshake(session);
	while (rc < 0 && !gnutls_error_is_fatal(rc));
	if (rc == 0)
		return talk(session, fd);
	if (rc == GNUTLS_E_FATAL_ALERT_RECEIVED)
		return 100 + (int)gnutls_alert_get(session);
	gnutls_alert_send_appropriate(session, rc);
	nap(20);
	return 2;
}

static int play_tls(int fd)
{
	gnutls_certificate_credentials_t credentials;
	gnutls_session_t session;
	int rc = 99;

	gnutls_certificate_allocate_credentials(&credentials);
	gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NO_SIGNAL);
	if (gnutls_certificate_set_x509_key_file(credentials, path(cert, ".pem"), path("srv", ".key"),
	                                         GNUTLS_X509_FMT_PEM) == 0 &&
	    gnutls_priority_set_direct(session, priorities, NULL) == 0 &&
	    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials) == 0)
		rc = serve(session, fd);
	gnutls_deinit(session);
	gnutls_certificate_free_credentials(credentials);
	return rc;
}

static int play_plain_greeting(int fd)
{
	say(fd, "+OK hello\r\n", 11);
	return (int)hear_all(fd);
}

static int play_silence(int fd)
{
	return (int)hear_all(fd);
}

static int play_hang_up(int fd)
{
	nap(10);
	close(fd);
	return 0;
}

/* STLS, with a word behind it that TLS should have carried. */
static int play_injection(int fd)
{
	char buf[1000];

	(void)!read(fd, buf, sizeof(buf));
	say(fd, "+OK go\r\n+OK forged\r\n", 20);
	return play_tls(fd);
}

static int play_late_injection(int fd)
{
	char buf[1000];

	(void)!read(fd, buf, sizeof(buf));
	say(fd, "+OK go\r\n", 8);
	nap(50);
	say(fd, "+OK forged\r\n", 12);
	return play_tls(fd);
}

static int play_stls(int fd)
{
	char buf[1000];

	(void)!read(fd, buf, sizeof(buf));
	say(fd, "+OK go\r\n", 8);
	return play_tls(fd);
}

static void send_all(gnutls_session_t session, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = gnutls_record_send(session, bytes, len);

		if (n < 0 && gnutls_error_is_fatal((int)n))
			_exit(3);
		bytes += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
}

/* Greets with the SNI it got, then "+OK" to every piece it reads. */
static int talk_echo(gnutls_session_t session, int fd)
{
	char buf[1000], name[200] = "nothing";
	size_t size = sizeof(name);
	unsigned type;
	ssize_t n;

	(void)fd;
	gnutls_server_name_get(session, name, &size, &type, 0);
	send_all(session, buf, (size_t)snprintf(buf, sizeof(buf), "+OK %s\r\n", name));
	while ((n = gnutls_record_recv(session, buf, sizeof(buf))) > 0)
		send_all(session, "+OK\r\n", 5);
	return n == 0 ? 0 : 4; /* 0: the client said goodbye */
}

static int talk_bye(gnutls_session_t session, int fd)
{
	send_all(session, "+OK hi\r\n", 8);
	gnutls_bye(session, GNUTLS_SHUT_WR);
	close(fd);
	return 0;
}

static int talk_cut(gnutls_session_t session, int fd)
{
	send_all(session, "+OK hi\r\n", 8);
	close(fd);
	return 0;
}

/* A record without text.  In TLS 1.3 GnuTLS takes no warnings. */
static int send_no_text(gnutls_session_t session)
{
	if (gnutls_protocol_get_version(session) == GNUTLS_TLS1_3)
		return gnutls_session_key_update(session, 0);
	return gnutls_alert_send(session, GNUTLS_AL_WARNING, GNUTLS_A_USER_CANCELED);
}

/* Several and a line in one segment, and then nothing. */
static int talk_late_text(gnutls_session_t session, int fd)
{
	int on = 1, off = 0;
	char c;

	setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	for (int i = 0; i < 3; i++)
		send_no_text(session);
	send_all(session, "+OK hi\r\n", 8);
	setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
	gnutls_record_recv(session, &c, 1);
	return 0;
}

/* No text as long as the client listens. */
static int talk_nothing(gnutls_session_t session, int fd)
{
	(void)fd;
	while (send_no_text(session) == 0)
		;
	return 0;
}

static int talk_rehandshake(gnutls_session_t session, int fd)
{
	char c;

	(void)fd;
	gnutls_rehandshake(session);
	gnutls_record_recv(session, &c, 1);
	return 0;
}

/* Sends all its mail before it reads a word; then says how much it heard. */
static int talk_flood(gnutls_session_t session, int fd)
{
	static char block[65536], text[64];
	struct timeval second = {.tv_sec = 1};
	size_t heard = 0;
	ssize_t n;

	small_buffers(fd);
	for (size_t i = 0; i < FLOOD; i += sizeof(block))
		send_all(session, block, sizeof(block));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	while ((n = gnutls_record_recv(session, block, sizeof(block))) > 0)
		heard += (size_t)n;
	send_all(session, text, (size_t)snprintf(text, sizeof(text), "+OK %zu\r\n", heard));
	return 0;
}

/* -- trust -------------------------------------------------------------------------------- */

static struct tls_trust *trust_in(const char *name)
{
	struct server with = {.tls_ca_file = path(name, ".pem")};
	struct error ignored = {0};

	return tls_trust_load(&with, TLS_JUDGE, &ignored);
}

static void test_trust(void)
{
	static const char *const bad[] = {"/nonexistent/ca.pem", "/dev/null", NULL, "/"};
	struct tls_trust *trust;

	put_file(path("rubbish", ".pem"), "-----BEGIN CERTIFICATE-----\nrubbish\n");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct server with = {.tls_ca_file = xstrdup(bad[i] ? bad[i] : path("rubbish", ".pem"))};
		struct error why = {0};

		trust = tls_trust_load(&with, TLS_JUDGE, &why);
		if (!OK(!trust && why.kind == ERR_CONFIG && strstr(why.text, "tls_ca_file /"),
		        with.tls_ca_file))
			printf("# %s\n", why.text);
		free(with.tls_ca_file);
	}
	trust = trust_in("ca");
	OK(trust, "a file with a certificate");
	tls_trust_free(&trust);
	OK(!trust, "is freed");
	tls_trust_free(&trust);
}

/* -- certificates that are judged --------------------------------------------------------- */

static const struct judgement {
	const char *what, *cert, *host, *ca;
	const char *said[4]; /* none: accepted */
} judgements[] = {
	{"a good certificate", "good", "localhost", "ca", {NULL}},
	{"the root's dot is no part of the name", "good", "localhost.", "ca", {NULL}},
	{"an address", "good", "127.0.0.1", "ca", {NULL}},
	{"self-signed and trusted", "self", "localhost", "self", {NULL}},
	{"another host",
     "other",
     "localhost",
     "ca",
     {"refused for localhost: it is not for this host",
      "it is for one.example, two.example, three.example, 192.0.2.9, 192.0.2.8, issued by CN=Test",
      "its key is sha256//", "set host, or tls_host, to a name"}},
	{"expired", "expired", "localhost", "ca", {"it has expired (2020-02-01)", "renew", "clock"}},
	{"not yet valid", "early", "localhost", "ca", {"not valid yet (2090-02-01)", "clock"}},
	{"self-signed", "self", "localhost", "ca", {"issuer is unknown", "self-signed", "tls_ca_file"}},
	{"an unknown issuer", "good", "localhost", "self", {"is unknown", "issued by CN=Test CA"}},
	{"not for servers", "client", "localhost", "ca", {"not meant for servers"}},
	{"a name that would play with the terminal", "evil", "localhost", "ca", {"x\\x1b[2Jy"}},
	{"several faults", "expired", "other.example", "self", {"not for this host, its issuer is "}},
};

static void test_judgement(const struct judgement *j, const char *versions)
{
	struct tls_trust *trust = trust_in(j->ca);
	const char *line;
	char *words;
	size_t len;

	cert = j->cert;
	priorities = versions;
	talk = talk_echo;
	server.host = strcmp(j->host, "127.0.0.1") == 0 ? address : localhost;
	meet(play_tls);
	server.host = xstrdup(j->host);
	if (!j->said[0]) {
		OK(conn_start_tls(&conn, trust, &err) == 0, j->what);
		conn_expect(&conn, "testing");
		OK(conn_line(&conn, &line, &len, &err) == 0, "a line comes through");
		OK(len == (j->host[0] == 'l' ? 13 : 11) && line[4] == (j->host[0] == 'l' ? 'l' : 'n'),
		   "SNI for names only");
		words = tls_describe(conn.tls);
		OK(strncmp(words, "TLS1.", 5) == 0 && !strpbrk(words, "()"), words);
		free(words);
		EQUAL(part(), 0, "both sides said goodbye");
	} else {
		OK(conn_start_tls(&conn, trust, &err) == -1 && err.kind == ERR_UNAVAILABLE, j->what);
		for (size_t i = 0; i < 4 && j->said[i]; i++)
			says(j->said[i]);
		EQUAL(part(), 100 + GNUTLS_A_BAD_CERTIFICATE, "the server is told");
	}
	free(server.host);
	server.host = localhost;
	tls_trust_free(&trust);
}

/* -- sessions ----------------------------------------------------------------------------- */

static struct tls_trust *trust; /* in our CA */

static void begin_tls(const char *versions, int (*what)(gnutls_session_t, int))
{
	cert = "good";
	priorities = versions;
	talk = what;
	meet(play_tls);
}

static void test_versions(void)
{
	begin_tls("NORMAL:-VERS-ALL:+VERS-TLS1.1", talk_echo);
	OK(conn_start_tls(&conn, trust, &err) == -1 && err.kind == ERR_UNAVAILABLE,
	   "TLS 1.1 is not enough");
	says("does not offer TLS 1.2");
	part();
}

static void test_ends(const char *versions)
{
	const char *line;
	size_t len;

	begin_tls(versions, talk_bye);
	OK(conn_start_tls(&conn, trust, &err) == 0, versions);
	OK(conn_line(&conn, &line, &len, &err) == 0 && len == 6, "a last line");
	OK(conn_line(&conn, &line, &len, &err) == -1 && err.kind == ERR_TEMP &&
	       strstr(err.text, "localhost closed the connection"),
	   "the end with a goodbye");
	part();
	begin_tls(versions, talk_cut);
	conn_start_tls(&conn, trust, &err);
	OK(conn_line(&conn, &line, &len, &err) == 0 && len == 6, "a line before the cut");
	for (int i = 0; i < 2; i++)
		OK(conn_line(&conn, &line, &len, &err) == -1 && err.kind == ERR_TEMP &&
		       strstr(err.text, "connection cut"),
		   "the end without a goodbye, told again");
	part();
}

static void test_refusals(void)
{
	const char *line;
	size_t len;

	begin_tls("NORMAL:-VERS-ALL:+VERS-TLS1.2", talk_rehandshake);
	conn_start_tls(&conn, trust, &err);
	OK(conn_line(&conn, &line, &len, &err) == -1 && err.kind == ERR_PROTOCOL, "renegotiation");
	part();
	wants_client = true;
	begin_tls("NORMAL:-VERS-ALL:+VERS-TLS1.3", talk_echo);
	if (conn_start_tls(&conn, trust, &err) == 0)
		conn_line(&conn, &line, &len, &err);
	OK(err.kind == ERR_UNAVAILABLE && strstr(err.text, "client certificate"),
	   "a client certificate is demanded");
	part();
	wants_client = false;
}

/* Records without text: what stands behind them in the same segment is read, and they are no reason
 * to wait longer. */
static void test_no_text(const char *versions)
{
	const char *line;
	size_t len;

	server.timeout = 1;
	begin_tls(versions, talk_late_text);
	conn_start_tls(&conn, trust, &err);
	conn_expect(&conn, "testing");
	OK(conn_line(&conn, &line, &len, &err) == 0 && len == 6, "a line behind no text");
	part();
	begin_tls(versions, talk_nothing);
	conn_start_tls(&conn, trust, &err);
	conn_expect(&conn, "testing");
	OK(conn_line(&conn, &line, &len, &err) == -1, "no text ends as silence, or as too much of it");
	part();
	server.timeout = 5;
}

/* The same as without TLS: a megabyte of commands against a server that does not read yet. */
static void test_flood(const char *versions)
{
	size_t n = 0, len, sum = 0;
	const char *line, *data;
	char want[64];

	begin_tls(versions, talk_flood);
	small_buffers(conn.fd);
	conn_start_tls(&conn, trust, &err);
	conn_expect(&conn, "testing");
	while (conn.out.len + 20 < CONN_MAX_OUT && conn_put(&conn, "RETR 1234567890", NULL, &err) == 0)
		n++;
	for (; sum < FLOOD && conn_data(&conn, 1, &data, &len, &err) == 0; sum += len) {
		len = len < FLOOD - sum ? len : FLOOD - sum;
		conn_take(&conn, len);
		if (sum % 7 == 0 && conn_put(&conn, "DELE 1234567890", NULL, &err) == 0)
			n++; /* more behind what waits inside GnuTLS */
	}
	EQUAL(sum, FLOOD, "a flood over TLS");
	OK(conn_line(&conn, &line, &len, &err) == 0, "the commands went out");
	snprintf(want, sizeof(want), "+OK %zu", n * 17);
	if (!OK(len == strlen(want) && memcmp(line, want, len) == 0, "each once"))
		printf("# %.*s for %s\n", (int)len, line, want);
	part();
}

/* -- pins, our own certificate, and what binds a login ------------------------------------ */

static struct tls_trust *trust_by(const struct server *with, enum tls_trust_use use)
{
	struct error why = {0};
	struct tls_trust *by = tls_trust_load(with, use, &why);

	if (!by)
		printf("# %s\n", why.text);
	return by;
}

/* The pin of a certificate, as a session that only looks finds it. */
static void find_pin(const char *name, char pin[PIN_TEXT])
{
	struct tls_trust *by = trust_by(&(struct server){.tls_ca_file = path("ca", ".pem")}, TLS_LOOK);

	begin_tls(ANY_VERSION, talk_echo);
	part();
	cert = name;
	meet(play_tls);
	OK(conn_start_tls(&conn, by, &err) == 0, "who only looks accepts it");
	pin_show(pin, tls_cert(conn.tls)->pin);
	part();
	tls_trust_free(&by);
}

static void test_pins(const char *versions)
{
	static const char *const names[] = {"self", "expired", "early", "other", "client"};
	char pin[PIN_TEXT], wrong[] = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", both[200];
	struct tls_trust *by;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		find_pin(names[i], pin);
		snprintf(both, sizeof(both), "%s, %s", wrong, pin);
		by = trust_by(&(struct server){.tls_pin = both}, TLS_JUDGE);
		priorities = versions;
		meet(play_tls);
		OK(conn_start_tls(&conn, by, &err) == 0, "the right key, and all else wrong");
		EQUAL(part(), 0, "both sides said goodbye");
		tls_trust_free(&by);
	}
	by = trust_by(&(struct server){.tls_pin = wrong, .tls_ca_file = path("ca", ".pem")}, TLS_JUDGE);
	begin_tls(versions, talk_echo);
	OK(conn_start_tls(&conn, by, &err) == -1 && err.kind == ERR_UNAVAILABLE,
	   "the wrong key, and all else right");
	says("refused for localhost: its key is not one of tls_pin; it is for localhost, 127.0.0.1");
	EQUAL(part(), 100 + GNUTLS_A_BAD_CERTIFICATE, "the server is told");
	tls_trust_free(&by);
}

static void test_look(void)
{
	struct tls_trust *by = trust_by(&(struct server){.tls_ca_file = path("ca", ".pem")}, TLS_LOOK);

	cert = "expired";
	priorities = ANY_VERSION;
	talk = talk_echo;
	meet(play_tls);
	OK(conn_start_tls(&conn, by, &err) == 0 && tls_fault(conn.tls)->kind == ERR_UNAVAILABLE &&
	       strstr(tls_fault(conn.tls)->text, "it has expired (2020-02-01)"),
	   "a fault is remembered");
	SAME(tls_cert(conn.tls)->issuer, "CN=Test CA", "the issuer");
	part();
	begin_tls(ANY_VERSION, talk_echo);
	OK(conn_start_tls(&conn, by, &err) == 0 && tls_fault(conn.tls)->kind == ERR_NONE,
	   "and no fault");
	part();
	tls_trust_free(&by);
}

/* Says whose certificate it got. */
static int talk_who(gnutls_session_t session, int fd)
{
	unsigned n = 0;
	char buf[100];

	(void)fd;
	gnutls_certificate_get_peers(session, &n);
	send_all(session, buf, (size_t)snprintf(buf, sizeof(buf), "+OK %u\r\n", n));
	return 0;
}

static void test_own(const char *versions)
{
	struct server with = {.tls_ca_file = path("ca", ".pem"), .tls_cert = path("client", ".pem"),
	                      .tls_key = path("srv", ".key")};
	struct tls_trust *by = trust_by(&with, TLS_JUDGE);
	const char *line = "";
	size_t len;

	wants_client = true;
	begin_tls(versions, talk_who);
	OK(conn_start_tls(&conn, by, &err) == 0 && conn_line(&conn, &line, &len, &err) == 0 &&
	       len == 5 && line[4] == '1', "our certificate is shown");
	part();
	begin_tls(versions, talk_who);
	if (conn_start_tls(&conn, trust, &err) == 0)
		conn_line(&conn, &line, &len, &err);
	OK(err.kind == ERR_UNAVAILABLE, "it is demanded");
	says("demands a client certificate");
	part();
	tls_trust_free(&by);

	with.tls_key = path("ca", ".key");
	OK(!tls_trust_load(&with, TLS_JUDGE, &err) && err.kind == ERR_CONFIG, "another's key");
	says("tls_key is not the key of this certificate");
	chmod(path("srv", ".key"), 0640);
	with.tls_key = path("srv", ".key");
	OK(!tls_trust_load(&with, TLS_JUDGE, &err) && err.kind == ERR_CONFIG, "a key for everybody");
	says("chmod 600");
	chmod(path("srv", ".key"), 0600);
	wants_client = false;
}

static void test_priorities(void)
{
	static const struct {
		const char *text, *said; /* NULL: fine */
	} rows[] = {
		{"NORMAL", NULL},
		{"SECURE256:+SECURE128:-VERS-TLS1.3", NULL},
		{"NORMAL:+BOGUS", "from character 8 on: '+BOGUS'"},
		{"BOGUS", "tls_priorities: "},
		{"NONE", "tls_priorities: "},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct server with = {.tls_ca_file = path("ca", ".pem"),
		                      .tls_priorities = xstrdup(rows[i].text)};
		struct error why = {0};
		struct tls_trust *by = tls_trust_load(&with, TLS_JUDGE, &why);

		if (!OK(rows[i].said ? !by && why.kind == ERR_CONFIG && strstr(why.text, rows[i].said)
		                     : by != NULL, rows[i].text))
			printf("# %s\n", why.text);
		tls_trust_free(&by);
		free(with.tls_priorities);
	}
}

/* Says what binds its end. */
static int talk_binding(gnutls_session_t session, int fd)
{
	bool exporter = gnutls_protocol_get_version(session) >= GNUTLS_TLS1_3;
	gnutls_datum_t bytes = {0};
	char buf[300] = "";

	(void)fd;
	gnutls_session_channel_binding(
		session, exporter ? GNUTLS_CB_TLS_EXPORTER : GNUTLS_CB_TLS_UNIQUE, &bytes);
	for (unsigned i = 0; i < bytes.size && i < 100; i++)
		snprintf(buf + 2 * i, 3, "%02x", bytes.data[i]);
	gnutls_free(bytes.data);
	send_all(session, buf, strlen(buf));
	send_all(session, "\r\n", 2);
	return 0;
}

static void test_binding(const char *versions, const char *want)
{
	unsigned char data[TLS_MAX_BINDING];
	char text[2 * TLS_MAX_BINDING + 1] = "";
	const char *name = "", *line = "";
	size_t len = 0, n = 0;

	begin_tls(versions, talk_binding);
	OK(conn_start_tls(&conn, trust, &err) == 0 && conn_line(&conn, &line, &n, &err) == 0, versions);
	OK(tls_binding(conn.tls, &name, data, &len) == (want != NULL), "a binding");
	if (want) {
		SAME(name, want, "its name");
		for (size_t i = 0; i < len; i++)
			snprintf(text + 2 * i, 3, "%02x", data[i]);
		OK(n == 2 * len && len >= 12 && memcmp(text, line, n) == 0, "both ends have the same");
	}
	part();
}

/* -- what is no TLS ----------------------------------------------------------------------- */

static void test_handshake(int (*play)(int), enum error_kind kind, const char *said)
{
	uint64_t start;

	server.connect_timeout = 1;
	meet(play);
	nap(20);
	start = clock_ms();
	OK(conn_start_tls(&conn, trust, &err) == -1 && err.kind == kind, said);
	says(said);
	says("localhost");
	OK(clock_ms() - start < 1500, "in time");
	part();
	server.connect_timeout = 5;
}

static void test_stls(int (*play)(int), enum error_kind kind, const char *what)
{
	const char *line;
	size_t len;

	server.tls = TLS_STLS;
	cert = "good";
	priorities = ANY_VERSION;
	talk = talk_echo;
	meet(play);
	conn_expect(&conn, "waiting for the answer to STLS");
	conn_put(&conn, "STLS", NULL, &err);
	OK(conn_line(&conn, &line, &len, &err) == 0 && len == 6, "the answer to STLS");
	if (play == play_late_injection)
		poll(&(struct pollfd){.fd = conn.fd, .events = POLLIN}, 1, 5000);
	if (kind == ERR_NONE)
		OK(conn_start_tls(&conn, trust, &err) == 0 &&
		       conn_line(&conn, &line, &len, &err) == 0 && len == 13,
		   what);
	else
		OK(conn_start_tls(&conn, trust, &err) == -1 && err.kind == kind, what);
	part();
	server.tls = TLS_IMPLICIT;
}

static void test_names(void)
{
	static const char *const names[][2] = {
		{"pop.example.org", "pop.example.org"},
		{"b\xc3\xbc\x63her.example", "xn--bcher-kva.example"},
		{"127.0.0.1", "127.0.0.1"},
		{"::1", "::1"},
		{"\xff\xfe", "\xff\xfe"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char *ascii = tls_host_ascii(names[i][0]);

		SAME(ascii, names[i][1], "a host in ASCII");
		free(ascii);
	}
}

static void test_all(void)
{
	test_trust();
	for (size_t i = 0; i < sizeof(judgements) / sizeof(*judgements); i++)
		test_judgement(&judgements[i], i % 2 ? ANY_VERSION : "NORMAL:-VERS-TLS1.3");
	trust = trust_in("ca");
	test_versions();
	test_ends(ANY_VERSION);
	test_ends("NORMAL:-VERS-TLS1.3");
	test_refusals();
	test_pins(ANY_VERSION);
	test_pins("NORMAL:-VERS-TLS1.3");
	test_look();
	test_own("NORMAL:-VERS-ALL:+VERS-TLS1.3");
	test_own("NORMAL:-VERS-TLS1.3");
	test_priorities();
	test_binding(ANY_VERSION, "tls-exporter");
	test_binding("NORMAL:-VERS-TLS1.3", "tls-unique");
	test_binding("NORMAL:-VERS-TLS1.3:%NO_SESSION_HASH", NULL);
	test_no_text(ANY_VERSION);
	test_no_text("NORMAL:-VERS-TLS1.3");
	test_flood(ANY_VERSION);
	test_flood("NORMAL:-VERS-TLS1.3");
	test_handshake(play_plain_greeting, ERR_UNAVAILABLE, "try tls = stls");
	test_handshake(play_silence, ERR_TEMP, "within 1 s while negotiating TLS");
	test_handshake(play_hang_up, ERR_TEMP, "connection "); /* cut, or lost */
	test_stls(play_stls, ERR_NONE, "TLS after STLS");
	test_stls(play_injection, ERR_PROTOCOL, "a word in the same packet as the answer");
	test_stls(play_late_injection, ERR_PROTOCOL, "a word behind the answer");
	tls_trust_free(&trust);
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");
	size_t i = 0;

	server = (struct server){.host = localhost, .tls = TLS_IMPLICIT, .timeout = 5,
	                         .connect_timeout = 5};
	test_names();
	snprintf(dir, sizeof(dir), "%.150s/mailhaul-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		return 99;
	if (make_keys() == 0)
		while (i < sizeof(templates) / sizeof(*templates) && make_certificate(i) == 0)
			i++;
	if (i == sizeof(templates) / sizeof(*templates))
		test_all();
	else
		tap_ok(1, "certificates # SKIP certtool is missing or fails", __FILE__, __LINE__);
	clear_directory();
	return tap_end();
}
