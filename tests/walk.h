/* SPDX-License-Identifier: MIT */
/*
 * walk.h - what the files of the random walk share.
 *
 *     walk.c          draws what happens, by the seed; tells what did where something is wrong
 *     walk_mailbox.c  the messages on the server, and what becomes of them without mailhaul
 *     walk_model.c    what must be true of each message after a session
 *     walk_world.c    the server, mailhaul, and others who work on the same mail
 */
#ifndef WALK_H
#define WALK_H

#include <stdbool.h>
#include <stddef.h>

#include "suite.h"
#include "witness.h"

enum { MAX_HERE = 30, SLOTS = MAX_MESSAGES / 2 }; /* messages on the server, and remembered */

enum place { BOX_A, BOX_B, MBOX, MDA, PLACES };
enum keep { KEEP_NO, KEEP_YES, KEEP_LONG, KEEP_SHORT, KEEPS };
enum oversize { SIZE_LEAVE, SIZE_HEADERS, SIZE_DELETE, OVERSIZES };
enum verdict { SIFT_TAKE, SIFT_LEAVE, SIFT_DELETE, SIFT_FAIL }; /* the filter's */
enum fault {
	CLEAN, KILL, TERM, FULL, ERROR, CUT, STALL, BROKEN, REFUSE, FAREWELL, SHORT, NAMELESS, SIFTING,
	FAULTS
};

/* Why one message may be taken for another.  TWIN: another one has had its UID and its size.
 * LOOKALIKE: that one was gone for a whole session without keep, so it must be told apart then.
 * HOPELESS: but it was first seen with keep. */
enum doubt { NO_DOUBT, TWIN, LOOKALIKE, HOPELESS };

/* What the configuration says. */
struct rules {
	enum place place;
	enum keep keep;
	bool received, filter;
	unsigned limit;         /* 0: none, as the next */
	unsigned long max_size;
	enum oversize oversize;
};

/* The copies of a message, or of its header alone, that have come. */
struct copies {
	unsigned seen, taken;       /* in all; of these a reader has taken away */
	bool known;                 /* the journal should have it, by this UID: */
	unsigned known_uid;
	bool flight;                /* a run that died may have begun its delivery, by the same */
	bool fresh, stray;          /* its copy is from such a run; and a reader took it */
};

/* A message that is or was on the server; its text is texts/N, N twice its place in the array plus
 * 1, and that of its header the next one. */
struct message {
	bool used, here;
	unsigned id, uid;           /* by arrival; as uid_text spells it */
	unsigned long size, listed; /* in octets; what LIST says, 0: nothing useful */
	bool bodyless;              /* it is its header */
	enum verdict verdict;       /* the filter's; in the present session too, unless it fails */
	struct copies whole, head;
	unsigned long known_listed; /* the size by which the journal should have it */
	bool missing;               /* then a listing lacked it */
	bool told;                  /* that it is too large */
	enum doubt doubt;
	bool warned;                /* a session has seen that there is another one, and said QUIT */
	bool listing, nameless, asked; /* in this session: listed, without UID; the filter was asked */
	bool again, head_again;     /* it, or its header, may come again */
};

struct session {
	enum fault fault;
	bool dies;                     /* of such a kind that the next run must settle it */
	struct rules rules;
	bool pipelining;               /* the server offers it */
	bool retry;                    /* also what failed often and would be put off for a while */
	struct message *list[MAX_HERE];
	unsigned n;
	bool whole;                    /* with no nonsense in it: a witness of what is missing */
	char lines[300];               /* for pop3d */
	char inject[120];              /* options; "": not below inject */
	int signal;                    /* sent to the process or its group when the transcript has */
	unsigned at_line, behind_us;   /* so many lines, and then some */
	bool group;
	unsigned long room;            /* a limit on the size of files; 0: none */
	bool undone, liar;             /* QUIT deletes nothing, yet the status is 0; and it is +OK */
	bool company;                  /* others work on the mail meanwhile */
	int status;
	unsigned connections;
};

/* -- walk.c -------------------------------------------------------------------------------- */

unsigned below(unsigned n);
bool chance(unsigned percent);

/* An event; the last ones are shown when something is wrong. */
FORMAT(1) void tell(const char *fmt, ...);

/* The end of the walk: the model and the world differ. */
FORMAT(2) _Noreturn void disagree(const struct message *m, const char *fmt, ...);

/* -- walk_mailbox.c ------------------------------------------------------------------------ */

/* A UID and a size, and whose they are. */
struct listed {
	unsigned uid, id;
	unsigned long listed;
	unsigned failures; /* sessions, or connections, in which it should have come and did not */
};

extern struct message messages[SLOTS];
extern unsigned n_here, n_messages, n_twins;
extern struct listed *history; /* all that ever were listed */
extern size_t n_history;

void mailbox_arrive(void);
void mailbox_arrive_alike(void); /* with a UID that is or was another one's */
void mailbox_size_lies(void);
void mailbox_reset_uids(void);
void mailbox_lose(unsigned percent); /* another client deletes some */
void mailbox_lose_twin(void);
void mailbox_change_minds(void);     /* the filter's */
void mailbox_list(struct session *s);
void mailbox_leave(struct message *m);
void mailbox_forget_gone(void);

/* After a session without a fault: which UIDs with their sizes may be used again. */
void mailbox_note_gone(const struct session *s);

/* Where the text of a message is, below the scratch directory. */
const char *text_name(const struct message *m);

/* A UID as pop3d's script has it. */
const char *uid_text(unsigned uid);

/* -- walk_model.c -------------------------------------------------------------------------- */

extern unsigned long second_copies, forgiven; /* that the rules allow */
extern unsigned long unread, headers;

void model_taken(const struct witness *before, const struct witness *after);

/* What the server has deleted, and whom the filter was asked about.  Returns how many messages
 * should still come or go by these rules. */
unsigned model_judge(const struct session *s, const char *gone, const char *asked);

/* -- walk_world.c -------------------------------------------------------------------------- */

extern char work[]; /* the scratch directory */
extern unsigned n_foreign;

/* Returns whether there is inject.  Remove: whether the directory goes at the end. */
bool world_begin(const bool *remove);

/* A path in the scratch directory; good until the eighth next call. */
char *in(const char *name);

void world_play(struct session *s);
void world_look(struct witness *w);
void world_read_mail(void); /* some in the Maildirs; and deletes old ones */
void world_take_all(void);
void world_append(void);    /* foreign mail to the mbox */

/* It said nothing but what it says of messages that are too large, and left nothing behind.
 * Returns how many it said are left. */
unsigned world_check_clean(const struct session *s);

/* It said that a message of this size is deleted for it. */
bool world_told_deleted(unsigned long octets);

int world_store(const char *dir); /* the MDA: stores its standard input.  An exit status */
int world_sift(const char *dir);  /* the filter */

#endif
