/* Signals with a handler arrive all the time at threads that have a kernel thread of their own, the main one and bound ones, and cut
 * their system calls short (the handler is installed without SA_RESTART). No call of thrum's says so: none fails, and waits have their
 * whole time. */
#include "connections.h"

#include <signal.h>

enum { ROUNDS = TESTS_SANITIZED ? 100 : 300, MESSAGE = 200000, BEAT_US = 200 };

static struct {
  bool stop;
  int taken;
  pthread_t target;
} beat;

static void on_signal(int signo) {
  (void)signo;
  ADD(beat.taken, 1);
}

/* A stranger to thrum, so that it disturbs nothing else. */
static void *send_signals(void *unused) {
  while (!LOAD(beat.stop)) {
    pthread_kill(beat.target, SIGUSR1);
    usleep(BEAT_US);
  }
  return unused;
}

/* ---- The other side: a light thread, which takes no such signals ------------------------------------------------------------ */

static char address[64];

static intptr_t sleep_a_little(void *arg) {
  CHECK_EQ(thrum_sleep(THRUM_US(300)), 0);
  return (intptr_t)arg;
}

/* Sends back what it receives, each time a little late, until the end. */
static intptr_t answer(void *arg) {
  thrum_conn *c = (thrum_conn *)arg;
  unsigned char *room = must_allocate(MESSAGE);
  ssize_t n;
  while ((n = thrum_conn_recv(c, room, MESSAGE)) >= 0) {
    sleep_a_little(NULL);
    CHECK_EQ(thrum_conn_send(c, room, (size_t)n), 0);
  }
  CHECK_EQ(n, -EPIPE);
  free(room);
  return 0;
}

static intptr_t dial_late(void *unused) {
  thrum_conn *c;
  sleep_a_little(unused);
  CHECK_EQ(thrum_conn_dial(&c, address, NULL), 0);
  thrum_conn_close(c);
  return 0;
}

static intptr_t accept_late(void *arg) {
  thrum_conn *c;
  sleep_a_little(NULL);
  CHECK_EQ(thrum_listener_accept((thrum_listener *)arg, &c), 0);
  thrum_conn_close(c);
  return 0;
}

/* ---- What the disturbed thread calls ------------------------------------------------------------------------------------------ */

static void joins(void) {
  for (int i = 0; i < ROUNDS; i++) CHECK_EQ(must_join(must_spawn(sleep_a_little, (void *)(intptr_t)i)), i);
}

THRUM_TASK(naps) { return usleep(1000) ? -errno : 0; }

static void processes(void) {
  static const char *const command[] = {"sh", "-c", "sleep 0.003; exit 3", NULL};
  for (int i = 0; i < 15; i++) {
    thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
    thrum_process *p;
    int code = -1;
    o.method = i % 5 ? THRUM_FORKSERVER : THRUM_SPAWN;
    CHECK_EQ(thrum_process_start(&p, &o, &naps, NULL, 0), 0);
    CHECK_EQ(thrum_process_join(p, &code), 0);
    CHECK_EQ(code, 0);
    thrum_process_release(p);
    CHECK_EQ(thrum_process_exec(&p, NULL, command), 0);
    CHECK_EQ(thrum_process_join_for(p, &code, THRUM_S(TESTS_HANG_S)), 0);
    CHECK_EQ(code, 3);
    thrum_process_release(p);
  }
}

/* Long ones: a send waits for room in the midst of the message, as does a receive for the rest. */
static void messages(void) {
  struct ends e = must_pair();
  thrum_thread other = must_spawn(answer, e.b);
  unsigned char *out = must_allocate(MESSAGE), *in = must_allocate(MESSAGE);
  fill_pattern(out, MESSAGE, 3);
  for (int i = 0; i < ROUNDS; i++) {
    thrum_conn_item item = {e.a, -1, false};
    size_t size = i % 3 ? (size_t)i : MESSAGE;
    CHECK_EQ(thrum_conn_send(e.a, out, size), 0);
    CHECK_EQ(thrum_conn_wait_many(&item, 1), 1);
    CHECK(item.ready);
    memset(in, 0, size);
    CHECK_EQ(thrum_conn_recv(e.a, in, MESSAGE), (ssize_t)size);
    check_pattern(in, size, 3);
  }
  thrum_conn_close(e.a);
  CHECK_EQ(must_join(other), 0);
  thrum_conn_close(e.b);
  free(out), free(in);
}

static void meetings(void) {
  thrum_listener *l;
  thrum_conn *c;
  CHECK_EQ(thrum_listener_open(&l, "tcp:127.0.0.1:0", NULL), 0);
  snprintf(address, sizeof address, "%s", thrum_listener_address(l));
  for (int i = 0; i < ROUNDS / 2; i++) {
    thrum_thread other = must_spawn(dial_late, NULL);
    CHECK_EQ(thrum_listener_accept(l, &c), 0);
    thrum_conn_close(c);
    CHECK_EQ(must_join(other), 0);
    other = must_spawn(accept_late, l);
    CHECK_EQ(thrum_conn_dial(&c, address, NULL), 0);
    CHECK_EQ(must_join(other), 0);
    thrum_conn_close(c);
  }
  thrum_listener_close(l);
}

/* Waits have their whole time. */
static void waits(void) {
  struct ends e = must_pair();
  char byte;
  for (int i = 0; i < 10; i++) {
    int64_t start = wall_now();
    thrum_conn_item item = {e.a, -1, false};
    CHECK_EQ(thrum_conn_wait_many_for(&item, 1, THRUM_MS(3)), -ETIMEDOUT);
    CHECK_EQ(thrum_conn_recv_for(e.a, &byte, 1, THRUM_MS(3)), -ETIMEDOUT);
    CHECK_EQ(thrum_sleep(THRUM_MS(3)), 0);
    CHECK(wall_now() - start >= THRUM_MS(9));
  }
  close_both(e);
}

static intptr_t all(void *arg) {
  pthread_t sender;
  sigset_t some;
  sigemptyset(&some);
  sigaddset(&some, SIGUSR1);
  CHECK_EQ(pthread_sigmask(SIG_UNBLOCK, &some, NULL), 0);
  beat.target = pthread_self();
  STORE(beat.stop, false);
  STORE(beat.taken, 0);
  CHECK_EQ(pthread_create(&sender, NULL, send_signals, NULL), 0);
  joins();
  processes();
  messages();
  meetings();
  waits();
  STORE(beat.stop, true);
  CHECK_EQ(pthread_join(sender, NULL), 0);
  CHECK(LOAD(beat.taken) > 50);
  return (intptr_t)arg;
}

int main(int argc, char **argv) {
  CHECK_EQ(thrum_process_main(argc, argv), 0);
  struct sigaction action = {.sa_handler = on_signal};
  CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
  CHECK_EQ(all(NULL), 0);
  CHECK_EQ(must_join(must_spawn_bound(all, NULL)), 0);
  CHECK_EQ(run_outside(all, NULL), 0);
  return 0;
}
