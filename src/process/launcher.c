/* Launchers: kernel threads of their own that make the children which begin with an exec, made when needed and gone with the program,
 * because the kernel takes the end of the thread that has made a child for its parent's death (launch.c); light threads' kernel threads
 * come and go.
 *
 * A launcher is suspended until its child's exec is through, which may take as long as a file system takes that has to ask somebody
 * else. So nobody does anything else there: the warden goes on, and a launch that finds all launchers at work has one more made,
 * up to LAUNCHERS; beyond that it waits for the first that is done.
 *
 * They are kernel threads of the runtime's, which the verdict on deadlocks knows, and run no thread of thrum's: they never enter.
 *
 *   first, end   launches that wait, in order, under the lock; each is its starter's, who waits for its `done` to become 1
 *   busy         launches that wait or are under way, under the lock: more than `count` only if there are no more to be had
 *   bell         how many launches there have been: a launcher that has found none sleeps on it. Changed under the lock
 *   `done`       0: the launcher's; 1: the starter's, and the launcher touches it no more but by a futex wake of its address
 *
 * No wake is lost: a launcher reads the bell before it looks, and the launch is in the list when the bell changes; so either
 * it is found, or the sleep ends at once. */
#include <process/record.h>
#include <sched/self.h>

enum { LAUNCHERS = 8, STACK = 256 * 1024, GUARD = 64 * 1024 };

static struct {
  pthread_mutex_t lock;
  struct thrumi_launch *first, **end;
  uint32_t busy, count;
  _Atomic uint32_t numbers; /* given to launchers, as they begin */
  thrumi_futex bell;
  char *stacks[LAUNCHERS]; /* for children up to their exec, with what cannot be touched below them */
} launchers = {.lock = PTHREAD_MUTEX_INITIALIZER, .end = &launchers.first};

/* ---- A launcher ---------------------------------------------------------------------------------------------------------- */

static struct thrumi_launch *next_launch(void) {
  pthread_mutex_lock(&launchers.lock);
  struct thrumi_launch *l = launchers.first;
  if (l && !(launchers.first = l->next)) launchers.end = &launchers.first;
  pthread_mutex_unlock(&launchers.lock);
  return l;
}

static void carry_out(struct thrumi_launch *l, char *stack) {
  l->error = thrumi_launch(l, stack + GUARD, STACK);
  pthread_mutex_lock(&launchers.lock);
  launchers.busy--;
  pthread_mutex_unlock(&launchers.lock);
  atomic_store(&l->done, 1);
  thrumi_os.futex_wake(&l->done, 1);
}

static void *serve(void *kthread) {
  thrumi_os_name_thread("thrum-launcher");
  thrumi_kthread_adopt(kthread);
  thrumi_block_all_signals();
  thrumi_os_short_slice(0); /* its children have what it has: not that of the worker that has made it */
  char *stack = launchers.stacks[thrumi_add(&launchers.numbers, 1u)];
  for (;;) {
    uint32_t seen = thrumi_load(&launchers.bell);
    struct thrumi_launch *l = next_launch();
    if (l)
      carry_out(l, stack);
    else
      thrumi_os.futex_wait(&launchers.bell, seen, INT64_MAX);
  }
  return NULL;
}

/* ---- Starting ------------------------------------------------------------------------------------------------------------- */

static int make_stack(char **out) {
  char *stack = thrumi_os.reserve(GUARD + STACK);
  if (!stack) return -ENOMEM;
  int error = thrumi_os.protect(stack, GUARD);
  if (error)
    thrumi_os.release(stack, GUARD + STACK);
  else
    *out = stack;
  return error;
}

/* Its stack is there before it, whichever number it takes; one that was made in vain, or by the parent of a fork, is for the next. */
static int start_one(void) {
  char **stack = &launchers.stacks[launchers.count];
  int error = *stack ? 0 : make_stack(stack);
  if (error) return error;
  struct thrumi_kthread *k = thrumi_kthread_new(THRUMI_ROLE_MONITOR);
  error = k ? thrumi_kthread_start(k, serve) : -EAGAIN;
  if (k && error) thrumi_kthread_discard(k);
  if (!error) launchers.count++;
  return error;
}

/* One more to be had is a matter of time; the first is needed. */
static int enqueue(struct thrumi_launch *l) {
  int error = 0;
  pthread_mutex_lock(&launchers.lock);
  if (launchers.busy >= launchers.count && launchers.count < LAUNCHERS) error = start_one();
  if (launchers.count) error = 0;
  if (!error) {
    l->next = NULL;
    *launchers.end = l;
    launchers.end = &l->next;
    launchers.busy++;
    thrumi_add(&launchers.bell, 1u);
  }
  pthread_mutex_unlock(&launchers.lock);
  return error;
}

static intptr_t wait_for_launcher(void *arg) {
  struct thrumi_launch *l = arg;
  while (!atomic_load(&l->done)) thrumi_os.futex_wait(&l->done, 0, INT64_MAX);
  return 0;
}

static int launch(struct thrumi_launch *l) {
  int error = enqueue(l);
  if (error) return error;
  thrumi_os.futex_wake(&launchers.bell, 1);
  thrum_blocking(wait_for_launcher, l);
  return l->error;
}

/* For a command that turns out to be a script without a first line that says whose: "/bin/sh", its path, its arguments. There may be many,
 * and the child has a small stack. */
static int make_script(struct thrumi_launch *l) {
  size_t n = 0;
  while (l->argv[n]) n++;
  l->script = thrumi_os.allocate((n + 2) * sizeof *l->script);
  if (!l->script) return -ENOMEM;
  l->script[0] = "/bin/sh";
  for (size_t i = 1; i <= n; i++) l->script[i + 1] = l->argv[i];
  return 0;
}

/* The warden is there first, so that nothing fails for want of it once there is a child. */
int thrumi_launch_start(struct thrumi_launch *l) {
  int error = thrumi_warden_start();
  if (!error && !l->path) error = make_script(l);
  if (error) return error;
  error = launch(l);
  if (l->script) thrumi_os.free(l->script);
  return error;
}

/* In the child of a fork, which has none. */
void thrumi_launchers_fork(void) {
  pthread_mutex_init(&launchers.lock, NULL);
  launchers.first = NULL;
  launchers.end = &launchers.first;
  launchers.busy = launchers.count = 0;
  thrumi_store(&launchers.numbers, 0);
}
