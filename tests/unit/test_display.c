/* SPDX-License-Identifier: MIT */
/*
 * test_display.c - screens: what is drawn for whom at which size.
 */
#include "config.h"

#include "display.h"

#include "header.h"
#include "tap.h"

#define NOW 1000000
#define MB 1000000u

static const struct display_row one[] = {
	{.name = "work", .begun = NOW - 9000, .since = 1, .fetched = 120, .due = 300,
	 .received = 4 * MB, .octets = 10 * MB, .heard = NOW, .rate = 500000},
};
static const struct display_row three[] = {
	{.name = "work", .begun = NOW - 9000, .since = 1, .fetched = 120, .due = 300,
	 .received = 4 * MB, .octets = 10 * MB, .heard = NOW, .rate = 500000},
	{.name = "home", .begun = NOW - 2500},
	{.name = "b\xc3\xbcro", .begun = NOW - 9000, .since = 1, .fetched = 7, .due = 12000,
	 .received = 99 * MB, .octets = 5000ull * MB, .heard = NOW - 500, .rate = 1234567},
};
static const struct display_row odd[] = {
	{.name = "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x81\xae\xe5\x90\x8d\xe5\x89\x8d",
	 .begun = NOW, .since = 1, .fetched = 3, .due = 3, .received = 10, .octets = 20,
	 .heard = NOW},
	{.name = "a\x1b[2J\n\xff", .begun = NOW + 10, .since = 1, .due = 9, .heard = NOW},
	{.name = "somebody@a-very-long-host-name.example.org", .begun = NOW, .since = 1,
	 .due = 5, .received = 30, .octets = 20, .rate = 1e15, .heard = NOW},
	{.name = "idle", .begun = NOW, .since = 1},
	{.name = "silent", .begun = NOW - 60000, .since = 1, .fetched = 1, .due = 2,
	 .received = 5000, .octets = 100000, .rate = 5000, .heard = NOW - 36000},
	{.name = "", .begun = NOW - 60000, .since = 1, .fetched = 1, .due = 2, .octets = 1 << 30,
	 .received = 1, .rate = 2, .heard = NOW},
};

static const struct display_row stalled[] = {
	{.name = "burst", .begun = NOW - 9000, .since = NOW - 8001, .due = 5, .received = 20000,
	 .octets = 102000, .heard = NOW - 8000, .rate = 20000000},
	{.name = "young", .begun = NOW - 1500, .since = NOW - 501, .due = 5, .received = 20000,
	 .octets = 102000, .heard = NOW - 500, .rate = 20000000},
	{.name = "old", .begun = NOW - 90000, .since = NOW - 80000, .due = 5, .received = 20000,
	 .octets = 102000, .heard = NOW - 500, .rate = 3000},
	{.name = "at once", .begun = NOW - 9000, .since = NOW - 8000, .due = 5, .received = 20000,
	 .octets = 102000, .heard = NOW - 8000, .rate = 20000000},
};

static const struct screen {
	const char *name;
	const struct display_row *rows;
	size_t count;
	unsigned width, height;
	const char *want;
} screens[] = {
	{"one at 20", one, 1, 20, 24,
	 "work  120/300"},
	{"one at 40", one, 1, 40, 24,
	 "work  [===>    ]  120/300     0:12 left"},
	{"one at 80", one, 1, 80, 24,
	 "work  [===========>                ]  120/300   4.0 MB   500 kB/s     0:12 left"},
	{"one at 200", one, 1, 200, 24,
	 "work  [===============>                      ]  120/300   4.0 MB   500 kB/s     0:12 left"},
	{"three at 20", three, 3, 20, 24,
	 "work      120/300\n"
	 "home  waiting 2 s\n"
	 "büro      7/12000"},
	{"three at 40", three, 3, 40, 24,
	 "work  [===>     ]      120/300     0:12\n"
	 "home  waiting 2 s\n"
	 "büro  [         ]      7/12000  1:06:10"},
	{"three at 80", three, 3, 80, 24,
	 "work  [=========>              ]      120/300   4.0 MB   500 kB/s     0:12 left\n"
	 "home  waiting 2 s\n"
	 "büro  [                        ]      7/12000  99.0 MB   1.2 MB/s  1:06:10 left"},
	{"three at 200", three, 3, 200, 24,
	 "work  [===============>                      ]      120/3"
	 "00   4.0 MB   500 kB/s     0:12 left\n"
	 "home  waiting 2 s\n"
	 "büro  [                                      ]      7/120"
	 "00  99.0 MB   1.2 MB/s  1:06:10 left"},
	{"odd ones at 20", odd, 6, 20, 24,
	 "日本...   3/3\n"
	 "a\\x1b...  0/9\n"
	 "someb...  0/5\n"
	 "idle      finishing\n"
	 "silent    1/2\n"
	 "          1/2"},
	{"odd ones at 40", odd, 6, 40, 24,
	 "日本語...  [============]  3/3\n"
	 "a\\x1b[...  [            ]  0/9\n"
	 "somebo...  [===========>]  0/5\n"
	 "idle       finishing\n"
	 "silent     [            ]  1/2     3:10\n"
	 "           [            ]  1/2"},
	{"odd ones at 80", odd, 6, 80, 24,
	 "日本語の名前         [=================]  3/3     10 B\n"
	 "a\\x1b[2J\\x0a\\xff     [                 ]  0/9      0 B\n"
	 "somebody@a-very-...  [================>]  0/5     30 B   1.0 PB/s\n"
	 "idle                 finishing\n"
	 "silent               [                 ]  1/2     5 kB    500 B/s     3:10 left\n"
	 "                     [                 ]  1/2      1 B      2 B/s"},
	{"odd ones at 200", odd, 6, 200, 24,
	 "日本語の名前                    [======================================]  3/3     10 B\n"
	 "a\\x1b[2J\\x0a\\xff                [                                      ]  0/9      0 B\n"
	 "somebody@a-very-long-host-n...  [========================"
	 "=============>]  0/5     30 B   1.0 PB/s\n"
	 "idle                            finishing\n"
	 "silent                          [=>                      "
	 "              ]  1/2     5 kB    500 B/s     3:10 left\n"
	 "                                [                        "
	 "              ]  1/2      1 B      2 B/s"},
	{"what nothing comes for has no rate", stalled, 4, 80, 24,
	 "burst    [=====>                       ]  0/5    20 kB     2 kB/s     0:33 left\n"
	 "young    [=====>                       ]  0/5    20 kB    40 kB/s     0:02 left\n"
	 "old      [=====>                       ]  0/5    20 kB     3 kB/s     0:27 left\n"
	 "at once  [=====>                       ]  0/5    20 kB"},
	{"no more lines than there are", odd, 6, 40, 4,
	 "日本語...  [============]  3/3\n"
	 "a\\x1b[...  [            ]  0/9\n"
	 "and 4 more"},
	{"two lines", odd, 6, 40, 3,
	 "日本語...  [============]  3/3\n"
	 "and 5 more"},
	{"one line", odd, 6, 40, 2,
	 "6 accounts"},
	{"a screen of one", one, 1, 40, 1,
	 "work  [===>    ]  120/300     0:12 left"},
	{"one column", one, 1, 1, 24,
	 "."},
	{"nobody", one, 0, 80, 24, ""},
};

