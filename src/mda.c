/* SPDX-License-Identifier: MIT */
/*
 * mda.c - an account's MDA, or its filter, at work on one message.
 *
 * `mda` and `filter` are split into words and run without a shell; %F within a word is the sender.
 * `mda_shell` is a line for /bin/sh in which nothing is replaced: there the sender is $SENDER.  All
 * get a small environment made anew, the message as standard input, and a group of their own.
 *
 * Exit 0 is success, whenever it comes, and so are, within the time limit, the few statuses that
 * mda.h and mda_drop_status give a meaning.  75 is "later", all else concerns this message only,
 * except where the program cannot be run at all: that ends the account's run, for the next message
 * would fare no better.
 *
 * On failure of mda_start nothing runs.  Called by the supervisor.
 */
#include "config.h"

#include "mda.h"

#include <gnutls/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRM_MS 2000  /* from SIGTERM to SIGKILL */
#define EX_TEMPFAIL 75
#define ID_BYTES 12   /* 96 bits */
#define WORD_MAX (1u << 20) /* bytes of an argument or variable: configured lines are far shorter */

/* -- words and variables ------------------------------------------------------------------ */

/* Puts the sender in the place of every %F within a word. */
static char *fill_word(char *word, const char *sender)
{
	struct str out = {.max = WORD_MAX};
	const char *from = word, *at;

	while ((at = strstr(from, "%F"))) {
		(void)str_add(&out, from, (size_t)(at - from));
		(void)str_puts(&out, sender);
		from = at + 2;
	}
	if (from == word)
		return word;
	(void)str_puts(&out, from);
	free(word);
	return out.s;
}

/* The argument vector, for child_words_free. */
static char **make_argv(const struct mda *mda, const char *sender, struct error *err)
{
	const struct target *target = &mda->account->target;
	char **words;

	if (target->mda_shell && !mda->filter) {
		words = xcalloc(4, sizeof(*words));
		words[0] = xstrdup("/bin/sh");
		words[1] = xstrdup("-c");
		words[2] = xstrdup(target->mda_shell);
		return words;
	}
	words = child_words(mda->filter ? mda->account->policy.filter : target->mda, err);
	for (size_t n = 0; words && words[n]; n++)
		words[n] = fill_word(words[n], sender);
	return words;
}

static bool keeps_variable(const char *entry)
{
	static const char *const names[] = {"HOME", "USER", "LOGNAME", "SHELL",
	                                    "PATH", "LANG", "TZ",      "TMPDIR"};
	size_t len = strcspn(entry, "=");

	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++)
		if (strlen(names[n]) == len && memcmp(names[n], entry, len) == 0)
			return true;
	return strncmp(entry, "XDG_", 4) == 0;
}

static char *variable(const char *name, const char *value)
{
	struct str entry = {.max = WORD_MAX};

	(void)str_puts(&entry, name);
	(void)str_puts(&entry, "=");
	(void)str_puts(&entry, value);
	return entry.s;
}

static char *number(const char *name, uint64_t value)
{
	struct str text = {.max = 32};
	char *entry;

	(void)str_printf(&text, "%llu", (unsigned long long)value);
	entry = variable(name, text.s);
	str_free(&text);
	return entry;
}

/* A name of this delivery that stays the same however often it is tried, so that a program can
 * drop what it has already; of the account, the UID and the size that LIST tells, for servers use
 * UIDs again.  A header alone has another one than its message.  "" where there is no UID. */
static char *delivery_id(const char *account, const char *uid, const struct event *event)
{
	struct str text = {.max = WORD_MAX};
	unsigned char sum[32];
	char id[2 * ID_BYTES + 1] = "";
	size_t size = sizeof(id);

	(void)str_printf(&text, "%s\n%llu\n%s%s", account, (unsigned long long)event->kept, uid,
	                 event->level ? "\nheader" : "");
	if (*uid && gnutls_hash_fast(GNUTLS_DIG_SHA256, text.s, text.len, sum) == 0)
		gnutls_hex_encode(&(gnutls_datum_t){sum, ID_BYTES}, id, &size);
	str_free(&text);
	return variable("DELIVERY_ID", id);
}

/* The environment, for child_words_free: what is kept of ours, what is known of the message. */
static char **make_env(const struct account *account, const char *sender, const char *uid,
                       const struct event *event)
{
	size_t n, len = 0;
	char **env;

	for (n = 0; environ[n]; n++)
		;
	env = xcalloc(n + 8, sizeof(*env));
	for (n = 0; environ[n]; n++)
		if (keeps_variable(environ[n]))
			env[len++] = xstrdup(environ[n]);
	env[len++] = variable("SENDER", sender);
	env[len++] = variable("RECIPIENT", account->login.user ? account->login.user : "");
	env[len++] = variable("ACCOUNT", account->name);
	env[len++] = variable("UIDL", uid);
	env[len++] = number("SIZE", event->bytes);
	env[len++] = delivery_id(account->name, uid, event);
	if (event->total > 0)
		env[len] = number("DELIVERY_ATTEMPT", event->total);
	return env;
}

