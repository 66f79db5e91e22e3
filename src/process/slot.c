/* Taking slots, giving them back, and finding them dead; the table of states is in slot.h.
 *
 * Kill points. The keeper's steps on a slot are those that the kernel asks for: the slot is named in list_op_pending, its word is
 * changed, it is linked or unlinked, list_op_pending is cleared. Wherever the keeper dies, a slot with its number is either on
 * the list or named there, so the kernel marks it; and a slot that is named or linked without its number is left alone. The pid
 * is written last, and is for reports: that of the former user may be seen for a moment. */
#define _GNU_SOURCE
#include <errno.h>
#include <process/keeper.h>
#include <process/segment.h>
#include <sched/self.h>
#include <time.h>
#include <unistd.h>

static uint32_t word_of(uint64_t state) { return (uint32_t)state; }
static uint32_t generation_of(uint64_t state) { return (uint32_t)(state >> 32); }
static uint64_t state_of(uint32_t word, uint32_t generation) { return (uint64_t)generation << 32 | word; }

static bool is_free(uint64_t state) {
  return word_of(state) == THRUMI_SLOT_FREE || word_of(state) == (uint32_t)THRUMI_SLOT_BURIED;
}

/* The kernel knows the lower half of the state by its address. */
static thrumi_futex *futex_of(struct thrumi_slot *slot) { return (thrumi_futex *)&slot->state; }

static thrumi_holder holder_of(uint32_t slot, uint32_t generation) {
  return (generation << THRUMI_SLOT_BITS | slot) & INT32_MAX;
}

static struct thrumi_slot *slot_of(const struct thrumi_segment *s, thrumi_holder holder) {
  return thrumi_segment_slot_at(s, holder % THRUMI_SLOTS);
}

/* Whether the state is still that of the holder's generation, of which the holder has the lower 22 bits. */
static bool is_same(uint64_t state, thrumi_holder holder) {
  return holder_of(holder % THRUMI_SLOTS, generation_of(state)) == holder;
}

/* ---- Burying ---------------------------------------------------------------------------------------------------------- */

/* Every CPU passes through the kernel: what was told to end there has ended. Where the kernel does not offer that (with CPUs that
 * it leaves alone, nohz_full) the interrupt that was sent to such a thread is given a thousand times the time that it takes. */
static void let_all_pass(void) {
  if (thrumi_os.barrier_all() == 0) return;
  struct timespec while_ = {.tv_nsec = 10 * 1000 * 1000};
  nanosleep(&while_, NULL);
}

/* After let_all_pass, if it was DIED before that. Only what was seen is buried: if that has changed, another one has buried it, and what
 * is there now may be a later user of the slot, dead or not, for whom nobody has let all pass yet. */
static void bury(struct thrumi_slot *slot, uint64_t seen) {
  uint64_t buried = state_of((uint32_t)THRUMI_SLOT_BURIED, generation_of(seen));
  bool died = word_of(seen) & FUTEX_OWNER_DIED && word_of(seen) != (uint32_t)THRUMI_SLOT_BURIED;
  if (died && thrumi_cas(&slot->state, &seen, buried)) thrumi_os.shared_wake(futex_of(slot), INT32_MAX);
}

/* All that have died by now. True: there were any. */
static bool bury_all(const struct thrumi_segment *s) {
  uint64_t dead[THRUMI_SLOTS];
  bool any = false;
  for (uint32_t i = 1; i < THRUMI_SLOTS; i++) {
    dead[i] = thrumi_load(&thrumi_segment_slot_at(s, i)->state);
    any |= word_of(dead[i]) & FUTEX_OWNER_DIED && !is_free(dead[i]);
  }
  if (any) let_all_pass();
  for (uint32_t i = 1; any && i < THRUMI_SLOTS; i++)
    if (word_of(dead[i]) & FUTEX_OWNER_DIED) bury(thrumi_segment_slot_at(s, i), dead[i]);
  return any;
}

bool thrumi_slot_is_dead(const struct thrumi_segment *s, thrumi_holder holder) {
  struct thrumi_slot *slot = slot_of(s, holder);
  uint64_t state = thrumi_load(&slot->state);
  if (!is_same(state, holder) || is_free(state)) return true;
  if (!(word_of(state) & FUTEX_OWNER_DIED)) return false;
  let_all_pass();
  bury(slot, state);
  return true;
}

