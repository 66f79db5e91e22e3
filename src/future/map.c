/* Map: items in chunks, a task a chunk, a ring of their futures.
 *
 * A chunk's results lie in its work, behind what it needs to know, and go with its future. A chunk that is cancelled never
 * touches the items; one that runs may, so the end waits for it.
 *
 * With `ahead` the ring holds so many futures: the next chunk is submitted when the last result of one has been handed out.
 *
 * In order, the chunk that is handed out is the oldest, and the ring is one. Unordered, it is whichever the collector saw done first; each place of the
 * ring has a seat there, and the next chunk gets the place that was given back last. */
#include <limits.h>
#include <sched/part.h>
#include <sched/self.h>
#include <string.h>
#include <thrum/time.h>

#include <future/chunk.h>
#include <future/collect.h>
#include <future/executor.h>

struct thrum_map {
  struct thrum_executor *executor;
  thrum_fn *fn;
  const thrum_task *task;
  char *items;
  size_t n, item_size, chunk, ring_size;
  size_t submitted, taken; /* chunks */
  size_t place;            /* in the ring: of the chunk that is being handed out */
  size_t at;               /* the next result of that one */
  size_t index;            /* of the item that was handed out last */
  int64_t deadline;
  int refused; /* why the next chunk was not submitted */
  bool keep_going, over, unordered;
  intptr_t last;                     /* the value that was handed out last, */
  struct thrumi_more more;           /* and what came with it */
  thrum_future **ring;               /* NULL: nothing in this place */
  struct thrumi_collector collector; /* of an unordered one */
};

static size_t chunks_of(const struct thrum_map *m) { return m->n / m->chunk + (m->n % m->chunk != 0); }

static struct thrumi_chunk *chunk_of(thrum_future *f) {
  return (struct thrumi_chunk *)(void *)thrumi_work_of(f)->in;
}

static void forget(struct thrumi_more *more) {
  if (thrumi_unlikely(more->sentence != NULL)) thrumi_os.free(more->sentence);
  if (thrumi_unlikely(more->bytes != NULL)) thrumi_os.free(more->bytes);
  *more = (struct thrumi_more){0};
}

/* ---- In the executor ------------------------------------------------------------------------------------------------ */

struct item_call {
  struct thrumi_chunk *chunk;
  char *item;
  thrum_out out;
};

static intptr_t call_item(void *arg) {
  struct item_call *call = arg;
  const struct thrumi_chunk *c = call->chunk;
  return c->fn ? c->fn(call->item) : c->task->fn(call->item, c->item_size, &call->out);
}

bool thrumi_chunk_keep(struct thrumi_chunk *c, struct thrumi_more more) {
  if (thrumi_likely(!more.sentence && !more.bytes)) return true;
  if (!c->more) c->more = thrumi_os.allocate(c->count * sizeof *c->more);
  if (c->more)
    c->more[c->done] = more;
  else
    forget(&more);
  return c->more;
}

static intptr_t run_item(struct thrumi_chunk *c, struct thrumi_thread *me) {
  struct item_call call = {.chunk = c, .item = c->items + c->done * c->item_size};
  intptr_t value = thrumi_task_call(me, call_item, &call);
  struct thrumi_more more = {thrumi_sentence_swap(me, NULL), call.out.data, call.out.size};
  if (call.out.error && !thrum_failed(value)) value = call.out.error;
  return thrumi_chunk_keep(c, more) || thrum_failed(value) ? value : -ENOMEM;
}

/* The task: items up to the first failure, unless told to keep going. */
static intptr_t run_chunk(void *arg) {
  struct thrumi_chunk *c = arg;
  struct thrumi_thread *me = thrumi_me();
  bool failed = false;
  for (uint32_t forks = thrumi_forks; c->done < c->count && !(failed && !c->keep_going); c->done++) {
    intptr_t value = c->values[c->done] = run_item(c, me);
    if (thrumi_unlikely(forks != thrumi_forks)) return value;
    failed = thrum_failed(value);
  }
  return 0;
}

/* ---- Submitting ------------------------------------------------------------------------------------------------------- */

/* Where the next chunk's future goes. */
static size_t next_place(const struct thrum_map *m) {
  bool first_round = m->submitted < m->ring_size;
  return m->unordered && !first_round ? m->place : m->submitted % m->ring_size;
}

