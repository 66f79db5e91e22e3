/* Requests lie on the stacks of those who ask, in a list that any of them pushes on and the keeper takes as a whole.
 *
 *   word       meaning                                        written by
 *   `there`    0: no keeper                                   who failed to start one; the child of a fork
 *              1: somebody starts it                          that one, by a compare-and-swap from 0
 *              2: it is there                                 that one
 *   `bell`     counts pushes; the keeper sleeps on it         who has pushed, and then wakes it
 *   `pushed`   the last request pushed, NULL: none            who asks (compare-and-swap), the keeper (takes all)
 *   `done`     of a request: 1: it may be left                the keeper, and it wakes who asked
 *
 * The keeper reads the bell, then the list, and sleeps only if the bell is still as it was; who asks pushes, then rings. So either the
 * keeper finds the request or the bell has changed. */
#define _GNU_SOURCE
#include <errno.h>
#include <os/os.h>
#include <process/keeper.h>
#include <sched/self.h>
#include <signal.h>

enum { ABSENT, STARTING, THERE };

struct request {
  struct request *next;
  void (*fn)(void *arg);
  void *arg;
  thrumi_futex done;
};

static struct {
  thrumi_futex there, bell;
  _Atomic(struct request *) pushed;
  int error; /* why the kernel keeps no list; written by the keeper before it serves anybody */
} keeper;

struct robust_list_head thrumi_keeper_list;

/* ---- The thread ------------------------------------------------------------------------------------------------------- */

static void serve(struct request *all) {
  while (all) {
    struct request *next = all->next;
    if (!keeper.error) all->fn(all->arg);
    thrumi_futex *done = &all->done;
    thrumi_store(done,
                 1u); /* its stack may be gone from here on; a wake that finds nobody there does no harm */
    thrumi_os.futex_wake(done, 1);
    all = next;
  }
}

static void block_all_signals(void) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
}

static void *keeper_main(void *arg) {
  thrumi_os_name_thread("thrum-keeper");
  thrumi_kthread_adopt(arg);
  block_all_signals();
  keeper.error = thrumi_os.robust(&thrumi_keeper_list, sizeof thrumi_keeper_list);
  for (;;) {
    uint32_t bell = thrumi_load(&keeper.bell);
    struct request *all = thrumi_swap(&keeper.pushed, NULL);
    serve(all);
    if (!all) thrumi_os.futex_wait(&keeper.bell, bell, INT64_MAX);
  }
  return NULL;
}

/* ---- Starting it ------------------------------------------------------------------------------------------------------- */

static int start_thread(void) {
  thrumi_leave(thrumi_enter()); /* the runtime is started */
  thrumi_keeper_list = (struct robust_list_head){
      .list.next = &thrumi_keeper_list.list,
      .futex_offset = sizeof(struct robust_list),
  };
  struct thrumi_kthread *k = thrumi_kthread_new(THRUMI_ROLE_MONITOR);
  int error = k ? thrumi_kthread_start(k, keeper_main) : -EAGAIN;
  if (k && error) thrumi_kthread_discard(k);
  return error;
}

static int start(void) {
  for (;;) {
    uint32_t there = thrumi_load(&keeper.there);
    if (there == THERE) return 0;
    if (there == STARTING) {
      thrumi_os.futex_wait(&keeper.there, STARTING, INT64_MAX);
    } else if (thrumi_cas(&keeper.there, &there, (uint32_t)STARTING)) {
      int error = start_thread();
      thrumi_store(&keeper.there, error ? (uint32_t)ABSENT : (uint32_t)THERE);
      thrumi_os.futex_wake(&keeper.there, INT32_MAX);
      return error;
    }
  }
}

int thrumi_keeper_do(void (*fn)(void *arg), void *arg) {
  int error = start();
  if (error) return error;
  struct request mine = {.next = thrumi_load_relaxed(&keeper.pushed), .fn = fn, .arg = arg};
  while (!thrumi_cas(&keeper.pushed, &mine.next, &mine)) {
  }
  thrumi_add(&keeper.bell, 1u);
  thrumi_os.futex_wake(&keeper.bell, 1);
  while (!thrumi_load(&mine.done)) thrumi_os.futex_wait(&mine.done, 0, INT64_MAX);
  return keeper.error;
}

void thrumi_keeper_fork(void) {
  thrumi_store(&keeper.there, (uint32_t)ABSENT);
  thrumi_store(&keeper.pushed, NULL);
}
