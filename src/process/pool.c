/* The executor of processes: its queue, and who is needed to work on it. See pool.h for states and invariants, attend.c for what an
 * attendant does, hand.c for the process. */
#include <process/pool.h>

#include <future/chunk.h>
#include <process/record.h>
#include <sched/self.h>
#include <sched/servant.h>
#include <stdio.h>
#include <string.h>
#include <thrum/runtime.h>

/* ---- Attendants; under the lock --------------------------------------------------------------------------------- */

static void leave_idle(struct thrumi_process_pool *p, struct thrumi_attendant *a) {
  if (a->next_idle) a->next_idle->prev_idle = a->prev_idle;
  *(a->prev_idle ? &a->prev_idle->next_idle : &p->idle) = a->next_idle;
}

/* The one that was idle for the shortest time comes first. */
static void join_idle(struct thrumi_process_pool *p, struct thrumi_attendant *a) {
  a->prev_idle = NULL;
  if ((a->next_idle = p->idle)) a->next_idle->prev_idle = a;
  p->idle = a;
}

void thrumi_attendant_set(struct thrumi_attendant *a, enum thrumi_attendance state) {
  struct thrumi_process_pool *p = a->pool;
  if (state == THRUMI_ATTENDANT_READY) a->alone = false;
  if (a->state == state) return;
  if (a->state == THRUMI_ATTENDANT_READY) p->ready--;
  if (a->state == THRUMI_ATTENDANT_IDLE) leave_idle(p, a);
  a->state = state;
  if (state == THRUMI_ATTENDANT_READY) p->ready++;
  if (state == THRUMI_ATTENDANT_IDLE) join_idle(p, a);
}

static void wake(struct thrumi_attendant *a) {
  thrumi_attendant_set(a, THRUMI_ATTENDANT_READY);
  thrum_event_set(&a->wake);
}

void thrumi_processes_wake_all(struct thrumi_process_pool *p) {
  for (struct thrumi_attendant *a = p->attendants; a; a = a->next) {
    if (a->state == THRUMI_ATTENDANT_IDLE) wake(a);
    thrum_event_set(&a->wake);
  }
}

void thrumi_processes_wake_some(struct thrumi_process_pool *p) {
  while (p->idle && p->queue.count > p->ready) wake(p->idle);
}

/* Its process lives well enough: it has begun what it was given first, or is through with all and ends. */
static bool is_sound(const struct thrumi_attendant *a) {
  const struct thrumi_work *first = a->outstanding.first;
  const struct thrumi_errand *errand = first ? first->place : NULL;
  return a->stops || (errand && thrumi_load(&errand->record.state) == THRUMI_RECORD_BEGUN);
}

/* After a process that died before it did anything one attendant at a time finds out whether the next one does, too. */
static bool finds_out(const struct thrumi_process_pool *p) {
  uint32_t sound = 0;
  if (!p->deaths) return false;
  for (const struct thrumi_attendant *a = p->attendants; a; a = a->next) sound += is_sound(a);
  return sound < p->count;
}

bool thrumi_processes_need(struct thrumi_process_pool *p) {
  thrumi_processes_wake_some(p);
  if (p->queue.count <= p->ready || p->count >= p->limit || p->broken || finds_out(p)) return false;
  p->count++;
  p->ready++;
  p->pins++;
  return true;
}

static bool is_taken(const struct thrumi_process_pool *p, uint32_t seat) {
  const struct thrumi_attendant *a = p->attendants;
  while (a && a->seat != seat) a = a->next;
  return a;
}

/* It has been counted: here it joins the others. */
static void introduce(struct thrumi_process_pool *p, struct thrumi_attendant *a) {
  a->pool = p;
  while (is_taken(p, a->seat)) a->seat++;
  snprintf(a->name, sizeof a->name, "%.40s-%llu", p->name, (unsigned long long)p->number++);
  if ((a->next = p->attendants)) a->next->prev = a;
  p->attendants = a;
}

