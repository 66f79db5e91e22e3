/* The end of the program.
 *
 * Returning from main, or exit(0) anywhere, runs the functions of thrum_at_exit (last first) and then waits for all
 * threads that are not daemons, those started meanwhile too. After a second it says on standard error whom it waits for.
 * A status other than 0 does not wait: it names who is abandoned. Of threads that have failed unread the hook is told then. libc calls us through on_exit, registered
 * when the runtime starts: functions that the program registers with atexit later run before ours, so they still have
 * threads; earlier ones run after.
 */
#define _GNU_SOURCE
#include <core/fatal.h>
#include <sched/exit.h>
#include <sched/report.h>
#include <sched/self.h>
#include <stdio.h>
#include <stdlib.h>
#include <thrum/time.h>
#include <unistd.h>

#define PATIENCE THRUM_S(1)
enum { NAMED = 8 };

struct at_exit {
  struct at_exit *next;
  void (*fn)(void *);
  void *arg;
};

static struct {
  struct thrumi_spin lock;
  struct at_exit *first;
  bool ending;
  bool forked; /* main may be on any stack */
} ending;

int thrum_at_exit(void (*fn)(void *), void *arg) {
  if (!fn) return -EINVAL;
  struct at_exit *new = thrumi_os.allocate(sizeof *new);
  if (!new) return -ENOMEM;
  *new = (struct at_exit){.fn = fn, .arg = arg};
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&ending.lock);
  bool late = ending.ending;
  if (!late) {
    new->next = ending.first;
    ending.first = new;
  }
  thrumi_spin_unlock(&ending.lock);
  thrumi_leave(k);
  if (late) thrumi_os.free(new);
  return late ? -ECANCELED : 0;
}

void thrumi_exit_fork(void) {
  ending.lock = (struct thrumi_spin){0};
  ending.forked = true;
}

static struct at_exit *pop_at_exit(void) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&ending.lock);
  struct at_exit *first = ending.first;
  if (first)
    ending.first = first->next;
  else
    ending.ending = true;
  thrumi_spin_unlock(&ending.lock);
  thrumi_leave(k);
  return first;
}

/* ---- Waiting for threads -------------------------------------------------------------------------------------- */

bool thrumi_is_awaited(const struct thrumi_thread *t, uint64_t life) {
  if (THRUMI_FLAGS(life) & (THRUMI_FREE | THRUMI_FINISHED)) return false;
  return !t->daemon && t->kind != THRUMI_MAIN && t->kind != THRUMI_FOREIGN;
}

/* The first thread from slot *from on for which the program waits, other than the caller. Outside. */
static bool next_awaited(uint32_t *from, thrum_thread *out) {
  thrum_thread self = thrum_current();
  for (; *from < thrumi_record_count(); ++*from) {
    struct thrumi_thread *t = *from ? thrumi_record(*from) : NULL;
    uint64_t life = t ? thrumi_load(&t->life) : THRUMI_FREE;
    if (!thrumi_is_awaited(t, life)) continue;
    out->value = THRUMI_GENERATION(life) << THRUMI_LIFE_BITS | t->slot;
    if (!thrum_same(*out, self)) return true;
  }
  return false;
}

static void say_whom(const char *what) {
  thrum_thread t;
  uint32_t more = 0;
  int said = 0;
  for (uint32_t slot = 1; next_awaited(&slot, &t); slot++) {
    char name[THRUM_NAME_MAX];
    if (said == NAMED) {
      more++;
    } else if (thrum_name(t, name, sizeof name) >= 0) {
      thrumi_log("%s: %s", what, name);
      said++;
    }
  }
  if (more) thrumi_log("%s: and %u more", what, (unsigned)more);
}

/* Until a pass over the table finds nobody: threads may start others while we wait. Whoever ends the program may have been cancelled,
 * and waits all the same. */
static void wait_for_all(void) {
  thrum_time patience = thrum_after(PATIENCE);
  thrum_thread t;
  for (uint32_t slot = 1; next_awaited(&slot, &t); slot = 1) {
    if (thrumi_end_await(t, patience) != -ETIMEDOUT) continue;
    if (patience != THRUM_FOREVER) say_whom("the program ends when these threads have ended");
    patience = THRUM_FOREVER;
  }
}

