/* Two ways to the same end: nothing can ever run again, or some threads wait for each other in an exact cycle (waits.h).
 *
 * The first is asked by the monitor when no worker was busy at two looks in a row. It is pronounced only if nobody outside can
 * wake anything: main waits in thrum, no OS thread that we do not know, no foreign thread outside a wait, nothing BLOCKED, no
 * deadline, no descriptor, and somebody waits for whom the program would wait; and who waits for an event or a semaphore may be woken
 * by a signal handler, if the program has one. The second is asked by the breeder (cycle.c),
 * whatever else runs. */
#define _GNU_SOURCE
#include <core/fatal.h>
#include <core/parking.h>
#include <sched/deadlock.h>
#include <sched/exit.h>
#include <sched/report.h>
#include <sched/self.h>
#include <stdio.h>
#include <thrum/trace.h>
#include <unistd.h>

static struct {
  _Atomic(thrum_hook_fn *) hook;
  _Atomic bool pronounced; /* by the monitor or the breeder: the other one keeps quiet */
} verdict;

thrum_hook_fn *thrum_on_deadlock(thrum_hook_fn *hook) { return thrumi_swap(&verdict.hook, hook); }

/* ---- The end ---------------------------------------------------------------------------------------------------------- */

/* What was printed before is not lost: no thread can hold a stream's lock and wait for ever. */
THRUM_NORETURN static void end(const struct thrumi_cycle *cycle) {
  struct thrumi_sink sink = {.fd = STDERR_FILENO};
  while (thrumi_swap(&verdict.pronounced, true)) pause();
  thrum_hook_fn *hook = thrumi_load(&verdict.hook);
  if (hook) hook();
  if (cycle) {
    thrumi_say_cycle(&sink, cycle);
  } else {
    thrumi_log("deadlock: every thread waits, and nothing is left that could wake one");
    thrumi_report_cycles(&sink);
  }
  thrum_dump(STDERR_FILENO);
  thrumi_act_last(false);
  fflush(NULL);
  thrumi_ignore_end();
  _exit(THRUM_EXIT_DEADLOCK);
}

void thrumi_deadlock_verdict(const struct thrumi_cycle *cycle) { end(cycle); }

/* ---- Nothing can run --------------------------------------------------------------------------------------------------- */

/* The program has a signal handler, which may set an event or release a semaphore; or one did, and the monitor has not settled
 * that yet. What has been seen once counts for ever: a handler that runs may have reset itself. Some 60 system calls. */
static bool a_handler_may_come(void) {
  static bool seen; /* by the monitor, who alone asks */
  seen = seen || thrumi_os_has_handler(thrumi_sched.preempt_signal, thrumi_sched.dump_signal);
  return seen || thrumi_parking_is_marked();
}

/* All wait in thrum, and the program would wait for one of them. */
static bool all_wait(void) {
  bool awaited = false, by_signal = false;
  for (uint32_t slot = 1; slot < thrumi_record_count(); slot++) {
    struct thrumi_thread *t = thrumi_record(slot);
    uint64_t life = thrumi_load(&t->life);
    if (THRUMI_FLAGS(life) & (t == thrumi_sched.main ? THRUMI_FREE : THRUMI_FREE | THRUMI_FINISHED)) continue;
    if (t->kind == THRUMI_MAIN && !t->kthread) return false; /* main never called thrum: it may do anything */
    enum thrumi_wait_state state = thrumi_wait_state(thrumi_load(&t->wait));
    bool hosting = thrumi_load_relaxed(&t->state) == THRUMI_WAITING && state == THRUMI_WAIT_NONE;
    if (state != THRUMI_WAIT_PARKED && !hosting) return false;
    by_signal |= t->by_signal && state == THRUMI_WAIT_PARKED;
    awaited |= t->kind == THRUMI_MAIN || thrumi_is_awaited(t, life);
  }
  return awaited && !(by_signal && a_handler_may_come());
}

/* No OS thread that thrum does not know, and that might wake somebody. What is being made or is ending counts as a stranger:
 * a thread of ours that is counted but not there would stand for one that is there and not ours. The counts only grow, so what
 * they were before and after the look they were in it. */
static bool all_known(void) {
  uint32_t gone = thrumi_load(&thrumi_sched.kthreads_gone), come = thrumi_load(&thrumi_sched.kthreads_come);
  int there = thrumi_os.thread_count();
  return there == (int)(come - gone) && thrumi_load(&thrumi_sched.kthreads_come) == come &&
         thrumi_load(&thrumi_sched.kthreads_gone) == gone;
}

static bool nobody_outside(void) {
  if (thrumi_load(&thrumi_sched.outside) || thrumi_load(&thrumi_sched.lost)) return false;
  if (thrumi_timeouts_pending() || (thrumi_hooks.poll_pending && thrumi_hooks.poll_pending())) return false;
  thrumi_spin_lock(&thrumi_sched.lock); /* workers that are to retire are held until they have */
  bool all_idle = thrumi_load(&thrumi_sched.bell) % THRUMI_BELL_HUNGRY == thrumi_sched.held;
  thrumi_spin_unlock(&thrumi_sched.lock);
  return all_idle;
}

/* Moves whenever any thread begins, goes on, or is woken. */
static uint32_t activity(void) {
  uint32_t sum = thrumi_load(&thrumi_sched.foreign_wakes);
  for (uint32_t i = 0; i < THRUM_WORKERS_MAX; i++) {
    struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[i]);
    if (!w) break;
    sum += thrumi_load(&w->switches);
  }
  return sum;
}

/* The looks are not one instant; they speak for one only if nothing moved from the first to the last. */
bool thrumi_deadlock_check(void) {
  uint32_t before = activity();
  if (!nobody_outside()) return false;
  if (!all_wait() || !all_known() || !nobody_outside() || activity() != before) return true;
  end(NULL);
}
