/* What comes back from a process, on its way into futures.
 *
 * Callbacks may block, and an attendant must not: results of other tasks wait for it. So a future that has callbacks gets a thread for
 * them. They are counted, and the end of the executor waits for them. */
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

/* ---- Finishing ---------------------------------------------------------------------------------------------------- */

static void leave_callbacks(struct thrumi_process_pool *p) {
  thrumi_announce(p); /* what they did is seen by who waits for the end */
  thrum_lock_acquire(&p->lock);
  p->others--;
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
  thrum_future_release(f);
  leave_callbacks(p);
  return 0;
}

bool thrumi_processes_calls_back(const struct thrumi_process_pool *p) {
  const struct thrumi_thread *me = thrumi_me();
  if (me->fn == thrumi_attendant_main) return ((const struct thrumi_attendant *)me->arg)->pool == p;
  return me->fn == call_back && ((const thrum_future *)me->arg)->executor == &p->executor;
}

static void start_callbacks(struct thrumi_process_pool *p, thrum_future *f) {
  char name[THRUM_NAME_MAX];
  snprintf(name, sizeof name, "%.40s callbacks", p->name);
  thrum_options options = thrumi_servant(name, THRUM_NO);
  thrum_lock_acquire(&p->lock);
  p->others++;
  p->pins++;
  thrum_lock_release(&p->lock);
  thrumi_announce(f);
  if (thrum_spawn_with(NULL, &options, call_back, f) != 0) call_back(f);
}

static void finish(struct thrumi_process_pool *p, thrum_future *f) {
  if (!thrumi_future_finish(f)) return;
  if (thrumi_future_tell(f))
    start_callbacks(p, f);
  else
    thrum_future_release(f);
}

void thrumi_processes_finish(struct thrumi_process_pool *p, struct thrumi_work *work, intptr_t value,
                             struct thrumi_bytes bytes, char *sentence) {
  thrum_future *f = &work->future;
  f->result = value;
  f->bytes = bytes.data;
  f->size = bytes.size;
  f->sentence = sentence;
  if (thrum_failed(value) && work->unheard) thrumi_tell_uncaught(thrumi_me(), value, sentence);
  finish(p, f);
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
