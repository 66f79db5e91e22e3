/* Scopes: opening, closing, deadlines. The tree that they make, and cancellation in it, is in sched/tree.h; docs/design/scopes.md
 * has it all. */
#include <core/fatal.h>
#include <sched/part.h>
#include <scope/scope.h>
#include <sched/self.h>
#include <stdarg.h>
#include <stdio.h>
#include <thrum/time.h>

#define PATIENCE THRUM_S(1)
enum { NAMED = 8, RESTARTS = 3, RESTARTS_MOST = 1 << 20 };
#define RESTART_PERIOD THRUM_S(5)

/* The one that the caller opened, which it has entered the runtime for. NULL: it did not, or has closed it. */
static struct thrumi_scope *own(thrum_scope *scope, struct thrumi_thread **me) {
  struct thrumi_scope *s = thrumi_scope_of(scope);
  *me = thrumi_enter()->current;
  if (s && thrumi_load(&s->opener) == *me) return s;
  thrumi_leave(thrumi_self());
  return NULL;
}

static bool is_cancelled(const struct thrumi_scope *s) {
  return thrumi_causes_cancel(thrumi_load(&s->cancelled));
}

/* ---- Opening ---------------------------------------------------------------------------------------------------------- */

static bool good_options(const thrum_scope_options *o) {
  bool restart =
      o->restart >= THRUM_RESTART_NEVER && o->restart <= THRUM_RESTART_ALL && o->restart_period >= 0;
  return o->size == sizeof *o && restart && o->restart_max >= 0 && o->restart_max <= RESTARTS_MOST &&
         !o->thrumi;
}

/* INT64_MAX: none; 0: it has passed. */
static thrum_time deadline_of(const thrum_scope_options *o) {
  if (!o->timeout && !o->deadline) return THRUM_FOREVER;
  thrum_time now = thrum_now();
  thrum_time deadline = o->timeout ? thrum_after(o->timeout) : THRUM_FOREVER;
  if (o->deadline && o->deadline < deadline) deadline = o->deadline;
  return deadline <= now || o->timeout < 0 ? 0 : deadline;
}

static intptr_t scope_deadline(void *arg) {
  thrumi_enter();
  thrumi_scope_cancel(arg, THRUMI_CAUSE_DEADLINE);
  thrumi_leave(thrumi_self());
  return 0;
}

static void fill(struct thrumi_scope *s, const thrum_scope_options *o, thrum_time deadline) {
  *s = (struct thrumi_scope){.shield = o->shield, .status = o->status, .restart = (uint8_t)o->restart};
  s->restart_max = o->restart_max ? o->restart_max : RESTARTS;
  s->restart_period = o->restart_period ? o->restart_period : RESTART_PERIOD;
  s->timed = deadline != THRUM_FOREVER && deadline;
  thrumi_store_relaxed(&s->deadline, deadline);
  if (!deadline) thrumi_store_relaxed(&s->cancelled, (uint8_t)THRUMI_CAUSE_DEADLINE);
}

int thrum_scope_open(thrum_scope *scope, const thrum_scope_options *options) {
  static const thrum_scope_options defaults = {.size = sizeof defaults};
  const thrum_scope_options *o = options ? options : &defaults;
  if (!scope || !good_options(o)) return -EINVAL;
  struct thrumi_scope *s = thrumi_scope_of(scope);
  thrum_time deadline = deadline_of(o);
  if (o->restart && !thrumi_load_relaxed(&thrumi_hooks.scope_restarts))
    thrumi_store(&thrumi_hooks.scope_restarts, thrumi_scope_restarts);
  thrumi_scope_hook_exit();
  struct thrumi_kthread *k = thrumi_enter();
  fill(s, o, deadline);
  thrumi_scope_push(k->current, s);
  thrumi_leave(k);
  if (s->timed) thrum_timer_start_at(&s->timer, deadline, scope_deadline, s);
  return 0;
}

void thrum_scope_set_deadline(thrum_scope *scope, thrum_time deadline) {
  struct thrumi_scope *s = thrumi_scope_of(scope);
  struct thrumi_thread *opener = thrumi_load(&s->opener);
  if (!opener) return;
  thrumi_enter();
  thrumi_spin_lock(&opener->tree);
  s->timed = true;
  thrumi_store(&s->deadline, deadline);
  thrumi_spin_unlock(&opener->tree);
  thrumi_leave(thrumi_self());
  if (deadline == THRUM_FOREVER)
    thrum_timer_cancel(&s->timer);
  else
    thrum_timer_start_at(&s->timer, deadline, scope_deadline, s);
}

