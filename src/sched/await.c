/* A waiter whose time ran out takes itself out of its queue. Who lets waiters go may do so at the same moment: it then
 * loses the claim on the wait word (core/wait.h), under the bucket's lock, which the waiter needs before it may
 * leave its frame. So the struct is good for as long as anybody has it. */
#include <sched/await.h>
#include <sched/cycle.h>
#include <sched/self.h>
#include <sched/waits.h>

/* The waiter may have been moved to another address since it was queued. */
static void withdraw(struct thrumi_waiter *waiter) {
  for (bool there = false; !there;) {
    const void *address = thrumi_load(&waiter->address);
    struct thrumi_bucket *bucket = thrumi_bucket_lock(address);
    there = thrumi_load(&waiter->address) == address;
    if (there) thrumi_bucket_remove(bucket, waiter);
    thrumi_bucket_unlock(bucket);
  }
}

/* A crowd's waiters lie on stacks, each on a page of its own, and where the next one lies is read from the one before: a walk
 * through them waits for one miss of the cache and of the page tables after the other. Records lie close together. So they
 * tell the order of the queue as well, and by them those misses overlap. That they tell is a hint, not kept true when waiters
 * leave or come in other ways; it leads to records, which are never freed, and to addresses that are only asked for. */
static void note_order(struct thrumi_waiter *waiter) {
  struct thrumi_thread *me = waiter->thread;
  thrumi_store_relaxed(&me->waiter, waiter);
  thrumi_store_relaxed(&me->behind, waiter->next ? waiter->next->thread : NULL);
  if (waiter->prev != waiter && !waiter->next) thrumi_store_relaxed(&waiter->prev->thread->behind, me);
}

void thrumi_ask_for_waiters(const struct thrumi_waiter *first, int n) {
  for (struct thrumi_thread *t = first->thread; t && n; t = thrumi_load_relaxed(&t->behind), n--) {
    uintptr_t waiter = (uintptr_t)thrumi_load_relaxed(&t->waiter);
    __builtin_prefetch(t);
    __builtin_prefetch(&t->wait);
    __builtin_prefetch((const void *)waiter);
    __builtin_prefetch((const void *)(waiter + 64));
  }
}

void thrumi_enqueue(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter, const void *address,
                    const char *what, const void *object, int flags) {
  struct thrumi_thread *me = thrumi_self()->current;
  waiter->thread = me;
  waiter->gift = 0;
  waiter->stays = false;
  waiter->settle = NULL;
  thrumi_store(&me->waits_at, address);
  waiter->ticket = thrumi_arm(me, what, object, flags);
  (flags & THRUMI_AT_FRONT ? thrumi_bucket_prepend : thrumi_bucket_append)(bucket, waiter, address);
  note_order(waiter);
}

/* A wait that a thread's end or release ends may be the last one of a cycle. */
static void look_ahead(struct thrumi_thread *me) {
  if (!(thrumi_load_relaxed(&me->waits_how) & (THRUMI_HELD | THRUMI_THREAD))) return;
  if (thrumi_unlikely(thrumi_closes_cycle(me))) thrumi_cycle_suspect(me);
}

enum thrumi_wait_state thrumi_await_queued(struct thrumi_waiter *waiter, int64_t deadline) {
  if (deadline == INT64_MAX) look_ahead(waiter->thread);
  enum thrumi_wait_state outcome = thrumi_park(waiter->thread, waiter->ticket, deadline);
  if (outcome != THRUMI_WOKEN) {
    withdraw(waiter);
    thrumi_store_relaxed(&waiter->thread->waits_for,
                         NULL); /* who moved it meanwhile has said what it waits for then */
  }
  return outcome;
}

enum thrumi_wait_state thrumi_await(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter,
                                    const void *address, const char *what, const void *object,
                                    int64_t deadline, int flags) {
  thrumi_enqueue(bucket, waiter, address, what, object, flags);
  thrumi_bucket_unlock(bucket);
  return thrumi_await_queued(waiter, deadline);
}

bool thrumi_let_go(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter, uintptr_t gift) {
  thrumi_bucket_remove(bucket, waiter);
  waiter->gift = gift;
  bool stays = waiter->stays, won = thrumi_wake(waiter->thread, waiter->ticket, THRUMI_WOKEN);
  if (stays) waiter->won = won; /* any other is gone */
  return won;
}

void thrumi_enlist(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter, const void *address) {
  waiter->gift = 0;
  waiter->stays = true;
  waiter->settle = NULL;
  waiter->won = false;
  thrumi_bucket_append(bucket, waiter, address);
}

bool thrumi_withdraw(struct thrumi_waiter *waiter) {
  withdraw(waiter);
  return waiter->won;
}

int thrumi_poll_failed(void) {
  struct thrumi_kthread *k = thrumi_enter();
  int error = thrumi_poll_error(k->current);
  thrumi_leave(k);
  return error;
}

void thrumi_settle_inside(const void *address, thrumi_settle_fn *settle) {
  bool more;
  do {
    struct thrumi_bucket *bucket = thrumi_bucket_lock(address);
    more = settle(bucket, address);
    thrumi_bucket_unlock(bucket);
  } while (more);
}

void thrumi_settle(const void *address, thrumi_settle_fn *settle) {
  struct thrumi_kthread *k = thrumi_enter_in_handler();
  if (!k) {
    thrumi_parking_mark(address);
    thrumi_monitor_rouse();
    return;
  }
  thrumi_settle_inside(address, settle);
  thrumi_leave_in_handler(k);
}