/* For people: where a screen differs, it is shown as it would be written here. */
static void show(const char *name, const char *got)
{
	printf("# %s\n", name);
	for (; *got; got++)
		printf("%c%s", *got, *got == '\n' ? "# " : "");
	printf("\n");
}

static void test_screens(void)
{
	for (size_t n = 0; n < sizeof screens / sizeof *screens; n++) {
		const struct screen *screen = &screens[n];
		struct str text = {.max = 10000};

		display_make(&text, screen->rows, screen->count, screen->width, screen->height, NOW);
		if (!SAME(text.s ? text.s : "", screen->want, screen->name))
			show(screen->name, text.s ? text.s : "");
		str_free(&text);
	}
}

/* Whatever the size: no line fills the last column, and they are fewer than those of the screen. */
static void test_sizes(void)
{
	bool narrow = true, low = true;

	for (unsigned width = 2; width < 220; width++)
		for (unsigned height = 1; height < 9; height++) {
			struct str text = {.max = 10000};
			unsigned lines = 1;
			char *line, *end;

			display_make(&text, odd, 6, width, height, NOW);
			for (line = text.s; (end = strchr(line, '\n')) != NULL; line = end + 1, lines++) {
				*end = '\0';
				narrow = narrow && header_columns(line) < width;
			}
			narrow = narrow && header_columns(line) < width;
			low = low && (lines < height || height == 1);
			str_free(&text);
		}
	OK(narrow, "at every width no line wraps");
	OK(low, "at every height nothing scrolls");
}

/* The rate follows what comes, smoothly, and does not believe everything. */
static void test_rate(void)
{
	struct display_row row = {.since = 1000, .heard = 1000};
	uint64_t now = 1000;

	display_advance(&row, 1, 100000, now += 100);
	EQUAL(row.rate, 1000000, "the first is what it is");
	display_advance(&row, 1, 100000, now += 100);
	EQUAL(row.rate, 1000000, "nothing new, nothing changes");
	for (int i = 0; i < 10; i++)
		display_advance(&row, 2, row.received + 20000, now += 100);
	OK(row.rate < 1000000 && row.rate > 200000, "a slower second does not count for all");
	for (int i = 0; i < 300; i++)
		display_advance(&row, 2, row.received + 20000, now += 100);
	OK(row.rate > 199000 && row.rate < 201000, "half a minute of it does");
	display_advance(&row, 2, UINT64_MAX, now);
	OK(row.rate < 1e15, "nor is a lie believed");
	display_advance(&row, 1, 5, now += 100);
	EQUAL(row.fetched, 1, "a number that shrinks makes no rate");
}

static void test_spans(void)
{
	static const struct {
		uint64_t seconds;
		const char *want;
	} spans[] = {
		{0, "0 min"}, {59, "0 min"}, {60, "1 min"}, {3599, "59 min"}, {3600, "1 h"},
		{172799, "47 h"}, {172800, "2 d"}, {86399999, "999 d"}, {86400000, "2 y"},
		{94694400, "3 y"}, {UINT64_MAX, "584542046090 y"},
	};
	char text[24];

	for (size_t n = 0; n < sizeof spans / sizeof *spans; n++)
		SAME(display_span(text, spans[n].seconds), spans[n].want, spans[n].want);
}

int main(void)
{
	test_screens();
	test_sizes();
	test_rate();
	test_spans();
	return tap_end();
}