thrumi_futex *thrumi_slot_watch(const struct thrumi_segment *s, thrumi_holder holder, uint32_t *expected) {
  struct thrumi_slot *slot = slot_of(s, holder);
  uint64_t state = thrumi_load(&slot->state);
  for (;;) {
    if (!is_same(state, holder) || is_free(state) || word_of(state) & FUTEX_OWNER_DIED) return NULL;
    uint64_t watched = state | FUTEX_WAITERS;
    *expected = word_of(watched);
    if (state == watched || thrumi_cas(&slot->state, &state, watched)) return futex_of(slot);
  }
}

int thrumi_slot_pid(const struct thrumi_segment *s, thrumi_holder holder) {
  struct thrumi_slot *slot = slot_of(s, holder);
  int pid = thrumi_load(&slot->pid);
  uint64_t state = thrumi_load(&slot->state);
  return is_same(state, holder) && word_of(state) & FUTEX_TID_MASK && !(word_of(state) & FUTEX_OWNER_DIED)
             ? pid
             : 0;
}

/* ---- By the keeper ------------------------------------------------------------------------------------------------------ */

struct claim {
  struct thrumi_segment *segment;
  int error;
};

static struct thrumi_segment *listed; /* those on the list, in its order; the keeper's */

/* The kernel walks 2,048 entries of a list. */
_Static_assert(THRUMI_SEGMENTS <= 2048, "ROBUST_LIST_LIMIT");

static void begin(struct thrumi_slot *slot) {
  thrumi_keeper_list.list_op_pending = &slot->node;
  atomic_signal_fence(
      memory_order_seq_cst); /* the kernel looks at what this kernel thread did, in its order */
}

static void finish(void) {
  atomic_signal_fence(memory_order_seq_cst);
  thrumi_keeper_list.list_op_pending = NULL;
}

static void link_slot(struct thrumi_segment *s, struct thrumi_slot *slot) {
  s->before = NULL;
  s->after = listed;
  if (s->after) s->after->before = s;
  listed = s;
  slot->node.next = thrumi_keeper_list.list.next;
  atomic_signal_fence(memory_order_seq_cst);
  thrumi_keeper_list.list.next = &slot->node;
}

static void unlink_slot(struct thrumi_segment *s, struct thrumi_slot *slot) {
  struct robust_list *before =
      s->before ? &slot_of(s->before, s->before->holder)->node : &thrumi_keeper_list.list;
  before->next = slot->node.next;
  *(s->before ? &s->before->after : &listed) = s->after;
  if (s->after) s->after->before = s->before;
}

/* True: it is ours now. */
static bool take(struct thrumi_segment *s, uint32_t number) {
  struct thrumi_slot *slot = thrumi_segment_slot_at(s, number);
  uint64_t state = thrumi_load(&slot->state);
  uint32_t generation = generation_of(state) + 1;
  thrumi_holder holder = holder_of(number, generation);
  if (!is_free(state)) return false;
  begin(slot);
  bool taken = thrumi_cas(&slot->state, &state, state_of((uint32_t)thrumi_os_tid(), generation));
  if (taken) link_slot(s, slot);
  finish();
  if (!taken) return false;
  thrumi_store(&slot->pid, getpid());
  thrumi_store(&s->holder, holder);
  return true;
}

static bool take_any(struct thrumi_segment *s) {
  for (uint32_t i = 1; i < THRUMI_SLOTS; i++)
    if (take(s, i)) return true;
  return false;
}

static void claim(void *arg) {
  struct claim *c = arg;
  if (thrumi_load(&c->segment->holder)) return; /* another thread was first */
  while (!take_any(c->segment))
    if (!bury_all(c->segment)) {
      c->error = -ENOSPC;
      return;
    }
}

static void release(void *arg) {
  struct thrumi_segment *s = arg;
  struct thrumi_slot *slot = slot_of(s, s->holder);
  begin(slot);
  unlink_slot(s, slot);
  uint64_t state = thrumi_load(&slot->state);
  while (!thrumi_cas(&slot->state, &state, state_of(THRUMI_SLOT_FREE, generation_of(state)))) {
  }
  finish();
  if (word_of(state) & FUTEX_WAITERS) thrumi_os.shared_wake(futex_of(slot), INT32_MAX);
  thrumi_store(&s->holder, 0u);
}

/* ---- For others ---------------------------------------------------------------------------------------------------------- */

int thrumi_segment_slot_slow(struct thrumi_segment *segment) {
  struct claim c = {.segment = segment};
  int error = thrumi_keeper_do(claim, &c);
  return error ? error : c.error;
}

void thrumi_slot_fork(void) { listed = NULL; }

void thrumi_segment_leave(struct thrumi_segment *segment) {
  if (thrumi_load(&segment->holder)) thrumi_keeper_do(release, segment);
}
