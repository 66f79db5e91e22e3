/* The objects that are watched: one entry an object, made the first time that it is acquired while somebody watches.
 *
 * The table is of a fixed size, open addressing with linear probing, in memory of the OS's that costs nothing until it is
 * touched. Looking up takes no lock. Adding takes the table's, and is rare.
 *
 *   word     values                              written by
 *   object   NULL: free; else an address         who adds, under the lock; never back to NULL, so that no search ends early
 *   state    NONE, LIVE, GONE                    NONE -> LIVE by who adds; LIVE -> GONE by forget; GONE -> LIVE by who adds,
 *                                                for this object or another one: all under the lock
 *
 * A reader that finds its object in an entry that becomes another's at that moment counts a little for the wrong one: the object
 * was destroyed while it was in use, which nobody may do.
 *
 * Once the table is full, further objects are not watched, and that is said once. */
#ifndef THRUMI_WATCHED_H
#define THRUMI_WATCHED_H

#include <check/observe.h>

enum { THRUMI_WATCHED_BITS = 16, THRUMI_WATCHED_MAX = 1 << THRUMI_WATCHED_BITS };

enum thrumi_watched_state { THRUMI_WATCHED_NONE, THRUMI_WATCHED_LIVE, THRUMI_WATCHED_GONE };

/* A place where the object was acquired, a thread that held it, and how long others waited behind them. */
enum { THRUMI_BLAMED = 4 };
struct thrumi_blame {
  _Atomic uintptr_t site;
  _Atomic int64_t waited;
};
struct thrumi_holder { /* under profile.c's lock */
  struct thrumi_name_parts name;
  int64_t waited; /* 0: free */
};

struct thrumi_watched {
  _Atomic(const void *) object;
  _Atomic uintptr_t first_site; /* where it was acquired first */
  _Atomic uint32_t klass;       /* class.h; 0: none yet */
  _Atomic uint8_t state;
  uint8_t hold; /* enum thrumi_hold, of the first time */

  /* profile.c */
  _Atomic uintptr_t holder_site; /* where it was acquired last, */
  _Atomic uint32_t holder_mark;  /* and by whom */
  _Atomic uint64_t acquired, waits;
  _Atomic int64_t waited, longest;
  struct thrumi_blame blame[THRUMI_BLAMED];
  struct thrumi_holder holder[THRUMI_BLAMED];
};

/* All of them inside. */
struct thrumi_watched *thrumi_watched_find(const void *object);            /* NULL: not watched */
struct thrumi_watched *thrumi_watched_get(const struct thrumi_acquire *a); /* adds it; NULL: full */
uintptr_t thrumi_watched_site(const void *object);                         /* 0: not known */
struct thrumi_watched *thrumi_watched_at(uint32_t i);                      /* the i-th; NULL: none is there */
void thrumi_watched_forget(const void *object);
void thrumi_watched_fork(void);

void thrumi_watched_say_full(void); /* once, if it is. Outside */

#endif
