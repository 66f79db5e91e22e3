/* What comes back from a process, on its way into futures.
 *
 * Callbacks may block, and an attendant must not: results of other tasks wait for it. So a future that has callbacks gets a thread for
 * them. They are counted, and the end of the executor waits for them. Where no thread is to be had an attendant keeps the future, tries again
 * as long as it serves, and calls its callbacks itself when it has nothing else left to do; anybody else calls them at once. */
#include <process/pool.h>

#include <future/chunk.h>
#include <sched/part.h>
#include <sched/self.h>
#include <sched/servant.h>
#include <stdio.h>
#include <string.h>
#include <thrum/thread.h>

char *thrumi_sentence_copy(const char *text, size_t size) {
  if (size >= THRUMI_SENTENCE_MAX) size = THRUMI_SENTENCE_MAX - 1;
  char *sentence = thrumi_os.allocate(THRUMI_SENTENCE_MAX);
  if (sentence) memcpy(sentence, text, size);
  return sentence;
}

/* ---- Callbacks ---------------------------------------------------------------------------------------------------- */

static void unpin(struct thrumi_process_pool *p, uint32_t others) {
  thrum_lock_acquire(&p->lock);
  p->others -= others;
  if (!p->count && !p->others) thrum_cond_notify_all(&p->ended);
  bool last = thrumi_processes_unpin(p);
  thrum_lock_release(&p->lock);
  if (last) thrumi_processes_free(p);
}

static intptr_t call_back(void *arg) {
  thrum_future *f = arg;
  struct thrumi_process_pool *p = thrumi_processes_of(f->executor);
  uint32_t forks = thrumi_forks;
  thrumi_rely_on(f);
  thrumi_future_call_back(f);
  if (forks != thrumi_forks) return 0;
  thrumi_me()->arg = NULL; /* destructors of its thread-locals come later, and may ask who it is */
  thrum_future_release(f);
  thrumi_announce(p); /* what they did is seen by who waits for the end */
  unpin(p, 1);
  return 0;
}

/* What it attends; NULL: it is none, or has left. */
static struct thrumi_attendant *attendant_of(const struct thrumi_thread *me) {
  bool attends = me->fn == thrumi_attendant_main && !((uintptr_t)me->arg & 1);
  return attends ? me->arg : NULL;
}

/* An odd number, which no attendant's address is. It is compared, and never followed: the executor may be gone. */
void *thrumi_attendant_left(const struct thrumi_process_pool *p) {
  return (void *)(uintptr_t)(p->id << 1 | 1); /* NOLINT(performance-no-int-to-ptr) */
}

/* An attendant that has left counts, too: its thread ends behind others, and others behind it. A callback's thread is waited for by nobody
 * as soon as its callbacks are through. */
bool thrumi_processes_calls_back(const struct thrumi_process_pool *p) {
  const struct thrumi_thread *me = thrumi_me();
  const struct thrumi_attendant *a = attendant_of(me);
  if (a) return a->pool == p;
  if (me->fn == thrumi_attendant_main) return me->arg == thrumi_attendant_left(p);
  return me->fn == call_back && me->arg && ((const thrum_future *)me->arg)->executor == &p->executor;
}

void thrumi_processes_forget_caller(void) {
  struct thrumi_thread *me = thrumi_me();
  if (me->fn == thrumi_attendant_main || me->fn == call_back) me->arg = NULL;
}

/* The future has a pin. False: no thread is to be had. */
static bool start_callbacks(struct thrumi_process_pool *p, thrum_future *f) {
  char name[THRUM_NAME_MAX];
  snprintf(name, sizeof name, "%.40s callbacks", p->name);
  thrum_options options = thrumi_servant(name, THRUM_NO);
  thrum_lock_acquire(&p->lock);
  p->others++;
  thrum_lock_release(&p->lock);
  thrumi_announce(f);
  if (thrum_spawn_with(NULL, &options, call_back, f) == 0) return true;
  thrum_lock_acquire(&p->lock);
  p->others--; /* the caller counts: this is not the end */
  thrum_lock_release(&p->lock);
  return false;
}

