/* See tree.h. */
#include <core/fatal.h>
#include <sched/await.h>
#include <sched/cycle.h>
#include <sched/part.h>
#include <sched/self.h>
#include <sched/tree.h>
#include <sched/waits.h>
#include <stdio.h>
#include <string.h>

/* Scopes that are cancelled and whose threads have still to be told. */
struct errand {
  struct thrumi_scope *first;
};

/* ---- One thread's state. Under its lock. ------------------------------------------------------------------------------ */

/* What `cancel` has to be. */
static bool is_reached(struct thrumi_thread *t) {
  const struct thrumi_scope *innermost = thrumi_load_relaxed(&t->scopes);
  if (innermost) return thrumi_causes_cancel(thrumi_load_relaxed(&innermost->cancelled));
  return thrumi_load_relaxed(&t->life) & (THRUMI_LIFE_CANCELLED | THRUMI_LIFE_TOLD);
}

/* Makes `cancel` what it has to be, and ends the wait that a new cancellation finds. */
static void settle(struct thrumi_thread *t) {
  bool reached = is_reached(t);
  if (thrumi_load_relaxed(&t->cancel) == reached) return;
  if (reached)
    thrumi_cancel(t);
  else
    thrumi_store(&t->cancel, 0);
}

/* The opener waits for the end of the scope's threads; there is news. */
static void rouse_opener(struct thrumi_scope *s) {
  if (s->awaits) thrumi_wake(thrumi_load_relaxed(&s->opener), s->ticket, THRUMI_WOKEN);
}

/* Threads that have stopped look again. */
static void rouse_stopped(struct thrumi_scope *s) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(&s->round);
  for (struct thrumi_waiter *w; (w = thrumi_bucket_first(bucket, &s->round));) thrumi_let_go(bucket, w, 0);
  thrumi_bucket_unlock(bucket);
}

static void mark(struct thrumi_scope *s, enum thrumi_cause why, struct errand *errand) {
  uint8_t before = thrumi_load_relaxed(&s->cancelled);
  if (why == THRUMI_CAUSE_DEADLINE && thrumi_causes_cancel(before)) return;
  thrumi_announce(&s->cancelled);
  thrumi_store(&s->cancelled, (uint8_t)(before | why));
  if (!thrumi_causes_cancel(before)) rouse_opener(s);
  if (before) {
    if (s->stopped) rouse_stopped(s); /* they will not go on after all */
    return;
  }
  if (s->untold) {
    s->visitors++;
    s->work = errand->first;
    errand->first = s;
  }
}

/* The scope, and those within it, as far as no shield is between. */
static void mark_inward(struct thrumi_scope *s, enum thrumi_cause why, struct errand *errand) {
  mark(s, why, errand);
  while ((s = s->inner) && !s->shield) mark(s, THRUMI_CAUSE_OUTSIDE, errand);
}

/* The thread itself is cancelled. */
static void mark_thread(struct thrumi_thread *t, struct errand *errand) {
  struct thrumi_scope *s = thrumi_load_relaxed(&t->scopes);
  while (s && s->outer) s = s->outer;
  if (s && !s->shield) mark_inward(s, THRUMI_CAUSE_OUTSIDE, errand);
  settle(t);
}

/* ---- Telling the threads of cancelled scopes --------------------------------------------------------------------------- */

static void insert(struct thrumi_thread **list, struct thrumi_thread *t) {
  t->elder = *list;
  t->younger = NULL;
  if (*list) (*list)->younger = t;
  *list = t;
}

static void take_out(struct thrumi_scope *s, struct thrumi_thread *t) {
  if (t->elder) t->elder->younger = t->younger;
  if (t->younger)
    t->younger->elder = t->elder;
  else if (s->untold == t)
    s->untold = t->elder;
  else
    s->told = t->elder;
}

/* Under the opener's lock: the next thread of the scope hears of it. */
static void tell(struct thrumi_scope *s, struct thrumi_thread *t, struct errand *errand) {
  take_out(s, t);
  insert(&s->told, t);
  thrumi_spin_lock(&t->tree);
  thrumi_or(&t->life, (uint64_t)THRUMI_LIFE_TOLD);
  mark_thread(t, errand);
  thrumi_spin_unlock(&t->tree);
}

