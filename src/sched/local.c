/* Thread-local values that follow the light thread. A local gets its slot when a value is first set; a thread's
 * values are an array by slot, made at its first value. */
#include <sched/self.h>
#include <string.h>
#include <thrum/local.h>

enum { LOCALS = 1024, ROUNDS = 4 };

static struct {
  struct thrumi_spin lock;
  _Atomic uint32_t count;
  thrum_local *local[LOCALS]; /* whose slot it is; slot numbers begin at 1 */
} table;

static struct thrumi_thread *self(void) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *t = k->current;
  thrumi_leave(k);
  return t;
}

void thrumi_local_fork(void) { table.lock = (struct thrumi_spin){0}; }

/* The slot of a local, given at first use; 0: there are too many. */
static uint32_t slot_of(thrum_local *local) {
  uint32_t slot = __atomic_load_n(&local->slot, __ATOMIC_ACQUIRE);
  if (slot) return slot;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&table.lock);
  slot = local->slot;
  uint32_t count = thrumi_load_relaxed(&table.count);
  if (!slot && count < LOCALS) {
    table.local[count] = local;
    slot = count + 1;
    thrumi_store(&table.count, slot);
    __atomic_store_n(&local->slot, slot, __ATOMIC_RELEASE);
  }
  thrumi_spin_unlock(&table.lock);
  thrumi_leave(k);
  return slot;
}

void *thrum_local_get(thrum_local *local) {
  uint32_t slot = __atomic_load_n(&local->slot, __ATOMIC_ACQUIRE);
  void **values = slot ? self()->locals : NULL;
  return values ? values[slot - 1] : NULL;
}

int thrum_local_set(thrum_local *local, void *value) {
  uint32_t slot = slot_of(local);
  if (!slot) return -EAGAIN;
  struct thrumi_thread *t = self();
  if (!t->locals && !(t->locals = thrumi_os.allocate(LOCALS * sizeof *t->locals))) return -ENOMEM;
  thrumi_store_relaxed(&t->extras, true);
  t->locals[slot - 1] = value;
  return 0;
}

/* One round: every value that is set is taken out and destroyed. False: there was none. */
static bool destroy_round(void **values) {
  bool any = false;
  uint32_t count = thrumi_load(&table.count);
  for (uint32_t i = 0; i < count; i++) {
    void *value = values[i];
    values[i] = NULL;
    if (!value || !table.local[i]->destructor) continue;
    any = true;
    table.local[i]->destructor(value);
  }
  return any;
}

void thrumi_locals_destroy(struct thrumi_thread *t) {
  if (!t->locals) return;
  for (int round = 0; round < ROUNDS && destroy_round(t->locals); round++) {
  }
}

void thrumi_locals_free(struct thrumi_thread *t) {
  if (t->locals) thrumi_os.free(t->locals);
  t->locals = NULL;
}
