/* Futures: asking, waiting, cancelling, finishing, callbacks. See future.h. */
#include <future/future.h>

#include <core/fatal.h>
#include <sched/part.h>
#include <sched/self.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <thrum/time.h>

#include <future/case.h>
#include <future/executor.h>
#include <future/place.h>

enum {
  PENDING = THRUMI_PENDING,
  RUNNING = THRUMI_IN_PROGRESS,
  CANCELLED = THRUMI_DROPPED,
  FINISHED = THRUMI_DONE
};
#define STATE THRUMI_FUTURE_STATE
#define WAITED THRUMI_FUTURE_WAITED
#define WATCHED THRUMI_FUTURE_WATCHED
#define ONE THRUMI_FUTURE_ONE

struct thrumi_callback {
  struct thrumi_callback *next;
  thrum_done_fn *fn;
  void *arg;
};

/* ---- Life ------------------------------------------------------------------------------------------------------ */

void thrumi_future_init(thrum_future *f, struct thrum_executor *executor, uint32_t references) {
  f->executor = executor;
  f->callbacks_end = &f->callbacks;
  f->forks = thrumi_forks;
  thrumi_store_relaxed(&f->word, references * ONE);
}

thrum_future *thrum_future_new(void) {
  thrum_future *f = thrumi_os.allocate(sizeof *f);
  if (!f) return NULL;
  thrumi_future_init(f, NULL, 1);
  thrumi_case_start();
  return f;
}

static void free_callbacks(struct thrumi_callback *c) {
  for (struct thrumi_callback *next; c; c = next) {
    next = c->next;
    thrumi_os.free(c);
  }
}

static void free_future(thrum_future *f) {
  thrumi_rely_on(f);
  if (thrumi_unlikely(f->bytes != NULL)) thrumi_os.free(f->bytes);
  if (thrumi_unlikely(f->sentence != NULL)) thrumi_os.free(f->sentence);
  free_callbacks(f->callbacks);
  thrumi_store_relaxed(&f->word, (uint64_t)THRUMI_GONE);
  if (f->executor && thrumi_work_of(f)->kept)
    thrumi_work_give(thrumi_work_of(f));
  else
    thrumi_os.free(f);
}

static void check_alive(const thrum_future *f, uint64_t word) {
  if (thrumi_unlikely(word < ONE)) thrumi_fatal("future %p was released too often", (const void *)f);
}

thrum_future *thrum_future_retain(thrum_future *f) {
  check_alive(f, thrumi_add(&f->word, ONE));
  return f;
}

void thrum_future_release(thrum_future *f) {
  if (!f) return;
  uint64_t seen = thrumi_load(&f->word);
  check_alive(f, seen);
  if (seen >= 2 * ONE) {
    thrumi_announce(f);
    seen = thrumi_add(&f->word, -ONE);
  }
  if (seen < 2 * ONE) free_future(f);
}

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

/* In the child of a fork: nobody is there to finish what threads of the parent's had not. */
static uint64_t disown(thrum_future *f, uint64_t seen) {
  while (!thrumi_future_is_told(seen)) {
    uint64_t orphaned = (seen & ~STATE) | FINISHED | THRUMI_FUTURE_ORPHANED;
    if (thrumi_cas(&f->word, &seen, orphaned)) return orphaned;
  }
  return seen;
}

uint64_t thrumi_future_look(thrum_future *f) {
  uint64_t seen = thrumi_load(&f->word);
  if (thrumi_unlikely(!thrumi_future_is_told(seen) && f->executor && f->forks != thrumi_forks))
    seen = disown(f, seen);
  if (thrumi_future_is_done(seen)) thrumi_rely_on(f);
  return seen;
}

static uint64_t look(const thrum_future *f) { return thrumi_future_look((thrum_future *)(uintptr_t)f); }

bool thrum_future_cancelled(const thrum_future *f) {
  enum thrumi_future_state state = thrumi_future_state(look(f));
  return state == THRUMI_DROPPED || state == THRUMI_TOLD;
}

bool thrum_future_running(const thrum_future *f) {
  return thrumi_future_state(look(f)) == THRUMI_IN_PROGRESS;
}

bool thrum_future_done(const thrum_future *f) { return thrumi_future_is_done(look(f)); }

const char *thrum_future_failure(const thrum_future *f) {
  uint64_t word = look(f);
  bool has = thrumi_future_state(word) == THRUMI_DONE && !(word & THRUMI_FUTURE_ORPHANED) && f->sentence;
  return has ? f->sentence : "";
}

/* ---- Waiting ------------------------------------------------------------------------------------------------------- */