/* The sender as wire_sender makes it; the worker's word for that is not enough. */
static void take_sender(char *to, size_t size, const char *text, size_t len)
{
	static const char fine[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	                           "0123456789._%+=@/-";

	text_copy(to, size, "MAILER-DAEMON");
	if (len > 0 && len < size && text[0] != '-' && strspn(text, fine) == len) {
		memcpy(to, text, len);
		to[len] = '\0';
	}
}

/* -- its end ------------------------------------------------------------------------------ */

/* True where the exit status is an answer. */
static bool is_answer(const struct mda *mda, int code)
{
	if (code == 0)
		return true;
	if (mda->stage != MDA_RUNS && !(mda->stopped && mda->stage == MDA_ASKED))
		return false; /* who was told to stop may say anything */
	if (mda->filter)
		return code == MDA_FILTER_LEAVE || code == MDA_FILTER_DELETE;
	return code > 0 && (unsigned)code == mda->account->target.mda_drop;
}

static void judge(struct mda *mda, int status, const char *said, struct error *verdict)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	const char *what = mda->filter ? "filter" : "MDA";
	char how[64];

	*verdict = (struct error){0};
	if (is_answer(mda, code)) {
		mda->code = (unsigned)code;
		return;
	}
	if (mda->stopped && mda->stage == MDA_KILLED) {
		error_set(verdict, ERR_STOP, "%s '%s' was stopped", what, mda->name);
		return;
	}
	if (mda->stage != MDA_RUNS && !mda->stopped)
		error_set(verdict, ERR_TEMP, "%s '%s' did not finish within %llu s and was stopped", what,
		          mda->name, (unsigned long long)mda->account->target.mda_timeout);
	else
		error_set(verdict, code == EX_TEMPFAIL ? ERR_TEMP : ERR_IO, "%s '%s' failed: %s%s%s", what,
		          mda->name, child_status_text(how, sizeof(how), status),
		          said[0] ? ": " : "", said);
	/* The shell's words for a program that cannot be run; and where posix_spawn does not tell of
	 * a missing program at once, the child's exit status does (POSIX: 127). */
	verdict->one_message = !(code == 127 || (code == 126 &&
	                         (mda->filter || mda->account->target.mda_shell)));
}

/* -- exported ----------------------------------------------------------------------------- */

int mda_start(struct mda *mda, const struct account *account, const struct event *event,
              int message, struct error *err)
{
	const char *end = strchrnul(event->text, '\n'), *name;
	bool filter = event->kind == EVENT_FILTER;
	char sender[256], uid[4 * sizeof(event->text)], **argv, **env;
	struct child_spec spec = {.stdin_fd = message};

	*mda = (struct mda){.account = account, .num = event->num, .filter = filter};
	take_sender(sender, sizeof(sender), event->text, (size_t)(end - event->text));
	end += *end == '\n';
	printable(uid, sizeof(uid), end, strlen(end));
	argv = make_argv(mda, sender, err);
	if (!argv)
		return error_wrap(err, filter ? "filter" : "mda");
	env = make_env(account, sender, uid, event);
	name = account->target.mda_shell && !filter ? account->target.mda_shell : argv[0];
	printable(mda->name, sizeof(mda->name), name, strlen(name));
	spec.argv = argv;
	spec.env = env;
	if (child_start(&mda->child, &spec, err) == -1)
		error_wrap(err, "no message can be delivered");
	child_words_free(argv);
	child_words_free(env);
	mda->deadline = clock_ms() + account->target.mda_timeout * 1000;
	return mda->child.pid ? 0 : -1;
}

void mda_watch(struct mda *mda, uint64_t now)
{
	if (!mda->child.pid || now < mda->deadline)
		return;
	child_signal(&mda->child, mda->stage == MDA_RUNS ? SIGTERM : SIGKILL);
	mda->stage = mda->stage == MDA_RUNS ? MDA_ASKED : MDA_KILLED;
	mda->deadline = mda->stage == MDA_KILLED ? UINT64_MAX : now + FIRM_MS;
}

void mda_stop(struct mda *mda, uint64_t when)
{
	if (!mda->child.pid || mda->stage == MDA_KILLED)
		return;
	if (mda->stage == MDA_RUNS)
		mda->stopped = true;
	mda->stage = MDA_ASKED; /* no SIGTERM: it is about to finish, or it hangs */
	if (when < mda->deadline)
		mda->deadline = when;
}

bool mda_reap(struct mda *mda, struct error *verdict, char said[MDA_SAID])
{
	int status;

	if (!mda->child.pid || !child_reap(&mda->child, &status))
		return false;
	child_last_words(&mda->child, said, MDA_SAID);
	judge(mda, status, said, verdict);
	return true;
}
