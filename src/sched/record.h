/* Records and handles: what of the table (table.c) is on the paths of spawn and join. */
#ifndef THRUMI_RECORD_H
#define THRUMI_RECORD_H

#include <sched/sched.h>

enum {
  THRUMI_CHUNK = 1024, /* records */
  THRUMI_CHUNKS = (1 << THRUMI_LIFE_BITS) / THRUMI_CHUNK,
  THRUMI_RECORDS_KEPT = 64, /* free ones, by a worker */
  THRUMI_TIMEOUTS = 65536,  /* a block of them */
  THRUMI_TIMEOUT_BLOCKS = (1 << THRUMI_LIFE_BITS) / THRUMI_TIMEOUTS,
};

struct thrumi_timeout;

/* Slots that have a record, and a timeout, are those below `made`, slot 0 among them. Chunks and blocks come and never go. */
struct thrumi_table {
  _Atomic uint32_t made;
  _Atomic(struct thrumi_thread *) chunk[THRUMI_CHUNKS];
  _Atomic(struct thrumi_timeout *) timeouts[THRUMI_TIMEOUT_BLOCKS];
};
extern struct thrumi_table thrumi_table;

struct thrumi_thread *thrumi_record_take_slowly(struct thrumi_worker *w);
void thrumi_record_free_slowly(struct thrumi_worker *w, struct thrumi_thread *t);

#ifdef THRUMI_EXPLORE /* models bring their own */
uint32_t thrumi_record_count(void);
struct thrumi_thread *thrumi_record(uint32_t slot);
struct thrumi_thread *thrumi_record_take(struct thrumi_worker *w);
void thrumi_record_free(struct thrumi_worker *w, struct thrumi_thread *t);
thrum_thread thrumi_handle(const struct thrumi_thread *t);
struct thrumi_thread *thrumi_lookup(thrum_thread handle, uint64_t *life);
#else

static inline uint32_t thrumi_record_count(void) { return thrumi_load(&thrumi_table.made); }

/* NULL: never made. */
static inline struct thrumi_thread *thrumi_record(uint32_t slot) {
  if (thrumi_unlikely(slot >= thrumi_record_count())) return NULL;
  return thrumi_load(&thrumi_table.chunk[slot / THRUMI_CHUNK]) + slot % THRUMI_CHUNK;
}

/* NULL: no memory; w may be NULL. */
static inline struct thrumi_thread *thrumi_record_take(struct thrumi_worker *w) {
  if (thrumi_unlikely(!w || !w->records)) return thrumi_record_take_slowly(w);
  struct thrumi_thread *t = w->records;
  w->records = t->next;
  w->record_count--;
  return t;
}

/* Its thread has ended and nobody has the handle; w may be NULL. */
static inline void thrumi_record_free(struct thrumi_worker *w, struct thrumi_thread *t) {
  uint64_t generation = THRUMI_GENERATION(thrumi_load_relaxed(&t->life)) + 1;
  if (thrumi_unlikely(generation >> (64 - THRUMI_LIFE_BITS))) return; /* retired: its handles are used up */
  thrumi_store(&t->life, generation << THRUMI_LIFE_BITS | THRUMI_FREE);
  if (thrumi_unlikely(!w || w->record_count >= THRUMI_RECORDS_KEPT)) {
    thrumi_record_free_slowly(w, t);
    return;
  }
  t->next = w->records;
  w->records = t;
  w->record_count++;
}

static inline thrum_thread thrumi_handle(const struct thrumi_thread *t) {
  uint64_t life = thrumi_load_relaxed(&t->life);
  return (thrum_thread){THRUMI_GENERATION(life) << THRUMI_LIFE_BITS | t->slot};
}

/* NULL: stale. */
static inline struct thrumi_thread *thrumi_lookup(thrum_thread handle, uint64_t *life) {
  uint32_t slot = (uint32_t)THRUMI_FLAGS(handle.value);
  struct thrumi_thread *t = thrumi_likely(slot) ? thrumi_record(slot) : NULL;
  *life = 0;
  if (thrumi_unlikely(!t)) return NULL;
  *life = thrumi_load(&t->life);
  bool same =
      THRUMI_GENERATION(*life) == THRUMI_GENERATION(handle.value) && !(THRUMI_FLAGS(*life) & THRUMI_FREE);
  return thrumi_likely(same) ? t : NULL;
}
#endif

/* As if it had never been used, but for its life. What is not mentioned here was cleared at the end of its last life:
 * the stack, what it waits for, and the extras. */
static inline void thrumi_record_reset(struct thrumi_thread *t) {
  t->sp = NULL;
  t->kthread = NULL;
  t->saved_errno = 0;
  t->pins = 0;
  thrumi_store_relaxed(&t->state, (uint8_t)THRUMI_NEW);
  thrumi_store_relaxed(&t->cancel, 0);
  t->daemon = false;
  t->kind = THRUMI_LIGHT;
  t->hog = false;
  t->stack_bits = thrumi_load_relaxed(&thrumi_stack_default_bits);
  t->scoped = 0;
  thrumi_store_relaxed(&t->guest_of, NULL);
}

#endif