/* In the bucket: sets the flag, unless it is done (with WATCHED: told). False then. */
static bool set_flag(thrum_future *f, uint64_t flag, bool (*is_over)(uint64_t word)) {
  uint64_t seen = thrumi_future_look(f);
  do {
    if (is_over(seen)) return false;
  } while (!(seen & flag) && !thrumi_cas(&f->word, &seen, seen | flag));
  return true;
}

static int wait_inside(thrum_future *f, int64_t deadline, int flags) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(f);
  if (!set_flag(f, WAITED, thrumi_future_is_done)) {
    thrumi_bucket_unlock(bucket);
    return 0;
  }
  struct thrumi_waiter waiter;
  return thrumi_wait_error(thrumi_await(bucket, &waiter, f, "a future", f, deadline, flags));
}

static int await_slowly(thrum_future *f, int64_t deadline, int flags) {
  struct thrumi_place place;
  int error = thrumi_place_lend(&place);
  if (error) return error;
  thrumi_enter();
  error = wait_inside(f, deadline, flags);
  thrumi_leave(thrumi_self());
  thrumi_place_take_back(&place);
  return thrumi_future_is_done(thrumi_future_look(f)) ? 0 : error;
}

static int await(thrum_future *f) {
  if (thrumi_likely(thrumi_future_is_done(thrumi_future_look(f)))) return 0;
  return await_slowly(f, INT64_MAX, 0);
}

static int await_for(thrum_future *f, thrum_duration timeout) {
  if (thrumi_likely(thrumi_future_is_done(thrumi_future_look(f)))) return 0;
  return timeout <= 0 ? thrumi_poll_failed() : await_slowly(f, thrum_after(timeout), THRUMI_CANCELLABLE);
}

bool thrumi_future_enlist(thrum_future *f, struct thrumi_waiter *waiter) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(f);
  bool waits = set_flag(f, WAITED, thrumi_future_is_done);
  if (waits) thrumi_enlist(bucket, waiter, f);
  thrumi_bucket_unlock(bucket);
  return waits;
}

int thrum_future_wait(thrum_future *f) { return await(f); }
int thrum_future_wait_for(thrum_future *f, thrum_duration timeout) { return await_for(f, timeout); }

/* Behind a wait that ended with `error`. */
static int get_result(thrum_future *f, int error, intptr_t *result) {
  if (error) return error;
  if (thrum_future_cancelled(f)) return -ECANCELED;
  if (result) *result = thrumi_future_result(f, thrumi_load(&f->word));
  return 0;
}

int thrum_future_result(thrum_future *f, intptr_t *result) { return get_result(f, await(f), result); }

int thrum_future_result_for(thrum_future *f, intptr_t *result, thrum_duration timeout) {
  return get_result(f, await_for(f, timeout), result);
}

static int get_bytes(thrum_future *f, int error, const void **data, size_t *size) {
  intptr_t result = 0;
  error = get_result(f, error, &result);
  if (!error && thrum_failed(result)) error = (int)result;
  if (error) return error;
  *data = f->bytes;
  *size = f->size;
  return 0;
}

int thrum_future_bytes(thrum_future *f, const void **data, size_t *size) {
  return get_bytes(f, await(f), data, size);
}

int thrum_future_bytes_for(thrum_future *f, const void **data, size_t *size, thrum_duration timeout) {
  return get_bytes(f, await_for(f, timeout), data, size);
}

/* ---- Telling --------------------------------------------------------------------------------------------------------- */

/* In the bucket. True: there are more. */
static bool let_some_go(struct thrumi_bucket *bucket, const thrum_future *f) {
  struct thrumi_waiter *w = thrumi_bucket_first(bucket, f);
  if (w) thrumi_ask_for_waiters(w, THRUMI_BATCH);
  for (int n = 0; w && n < THRUMI_BATCH; n++) {
    thrumi_let_go(bucket, w, 0);
    w = thrumi_bucket_first(bucket, f);
  }
  return w;
}

/* In the bucket. In the child of a fork observers that were there before may be gone with their threads, and their list in pieces;
 * collectors of the child come anew (collect.c). */
static void forget_parent(thrum_future *f) {
  if (thrumi_likely(f->executor || f->forks == thrumi_forks)) return;
  f->observers = NULL;
  f->forks = thrumi_forks;
}

static bool tell_some(thrum_future *f) {
  forget_parent(f);
  for (int n = 0; f->observers && n < THRUMI_BATCH; n++) {
    struct thrumi_observer *o = f->observers;
    if ((f->observers = o->next)) o->next->at = &f->observers;
    o->at = NULL;
    o->tell(o, f);
  }
  return f->observers;
}