/* Nobody came. What is queued is for those who are idle, or fails if nobody else is there. */
static void uncount(struct thrumi_process_pool *p, struct thrumi_attendant *a, int error) {
  struct thrumi_works forsaken = {0};
  thrum_lock_acquire(&p->lock);
  if (a) {
    if (a->next) a->next->prev = a->prev;
    *(a->prev ? &a->prev->next : &p->attendants) = a->next;
  }
  p->count--;
  p->ready--;
  p->others++; /* until what counted on it has a result: who waits for the end does not go before */
  thrumi_processes_wake_some(p);
  if (!p->count) forsaken = thrumi_processes_take_queue(p, thrumi_future_begin);
  p->finished += forsaken.count;
  p->pins -= forsaken.count;
  thrum_lock_release(&p->lock);
  struct thrumi_works uncalled = thrumi_processes_fail(p, forsaken, error, "has no thread for it");
  thrum_lock_acquire(&p->lock);
  p->others--;
  if (!p->count && !p->others) thrum_cond_notify_all(&p->ended);
  thrumi_processes_unpin(p); /* the caller has another */
  thrum_lock_release(&p->lock);
  thrumi_processes_call_back_here(p, &uncalled);
}

int thrumi_processes_start(struct thrumi_process_pool *p) {
  struct thrumi_attendant *a = thrumi_os.allocate(sizeof *a);
  int error = -ENOMEM;
  if (a) {
    thrum_lock_acquire(&p->lock);
    introduce(p, a);
    thrum_lock_release(&p->lock);
    thrum_options options = thrumi_servant(a->name, THRUM_NO);
    error = thrum_spawn_with(NULL, &options, thrumi_attendant_main, a);
  }
  if (!error) return 0;
  uncount(p, a, error);
  if (a) thrumi_os.free(a);
  return error;
}

/* ---- Submitting --------------------------------------------------------------------------------------------------- */

static int submit(struct thrum_executor *executor, struct thrumi_work *work) {
  struct thrumi_process_pool *p = thrumi_processes_of(executor);
  if (work->fn && !(work->chunk && work->chunk->task)) return -ENOTSUP;
  thrum_lock_acquire(&p->lock);
  bool takes = !p->shut && !p->broken, starts = false;
  if (takes) {
    thrumi_works_append(&p->queue, work);
    work->queued = true;
    p->pins++;
    p->submitted++;
    starts = thrumi_processes_need(p);
    if (starts) thrum_future_retain(&work->future);
  }
  thrum_lock_release(&p->lock);
  if (!takes) return -EPIPE;
  if (starts) {
    int error = thrumi_processes_start(p);
    (void)error; /* what is queued has failed with it, this work as well, if there is nobody else */
    thrum_future_release(&work->future);
  }
  return 0;
}

/* The caller is the work's canceller. It may have been taken out of the queue by who found it cancelled. */
static void cancelled(struct thrum_executor *executor, struct thrumi_work *work) {
  struct thrumi_process_pool *p = thrumi_processes_of(executor);
  thrum_lock_acquire(&p->lock);
  if (work->queued) {
    thrumi_works_remove(&p->queue, work);
    work->queued = false;
  }
  p->cancelled++;
  bool last = thrumi_processes_unpin(p);
  thrum_lock_release(&p->lock);
  if (last) thrumi_processes_free(p);
  thrumi_future_dropped(&work->future);
}

/* ---- Shutting down -------------------------------------------------------------------------------------------------- */

void thrumi_processes_cancel_all(struct thrumi_process_pool *p, struct thrumi_works dropped) {
  for (struct thrumi_work *work; (work = dropped.first);) {
    thrumi_works_remove(&dropped, work);
    cancelled(&p->executor, work);
  }
}