static int submit_next(struct thrum_map *m) {
  size_t first = m->submitted * m->chunk, count = m->n - first < m->chunk ? m->n - first : m->chunk;
  struct thrumi_chunk *c;
  struct thrumi_work *work = thrumi_work_new(m->executor, sizeof *c + count * sizeof *c->values, 2);
  if (!work) return -ENOMEM;
  c = (struct thrumi_chunk *)(void *)work->in;
  c->fn = m->fn;
  c->task = m->task;
  c->items = m->items + first * m->item_size;
  c->first = first;
  c->count = count;
  c->item_size = m->item_size;
  c->keep_going = m->keep_going;
  work->fn = run_chunk;
  work->arg = c;
  work->chunk = c;
  size_t place = next_place(m);
  int error = thrumi_work_submit(m->executor, work, &m->ring[place]);
  if (error) return error;
  m->submitted++;
  if (m->unordered) thrumi_collector_seat(&m->collector, place, m->ring[place]);
  return 0;
}

/* As far as there is room in the ring. */
static int submit_more(struct thrum_map *m) {
  int error = 0;
  while (!error && m->submitted < chunks_of(m) && m->submitted - m->taken < m->ring_size)
    error = submit_next(m);
  return error;
}

static void release_chunk(thrum_future *f) {
  struct thrumi_chunk *c = chunk_of(f);
  for (size_t i = 0; c->more && i < c->count; i++) forget(&c->more[i]);
  if (c->more) thrumi_os.free(c->more);
  thrum_future_release(f);
}

/* What is in the ring from the oldest on; an unordered one has no oldest. */
static thrum_future **nth(struct thrum_map *m, size_t i) {
  return &m->ring[(m->unordered ? i : m->taken + i) % m->ring_size];
}

/* Nothing is submitted any more; what is not handed out is cancelled. */
static void finish(struct thrum_map *m) {
  m->over = true;
  for (size_t i = 0; i < m->ring_size; i++)
    if (*nth(m, i)) thrum_future_cancel(*nth(m, i));
}

/* And given back when it does not run any more. */
static void give_back_all(struct thrum_map *m) {
  for (size_t i = 0; i < m->ring_size; i++) {
    thrum_future *f = *nth(m, i);
    if (!f) continue;
    while (thrum_future_wait(f) != 0) thrum_yield(); /* no thread for what waits before it: some will end */
    release_chunk(f);
  }
}

static bool good_options(const thrum_map_options *o) { return o->size == sizeof *o; }

/* Where each item lies can be reckoned. */
static bool good_items(const struct thrum_map *m) {
  return !m->n || (m->items && (!m->item_size || m->n <= PTRDIFF_MAX / m->item_size));
}

static int start(thrum_map **out, struct thrum_map made, const thrum_map_options *options) {
  static const thrum_map_options defaults = THRUM_MAP_OPTIONS_INIT;
  const thrum_map_options *o = options ? options : &defaults;
  if (!out || !good_options(o) || !good_items(&made)) return -EINVAL;
  made.chunk = o->chunk ? o->chunk : 1;
  if (made.chunk > made.n && made.n) made.chunk = made.n;
  size_t chunks = chunks_of(&made);
  made.ring_size = o->ahead && o->ahead < chunks ? o->ahead : chunks;
  made.deadline = o->timeout ? thrum_after(o->timeout) : INT64_MAX;
  made.keep_going = o->keep_going;
  made.unordered = o->unordered;
  made.index = SIZE_MAX;
  if (made.ring_size > SIZE_MAX / sizeof *made.ring ||
      made.chunk > SIZE_MAX / (2 * sizeof(struct thrumi_more)))
    return -ENOMEM;
  struct thrum_map *m = thrumi_os.allocate(sizeof *m);
  if (!m) return -ENOMEM;
  *m = made;
  m->ring = thrumi_os.allocate(m->ring_size ? m->ring_size * sizeof *m->ring : 1);
  int error = m->ring ? 0 : -ENOMEM;
  if (!error && m->unordered) error = thrumi_collector_open(&m->collector, m->ring_size);
  if (!error) error = submit_more(m);
  if (!error)
    *out = m;
  else
    thrum_map_end(m);
  return error;
}

int thrum_map_start(thrum_map **out, thrum_executor *executor, thrum_fn *fn, void *items, size_t n,
                    size_t item_size, const thrum_map_options *options) {
  if (!fn) return -EINVAL;
  struct thrum_map made = {.executor = executor, .fn = fn, .items = items, .n = n, .item_size = item_size};
  return start(out, made, options);
}

