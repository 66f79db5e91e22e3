/* Threads that call their functions again. */
#include <scope/scope.h>
#include <sched/self.h>

static bool is_failure(struct thrumi_thread *t, intptr_t result) {
  return thrum_failed(result) && !(result == -ECANCELED && thrumi_load(&t->cancel));
}

/* Outside: a place to note the times in. False: no memory; the failure counts. */
static bool has_room(struct thrumi_scope *s) {
  struct thrumi_thread *opener = thrumi_load_relaxed(&s->opener);
  int64_t *room = thrumi_os.allocate((size_t)s->restart_max * sizeof *room);
  thrumi_enter();
  thrumi_spin_lock(&opener->tree);
  bool wanted = !s->restarted_at && room;
  if (wanted) s->restarted_at = room;
  bool has = s->restarted_at;
  thrumi_spin_unlock(&opener->tree);
  thrumi_leave(thrumi_self());
  if (!wanted && room) thrumi_os.free(room);
  return has;
}

/* Under the lock: one more restart, unless there were so many in the period before now. */
static bool count_restart(struct thrumi_scope *s) {
  int64_t now = thrumi_os.now(), *at = &s->restarted_at[s->restarts % (uint32_t)s->restart_max];
  if (s->restarts >= (uint32_t)s->restart_max && now - *at < s->restart_period) return false;
  *at = now;
  s->restarts++;
  return true;
}

/* Outside: as a thread that has just begun, but for its handle and name. */
static void renew(struct thrumi_thread *t) {
  thrumi_locals_destroy(t);
  if (t->sentence) thrumi_os.free(t->sentence);
  t->sentence = NULL;
}

/* Under the lock. True: the thread that failed calls its function again, alone. */
static bool begins_anew(struct thrumi_thread *t, struct thrumi_scope *s) {
  return !thrumi_load(&t->cancel) && !thrumi_load_relaxed(&s->cancelled) && count_restart(s);
}

/* Under the lock, which is free in between: waits until all threads have stopped. The last one lets all go on. False: the scope has
 * been cancelled meanwhile. */
static bool stop(struct thrumi_scope *s, struct thrumi_thread *opener) {
  uint32_t round = s->round;
  s->stopped++;
  while (round == s->round) {
    if (thrumi_load_relaxed(&s->cancelled) != THRUMI_CAUSE_RESTART) {
      s->stopped--;
      return false;
    }
    if (s->stopped == thrumi_load_relaxed(&s->count)) {
      thrumi_scope_resume(s);
      return true;
    }
    struct thrumi_waiter waiter;
    struct thrumi_bucket *bucket = thrumi_bucket_lock(&s->round);
    thrumi_enqueue(bucket, &waiter, &s->round, "its scope's threads to stop", NULL, 0);
    thrumi_bucket_unlock(bucket);
    thrumi_spin_unlock(&opener->tree);
    thrumi_await_queued(&waiter, INT64_MAX);
    thrumi_spin_lock(&opener->tree);
  }
  return true;
}

/* By thrum_cancel: it does not begin again, and the others do not wait for it. Asked under its lock, so that `cancel` says so, too: else
 * the -ECANCELED with which it stopped would count as a failure. */
static bool is_cancelled_for_life(struct thrumi_thread *t) {
  thrumi_spin_lock(&t->tree);
  bool cancelled = thrumi_load(&t->life) & THRUMI_LIFE_CANCELLED;
  thrumi_spin_unlock(&t->tree);
  return cancelled;
}

/* Under the lock, which is free in between. */
static bool stops_with_all(struct thrumi_thread *t, struct thrumi_scope *s, struct thrumi_thread *opener,
                           bool failed) {
  if (is_cancelled_for_life(t)) return false;
  if (!(thrumi_load_relaxed(&s->cancelled) & THRUMI_CAUSE_RESTART)) {
    if (!failed || !begins_anew(t, s)) return false;
    thrumi_scope_stop(s);
  }
  return stop(s, opener) && !is_cancelled_for_life(t);
}

bool thrumi_scope_restarts(struct thrumi_thread *t, intptr_t result) {
  struct thrumi_scope *s = t->scope;
  struct thrumi_thread *opener = thrumi_load_relaxed(&s->opener);
  bool failed = is_failure(t, result);
  if (failed && !has_room(s)) failed = false;
  if (!failed && s->restart == THRUM_RESTART_ONE) return false;
  thrumi_enter();
  thrumi_spin_lock(&opener->tree);
  thrumi_announce(&s->round);
  bool again = s->restart == THRUM_RESTART_ONE ? begins_anew(t, s) : stops_with_all(t, s, opener, failed);
  if (again) thrumi_rely_on(&s->round);
  thrumi_spin_unlock(&opener->tree);
  thrumi_leave(thrumi_self());
  if (again) renew(t);
  return again;
}