static void shut(struct thrum_executor *executor, bool cancel_pending) {
  struct thrumi_process_pool *p = thrumi_processes_of(executor);
  struct thrumi_works dropped = {0};
  thrum_lock_acquire(&p->lock);
  p->shut = true;
  if (cancel_pending) {
    p->dropping = true;
    dropped = thrumi_processes_drop(p);
  }
  thrumi_processes_wake_all(p);
  thrum_lock_release(&p->lock);
  thrumi_processes_cancel_all(p, dropped);
}

/* Under the lock, which it lets go of meanwhile. */
static int await_change(struct thrumi_process_pool *p, int64_t deadline, int flags) {
  if (!(flags & THRUMI_CANCELLABLE)) return thrum_cond_wait(&p->ended, &p->lock);
  return thrum_cond_wait_for(&p->ended, &p->lock,
                             deadline == INT64_MAX ? THRUM_FOREVER : thrum_left(deadline));
}

static int await_thread(thrum_thread t, int64_t deadline, int flags) {
  int error = flags & THRUMI_CANCELLABLE ? thrum_wait_for(t, thrum_left(deadline)) : thrum_wait(t);
  return error == -ETIMEDOUT || error == -ECANCELED ? error : 0;
}

static int wait_for_end(struct thrum_executor *executor, int64_t deadline, int flags) {
  struct thrumi_process_pool *p = thrumi_processes_of(executor);
  int error = 0;
  if (thrumi_processes_calls_back(p)) return -EDEADLK;
  thrum_lock_acquire(&p->lock);
  while (!error && (p->count || p->others)) error = await_change(p, deadline, flags);
  thrum_thread last_gone = p->last_gone;
  thrum_lock_release(&p->lock);
  if (!error)
    error = await_thread(last_gone, deadline, flags); /* it has left, and will end; as all before it */
  if (!error) thrumi_rely_on(p);
  return error;
}

/* ---- Life --------------------------------------------------------------------------------------------------------------- */

bool thrumi_processes_unpin(struct thrumi_process_pool *p) { return --p->pins == 0; }

void thrumi_processes_free(struct thrumi_process_pool *p) {
  thrumi_processes_remove(p);
  thrumi_os.free(p->hiring);
  thrumi_os.free(p);
}

static void release(struct thrum_executor *executor) {
  struct thrumi_process_pool *p = thrumi_processes_of(executor);
  shut(executor, false);
  thrum_lock_acquire(&p->lock);
  p->held = false;
  bool last = thrumi_processes_unpin(p);
  thrum_lock_release(&p->lock);
  if (last) thrumi_processes_free(p);
}

static void statistics(struct thrum_executor *executor, thrum_executor_stats *out) {
  struct thrumi_process_pool *p = thrumi_processes_of(executor);
  thrum_lock_acquire(&p->lock);
  out->submitted = p->submitted;
  out->finished = p->finished;
  out->cancelled = p->cancelled;
  out->started = p->started;
  out->queued = p->queue.count;
  for (const struct thrumi_attendant *a = p->attendants; a; a = a->next) {
    out->threads += a->process != NULL;
    out->idle += a->process && a->state != THRUMI_ATTENDANT_BUSY;
  }
  thrum_lock_release(&p->lock);
}

static const struct thrumi_executor_kind kind = {submit, cancelled, shut, wait_for_end, release, statistics};

ssize_t thrum_executor_pids(thrum_executor *executor, pid_t *out, size_t max) {
  struct thrumi_process_pool *p = thrumi_processes_of(executor);
  if (executor->kind != &kind) return -ENOTSUP;
  size_t n = 0;
  thrum_lock_acquire(&p->lock);
  for (const struct thrumi_attendant *a = p->attendants; a; a = a->next) {
    if (!a->process) continue;
    if (n < max) out[n] = thrum_process_pid(a->process);
    n++;
  }
  thrum_lock_release(&p->lock);
  return (ssize_t)n;
}

