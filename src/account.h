/* SPDX-License-Identifier: MIT */
/*
 * account.h - what the user told us about one account: plain data, grouped by who needs it.
 *
 * option.c fills it, from the configuration file, the command line or a URL, and option_check
 * judges the whole; after that nothing changes it.  Each floor is shown its own part only:
 * conn and tls see struct server, auth sees struct login, the destinations struct target,
 * plan struct policy.  All strings are owned here and may be NULL when absent.
 */
#ifndef ACCOUNT_H
#define ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

enum tls_mode { TLS_BY_PORT, TLS_IMPLICIT, TLS_STLS, TLS_OFF };
enum auth_mech {
	AUTH_AUTO,
	AUTH_USER,
	AUTH_PLAIN,
	AUTH_LOGIN,
	AUTH_APOP,
	AUTH_CRAM_MD5,
	AUTH_SCRAM_SHA_1,
	AUTH_SCRAM_SHA_256,
	AUTH_SCRAM_SHA_1_PLUS,
	AUTH_SCRAM_SHA_256_PLUS,
	AUTH_EXTERNAL,
	AUTH_XOAUTH2,
	AUTH_OAUTHBEARER,
	AUTH_MECHS
};
enum family { FAMILY_ANY, FAMILY_4, FAMILY_6 };
enum pipelining { PIPELINING_AUTO, PIPELINING_ON, PIPELINING_OFF };
enum oversize { OVERSIZE_LEAVE, OVERSIZE_HEADERS, OVERSIZE_DELETE };

#define KEEP_FOREVER UINT64_MAX
#define COMPLAIN_TIME (UINT64_C(1) << 63)

/* What is done instead of fetching. */
enum look_mode {
	LOOK_NOT,
	LOOK_CHECK,   /* whether there is mail to fetch */
	LOOK_LIST,    /* what is there */
	LOOK_DRY_RUN, /* what would be done */
	LOOK_MARK,    /* all that is there counts as delivered from now on */
	LOOK_LOGIN,   /* whether the server lets us in */
	LOOK_STATUS   /* what is known of it, without asking the server */
};

struct server {
	char *host;
	uint64_t port;            /* 0: by tls */
	int tls;                  /* enum tls_mode; never TLS_BY_PORT after option_check */
	char *tls_ca_file;        /* NULL: the system's trust store */
	char *tls_pin;            /* pin.h; NULL: authorities and names decide */
	char *tls_cert;           /* file or pkcs11: URL */
	char *tls_key;            /* NULL: in tls_cert's file */
	char *tls_priorities;     /* NULL: the library's */
	char *tls_host;           /* NULL: host */
	uint64_t timeout;         /* seconds */
	uint64_t connect_timeout; /* seconds */
	uint64_t login_timeout;   /* seconds; timeout where it was not set, after option_check */
	int family;               /* enum family */
	char *source_address;     /* numeric; NULL: any */
	char *proxy;              /* URL, proxy.h; may hold a password: wiped */
	char *tunnel;             /* a shell command; excludes proxy */
	int pipelining;           /* enum pipelining */
};

struct login {
	char *user;
	char *password; /* wiped by secret_free */
	char *password_command;
	char *password_file;
	char *token_command;
	int auth; /* enum auth_mech */
	bool allow_cleartext;
};

#define MDA_JOBS 16 /* the most that mda_jobs may be */

struct target {
	char *maildir; /* exactly one of these five */
	char *mbox;
	char *mda;
	char *mda_shell;
	bool to_stdout;
	uint64_t mda_jobs;    /* MDAs at a time, 1 to MDA_JOBS */
	uint64_t mda_timeout; /* seconds; for a filter, too */
	uint64_t mda_drop;    /* exit status of an MDA that wants to drop a message; 0: none */
	bool received;        /* put a Received: header in front */
};

struct policy {
	uint64_t keep;     /* seconds a delivered message stays on the server; 0: none; KEEP_FOREVER */
	uint64_t max_size; /* octets; 0: any */
	int oversize;      /* enum oversize: what becomes of larger ones */
	char *filter;      /* a command that sees the header and decides; NULL: none */
	uint64_t limit;    /* messages fetched in one run; 0: any */
	bool retry;        /* messages that failed before need not wait */
	uint64_t complain_after; /* the outage's so many-th failure; with COMPLAIN_TIME, so many
	                          * seconds of it; 0: each failure is told */
};

struct account {
	char *name; /* the section's name, or user@host for a URL */
	unsigned line; /* of its section in the file; 0: it has none */
	bool refused;  /* something there, or in [defaults], is wrong: what is missing may be that */
	bool automatic;
	bool rebuild; /* a damaged journal is made anew from what can be read */
	bool wait;    /* for another run of it, instead of leaving at once */
	bool failed;  /* before it could begin: it is not to be started */
	bool inspect; /* its server is only looked at: no user, no destination is needed */
	int look;     /* enum look_mode; no destination is needed */
	bool json;    /* what is seen is told as objects (json.h) */
	bool watched; /* somebody or some program sees every failure, now */
	unsigned columns; /* of the terminal that shows what is seen; 0: there is none */
	struct server server;
	struct login login;
	struct target target;
	struct policy policy;
	unsigned char *origin; /* for option.c: where each option came from (enum option_origin) */
};

#endif