/* Starts a thread for each, up to the first for which there is none: who is refused one is refused the next, too, and others want what
 * memory there is. Those that are left. */
static struct thrumi_works start_all(struct thrumi_process_pool *p, struct thrumi_works called) {
  struct thrumi_works left = {0};
  for (struct thrumi_work *work; !left.count && (work = called.first);) {
    thrumi_works_remove(&called, work);
    if (!start_callbacks(p, &work->future)) thrumi_works_append(&left, work);
  }
  thrumi_works_move(&left, &called);
  return left;
}

void thrumi_attendant_call_back(struct thrumi_attendant *a) {
  if (!a->uncalled.first) return;
  struct thrumi_works called = a->uncalled;
  a->uncalled = start_all(a->pool, called);
  if (a->uncalled.count < called.count) a->pause = 0;
}

thrum_duration thrumi_attendant_pause(struct thrumi_attendant *a) {
  if (!a->uncalled.first) return THRUM_FOREVER;
  a->pause = a->pause ? 2 * a->pause : THRUM_MS(5);
  if (a->pause > THRUM_MS(100)) a->pause = THRUM_MS(100);
  return a->pause;
}

/* They may wait for anything, also for the executor's end: they do not count. */
bool thrumi_processes_call_back_here(struct thrumi_process_pool *p, struct thrumi_works *uncalled) {
  uint32_t forks = thrumi_forks;
  for (struct thrumi_work *work; (work = uncalled->first);) {
    thrumi_works_remove(uncalled, work);
    thrumi_future_call_back(&work->future);
    if (forks != thrumi_forks) return false;
    thrum_future_release(&work->future);
    unpin(p, 0);
  }
  return true;
}

/* ---- Finishing ---------------------------------------------------------------------------------------------------- */

/* True: somebody is to be told. */
static bool finish(struct thrumi_work *work, intptr_t value, struct thrumi_bytes bytes, char *sentence) {
  thrum_future *f = &work->future;
  f->result = value;
  f->bytes = bytes.data;
  f->size = bytes.size;
  f->sentence = sentence;
  if (thrum_failed(value) && work->unheard) thrumi_tell_uncaught(thrumi_me(), value, sentence);
  return thrumi_future_finish(f);
}

/* All that wait for these go on before the first callback, which may wait for one of them. The caller has a pin. Those whose callbacks
 * find no thread. */
static struct thrumi_works tell_by(bool (*has_callbacks)(thrum_future *), struct thrumi_process_pool *p,
                                   struct thrumi_works ended) {
  struct thrumi_works called = {0};
  for (struct thrumi_work *work; (work = ended.first);) {
    thrumi_works_remove(&ended, work);
    if (has_callbacks(&work->future))
      thrumi_works_append(&called, work);
    else
      thrum_future_release(&work->future);
  }
  thrum_lock_acquire(&p->lock);
  p->pins += called.count;
  thrum_lock_release(&p->lock);
  return start_all(p, called);
}

static struct thrumi_works tell(struct thrumi_process_pool *p, struct thrumi_works finished) {
  return tell_by(thrumi_future_tell, p, finished);
}

/* They are counted before anybody is told. */
void thrumi_attendant_cancel_all(struct thrumi_attendant *a, struct thrumi_works dropped) {
  struct thrumi_process_pool *p = a->pool;
  if (!dropped.count) return;
  thrum_lock_acquire(&p->lock);
  p->cancelled += dropped.count;
  p->pins -= dropped.count; /* the attendant has one */
  thrum_lock_release(&p->lock);
  struct thrumi_works uncalled = tell_by(thrumi_future_dropped_untold, p, dropped);
  thrumi_works_move(&a->uncalled, &uncalled);
}

/* An attendant has others' results to take, for which a callback may wait: it calls none of them before its end. */
static struct thrumi_works leave_to_attendant(struct thrumi_process_pool *p, struct thrumi_works uncalled) {
  struct thrumi_attendant *a = attendant_of(thrumi_me());
  if (!a || a->pool != p) return uncalled;
  thrumi_works_move(&a->uncalled, &uncalled);
  return (struct thrumi_works){0};
}

