/* Operations of the OS that fail on demand, and a count of what they gave and got back.
 *
 *     inject_install();                 // before the first call of thrum
 *     inject_arm("allocate", 3, 1);     // the third allocation from here on fails, one call long
 *     ...
 *     inject_disarm();
 *     if (inject_count() == 0) ...      // the program did not make so many */
#ifndef TESTS_FAULT_INJECT_H
#define TESTS_FAULT_INJECT_H

#include <limits.h>
#include <stdbool.h>

struct inject_kind {
  const char *name;
  int error;    /* what the call returns; pointers are NULL */
  long longest; /* how many calls in a row may fail; LONG_MAX: all from then on */
  bool steady;  /* the program makes about the same calls each time, so each of them can be met */
};

/* The last one has no name. */
extern const struct inject_kind inject_kinds[];

const struct inject_kind *inject_find(const char *name);

void inject_install(void);
void inject_arm(const struct inject_kind *kind, long from, long length);
void inject_disarm(void);
long inject_count(void); /* failures so far */

/* What is out at this moment. */
struct inject_balance {
  long blocks;        /* allocated */
  long reserved;      /* pieces of memory but those: */
  long signal_stacks; /* kernel threads that begin reserve theirs when they please */
};
struct inject_balance inject_balance(void);

#endif
