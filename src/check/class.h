/* Classes of locks: what the order checker takes for one lock. All objects that were given one name; else each variable; else
 * all objects that were acquired first at one place.
 *
 * A class is never given back. The table is bounded, in memory of the OS's, and says once when it is full. */
#ifndef THRUMI_CLASS_H
#define THRUMI_CLASS_H

#include <check/watched.h>
#include <core/backtrace.h>
#include <core/spin.h>

enum { THRUMI_CLASSES_MAX = 1 << 14, THRUMI_CLASS_TEXT = 128 };

enum { THRUMI_CLASS_READ = 1, THRUMI_CLASS_WRITTEN = 2 };

struct thrumi_lock_class {
  uint64_t key;   /* of the name, the variable or the place */
  uintptr_t site; /* the place */
  _Atomic uint32_t
      objects; /* how many it had so far; a variable's stays one, however often it is made again */
  bool variable;
  _Atomic uint8_t uses;         /* READ, WRITTEN: it was acquired so */
  char text[THRUMI_CLASS_TEXT]; /* the name or the variable */
  uint32_t edges;               /* order.c: first of those that leave it; 0: none */
  uint32_t visited;             /* order.c: the last search that came here */
};

/* The number of the object's class, found or made; 0: there is no room. Outside. */
uint32_t thrumi_class_of(const struct thrumi_acquire *a);

/* Any thread, any time. */
struct thrumi_lock_class *thrumi_class(uint32_t number);
bool thrumi_class_is_single(uint32_t number); /* it has had one object */

/* Readers do not wait for readers, but for a writer that waits: a class that nobody ever acquires for writing blocks nobody. */
bool thrumi_class_blocks(uint32_t number);

/* It is acquired so. True: it was only read before, and blocks from here on. */
bool thrumi_class_begins_to_block(uint32_t number, enum thrumi_hold hold);
const char *thrumi_class_text(uint32_t number, char *text, size_t size); /* outside */

void thrumi_class_fork(void);

#endif