void thrumi_future_tell_waiters(thrum_future *f) {
  bool more, told = thrumi_future_is_told(thrumi_load(&f->word));
  struct thrumi_kthread *k = thrumi_enter();
  do {
    struct thrumi_bucket *bucket = thrumi_bucket_lock(f);
    more = let_some_go(bucket, f) || (told && tell_some(f));
    thrumi_bucket_unlock(bucket);
  } while (more);
  thrumi_leave(k);
}

/* Nobody adds a callback to what is done, and who added one did so in the bucket, before the caller was there. */
bool thrumi_future_tell(thrum_future *f) {
  thrumi_future_tell_waiters(f);
  return f->callbacks;
}

struct call {
  thrum_future *f;
  thrum_done_fn *fn;
  void *arg;
};

static intptr_t make_call(void *arg) {
  const struct call *call = arg;
  return call->fn(call->f, call->arg);
}

/* A part of the thread: thrum_exit ends the callback, not those behind it, nor what the thread has to do for its pool. */
static void call_back(thrum_future *f, thrum_done_fn *fn, void *arg) {
  struct thrumi_thread *me = thrumi_me();
  struct call call = {f, fn, arg};
  char *outer = thrumi_sentence_swap(me, NULL);
  intptr_t result = thrumi_part_call(me, make_call, &call);
  char *sentence = thrumi_sentence_swap(me, outer);
  if (thrum_failed(result)) thrumi_tell_uncaught(me, result, sentence);
  if (sentence) thrumi_os.free(sentence);
}

/* Nobody adds one to a future that is done. */
void thrumi_future_call_back(thrum_future *f) {
  for (struct thrumi_callback *c; (c = f->callbacks);) {
    f->callbacks = c->next;
    call_back(f, c->fn, c->arg);
    thrumi_os.free(c);
  }
}

/* Under the bucket's lock. False: it is done. */
static bool add_callback(thrum_future *f, struct thrumi_callback *c) {
  if (!set_flag(f, WATCHED, thrumi_future_is_done)) return false;
  *f->callbacks_end = c;
  f->callbacks_end = &c->next;
  return true;
}

int thrum_future_add_done_callback(thrum_future *f, thrum_done_fn *fn, void *arg) {
  if (!fn) return -EINVAL;
  bool added = false;
  if (!thrum_future_done(f)) {
    struct thrumi_callback *c = thrumi_os.allocate(sizeof *c);
    if (!c) return -ENOMEM;
    *c = (struct thrumi_callback){.fn = fn, .arg = arg};
    thrumi_announce(f);
    struct thrumi_kthread *k = thrumi_enter();
    struct thrumi_bucket *bucket = thrumi_bucket_lock(f);
    added = add_callback(f, c);
    thrumi_bucket_unlock(bucket);
    thrumi_leave(k);
    if (!added) thrumi_os.free(c);
  }
  if (!added) call_back(f, fn, arg);
  return 0;
}

bool thrumi_future_observe(thrum_future *f, struct thrumi_observer *o) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(f);
  bool watches = set_flag(f, WATCHED, thrumi_future_is_told);
  forget_parent(f);
  if (watches) {
    if ((o->next = f->observers)) o->next->at = &o->next;
    o->at = &f->observers;
    f->observers = o;
  }
  thrumi_bucket_unlock(bucket);
  return watches;
}

void thrumi_future_unobserve(thrum_future *f, struct thrumi_observer *o) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(f);
  if (o->at && (*o->at = o->next)) o->next->at = o->at;
  o->at = NULL;
  thrumi_bucket_unlock(bucket);
}

/* ---- Cancelling -------------------------------------------------------------------------------------------------------- */

/* Changes the state. False: it was not `from`. *seen: the word as it was. */
static bool change(thrum_future *f, enum thrumi_future_state from, enum thrumi_future_state to,
                   uint64_t *seen) {
  *seen = thrumi_future_look(f);
  do {
    if (thrumi_future_state(*seen) != from) return false;
  } while (!thrumi_cas(&f->word, seen, (*seen & ~STATE) | (uint64_t)to));
  return true;
}

bool thrumi_future_drop(thrum_future *f) {
  uint64_t seen;
  thrumi_announce(f);
  return change(f, THRUMI_PENDING, THRUMI_DROPPED, &seen);
}

/* The maker has been told: those who wait for several futures hear of it. */
static void tell_maker(thrum_future *f) {
  uint64_t seen;
  if (change(f, THRUMI_DROPPED, THRUMI_TOLD, &seen) && seen & (WATCHED | WAITED))
    thrumi_future_tell_waiters(f);
}

