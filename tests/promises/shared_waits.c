/* Threads that wait for other processes: more words than one watcher can watch; beside what computes; on a kernel that cannot wait for
 * several futexes at once; without a kernel thread for a watcher; and no deadlock is pronounced, since the other process may do
 * anything. */
#include "../child.h"
#include "sharing.h"

#include <os/os.h>

enum { EVENTS = 200 };

static struct shared {
  thrum_shared_event events[EVENTS], done;
  thrum_shared_sem sem;
  thrum_shared_lock lock;
  int waiting, woken;
} * s;

static intptr_t wait_for_event(void *i) {
  ADD(s->waiting, 1);
  thrum_shared_event_wait(&s->events[(intptr_t)i]);
  ADD(s->woken, 1);
  return 0;
}

static intptr_t set_all(void *arg) {
  AWAIT(LOAD(s->waiting) == EVENTS);
  for (int i = EVENTS - 1; i >= 0; i--) thrum_shared_event_set(&s->events[i]);
  return (void)arg, 0;
}

/* Each thread waits for a word of its own. */
static int many_words(void) {
  thrum_thread threads[EVENTS];
  memset(s, 0, sizeof *s);
  pid_t other = start_child(set_all, NULL);
  for (intptr_t i = 0; i < EVENTS; i++) threads[i] = must_spawn(wait_for_event, (void *)i);
  struct hogs hogs;
  hogs_start(&hogs, 3, hog_loop);
  for (int i = 0; i < EVENTS; i++) CHECK_EQ(must_join(threads[i]), 0);
  hogs_stop(&hogs);
  CHECK_EQ(end_of_child(other), 0);
  CHECK_EQ(s->woken, EVENTS);
  return 0;
}

/* Units and the lock go to and fro between processes. */
static intptr_t give_back(void *arg) {
  for (int i = 0; i < 50; i++) {
    thrum_shared_event_wait(&s->events[i]);
    CHECK_EQ(thrum_shared_lock_acquire(&s->lock), 0);
    CHECK_EQ(thrum_shared_sem_release(&s->sem, 1), 0);
    CHECK_EQ(thrum_shared_lock_release(&s->lock), 0);
  }
  return (void)arg, 0;
}

static intptr_t ask_for(void *arg) {
  for (int i = 0; i < 50; i++) {
    CHECK_EQ(thrum_shared_lock_acquire(&s->lock), 0);
    thrum_shared_event_set(&s->events[i]);
    thrum_yield();
    CHECK_EQ(thrum_shared_lock_release(&s->lock), 0);
    thrum_shared_sem_acquire(&s->sem);
  }
  return (void)arg, 0;
}

static int to_and_fro(void) {
  memset(s, 0, sizeof *s);
  pid_t other = start_child(give_back, NULL);
  CHECK_EQ(must_join(must_spawn(ask_for, NULL)), 0);
  CHECK_EQ(end_of_child(other), 0);
  return 0;
}

static int on_this_kernel(void) { return many_words() || to_and_fro(); }

static int cannot_wait(const struct thrumi_waited_word *words, size_t n, int64_t deadline) {
  return (void)words, (void)n, (void)deadline, -ENOSYS;
}

static int on_an_old_kernel(void) {
  thrumi_os.shared_wait_any = cannot_wait;
  return on_this_kernel();
}

/* Kernel threads that are made from here on fail; what is there goes on. */
static int no_thread(pthread_t *out, void *(*fn)(void *), void *arg, int unblocked) {
  return (void)out, (void)fn, (void)arg, (void)unblocked, -EAGAIN;
}

static int without_a_watcher(void) {
  pid_t other = start_child(give_back, NULL);       /* before: it needs kernel threads */
  CHECK_EQ(thrum_shared_lock_acquire(&s->lock), 0); /* the keeper is there */
  CHECK_EQ(thrum_shared_lock_release(&s->lock), 0);
  thrumi_os.create = no_thread;
  CHECK_EQ(must_join(must_spawn(ask_for, NULL)), 0);
  CHECK_EQ(end_of_child(other), 0);
  return 0;
}

/* All threads of this process wait, for longer than a verdict takes; the other process ends it. */
static intptr_t set_late(void *arg) {
  thrum_sleep(THRUM_MS(1500));
  thrum_shared_event_set(&s->done);
  return (void)arg, 0;
}

static int all_wait(void) {
  pid_t other = start_child(set_late, NULL);
  thrum_shared_event_wait(&s->done);
  CHECK_EQ(end_of_child(other), 0);
  return 0;
}

/* A process that no longer waits for others is told of its deadlock as any other. */
static thrum_lock never;

static int deadlock_afterwards(void) {
  CHECK_EQ(all_wait(), 0);
  thrum_lock_acquire(&never);
  thrum_lock_acquire(&never);
  return 1;
}

static const struct child_case cases[] = {{"this-kernel", on_this_kernel},   {"old-kernel", on_an_old_kernel},
                                          {"no-watcher", without_a_watcher}, {"all-wait", all_wait},
                                          {"deadlock", deadlock_afterwards}, {NULL, NULL}};

int main(int argc, char **argv) {
  if (!TESTS_FORK) CHECK_SKIP("ThreadSanitizer does not let a forked child start threads");
  s = share(sizeof *s);
  CHILD_CASES(argc, argv, cases);
  for (int i = 0; cases[i].name; i++) {
    struct child child = child_run(cases[i].name);
    CHECK_STATUS(child, strcmp(cases[i].name, "deadlock") == 0 ? THRUM_EXIT_DEADLOCK : 0);
    child_free(&child);
  }
  return 0;
}
