/* Two tables, sorted by address, of which the version's parity says which one holds.
 *
 *   word               meaning                                         written by
 *   `version`          how often the table was changed; table          who changes it, under the lock, when the other table is whole
 *                      version % 2 holds
 *   a table's words    rows in the order of their addresses            who changes it, while the other one holds
 *
 * Who reads takes the version, reads in its table, and looks at the version again. If that is the same, nobody had begun to write in
 * this table: the next change writes into the other one, and only the one behind that writes here, after the version
 * has changed. (The second look is behind an acquire fence, whose other side is the release fence with which a writer begins: a row that was
 * read from the change after the next brings with it the version that came before it.)
 *
 * In the child of a fork the table that holds is whole, whatever another thread was about; what that thread had mapped and not
 * entered yet is lost there. Nobody holds the lock across a fork. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <process/keeper.h>
#include <process/name.h>
#include <process/segment.h>
#include <sched/self.h>
#include <thrum/sync/once.h>

struct row {
  _Atomic uintptr_t low, high;
  _Atomic(struct thrumi_segment *) segment;
};

struct table {
  _Atomic uint32_t count;
  struct row row[THRUMI_SEGMENTS];
};

static struct {
  struct thrumi_spin lock; /* taken inside */
  _Atomic uint32_t version;
  struct table table[2];
} registry;

static thrum_once once;

/* ---- Reading ------------------------------------------------------------------------------------------------------------- */

/* How many rows begin at the address or below. */
static uint32_t rank(const struct table *t, uintptr_t address) {
  uint32_t low = 0, high = thrumi_load_relaxed(&t->count);
  while (low < high) {
    uint32_t middle = (low + high) / 2;
    if (thrumi_load_relaxed(&t->row[middle].low) <= address)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static struct thrumi_segment *look(const struct table *t, uintptr_t address) {
  uint32_t n = rank(t, address);
  if (n == 0 || address >= thrumi_load_relaxed(&t->row[n - 1].high)) return NULL;
  return thrumi_load_relaxed(&t->row[n - 1].segment);
}

struct thrumi_segment *thrumi_segment_of(const void *address) {
  for (;;) {
    uint32_t version = thrumi_load(&registry.version);
    struct thrumi_segment *found = look(&registry.table[version % 2], (uintptr_t)address);
    atomic_thread_fence(memory_order_acquire);
    if (thrumi_likely(thrumi_load_relaxed(&registry.version) == version)) return found;
  }
}

/* ---- Changing ------------------------------------------------------------------------------------------------------------ */

static void forked(void) {
  registry.lock = (struct thrumi_spin){0};
  thrumi_keeper_fork();
  thrumi_slot_fork();
  thrumi_name_fork();
  struct table *t = &registry.table[thrumi_load(&registry.version) % 2];
  for (uint32_t i = 0; i < t->count; i++) thrumi_store(&t->row[i].segment->holder, 0u);
}

static intptr_t prepare(void *unused) {
  (void)unused;
  return -pthread_atfork(NULL, NULL, forked);
}

static void copy_row(struct row *to, const struct row *from) {
  thrumi_store_relaxed(&to->low, thrumi_load_relaxed(&from->low));
  thrumi_store_relaxed(&to->high, thrumi_load_relaxed(&from->high));
  thrumi_store_relaxed(&to->segment, thrumi_load_relaxed(&from->segment));
}

/* Writes the table that does not hold: the other one without `out` and with `in` (either may be NULL). Then it holds. */
static void change_locked(const struct thrumi_segment *out, struct thrumi_segment *in) {
  uint32_t version = thrumi_load_relaxed(&registry.version), n = 0;
  const struct table *from = &registry.table[version % 2];
  struct table *to = &registry.table[(version + 1) % 2];
  struct row new = {.low = in ? (uintptr_t)in->header : UINTPTR_MAX, .segment = in};
  new.high = in ? new.low + in->bytes : 0;
  uint32_t count = thrumi_load_relaxed(&from->count), at = in ? rank(from, new.low) : count;
  atomic_thread_fence(memory_order_release);
  for (uint32_t i = 0; i < count; i++) {
    if (i == at && in) copy_row(&to->row[n++], &new);
    if (thrumi_load_relaxed(&from->row[i].segment) != out) copy_row(&to->row[n++], &from->row[i]);
  }
  if (at == count && in) copy_row(&to->row[n++], &new);
  thrumi_store_relaxed(&to->count, n);
  thrumi_store(&registry.version, version + 1);
}

/* The same segment, mapped by somebody else in this process. */
static struct thrumi_segment *find_locked(const struct thrumi_segment *segment) {
  const struct table *t = &registry.table[thrumi_load_relaxed(&registry.version) % 2];
  for (uint32_t i = 0; i < thrumi_load_relaxed(&t->count); i++) {
    struct thrumi_segment *other = thrumi_load_relaxed(&t->row[i].segment);
    if (other->header->id[0] == segment->header->id[0] && other->header->id[1] == segment->header->id[1])
      return other;
  }
  return NULL;
}

static int add_locked(struct thrumi_segment *segment, struct thrumi_segment **there) {
  *there = find_locked(segment);
  if (*there) return (*there)->users++, 0;
  if (registry.table[thrumi_load_relaxed(&registry.version) % 2].count == THRUMI_SEGMENTS) return -EMFILE;
  segment->users = 1;
  change_locked(NULL, segment);
  return 0;
}

int thrumi_registry_add(struct thrumi_segment *segment, struct thrumi_segment **there) {
  int error = (int)thrum_once_call(&once, prepare, NULL);
  if (error) return error;
  thrumi_announce(segment);
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&registry.lock);
  error = add_locked(segment, there);
  thrumi_spin_unlock(&registry.lock);
  thrumi_leave(k);
  if (*there) thrumi_rely_on(*there);
  return error;
}

bool thrumi_registry_drop(struct thrumi_segment *segment) {
  thrumi_announce(segment);
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&registry.lock);
  bool last = --segment->users == 0;
  if (last) change_locked(segment, NULL);
  thrumi_spin_unlock(&registry.lock);
  thrumi_leave(k);
  if (last) thrumi_rely_on(segment);
  return last;
}
