/* What all executors share: tasks and their futures. */
#include <future/executor.h>
#include <future/pool.h>

#include <sched/part.h>
#include <sched/self.h>
#include <stdio.h>
#include <string.h>
#include <thrum/time.h>

#include <future/case.h>

void thrumi_executor_name(char to[THRUM_NAME_MAX], const char *given, const char *kind,
                          _Atomic uint32_t *number) {
  if (given && *given)
    snprintf(to, THRUM_NAME_MAX, "%s", given);
  else
    snprintf(to, THRUM_NAME_MAX, "%s-%u", kind, (unsigned)thrumi_add(number, 1u));
}

/* ---- Works -------------------------------------------------------------------------------------------------------- */

struct thrumi_work *thrumi_work_new(struct thrum_executor *executor, size_t size, uint32_t references) {
  if (size > SIZE_MAX - sizeof(struct thrumi_work)) return NULL;
  struct thrumi_work *work = size ? thrumi_os.allocate(sizeof *work + size) : thrumi_work_take();
  if (!work) return NULL;
  work->kept = !size;
  thrumi_future_init(&work->future, executor, references);
  work->size = size;
  thrumi_case_start();
  return work;
}

int thrumi_work_submit(struct thrum_executor *executor, struct thrumi_work *work, thrum_future **out) {
  work->unheard = !out;
  if (out) *out = &work->future;
  thrumi_announce(work);
  int error = executor->kind->submit(executor, work);
  if (!error) return 0;
  if (out) *out = NULL;
  thrum_future_release(out ? &work->future : NULL);
  thrum_future_release(&work->future);
  return error;
}

int thrum_submit(thrum_executor *executor, thrum_future **out, thrum_fn *fn, void *arg) {
  if (thrumi_unlikely(!fn)) return -EINVAL;
  struct thrumi_work *work = thrumi_work_new(executor, 0, out ? 2 : 1);
  if (thrumi_unlikely(!work)) return -ENOMEM;
  work->fn = fn;
  work->arg = arg;
  return thrumi_work_submit(executor, work, out);
}

int thrum_submit_task(thrum_executor *executor, thrum_future **out, const thrum_task *task, const void *in,
                      size_t size) {
  if (!task || !task->fn || (!in && size)) return -EINVAL;
  struct thrumi_work *work = thrumi_work_new(executor, size, out ? 2 : 1);
  if (!work) return -ENOMEM;
  work->task = task;
  if (size) memcpy(work->in, in, size);
  return thrumi_work_submit(executor, work, out);
}

/* ---- Running one ---------------------------------------------------------------------------------------------------- */

/* Elsewhere thrum_exit ends the thread, whose open scopes it closes: they are not the task's. */
intptr_t thrumi_task_call(struct thrumi_thread *me, thrum_fn *fn, void *arg) {
  return thrumi_likely(me->fn == thrumi_member_main) ? thrumi_part_call(me, fn, arg) : fn(arg);
}

struct with_bytes {
  const struct thrumi_work *work;
  thrum_out out;
};

static intptr_t call_with_bytes(void *arg) {
  struct with_bytes *call = arg;
  return call->work->task->fn(call->work->in, call->work->size, &call->out);
}

static intptr_t run_with_bytes(struct thrumi_work *work, struct thrumi_thread *me) {
  struct with_bytes call = {.work = work};
  intptr_t result = thrumi_task_call(me, call_with_bytes, &call);
  if (call.out.error && !thrum_failed(result)) result = call.out.error;
  if (thrum_failed(result)) {
    if (call.out.data) thrumi_os.free(call.out.data);
  } else {
    work->future.bytes = call.out.data;
    work->future.size = call.out.size;
  }
  return result;
}

/* Its sentence comes with a failure; one that a success left is nobody's. */
static void keep_failure(struct thrumi_work *work, struct thrumi_thread *me, char *sentence) {
  intptr_t result = work->future.result;
  if (thrum_failed(result) && work->unheard) thrumi_tell_uncaught(me, result, sentence);
  if (thrum_failed(result))
    work->future.sentence = sentence;
  else if (sentence)
    thrumi_os.free(sentence);
}

void thrumi_work_run(struct thrumi_work *work, struct thrumi_thread *me) {
  thrumi_rely_on(work);
  char *outer = thrumi_sentence_swap(me, NULL);
  work->future.result =
      thrumi_likely(work->fn != NULL) ? thrumi_task_call(me, work->fn, work->arg) : run_with_bytes(work, me);
  char *sentence = thrumi_sentence_swap(me, outer);
  if (thrumi_unlikely(sentence || thrum_failed(work->future.result))) keep_failure(work, me, sentence);
}

void thrumi_work_tell(struct thrumi_work *work) {
  if (thrumi_future_tell(&work->future)) thrumi_future_call_back(&work->future);
  thrum_future_release(&work->future);
}

bool thrumi_work_fail(struct thrumi_work *work, int failure, const char *sentence) {
  work->future.result = failure;
  work->future.sentence = thrumi_os.allocate(THRUMI_SENTENCE_MAX);
  if (work->future.sentence) strncpy(work->future.sentence, sentence, THRUMI_SENTENCE_MAX - 1);
  if (work->unheard) thrumi_tell_uncaught(thrumi_me(), failure, sentence);
  return thrumi_future_finish(&work->future);
}

/* ---- Ending ---------------------------------------------------------------------------------------------------------- */

int thrum_executor_shutdown(thrum_executor *executor, bool wait, bool cancel_pending) {
  executor->kind->shut(executor, cancel_pending);
  return wait ? executor->kind->wait(executor, INT64_MAX, 0) : 0;
}

int thrum_executor_shutdown_for(thrum_executor *executor, bool cancel_pending, thrum_duration timeout) {
  executor->kind->shut(executor, cancel_pending);
  return executor->kind->wait(executor, thrum_after(timeout), THRUMI_CANCELLABLE);
}

void thrum_executor_release(thrum_executor *executor) {
  if (executor) executor->kind->release(executor);
}

int thrum_executor_statistics(thrum_executor *executor, thrum_executor_stats *out) {
  if (!out || out->size != sizeof *out) return -EINVAL;
  *out = (thrum_executor_stats){.size = sizeof *out};
  executor->kind->statistics(executor, out);
  return 0;
}
