/* The table of thread records.
 *
 * Records come in chunks that are never given back, so a pointer to a record is always good to read and a stale
 * handle is found out by its generation. A handle is generation << 24 | slot; slot 0 is never used. A record
 * is used again at most 2^40 - 1 times and then retired, so no handle value ever comes twice.
 *
 * Free records: a list a worker, private to its holder, exchanged in batches with the shared one. */
#include <core/fatal.h>
#include <sched/record.h>
#include <sched/timeout.h>
#include <string.h>

enum { BATCH = THRUMI_RECORDS_KEPT / 2 }; /* between a worker and the shared list */

static struct {
  struct thrumi_spin lock;
  struct thrumi_thread *free;
  uint32_t free_count;
  uint32_t with_stacks; /* slots below this have a stack reserved */
} table;

struct thrumi_table thrumi_table;

/* Every thread that is spawned must get a stack when it first runs: for each record there is one, and for each
 * worker a magazine of them that it may keep from the others. Asked for ahead, so that memory that ends is spawn's error. */
static bool reserve_stack(uint32_t slot) {
  if (slot < table.with_stacks) return true;
  uint32_t ahead = slot + THRUMI_CHUNK / 4;
  uint64_t magazines = (uint64_t)thrumi_load_relaxed(&thrumi_sched.workers) * THRUMI_STACK_MAGAZINE;
  if (thrumi_stack_reserve(ahead + magazines) != 0) return false;
  table.with_stacks = ahead;
  return true;
}

/* Timeouts are touched at random where very many threads sleep, so blocks of them are large pages: a million are 16 translations of
 * addresses then, not 8,000. The first block is not: most programs have few threads, of which few wait with a deadline. */
static bool add_timeouts(uint32_t slot) {
  _Atomic(struct thrumi_timeout *) *place = &thrumi_table.timeouts[slot / THRUMI_TIMEOUTS];
  if (thrumi_load_relaxed(place)) return true;
  const size_t bytes = THRUMI_TIMEOUTS * sizeof(struct thrumi_timeout);
  bool first = slot < THRUMI_TIMEOUTS;
  char *block = thrumi_os.reserve(first ? bytes : 2 * bytes);
  if (!block) return false;
  if (!first) {
    block += -(uintptr_t)block % bytes;
    thrumi_os_large_pages(block, bytes);
  }
  thrumi_store(place, (struct thrumi_timeout *)(void *)block);
  return true;
}

/* Under the lock: one more record for a slot that never had one. Its generation begins at 1. */
static struct thrumi_thread *make(void) {
  uint32_t slot = thrumi_load_relaxed(&thrumi_table.made);
  if (slot == 0) slot = 1;
  if (slot >= (uint32_t)THRUMI_CHUNKS * THRUMI_CHUNK || !reserve_stack(slot) || !add_timeouts(slot))
    return NULL;
  struct thrumi_thread *chunk = thrumi_load_relaxed(&thrumi_table.chunk[slot / THRUMI_CHUNK]);
  if (!chunk) {
    chunk = thrumi_os.reserve(THRUMI_CHUNK * sizeof *chunk);
    if (!chunk) return NULL;
    thrumi_leak_root(chunk, THRUMI_CHUNK * sizeof *chunk);
    thrumi_store(&thrumi_table.chunk[slot / THRUMI_CHUNK], chunk);
  }
  struct thrumi_thread *t = &chunk[slot % THRUMI_CHUNK];
  t->slot = slot;
  thrumi_store_relaxed(&t->life, (uint64_t)1 << THRUMI_LIFE_BITS | THRUMI_FREE);
  thrumi_store(&thrumi_table.made, slot + 1);
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
  for (int i = 0; i < BATCH && (*end = take_shared_locked()); i++) {
    end = &(*end)->next;
    w->record_count++;
  }
  *end = NULL;
  thrumi_spin_unlock(&table.lock);
}

struct thrumi_thread *thrumi_record_take_slowly(struct thrumi_worker *w) {
  if (!w) {
    thrumi_spin_lock(&table.lock);
    struct thrumi_thread *t = take_shared_locked();
    thrumi_spin_unlock(&table.lock);
    return t;
  }
  refill(w);
  return w->records ? thrumi_record_take(w) : NULL;
}

static void give_shared_locked(struct thrumi_thread *t) {
  t->next = table.free;
  table.free = t;
  table.free_count++;
}

/* Its life is over already. A worker with many gives half of them back. */
void thrumi_record_free_slowly(struct thrumi_worker *w, struct thrumi_thread *t) {
  thrumi_spin_lock(&table.lock);
  give_shared_locked(t);
  while (w && w->record_count > BATCH) {
    t = w->records;
    w->records = t->next;
    w->record_count--;
    give_shared_locked(t);
  }
  thrumi_spin_unlock(&table.lock);
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