/* From within outwards, without a lock: while a scope cannot be closed its opener lives, and neither that one's scopes around it can be, nor
 * the one that it belongs to, which was settled before it ran. */
thrum_time thrum_scope_deadline(const thrum_scope *scope) {
  struct thrumi_thread *t = scope ? NULL : thrumi_me();
  const struct thrumi_scope *s = (const struct thrumi_scope *)scope;
  if (t && !(s = thrumi_load_relaxed(&t->scopes))) s = t->scope;
  int64_t earliest = INT64_MAX;
  while (s && (t = thrumi_load(&s->opener))) {
    int64_t deadline = thrumi_load(&s->deadline);
    if (deadline < earliest) earliest = deadline;
    if (s->shield) break;
    s = s->outer ? s->outer : t->scope;
  }
  return earliest;
}

/* ---- Closing ---------------------------------------------------------------------------------------------------------- */

struct named {
  int count;
  uint32_t more;
  thrum_thread of[NAMED];
};

/* Under the lock. */
static void gather(struct thrumi_thread *t, struct named *out) {
  for (; t && out->count < NAMED; t = t->elder) out->of[out->count++] = thrumi_handle(t);
}

/* Outside. */
static void say_whom(const struct named *whom) {
  for (int i = 0; i < whom->count; i++) {
    char name[THRUM_NAME_MAX];
    if (thrum_name(whom->of[i], name, sizeof name) >= 0)
      thrumi_log("%s was cancelled a second ago and runs on: %s waits for it", name, thrum_current_name());
  }
  if (whom->more)
    thrumi_log("and %u more threads of that scope: %s waits for them", (unsigned)whom->more,
               thrum_current_name());
}

/* Under the lock, which is free in between. */
static void say_once(struct thrumi_thread *me, struct thrumi_scope *s) {
  struct named whom = {0};
  s->told_slow = true;
  gather(s->told, &whom);
  whom.more = thrumi_load_relaxed(&s->count) - (uint32_t)whom.count;
  thrumi_spin_unlock(&me->tree);
  thrumi_leave(thrumi_self());
  say_whom(&whom);
  thrumi_enter();
  thrumi_spin_lock(&me->tree);
}

/* Under the lock, which is free in between. Nobody is left who has to do with the scope, but its timer. */
static void await_all(struct thrumi_thread *me, struct thrumi_scope *s) {
  int64_t patience = INT64_MAX;
  while (thrumi_scope_is_busy(s)) {
    if (is_cancelled(s) && patience == INT64_MAX) patience = thrumi_os.now() + PATIENCE;
    int64_t deadline = s->told_slow ? INT64_MAX : patience;
    if (thrumi_scope_await(me, s, deadline, 0) == THRUMI_TIMED_OUT) say_once(me, s);
  }
}

static void stop_timer(struct thrumi_thread *me, struct thrumi_scope *s) {
  thrumi_spin_unlock(&me->tree);
  thrumi_leave(thrumi_self());
  thrum_timer_cancel_wait(&s->timer);
  thrumi_enter();
  thrumi_spin_lock(&me->tree);
}

static void check_innermost(struct thrumi_thread *me, const struct thrumi_scope *s) {
  if (thrumi_load_relaxed(&me->scopes) == s) return;
  thrumi_leave(thrumi_self());
  thrumi_fatal("thread %s closes a scope while one is open that it opened later", thrum_current_name());
}

/* One that was pushed within the scope, and stayed, would run among the scopes that are opened next. */
static void check_handlers(struct thrumi_thread *me, const struct thrumi_scope *s) {
  const thrum_cleanup *c = me->cleanups;
  if (thrumi_likely(!c || (uintptr_t)c->thrumi[0] < s->depth)) return;
  thrumi_leave(thrumi_self());
  thrumi_fatal("thread %s closes a scope with a clean-up handler left in it", thrum_current_name());
}

static int result_of(const struct thrumi_scope *s) {
  uint8_t cancelled = thrumi_load_relaxed(&s->cancelled);
  if (s->failure) return s->failure;
  if (cancelled & THRUMI_CAUSE_DEADLINE) return -ETIMEDOUT;
  return cancelled & THRUMI_CAUSE_OUTSIDE ? -ECANCELED : 0;
}

