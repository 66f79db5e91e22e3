/* Keeps what each thread holds, and which objects there are, while somebody watches. */
#include <check/held.h>
#include <check/watched.h>
#include <sched/self.h>

static void after_fork(void) {
  thrumi_held_fork();
  thrumi_watched_fork();
}

/* The first to come sets the hooks; others may set the same again. */
static void set_hooks(void) {
  if (thrumi_likely(__atomic_load_n(&thrumi_hooks.watch_fork, __ATOMIC_RELAXED))) return;
  __atomic_store_n(&thrumi_hooks.watch_site, thrumi_watched_site, __ATOMIC_RELAXED);
  __atomic_store_n(&thrumi_hooks.watch_forget, thrumi_watched_forget, __ATOMIC_RELAXED);
  __atomic_store_n(&thrumi_hooks.watch_fork, after_fork, __ATOMIC_RELAXED);
}

void thrumi_observe_begins(struct thrumi_acquire *a) {
  set_hooks();
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_watched_get(a);
  thrumi_leave(k);
}

void thrumi_observe_waits(struct thrumi_acquire *a) { a->since = thrumi_os.now(); }

void thrumi_observe_ends(struct thrumi_acquire *a) {
  thrumi_held_push(thrumi_self()->current, &(struct thrumi_held){.object = a->object,
                                                                 .site = a->site,
                                                                 .since = thrumi_clock(),
                                                                 .hold = a->hold,
                                                                 .patience = a->patience});
}

/* The thread that holds it may be another one than the caller, or one that has ended. */
void thrumi_observe_release(const void *object, uint32_t mark) {
  struct thrumi_thread *holder = thrumi_record((uint32_t)THRUMI_FLAGS(mark));
  struct thrumi_held held;
  if (holder && thrumi_load_relaxed(&holder->mark) == mark) thrumi_held_pop(holder, object, &held);
}