bool thrumi_future_dropped_untold(thrum_future *f) {
  tell_maker(f);
  return f->callbacks;
}

void thrumi_future_dropped(thrum_future *f) {
  tell_maker(f);
  thrumi_future_call_back(f);
  thrum_future_release(f);
}

bool thrum_future_cancel(thrum_future *f) {
  uint64_t seen;
  thrumi_announce(f);
  if (!change(f, THRUMI_PENDING, THRUMI_DROPPED, &seen)) return thrum_future_cancelled(f);
  if (f->executor) {
    f->executor->kind->cancelled(f->executor, thrumi_work_of(f)); /* tells and calls back, too */
  } else if (seen & (WAITED | WATCHED)) {
    thrumi_future_tell(f);
    thrumi_future_call_back(f);
  }
  return true;
}

/* ---- Making the result ----------------------------------------------------------------------------------------------------- */

bool thrumi_future_begin(thrum_future *f) {
  uint64_t seen = thrumi_load(&f->word);
  do {
    if (thrumi_future_state(seen) != THRUMI_PENDING) return false;
  } while (!thrumi_cas(&f->word, &seen, seen | RUNNING));
  return true;
}

void thrumi_future_take_back(thrum_future *f) {
  uint64_t seen;
  change(f, THRUMI_IN_PROGRESS, THRUMI_PENDING, &seen);
}

int thrum_future_start(thrum_future *f) {
  uint64_t seen;
  if (f->executor) return -EPERM;
  if (change(f, THRUMI_PENDING, THRUMI_IN_PROGRESS, &seen)) return 1;
  if (!change(f, THRUMI_DROPPED, THRUMI_TOLD, &seen)) return -EALREADY;
  if (seen & WATCHED) thrumi_future_tell_waiters(f); /* the callbacks are the canceller's */
  return 0;
}

bool thrumi_future_finish(thrum_future *f) {
  thrumi_announce(f);
  uint64_t seen = thrumi_load(&f->word), next;
  bool is_heard;
  do {
    is_heard = seen & (WAITED | WATCHED);
    next = (seen & ~STATE) | FINISHED;
    if (!is_heard) next -= ONE;
  } while (!thrumi_cas(&f->word, &seen, next));
  if (next < ONE) free_future(f);
  return is_heard;
}

/* What set_result and its like make it of. */
struct made {
  intptr_t result;
  void *bytes;
  size_t size;
  char *sentence;
};

/* Inside. 0, or -EALREADY; what was to be installed is the caller's then. *seen: the word as it was. */
static int install(thrum_future *f, const struct made *made, uint64_t *seen) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(f);
  bool done;
  *seen = thrumi_load(&f->word);
  if (!(done = thrumi_future_is_done(*seen))) {
    f->result = made->result;
    f->bytes = made->bytes;
    f->size = made->size;
    f->sentence = made->sentence;
    while (!(done = thrumi_future_is_done(*seen)) &&
           !thrumi_cas(&f->word, seen, (*seen & ~STATE) | FINISHED)) {
    }
    if (done) f->bytes = f->sentence = NULL;
  }
  thrumi_bucket_unlock(bucket);
  return done ? -EALREADY : 0;
}

static int finish_by_hand(thrum_future *f, struct made made) {
  uint64_t seen = 0;
  int error = f->executor ? -EPERM : 0;
  if (!error) {
    thrumi_announce(f);
    struct thrumi_kthread *k = thrumi_enter();
    error = install(f, &made, &seen);
    thrumi_leave(k);
  }
  if (error) {
    if (made.bytes) thrumi_os.free(made.bytes);
    if (made.sentence) thrumi_os.free(made.sentence);
  } else if (seen & (WAITED | WATCHED)) {
    thrumi_future_tell(f);
    thrumi_future_call_back(f);
  }
  return error;
}

int thrum_future_set_result(thrum_future *f, intptr_t result) {
  return finish_by_hand(f, (struct made){.result = result});
}

int thrum_future_set_bytes(thrum_future *f, const void *data, size_t size) {
  if (!data && size) return -EINVAL;
  struct made made = {.bytes = thrumi_os.allocate(size ? size : 1), .size = size};
  if (!made.bytes) return -ENOMEM;
  if (size) memcpy(made.bytes, data, size);
  return finish_by_hand(f, made);
}

int thrum_future_fail(thrum_future *f, int code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  struct made made = {.result = thrumi_failure(code), .sentence = thrumi_sentence_make(format, args)};
  va_end(args);
  return finish_by_hand(f, made);
}