int thrum_map_start_task(thrum_map **out, thrum_executor *executor, const thrum_task *task, const void *items,
                         size_t n, size_t item_size, const thrum_map_options *options) {
  if (!task || !task->fn) return -EINVAL;
  struct thrum_map made = {
      .executor = executor, .task = task, .items = (char *)(uintptr_t)items, .n = n, .item_size = item_size};
  return start(out, made, options);
}

/* ---- Taking results --------------------------------------------------------------------------------------------------------- */

static int64_t left_of(int64_t deadline) {
  return deadline == INT64_MAX ? THRUM_FOREVER : thrum_left(deadline);
}

static int await_oldest(struct thrum_map *m, int64_t deadline) {
  m->place = m->taken % m->ring_size;
  return thrum_future_wait_for(m->ring[m->place], left_of(deadline));
}

static int await_any(struct thrum_map *m, int64_t deadline) {
  int error = thrumi_collector_wait(&m->collector, m->collector.taken + 1, false, deadline);
  if (!error) m->place = thrumi_collector_take(&m->collector);
  return error;
}

/* Waits for the next chunk. -ECANCELED: the caller, or the chunk (*cancelled). */
static int await_chunk(struct thrum_map *m, int64_t deadline, bool *cancelled) {
  int error = m->unordered ? await_any(m, deadline) : await_oldest(m, deadline);
  *cancelled = !error && thrum_future_cancelled(m->ring[m->place]);
  return *cancelled ? -ECANCELED : error;
}

/* Takes the next result of the chunk, which is done; gives it back behind its last one. */
static void take_one(struct thrum_map *m) {
  thrum_future *f = m->ring[m->place];
  struct thrumi_chunk *c = chunk_of(f);
  m->index = c->first + m->at;
  if (m->at == c->done) { /* it did not run to its end: the executor broke, or this is the child of a fork */
    uint64_t word = thrumi_load(&f->word);
    m->last = thrumi_future_result(f, word);
    if (!(word & THRUMI_FUTURE_ORPHANED)) {
      m->more.sentence = f->sentence;
      f->sentence = NULL;
    }
    finish(m);
    return;
  }
  m->last = c->values[m->at];
  if (thrumi_unlikely(c->more != NULL)) {
    m->more = c->more[m->at];
    c->more[m->at] = (struct thrumi_more){0};
  }
  m->at++;
  if (thrum_failed(m->last) && !m->keep_going) finish(m);
  if (m->at < c->count) return;
  m->at = 0;
  m->taken++;
  m->ring[m->place] = NULL;
  release_chunk(f);
}

static int next(struct thrum_map *m, thrum_duration timeout) {
  int64_t own = timeout == THRUM_FOREVER ? INT64_MAX : thrum_after(timeout);
  bool cancelled = false;
  forget(&m->more);
  if (!m->over && m->submitted == m->taken && m->refused) {
    m->over = true;
    return m->refused;
  }
  if (m->over || m->taken == chunks_of(m)) return -EPIPE;
  int error = m->at ? 0 : await_chunk(m, own < m->deadline ? own : m->deadline, &cancelled);
  bool out_of_time = error == -ETIMEDOUT && own >= m->deadline;
  if (out_of_time || cancelled) finish(m);
  if (error) return error;
  take_one(m);
  if (!m->at && !m->over && !m->refused) m->refused = submit_more(m);
  return 0;
}

int thrum_map_next_for(thrum_map *m, intptr_t *result, thrum_duration timeout) {
  int error = next(m, timeout);
  if (!error && result) *result = m->last;
  return error;
}

int thrum_map_next(thrum_map *m, intptr_t *result) { return thrum_map_next_for(m, result, THRUM_FOREVER); }

int thrum_map_next_bytes(thrum_map *m, const void **data, size_t *size) {
  return thrum_map_next_bytes_for(m, data, size, THRUM_FOREVER);
}

int thrum_map_next_bytes_for(thrum_map *m, const void **data, size_t *size, thrum_duration timeout) {
  int error = next(m, timeout);
  if (!error && thrum_failed(m->last)) error = (int)m->last;
  if (error) return error;
  *data = m->more.bytes;
  *size = m->more.size;
  return 0;
}

size_t thrum_map_index(const thrum_map *m) { return m->index; }

const char *thrum_map_failure(const thrum_map *m) {
  bool has = m->more.sentence && thrum_failed(m->last);
  return has ? m->more.sentence : "";
}

void thrum_map_end(thrum_map *m) {
  if (!m) return;
  if (m->ring) {
    finish(m);
    if (m->unordered) thrumi_collector_end(&m->collector);
    give_back_all(m);
    thrumi_os.free(m->ring);
  }
  forget(&m->more);
  thrumi_os.free(m);
}
