/* The table of thread records.
 *
 * Records come in chunks that are never given back, so a pointer to a record is always good to read and a stale
 * handle is found out by its generation. A handle is generation << 24 | slot; slot 0 is never used. A record
 * is used again at most 2^40 - 1 times and then retired, so no handle value ever comes twice.
 *
 * Free records: a list a worker, private to its holder, exchanged in batches with the shared one. */
#include <core/fatal.h>
#include <sched/sched.h>
#include <string.h>

enum {
  CHUNK = 1024, /* records */
  CHUNKS = (1 << THRUMI_LIFE_BITS) / CHUNK,
  MAGAZINE = 64,
};

static struct {
  struct thrumi_spin lock;
  struct thrumi_thread *free;
  uint32_t free_count;
  uint32_t with_stacks;  /* slots below this have a stack reserved */
  _Atomic uint32_t made; /* slots that have a record, slot 0 among them */
  _Atomic(struct thrumi_thread *) chunk[CHUNKS];
} table;

struct thrumi_thread *thrumi_record(uint32_t slot) {
  if (slot >= thrumi_load(&table.made)) return NULL;
  return thrumi_load(&table.chunk[slot / CHUNK]) + slot % CHUNK;
}

uint32_t thrumi_record_count(void) { return thrumi_load(&table.made); }

/* Every thread that is spawned must get a stack when it first runs: for each record there is one, and for each
 * worker a magazine of them that it may keep from the others. Asked for ahead, so that memory that ends is spawn's error. */
static bool reserve_stack(uint32_t slot) {
  if (slot < table.with_stacks) return true;
  uint32_t ahead = slot + CHUNK / 4;
  uint64_t magazines = (uint64_t)thrumi_load_relaxed(&thrumi_sched.workers) * THRUMI_STACK_MAGAZINE;
  if (thrumi_stack_reserve(ahead + magazines) != 0) return false;
  table.with_stacks = ahead;
  return true;
}

/* Under the lock: one more record for a slot that never had one. Its generation begins at 1. */
static struct thrumi_thread *make(void) {
  uint32_t slot = thrumi_load_relaxed(&table.made);
  if (slot == 0) slot = 1;
  if (slot >= (uint32_t)CHUNKS * CHUNK || !reserve_stack(slot)) return NULL;
  struct thrumi_thread *chunk = thrumi_load_relaxed(&table.chunk[slot / CHUNK]);
  if (!chunk) {
    chunk = thrumi_os.reserve(CHUNK * sizeof *chunk);
    if (!chunk) return NULL;
    thrumi_leak_root(chunk, CHUNK * sizeof *chunk);
    thrumi_store(&table.chunk[slot / CHUNK], chunk);
  }
  struct thrumi_thread *t = &chunk[slot % CHUNK];
  t->slot = slot;
  thrumi_store_relaxed(&t->life, (uint64_t)1 << THRUMI_LIFE_BITS | THRUMI_FREE);
  thrumi_store(&table.made, slot + 1);
  return t;
}

static struct thrumi_thread *take_shared_locked(void) {
  struct thrumi_thread *t = table.free;
  if (!t) return make();
  table.free = t->next;
  table.free_count--;
  return t;
}

static void refill(struct thrumi_worker *w) {
  struct thrumi_thread **end = &w->records; /* in the order of their slots: lists of threads follow it */
  thrumi_spin_lock(&table.lock);
  for (int i = 0; i < MAGAZINE / 2 && (*end = take_shared_locked()); i++) {
    end = &(*end)->next;
    w->record_count++;
  }
  *end = NULL;
  thrumi_spin_unlock(&table.lock);
}

struct thrumi_thread *thrumi_record_take(struct thrumi_worker *w) {
  struct thrumi_thread *t;
  if (!w) {
    thrumi_spin_lock(&table.lock);
    t = take_shared_locked();
    thrumi_spin_unlock(&table.lock);
    return t;
  }
  if (thrumi_unlikely(!w->records)) refill(w);
  t = w->records;
  if (thrumi_unlikely(!t)) return NULL;
  w->records = t->next;
  w->record_count--;
  return t;
}

/* Gives half of a full magazine back. */
static void spill(struct thrumi_worker *w) {
  thrumi_spin_lock(&table.lock);
  while (w->record_count > MAGAZINE / 2) {
    struct thrumi_thread *t = w->records;
    w->records = t->next;
    w->record_count--;
    t->next = table.free;
    table.free = t;
    table.free_count++;
  }
  thrumi_spin_unlock(&table.lock);
}

void thrumi_record_free(struct thrumi_worker *w, struct thrumi_thread *t) {
  uint64_t generation = THRUMI_GENERATION(thrumi_load_relaxed(&t->life)) + 1;
  if (generation >> (64 - THRUMI_LIFE_BITS)) return; /* retired: its handles are used up */
  thrumi_store(&t->life, generation << THRUMI_LIFE_BITS | THRUMI_FREE);
  if (!w) {
    thrumi_spin_lock(&table.lock);
    t->next = table.free;
    table.free = t;
    table.free_count++;
    thrumi_spin_unlock(&table.lock);
    return;
  }
  t->next = w->records;
  w->records = t;
  if (thrumi_unlikely(++w->record_count > MAGAZINE)) spill(w);
}

thrum_thread thrumi_handle(const struct thrumi_thread *t) {
  uint64_t life = thrumi_load_relaxed(&t->life);
  return (thrum_thread){THRUMI_GENERATION(life) << THRUMI_LIFE_BITS | t->slot};
}

struct thrumi_thread *thrumi_lookup(thrum_thread handle, uint64_t *life) {
  uint32_t slot = (uint32_t)THRUMI_FLAGS(handle.value);
  struct thrumi_thread *t = slot ? thrumi_record(slot) : NULL;
  if (!t) return NULL;
  *life = thrumi_load(&t->life);
  if (THRUMI_GENERATION(*life) != THRUMI_GENERATION(handle.value) || THRUMI_FLAGS(*life) & THRUMI_FREE)
    return NULL;
  return t;
}

void thrumi_table_fork(void) {
  table.lock = (struct thrumi_spin){0};
  table.free = NULL;
  table.free_count = 0;
  table.with_stacks = 0; /* the pools are dropped, too */
  for (uint32_t slot = 1; slot < thrumi_record_count(); slot++) {
    struct thrumi_thread *t = thrumi_record(slot);
    if (!(THRUMI_FLAGS(thrumi_load(&t->life)) & THRUMI_FREE)) continue;
    t->next = table.free;
    table.free = t;
    table.free_count++;
  }
}
