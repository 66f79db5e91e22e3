/* Keeps what each thread holds, and which objects there are, while somebody watches; and tells those who do. */
#include <check/class.h>
#include <check/held.h>
#include <check/order.h>
#include <check/profile.h>
#include <sched/self.h>
#include <sched/step.h>
#include <thrum/trace.h>

static void after_fork(void) {
  thrumi_held_fork();
  thrumi_watched_fork();
  thrumi_class_fork();
  thrumi_order_fork();
  thrumi_profile_fork();
}

static uint32_t held_by(struct thrumi_thread *t, struct thrumi_watched_hold *out, uint32_t room) {
  static const char *const what[] = {"a lock", "an rlock", "an rwlock", "an rwlock", "a gil"};
  struct thrumi_held held[THRUMI_HELD_MAX];
  uint32_t n = thrumi_is_watched() ? thrumi_held_copy(t, held) : 0;
  for (uint32_t i = 0; i < n && i < room; i++)
    out[i] = (struct thrumi_watched_hold){.object = held[i].object,
                                          .what = what[held[i].hold],
                                          .site = held[i].site,
                                          .to_read = held[i].hold == THRUMI_HOLD_READ};
  return n < room ? n : room;
}

/* The first to come sets the hooks; others may set the same again. */
static void set_hooks(void) {
  if (thrumi_likely(__atomic_load_n(&thrumi_hooks.watch_fork, __ATOMIC_RELAXED))) return;
  __atomic_store_n(&thrumi_hooks.watch_site, thrumi_watched_site, __ATOMIC_RELAXED);
  __atomic_store_n(&thrumi_hooks.watch_forget, thrumi_watched_forget, __ATOMIC_RELAXED);
  __atomic_store_n(&thrumi_hooks.watch_held, held_by, __ATOMIC_RELAXED);
  __atomic_store_n(&thrumi_hooks.watch_end, thrumi_profile_at_exit, __ATOMIC_RELAXED);
  __atomic_store_n(&thrumi_hooks.watch_fork, after_fork, __ATOMIC_RELAXED);
}

void thrumi_observe_begins(struct thrumi_acquire *a) {
  set_hooks();
  thrumi_watched_say_full();
  if (thrumi_has_mode(THRUMI_MODE_CHECK)) thrumi_order_check(a);
}

void thrumi_observe_waits(struct thrumi_acquire *a) {
  a->since = thrumi_os.now();
  if (thrumi_has_mode(THRUMI_MODE_PROFILE)) thrumi_profile_waits(a);
}

static void trace(enum thrumi_event_kind kind, const void *object, bool waited) {
  if (thrumi_has_mode(THRUMI_MODE_TRACE_LOCKS))
    thrumi_trace(kind, thrumi_id_of(thrumi_self()->current), (uintptr_t)object, waited);
}

void thrumi_observe_ends(struct thrumi_acquire *a) {
  trace(THRUMI_EVENT_ACQUIRE, a->object, a->since != 0);
  if (!thrumi_is_watched()) return;
  struct thrumi_watched *e = thrumi_watched_get(a);
  thrumi_held_push(thrumi_self()->current, &(struct thrumi_held){.object = a->object,
                                                                 .site = a->site,
                                                                 .since = thrumi_clock(),
                                                                 .klass = e ? thrumi_load(&e->klass) : 0,
                                                                 .hold = a->hold,
                                                                 .patience = a->patience});
  if (thrumi_has_mode(THRUMI_MODE_PROFILE)) thrumi_profile_ends(a);
}

/* The thread that holds it may be another one than the caller, or one that has ended. */
void thrumi_observe_release(const void *object, uint32_t mark) {
  trace(THRUMI_EVENT_RELEASE, object, false);
  if (!thrumi_is_watched()) return;
  struct thrumi_thread *holder = thrumi_record((uint32_t)THRUMI_FLAGS(mark));
  struct thrumi_held held;
  if (holder && thrumi_mark_of(holder) == mark) thrumi_held_pop(holder, object, &held);
}

/* What was held when nobody watched is not known, nor is what was left when watching ended. */
static bool watch(enum thrumi_mode mode, bool on) {
  thrumi_leave(thrumi_enter());
  set_hooks();
  if (!on) return __atomic_fetch_and(&thrumi_mode, ~(uint32_t)mode, __ATOMIC_SEQ_CST) & (uint32_t)mode;
  if (!thrumi_is_watched()) thrumi_held_afresh();
  return __atomic_fetch_or(&thrumi_mode, (uint32_t)mode, __ATOMIC_SEQ_CST) & (uint32_t)mode;
}

bool thrum_check_locks(bool on) { return watch(THRUMI_MODE_CHECK, on); }
bool thrum_profile_locks(bool on) { return watch(THRUMI_MODE_PROFILE, on); }
