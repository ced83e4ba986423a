/* SPDX-License-Identifier: MIT */
/*
 * walk.h - what the files of the random walk share.
 *
 *     walk.c        draws what happens, by the seed; tells what did where something is wrong
 *     walk_model.c  knows each message, and what must be true of it after a session
 *     walk_world.c  the server, mailhaul, and others who work on the same mail
 */
#ifndef WALK_H
#define WALK_H

#include <stdbool.h>

#include "suite.h"
#include "witness.h"

enum { MAX_HERE = 30 }; /* messages on the server */

enum place { BOX_A, BOX_B, MBOX, MDA, PLACES };
enum keep { KEEP_NO, KEEP_YES, KEEP_LONG, KEEP_SHORT, KEEPS };
enum fault {
	CLEAN, KILL, TERM, FULL, ERROR, CUT, STALL, BROKEN, REFUSE, FAREWELL, SHORT, NAMELESS, FAULTS
};

/* Why one message may be taken for another.  TWIN: another one has had its UID and its size.
 * LOOKALIKE: that one was gone for a whole session without keep, so it must be told apart then.
 * HOPELESS: but it was first seen with keep. */
enum doubt { NO_DOUBT, TWIN, LOOKALIKE, HOPELESS };

/* A message that is or was on the server; its text is texts/N, its place in the array plus 1. */
struct message {
	bool used, here;
	unsigned id, uid;           /* by arrival; as uid_text spells it */
	unsigned long size, listed; /* in octets; what LIST says, 0: nothing useful */
	unsigned copies, taken;     /* seen in all; of these a reader has taken away */
	bool known;                 /* the journal should have it, by these: */
	unsigned known_uid;
	unsigned long known_listed;
	bool missing;               /* then a listing lacked it */
	bool flight;                /* a run that died may have begun its delivery, by the same */
	bool fresh, stray;          /* its copy is from such a run; and a reader took it */
	enum doubt doubt;
	bool listing, nameless, again; /* in this session: listed, without UID; may come again */
};

struct session {
	enum fault fault;
	bool dies;                     /* of such a kind that the next run must settle it */
	enum place place;
	enum keep keep;
	bool received, pipelining;     /* the server offers it */
	bool retry;                    /* also what failed often and would be put off for a while */
	struct message *list[MAX_HERE];
	unsigned n;
	bool whole;                    /* with no nonsense in it: a witness of what is missing */
	char lines[300];               /* for pop3d */
	char inject[120];              /* options; "": not below inject */
	int signal;                    /* sent to the process or its group when the transcript has */
	unsigned at_line, behind_us;   /* so many lines, and then some */
	bool group;
	unsigned long limit;           /* on the size of files; 0: none */
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

/* -- walk_model.c -------------------------------------------------------------------------- */

extern unsigned n_here, n_messages;
extern unsigned long second_copies, forgiven; /* that the rules allow */

void model_arrive(void);
void model_arrive_alike(void); /* with a UID that is or was another one's */
void model_size_lies(void);
void model_reset_uids(void);
void model_others_delete(unsigned percent);
void model_taken(const struct witness *before, const struct witness *after);
void model_forget_gone(void);
void model_list(struct session *s);
void model_judge(const struct session *s, const char *gone);

/* Where the text of a message is, below the scratch directory. */
const char *text_name(const struct message *m);

/* A UID as pop3d's script has it. */
const char *uid_text(unsigned uid);

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
void world_check_clean(const struct session *s); /* it said nothing and left nothing behind */
int world_store(const char *dir); /* the MDA: stores its standard input.  An exit status */

#endif
