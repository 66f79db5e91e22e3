/* No thread of a manager's can get a stack: who calls is told, who connects is refused, and nobody waits for an answer that
 * does not come. Afterwards all goes on. With one worker: another one would have stacks in hand. */
#include "../promises/managers.h"

#include <os/os.h>
#include <thrum/process/listener.h>
#include <thrum/process/manager.h>

static thrum_event stay;
static int parked;

static intptr_t park(void *unused) {
  (void)unused;
  ADD(parked, 1);
  thrum_event_wait(&stay);
  return 0;
}

THRUM_TASK(nothing) {
  (void)in, (void)size, (void)out;
  return 0;
}

static int refuse(void *start, size_t bytes) {
  (void)start, (void)bytes;
  return -ENOMEM;
}

enum { MOST = 100000 };
static thrum_thread threads[MOST];

/* Parks threads until one gets no stack. Returns how many there are. */
static int take_all_stacks(void) {
  intptr_t result;
  for (int n = 0;; n++) {
    CHECK(n < MOST);
    threads[n] = must_spawn(park, NULL);
    AWAIT(LOAD(parked) == n + 1 || !thrum_is_alive(threads[n]));
    if (LOAD(parked) == n + 1) continue;
    CHECK_EQ(thrum_join(threads[n], &result), 0);
    CHECK_EQ(result, -ENOMEM);
    return n;
  }
}

static int call(thrum_manager *m) {
  void *data;
  size_t size;
  int result = thrum_manager_call(m, "nothing", NULL, 0, &data, &size, THRUM_S(TESTS_HANG_S));
  free(data);
  return result;
}

/* The kernel has guard markers. */
static bool markers(void) {
  thrum_thread t = must_spawn(park, NULL);
  thrum_event_set(&stay);
  must_join(t);
  thrum_event_clear(&stay);
  STORE(parked, 0);
  return statistics().stacks_marked > 0;
}

/* By a bare connection: a client of this process would need a thread, too. */
static void is_hung_up_on(const char *address) {
  thrum_conn *c;
  char byte;
  CHECK_EQ(thrum_conn_dial(&c, address, NULL), 0);
  ssize_t got = thrum_conn_recv_for(c, &byte, sizeof byte, THRUM_S(TESTS_HANG_S));
  CHECK(got < 0 && got != -ETIMEDOUT);
  thrum_conn_close(c);
}

int main(void) {
  CHECK_EQ(setenv("THRUM_WORKERS", "1", 1), 0);
  if (TESTS_ASAN || !markers()) CHECK_SKIP("guards are mappings, and a stack is had without one");
  const thrum_task *tasks[] = {&nothing};
  thrum_manager_options options = THRUM_MANAGER_OPTIONS_INIT;
  options.tasks = tasks;
  options.task_count = 1;
  thrum_manager_server *server = must_serve(&options);
  thrum_manager *m = must_connect_to(server), *another;
  CHECK_EQ(call(m), 0);

  thrumi_os.guard = refuse;
  int count = take_all_stacks();
  CHECK_EQ(call(m), -ENOMEM);
  is_hung_up_on(thrum_manager_server_address(server));

  thrumi_os.guard = thrumi_os_linux.guard;
  thrum_event_set(&stay);
  for (int i = 0; i < count; i++) CHECK_EQ(must_join(threads[i]), 0);
  CHECK_EQ(call(m), 0);
  another = must_connect_to(server);
  CHECK_EQ(call(another), 0);
  thrum_manager_close(another);
  thrum_manager_close(m);
  thrum_manager_server_stop(server);
  return 0;
}