/* A batch of threads. False: that was the last of them, and the visit is over. */
static bool tell_some(struct thrumi_scope *s, struct errand *errand) {
  struct thrumi_thread *opener = thrumi_load_relaxed(&s->opener), *t;
  thrumi_spin_lock(&opener->tree);
  for (int n = 0; n < THRUMI_BATCH && (t = s->untold); n++) tell(s, t, errand);
  bool more = s->untold;
  if (!more && !--s->visitors) rouse_opener(s);
  thrumi_spin_unlock(&opener->tree);
  return more;
}

/* Whoever cancels very many can be preempted between two batches. */
static void run_errand(struct errand *errand) {
  struct thrumi_scope *s;
  while ((s = errand->first)) {
    errand->first = s->work;
    while (tell_some(s, errand)) {
      thrumi_leave(thrumi_self());
      thrumi_enter();
    }
  }
}

/* Under the opener's lock: whether it has the scope open. A scope of a thread that was not the forking one is gone in the child of a fork, while its
 * memory may say else, and its opener's record may be another thread's. */
static bool is_open(const struct thrumi_scope *s, struct thrumi_thread *opener) {
  const struct thrumi_scope *open = thrumi_load_relaxed(&opener->scopes);
  while (open && open != s) open = open->outer;
  return open;
}

/* ---- Cancelling ------------------------------------------------------------------------------------------------------- */

void thrumi_scope_cancel(struct thrumi_scope *s, enum thrumi_cause why) {
  struct errand errand = {0};
  struct thrumi_thread *opener = thrumi_load_relaxed(&s->opener);
  thrumi_spin_lock(&opener->tree);
  if (is_open(s, opener)) {
    mark_inward(s, why, &errand);
    settle(opener);
  }
  thrumi_spin_unlock(&opener->tree);
  run_errand(&errand);
}

/* Not one that has ended: its record may be another's already. */
static int set_cancelled(struct thrumi_thread *t, uint64_t generation) {
  uint64_t life = thrumi_load(&t->life);
  do {
    if (THRUMI_GENERATION(life) != generation || THRUMI_FLAGS(life) & THRUMI_FREE) return -ESRCH;
    if (THRUMI_FLAGS(life) & (THRUMI_FINISHED | THRUMI_LIFE_CANCELLED)) return 0;
  } while (!thrumi_cas(&t->life, &life, life | THRUMI_LIFE_CANCELLED));
  return 1;
}

/* What was set is in the life when the thread ends; who frees the record then waits for this lock (thrumi_tree_settle). */
int thrum_cancel(thrum_thread handle) {
  thrumi_enter();
  struct errand errand = {0};
  uint64_t life;
  struct thrumi_thread *t = thrumi_lookup(handle, &life);
  int done = t ? 0 : -ESRCH;
  if (t) {
    thrumi_spin_lock(&t->tree);
    done = set_cancelled(t, THRUMI_GENERATION(handle.value));
    if (done == 1) mark_thread(t, &errand);
    thrumi_spin_unlock(&t->tree);
    run_errand(&errand);
  }
  thrumi_leave(thrumi_self());
  return done < 0 ? done : 0;
}

/* A thread that is preempted here goes on on the same kernel thread, so it reads its own. */
bool thrum_cancelled(void) {
  struct thrumi_kthread *k = thrumi_self();
  struct thrumi_thread *me = k ? thrumi_running_on(k) : NULL;
  return me && thrumi_is_cancelled(me);
}

/* ---- Opening and closing ---------------------------------------------------------------------------------------------- */

void thrumi_scope_push(struct thrumi_thread *me, struct thrumi_scope *s) {
  thrumi_spin_lock(&me->tree);
  struct thrumi_scope *outer = thrumi_load_relaxed(&me->scopes);
  s->outer = outer;
  s->depth = outer ? outer->depth + 1 : 1;
  if (outer) outer->inner = s;
  if (!s->shield && thrumi_load_relaxed(&me->cancel))
    thrumi_store_relaxed(&s->cancelled, (uint8_t)THRUMI_CAUSE_OUTSIDE);
  thrumi_store(&s->opener, me);
  thrumi_store(&me->scopes, s);
  me->scoped |= THRUMI_OPENER;
  settle(me);
  thrumi_spin_unlock(&me->tree);
}

/* Under the lock. Nobody has to do with it any more. */
void thrumi_scope_pop(struct thrumi_thread *me, struct thrumi_scope *s) {
  if (s->outer) s->outer->inner = NULL;
  thrumi_store(&me->scopes, s->outer);
  thrumi_store(&s->opener, NULL);
  settle(me);
}

