/* A table from 64-bit keys to numbers: open addressing, at most half full. All-zero is empty. */
#ifndef THRUM_TRACE_TABLE_H
#define THRUM_TRACE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum { TABLE_NONE = 0xffffffff };

struct table_slot {
  uint64_t key;
  uint32_t value;
  bool used;
};

struct table {
  struct table_slot *slots;
  size_t room, count; /* room is a power of two */
};

/* Where the key is, or would be. Fibonacci hashing: keys are addresses and handles, whose low bits say little. */
static inline struct table_slot *table_slot_of(const struct table *t, uint64_t key) {
  size_t i = (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (t->room - 1);
  while (t->slots[i].used && t->slots[i].key != key) i = (i + 1) & (t->room - 1);
  return &t->slots[i];
}

/* TABLE_NONE: not there. */
static inline uint32_t table_get(const struct table *t, uint64_t key) {
  if (!t->room) return TABLE_NONE;
  const struct table_slot *s = table_slot_of(t, key);
  return s->used ? s->value : TABLE_NONE;
}

static inline bool table_grow(struct table *t) {
  struct table more = {.room = t->room ? t->room * 2 : 64, .count = t->count};
  more.slots = calloc(more.room, sizeof *more.slots);
  if (!more.slots) return false;
  for (size_t i = 0; i < t->room; i++)
    if (t->slots[i].used) *table_slot_of(&more, t->slots[i].key) = t->slots[i];
  free(t->slots);
  *t = more;
  return true;
}

/* Of a key that is not there yet. False: no memory. */
static inline bool table_add(struct table *t, uint64_t key, uint32_t value) {
  if (t->count * 2 >= t->room && !table_grow(t)) return false;
  *table_slot_of(t, key) = (struct table_slot){key, value, true};
  t->count++;
  return true;
}

static inline void table_free(struct table *t) {
  free(t->slots);
  *t = (struct table){0};
}

/* Makes room for one more in an array that doubles. */
static inline bool make_room(void *array, size_t *room, size_t count, size_t size) {
  void **at = array;
  if (count < *room) return true;
  size_t more = *room ? *room * 2 : 16;
  void *p = reallocarray(*at, more, size);
  if (!p) return false;
  *at = p;
  *room = more;
  return true;
}

#endif
