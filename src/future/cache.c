/* Works without room for bytes, kept by the worker whose threads gave them back. A window of tasks needs as many works at once as it
 * has tasks, more than malloc keeps without locks and searches; a third of a task's time went there.
 *
 * A worker's list is touched by the kernel thread that holds the worker, inside the runtime, so it needs no lock. Sanitizers
 * must see works come and go, so there is none in their builds. */
#include <sched/self.h>
#include <string.h>

#include <future/executor.h>

enum { KEPT = 1024 }; /* works, by a worker */

static struct cache {
  _Alignas(64) struct thrumi_work *first;
  uint32_t count;
} caches[THRUM_WORKERS_MAX];

struct thrumi_work *thrumi_work_take(void) {
  struct thrumi_work *work = NULL;
  struct thrumi_kthread *k = thrumi_enter();
  struct cache *c = k->worker ? &caches[k->worker->id] : NULL;
  if (c && c->first) {
    work = c->first;
    c->first = work->next;
    c->count--;
  }
  thrumi_leave(k);
  if (thrumi_unlikely(!work)) return thrumi_os.allocate(sizeof *work);
  memset(work, 0, sizeof *work);
  return work;
}

void thrumi_work_give(struct thrumi_work *work) {
  struct thrumi_kthread *k = thrumi_enter();
  struct cache *c = k->worker ? &caches[k->worker->id] : NULL;
  bool kept = c && c->count < KEPT && !THRUMI_ASAN && !THRUMI_TSAN;
  if (kept) {
    work->next = c->first;
    c->first = work;
    c->count++;
  }
  thrumi_leave(k);
  if (!kept) thrumi_os.free(work);
}

size_t thrumi_works_kept(void) {
  size_t n = 0;
  for (int i = 0; i < THRUM_WORKERS_MAX; i++) n += caches[i].count;
  return n;
}

void thrumi_works_fork(void) { memset(caches, 0, sizeof caches); }
