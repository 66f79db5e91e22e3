/* A kernel thread that comes up late, because it waits for what a light thread holds, keeps no worker from that thread: it is
 * given one only when it is up. (A sanitizer's lock, say, whose holder was preempted while it started a thread.) */
#include "../support.h"

#include <os/os.h>

enum { TURNS = 50 };

static bool started, let_go;
static pthread_t starter;

struct start {
  void *(*body)(void *);
  void *arg;
};

/* Comes up once the light thread has let it. */
static void *come_late(void *arg) {
  struct start start = *(struct start *)arg;
  free(arg);
  STORE(started, true);
  AWAIT_OUTSIDE(LOAD(let_go));
  return start.body(start.arg);
}

static int (*os_create)(pthread_t *id, void *(*body)(void *), void *arg, int signo);

/* Only what the main thread starts: workers need theirs. */
static int create_late(pthread_t *id, void *(*body)(void *), void *arg, int signo) {
  if (!pthread_equal(pthread_self(), starter)) return os_create(id, body, arg, signo);
  struct start *start = malloc(sizeof *start);
  *start = (struct start){body, arg};
  return os_create(id, come_late, start, signo);
}

/* Not before all others, the bound one among them, have had their turn. */
static intptr_t let_it_go(void *arg) {
  while (!LOAD(started)) thrum_yield();
  for (int i = 0; i < TURNS; i++) thrum_yield();
  STORE(let_go, true);
  return (intptr_t)arg;
}

static intptr_t nothing(void *arg) { return (intptr_t)arg; }

int main(void) {
  struct hogs hogs;
  CHECK_EQ(must_join(must_spawn_bound(nothing, (void *)3)), 3);
  os_create = thrumi_os.create;
  starter = pthread_self();
  thrumi_os.create = create_late;
  for (int i = 0; i < 10; i++) {
    STORE(let_go, false);
    STORE(started, false);
    hogs_start(&hogs, 2, hog_loop);
    thrum_thread late = must_spawn(let_it_go, (void *)1);
    thrum_thread bound = must_spawn_bound(nothing, (void *)2);
    CHECK_EQ(must_join(bound), 2);
    CHECK_EQ(must_join(late), 1);
    hogs_stop(&hogs);
  }
  return 0;
}