/* Threads that have failed and ended, and whose handles nobody has given back: now nobody will, so giving them back tells the hook. One of
 * a daemon's that is about to end is left alone. */
static void tell_failures(void) {
  const uint64_t unread = THRUMI_FINISHED | THRUMI_UNREAD;
  for (uint32_t slot = 1; slot < thrumi_record_count(); slot++) {
    uint64_t life = thrumi_load(&thrumi_record(slot)->life);
    if ((THRUMI_FLAGS(life) & (unread | THRUMI_RELEASED | THRUMI_FREE)) != unread) continue;
    thrum_detach((thrum_thread){THRUMI_GENERATION(life) << THRUMI_LIFE_BITS | slot});
  }
}

/* Main has ended; nor is anybody waited for for long, or named, who only waits for tasks. */
static void main_ends(intptr_t result, bool waits) {
  thrumi_main_ends(result);
  void (*end)(bool) = thrumi_load(&thrumi_hooks.executor_end);
  if (end) end(waits);
  end = thrumi_load(&thrumi_hooks.process_pool_end);
  if (end) end(waits);
}

static void call_at_exit(void) {
  for (struct at_exit *a; (a = pop_at_exit());) {
    a->fn(a->arg);
    thrumi_os.free(a);
  }
}

static void end_in_order(int status) {
  call_at_exit();
  main_ends(status, status == 0);
  if (status == 0)
    wait_for_all();
  else
    say_whom("exit status is not 0; abandoned");
  tell_failures();
  void (*end_processes)(bool) = thrumi_load(&thrumi_hooks.process_end);
  if (end_processes) end_processes(status == 0);
  if (thrumi_sched.profile_at_exit && thrumi_hooks.watch_end) thrumi_hooks.watch_end();
  if (thrumi_sched.stats_at_exit) thrumi_say_statistics();
  if (thrumi_hooks.trace_end) thrumi_hooks.trace_end();
  if (thrumi_hooks.inspect_end) thrumi_hooks.inspect_end();
}

/* Whether it lay in a frame that is gone. The stack grows downwards: what main has left lies below our own frame, and what it called
 * exit within above. Beside the stack there is nothing else within this distance. Main's own frame began where libc's two frames above
 * ours do; a scope there is larger than these, and so it begins below us. */
static bool was_left(const void *frame, const void *object) {
  const uintptr_t depth = (uintptr_t)1 << 20, at = (uintptr_t)object, live = (uintptr_t)frame;
  return object && at < live && live - at < depth;
}

static void check_main_closed(const void *frame) {
  struct thrumi_kthread *k = thrumi_self();
  struct thrumi_thread *main = thrumi_sched.main;
  if (ending.forked || !k || !main || k->current != main) return;
  bool open = was_left(frame, thrumi_load_relaxed(&main->scopes));
  if (!open && !was_left(frame, main->cleanups)) return;
  thrumi_fatal("thread %s has ended with a %s", thrum_current_name(),
               open ? "scope open" : "clean-up handler left");
}

static void on_program_exit(int status, void *arg) {
  (void)arg;
  if (getpid() != thrumi_sched.pid) return; /* a child that thrum does not know of */
  check_main_closed(__builtin_frame_address(0));
  end_in_order(status);
}

#ifndef __GLIBC__
static void at_program_exit(void) { on_program_exit(0, NULL); } /* musl does not tell the status */
#endif

void thrumi_exit_start(void) {
#ifdef __GLIBC__
  int error = on_exit(on_program_exit, NULL);
#else
  int error = atexit(at_program_exit);
#endif
  if (error) thrumi_fatal("no memory to register what runs at exit");
}

void thrumi_exit_main(intptr_t result) {
  call_at_exit(); /* before anybody is waited for, as when main returns: they may be what makes threads end */
  main_ends(result, true);
  wait_for_all();
  exit((int)result);
}