void thrumi_processes_finish(struct thrumi_process_pool *p, struct thrumi_work *work, intptr_t value,
                             struct thrumi_bytes bytes, char *sentence) {
  struct thrumi_works one = {0};
  if (!finish(work, value, bytes, sentence)) return;
  thrumi_works_append(&one, work);
  struct thrumi_works uncalled = leave_to_attendant(p, tell(p, one));
  thrumi_processes_call_back_here(p, &uncalled);
}

struct thrumi_works thrumi_processes_fail(struct thrumi_process_pool *p, struct thrumi_works works, int error,
                                          const char *why) {
  struct thrumi_works finished = {0};
  for (struct thrumi_work *work; (work = works.first);) {
    char text[THRUMI_SENTENCE_MAX];
    thrumi_works_remove(&works, work);
    int size = snprintf(text, sizeof text, "executor %s %s", p->name, why);
    char *sentence = thrumi_sentence_copy(text, (size_t)size);
    if (finish(work, error, (struct thrumi_bytes){0}, sentence)) thrumi_works_append(&finished, work);
  }
  return leave_to_attendant(p, tell(p, finished));
}

/* ---- Unpacking ------------------------------------------------------------------------------------------------------- */

/* The next item of what has come, of which `left` bytes are there. False: that is none. */
static bool next_item(const char **data, uint64_t *left, struct thrumi_result_item *item) {
  if (*left < sizeof *item) return false;
  memcpy(item, *data, sizeof *item);
  *data += sizeof *item;
  *left -= sizeof *item;
  return item->bytes_size <= *left && item->sentence_size <= *left - item->bytes_size;
}

/* False: no memory; and what there was is gone. */
static bool keep(const struct thrumi_result_item *item, const char *data, struct thrumi_more *more) {
  *more = (struct thrumi_more){.size = item->bytes_size};
  if (item->bytes_size && !(more->bytes = thrumi_os.allocate(item->bytes_size))) return false;
  if (item->bytes_size) memcpy(more->bytes, data, item->bytes_size);
  if (item->sentence_size)
    more->sentence = thrumi_sentence_copy(data + item->bytes_size, item->sentence_size);
  return true;
}

static bool unpack_one(struct thrumi_process_pool *p, struct thrumi_work *work, const char *data,
                       uint64_t left) {
  struct thrumi_result_item item;
  struct thrumi_more more;
  if (!next_item(&data, &left, &item)) return false;
  bool kept = keep(&item, data, &more);
  struct thrumi_bytes bytes = {.data = more.bytes, .size = kept ? more.size : 0};
  thrumi_processes_finish(p, work, kept ? item.value : -ENOMEM, bytes, more.sentence);
  return true;
}

/* Values of a chunk: all, or up to the first failure. */
static bool unpack_chunk(struct thrumi_chunk *c, const struct thrumi_result *result, const char *data,
                         uint64_t left) {
  bool failed = false;
  while (c->done < result->count && c->done < c->count) {
    struct thrumi_result_item item;
    struct thrumi_more more;
    if (!next_item(&data, &left, &item)) return false;
    bool kept = keep(&item, data, &more);
    data += item.bytes_size + item.sentence_size;
    left -= item.bytes_size + item.sentence_size;
    kept = thrumi_chunk_keep(c, more) && kept;
    c->values[c->done] = kept || thrum_failed(item.value) ? item.value : -ENOMEM;
    failed = thrum_failed(c->values[c->done++]);
  }
  return c->done == c->count || (failed && !c->keep_going);
}

bool thrumi_processes_unpack(struct thrumi_process_pool *p, struct thrumi_work *work,
                             const struct thrumi_result *result, const char *data) {
  if (result->error) {
    char *sentence = thrumi_sentence_copy(data, result->size);
    thrumi_processes_finish(p, work, thrumi_failure(result->error), (struct thrumi_bytes){0}, sentence);
    return true;
  }
  if (!work->chunk) return unpack_one(p, work, data, result->size);
  bool sound = unpack_chunk(work->chunk, result, data, result->size);
  if (sound) thrumi_processes_finish(p, work, 0, (struct thrumi_bytes){0}, NULL);
  return sound;
}