int thrum_executor_signal(thrum_executor *executor, int signo) {
  struct thrumi_process_pool *p = thrumi_processes_of(executor);
  if (executor->kind != &kind) return -ENOTSUP;
  if (signo <= 0 || signo > 64) return -EINVAL;
  thrum_lock_acquire(&p->lock);
  p->shut = p->dropping = true;
  p->killed = signo;
  struct thrumi_works dropped = thrumi_processes_drop(p);
  for (const struct thrumi_attendant *a = p->attendants; a; a = a->next)
    if (a->process) thrum_process_signal(a->process, signo);
  thrumi_processes_wake_all(p);
  thrum_lock_release(&p->lock);
  thrumi_processes_cancel_all(p, dropped);
  return 0;
}

/* ---- Making one ------------------------------------------------------------------------------------------------------------ */

static int check(const thrum_processes_options *o) {
  bool stack = o->stack_size == 0 || (o->stack_size >= THRUM_STACK_MIN && o->stack_size <= (size_t)1 << 40);
  if (o->size != sizeof *o || o->processes < 0 || !stack) return -EINVAL;
  if (o->method < THRUM_METHOD_DEFAULT || o->method > THRUM_FORK) return -EINVAL;
  if (!o->initializer && (o->initializer_in || o->initializer_size)) return -EINVAL;
  if (!o->initializer_in && o->initializer_size) return -EINVAL;
  if (o->initializer && thrum_task_find(o->initializer->name) != o->initializer) return -EINVAL;
  if (thrumi_this_process.daemon) return -EPERM;
  int method = o->method ? o->method : thrum_process_start_method();
  return method == THRUM_FORK || thrumi_this_process.main_called ? 0 : thrumi_without_main();
}

static struct thrumi_hiring *make_hiring(const thrum_processes_options *o, size_t *size) {
  const char *name = o->initializer ? o->initializer->name : NULL;
  const char *object = name ? thrumi_object_of_task(o->initializer) : NULL;
  size_t name_size = name ? strlen(name) + 1 : 0, object_size = name ? strlen(object) + 1 : 0;
  *size = sizeof(struct thrumi_hiring) + name_size + object_size + o->initializer_size;
  struct thrumi_hiring *hiring = thrumi_os.allocate(*size);
  if (!hiring) return NULL;
  *hiring = (struct thrumi_hiring){.stack_size = o->stack_size,
                                   .name_size = (uint32_t)name_size,
                                   .object_size = (uint32_t)object_size,
                                   .input_size = o->initializer_size};
  char *behind = (char *)(hiring + 1);
  if (name) memcpy(behind, name, name_size);
  if (name) memcpy(behind + name_size, object, object_size);
  if (o->initializer_size) memcpy(behind + name_size + object_size, o->initializer_in, o->initializer_size);
  return hiring;
}

int thrum_executor_processes(thrum_executor **out, const thrum_processes_options *options) {
  static _Atomic uint32_t number;
  static _Atomic uint64_t id;
  static const thrum_processes_options defaults = THRUM_PROCESSES_OPTIONS_INIT;
  const thrum_processes_options *o = options ? options : &defaults;
  int error = out ? check(o) : -EINVAL;
  if (error) return error;
  struct thrumi_process_pool *p = thrumi_os.allocate(sizeof *p);
  if (!p) return -ENOMEM;
  p->hiring = make_hiring(o, &p->hiring_size);
  if (!p->hiring) {
    thrumi_os.free(p);
    return -ENOMEM;
  }
  p->executor.kind = &kind;
  p->id = thrumi_add(&id, (uint64_t)1);
  p->limit = o->processes ? (uint32_t)o->processes : (uint32_t)thrum_workers();
  p->method = o->method;
  p->pinned = o->pinned;
  p->tasks_per_process = o->tasks_per_process ? o->tasks_per_process : UINT64_MAX;
  p->retries = o->retries;
  p->pins = 1;
  p->held = true;
  thrumi_executor_name(p->name, o->name, "processes", &number);
  thrumi_processes_add(p);
  *out = &p->executor;
  return 0;
}