/* The wait points at the youngest thread, since that must end before the wait does; when it has, at nobody. */
enum thrumi_wait_state thrumi_scope_await(struct thrumi_thread *me, struct thrumi_scope *s, int64_t deadline,
                                          int flags) {
  struct thrumi_thread *t = s->told ? s->told : s->untold;
  if (!thrumi_scope_is_busy(s)) return THRUMI_WOKEN;
  if (t)
    s->ticket = thrumi_arm(me, "the end of its scope's threads, one of them",
                           (const void *)(uintptr_t)thrumi_handle(t).value, flags | THRUMI_THREAD);
  else
    s->ticket = thrumi_arm(me, "who cancels its scope", NULL, flags);
  thrumi_ticket ticket = s->ticket;
  s->awaits = true;
  thrumi_spin_unlock(&me->tree);
  if (t && deadline == INT64_MAX && thrumi_unlikely(thrumi_closes_cycle(me))) thrumi_cycle_suspect(me);
  enum thrumi_wait_state outcome = thrumi_park(me, ticket, deadline);
  thrumi_spin_lock(&me->tree);
  s->awaits = false;
  return outcome;
}

/* ---- Membership ------------------------------------------------------------------------------------------------------- */

static int join_scope(struct thrumi_scope *s, struct thrumi_thread *t, struct thrumi_thread *opener) {
  uint8_t cancelled = thrumi_load_relaxed(&s->cancelled);
  if (thrumi_causes_cancel(cancelled)) return -ECANCELED;
  t->scope = s;
  thrumi_store_relaxed(&t->scope_of, thrumi_handle(opener).value);
  t->scoped = (uint8_t)(s->restart ? THRUMI_MEMBER | THRUMI_RESTARTS : THRUMI_MEMBER);
  if (cancelled)
    thrumi_or(&t->life, (uint64_t)THRUMI_LIFE_TOLD); /* it stops with the others, and begins again */
  if (cancelled) thrumi_store(&t->cancel, 1);
  insert(cancelled ? &s->told : &s->untold, t);
  thrumi_store_relaxed(&s->count, thrumi_load_relaxed(&s->count) + 1);
  return 0;
}

int thrumi_scope_add(struct thrumi_scope *s, struct thrumi_thread *t) {
  struct thrumi_thread *opener = thrumi_load(&s->opener);
  if (thrumi_unlikely(!opener)) return -EINVAL;
  thrumi_spin_lock(&opener->tree);
  int error = is_open(s, opener) ? join_scope(s, t, opener) : -EINVAL;
  thrumi_spin_unlock(&opener->tree);
  return error;
}

/* Under the opener's lock. True: the opener is to be woken, as the last thing. */
static bool quit_scope(struct thrumi_scope *s, struct thrumi_thread *t) {
  uint32_t count = thrumi_load_relaxed(&s->count) - 1;
  take_out(s, t);
  t->scope = NULL;
  t->elder = t->younger = NULL;
  thrumi_store_relaxed(&t->scope_of, 0);
  thrumi_store(&s->count, count);
  if (thrumi_unlikely(s->stopped && s->stopped == count)) rouse_stopped(s);
  return !count;
}

void thrumi_scope_remove(struct thrumi_thread *t) {
  struct thrumi_scope *s = t->scope;
  struct thrumi_thread *opener = thrumi_load_relaxed(&s->opener);
  thrumi_spin_lock(&opener->tree);
  if (quit_scope(s, t)) rouse_opener(s);
  thrumi_spin_unlock(&opener->tree);
}

/* The order: out of the list, then ended, since who joins it may free the record at once; and ended, then the opener goes on, to whom it
 * is not alive any more. */
uint64_t thrumi_scope_quit(struct thrumi_thread *t, uint64_t flags) {
  struct thrumi_scope *s = t->scope;
  struct thrumi_thread *opener = thrumi_load_relaxed(&s->opener);
  thrumi_announce(s);
  thrumi_spin_lock(&opener->tree);
  bool last = quit_scope(s, t);
  uint64_t before = thrumi_or(&t->life, flags);
  if (last) rouse_opener(s);
  thrumi_spin_unlock(&opener->tree);
  return before;
}

/* ---- Restarts ---------------------------------------------------------------------------------------------------------- */

void thrumi_scope_stop(struct thrumi_scope *s) {
  struct errand errand = {0};
  struct thrumi_thread *opener = thrumi_load_relaxed(&s->opener);
  mark(s, THRUMI_CAUSE_RESTART, &errand);
  thrumi_spin_unlock(&opener->tree);
  run_errand(&errand);
  thrumi_spin_lock(&opener->tree);
}