/* Outside: what the scope leaves behind. thrum_failure is to say what it says. */
static void settle_estate(struct thrumi_thread *me, struct thrumi_scope *s) {
  if (s->restarted_at) thrumi_os.free(s->restarted_at);
  s->restarted_at = NULL;
  if (!s->failure) return;
  if (me->joined_sentence) thrumi_os.free(me->joined_sentence);
  me->joined_sentence = s->sentence;
  s->sentence = NULL;
  thrumi_store_relaxed(&me->extras, true);
}

int thrum_scope_close(thrum_scope *scope) {
  struct thrumi_thread *me;
  struct thrumi_scope *s = own(scope, &me);
  if (!s) return -EPERM;
  check_innermost(me, s);
  check_handlers(me, s);
  thrumi_spin_lock(&me->tree);
  await_all(me, s);
  if (s->timed) {
    stop_timer(me, s);
    await_all(me, s);
  }
  thrumi_scope_pop(me, s);
  thrumi_spin_unlock(&me->tree);
  thrumi_rely_on(s);
  int result = result_of(s);
  thrumi_leave(thrumi_self());
  settle_estate(me, s);
  if (s->status) *s->status = result;
  return result;
}

/* ---- While it is open -------------------------------------------------------------------------------------------------- */

void thrum_scope_cancel(thrum_scope *scope) {
  struct thrumi_scope *s = thrumi_scope_of(scope);
  if (!thrumi_load(&s->opener)) return;
  thrumi_enter();
  thrumi_scope_cancel(s, THRUMI_CAUSE_ASKED);
  thrumi_leave(thrumi_self());
}

bool thrum_scope_cancelled(const thrum_scope *scope) {
  const struct thrumi_scope *s = (const struct thrumi_scope *)scope;
  bool cancelled = is_cancelled(s);
  if (cancelled) thrumi_rely_on(&s->cancelled);
  return cancelled;
}

size_t thrum_scope_count(const thrum_scope *scope) {
  return thrumi_load_relaxed(&((const struct thrumi_scope *)scope)->count);
}

/* An end that came in time counts, whatever ended the wait. */
int thrum_scope_wait_for(thrum_scope *scope, thrum_duration timeout) {
  int64_t deadline = thrum_after(timeout);
  struct thrumi_thread *me;
  struct thrumi_scope *s = own(scope, &me);
  if (!s) return -EPERM;
  int error = 0;
  thrumi_spin_lock(&me->tree);
  while (!error && thrumi_load_relaxed(&s->count))
    error = thrumi_wait_error(thrumi_scope_await(me, s, deadline, THRUMI_CANCELLABLE));
  if (!thrumi_load_relaxed(&s->count)) error = 0;
  thrumi_spin_unlock(&me->tree);
  if (!error) thrumi_rely_on(s);
  thrumi_leave(thrumi_self());
  return error;
}

int thrum_scope_fail(thrum_scope *scope, int code, const char *format, ...) {
  struct thrumi_scope *s = thrumi_scope_of(scope);
  int failure = thrumi_failure(code);
  char text[THRUMI_SENTENCE_MAX] = "";
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (!thrumi_load(&s->opener)) return failure;
  struct thrumi_thread *me = thrumi_me();
  char *sentence = thrumi_scope_sentence(failure, thrum_current_name(), text);
  thrumi_enter();
  bool first = thrumi_scope_fail(s, failure, sentence);
  thrumi_leave(thrumi_self());
  if (!first && sentence) thrumi_os.free(sentence);
  if (!first) thrumi_tell_uncaught(me, failure, text);
  return failure;
}

/* ---- Blocks ----------------------------------------------------------------------------------------------------------- */

thrum_scope *thrumi_scope_enter(thrum_scope *scope, const thrum_scope_options *options) {
  if (thrum_scope_open(scope, options) != 0)
    thrumi_fatal("thread %s begins a scope with options that cannot be right", thrum_current_name());
  return scope;
}

thrum_scope *thrumi_scope_enter_shield(thrum_scope *scope, thrum_duration timeout) {
  const thrum_scope_options options = {.size = sizeof options, .timeout = timeout, .shield = true};
  return thrumi_scope_enter(scope, &options);
}

/* After the close the memory is still there. */
void thrumi_scope_leave(thrum_scope *scope) {
  struct thrumi_scope *s = thrumi_scope_of(scope);
  struct thrumi_thread *me;
  if (!own(scope, &me))
    thrumi_fatal("thread %s leaves a block whose scope it has closed", thrum_current_name());
  thrumi_leave(thrumi_self());
  thrum_scope_close(scope);
  if (s->failure && !s->status) thrumi_tell_uncaught(me, s->failure, thrum_failure());
}