/* All of them have been told, and wait. */
void thrumi_scope_resume(struct thrumi_scope *s) {
  thrumi_store(&s->cancelled, 0);
  s->stopped = 0;
  s->round++;
  for (struct thrumi_thread *t; (t = s->told);) {
    take_out(s, t);
    insert(&s->untold, t);
    thrumi_spin_lock(&t->tree);
    thrumi_and(&t->life, ~(uint64_t)THRUMI_LIFE_TOLD);
    settle(t);
    thrumi_spin_unlock(&t->tree);
  }
  rouse_stopped(s);
}

/* ---- Failures --------------------------------------------------------------------------------------------------------- */

bool thrumi_scope_fail(struct thrumi_scope *s, int failure, char *sentence) {
  struct errand errand = {0};
  struct thrumi_thread *opener = thrumi_load_relaxed(&s->opener);
  thrumi_spin_lock(&opener->tree);
  bool first = is_open(s, opener) && !s->failure;
  if (first) {
    s->sentence = sentence;
    s->failure = failure;
    mark_inward(s, THRUMI_CAUSE_FAILED, &errand);
    settle(opener);
  }
  thrumi_spin_unlock(&opener->tree);
  run_errand(&errand);
  return first;
}

char *thrumi_scope_sentence(int failure, const char *name, const char *sentence) {
  const size_t size = THRUM_NAME_MAX + 2 + THRUMI_SENTENCE_MAX;
  char *text = thrumi_os.allocate(size);
  if (text) snprintf(text, size, "%s: %s", name, sentence && *sentence ? sentence : strerror(-failure));
  return text;
}

void thrumi_member_failed(struct thrumi_thread *t, intptr_t result) {
  if (result == -ECANCELED && thrumi_load(&t->cancel)) return;
  char name[THRUM_NAME_MAX];
  if (thrum_name(thrumi_handle(t), name, sizeof name) < 0) name[0] = 0;
  char *sentence = thrumi_scope_sentence((int)result, name, t->sentence);
  thrumi_enter();
  bool first = thrumi_scope_fail(t->scope, (int)result, sentence);
  thrumi_leave(thrumi_self());
  if (first) return;
  if (sentence) thrumi_os.free(sentence);
  if (thrumi_or(&t->life, (uint64_t)THRUMI_UNREAD) & THRUMI_RELEASED)
    thrumi_tell_uncaught(t, result, t->sentence);
}

/* ---- Fork ------------------------------------------------------------------------------------------------------------- */

void thrumi_tree_forget(struct thrumi_thread *t) {
  t->scope = NULL;
  t->elder = t->younger = NULL;
  t->cleanups = NULL;
  t->scoped = 0;
  thrumi_store_relaxed(&t->scopes, NULL);
  thrumi_store_relaxed(&t->scope_of, 0);
  t->tree = (struct thrumi_spin){0};
}

/* Whoever was cancelling it may have come as far as some scope: from there inwards, up to a shield. */
static void carry_inward(struct thrumi_thread *t) {
  bool reached = thrumi_load_relaxed(&t->life) & (THRUMI_LIFE_CANCELLED | THRUMI_LIFE_TOLD);
  struct thrumi_scope *s = thrumi_load_relaxed(&t->scopes);
  while (s && s->outer) s = s->outer;
  for (; s; s = s->inner) {
    uint8_t cancelled = thrumi_load_relaxed(&s->cancelled);
    if (reached && !s->shield)
      thrumi_store(&s->cancelled, cancelled | THRUMI_CAUSE_OUTSIDE);
    else
      reached = cancelled;
  }
}

/* Its scopes are as it opened them; what others did to them may be half done. */
void thrumi_tree_survive(struct thrumi_thread *t) {
  t->tree = (struct thrumi_spin){0};
  t->scope = NULL;
  t->elder = t->younger = NULL;
  t->scoped &= THRUMI_OPENER;
  thrumi_store_relaxed(&t->scope_of, 0);
  for (struct thrumi_scope *s = thrumi_load_relaxed(&t->scopes); s; s = s->outer) {
    s->untold = s->told = NULL;
    s->visitors = s->stopped = 0;
    s->awaits = false;
    thrumi_store(&s->count, 0);
    thrumi_store(&s->deadline, INT64_MAX);
    thrumi_and(&s->cancelled, (uint8_t)~THRUMI_CAUSE_RESTART);
  }
  carry_inward(t);
  settle(t);
}
