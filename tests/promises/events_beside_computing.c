/* Two threads answer each other so fast that the other worker leaves the descriptors to theirs. Then one of them computes, and calls
 * nothing: an event for a third thread is seen all the same. */
#include "../support.h"

#include <pthread.h>
#include <sched/sched.h>
#include <sys/socket.h>

enum { ROUNDS = 20, TRIPS = 20000 };
#define LONGEST THRUM_S(10)

static int talk[2], news[2];
static int computing, served;

static intptr_t answer(void *arg) {
  (void)arg;
  char c;
  while (thrum_recv(talk[1], &c, 1, 0) == 1) CHECK_EQ(thrum_send(talk[1], &c, 1, 0), 1);
  return 0;
}

static intptr_t wait_for_news(void *arg) {
  (void)arg;
  char c;
  CHECK_EQ(thrum_recv(news[0], &c, 1, 0), 1);
  STORE(served, 1);
  return 0;
}

static void *send_news(void *arg) {
  while (!LOAD(computing)) usleep(100);
  CHECK_EQ(send(news[1], "n", 1, 0), 1);
  return arg;
}

static void talk_briskly(void) {
  char c = 't';
  for (int i = 0; i < TRIPS && !(i > 1000 && thrumi_load(&thrumi_sched.brisk)); i++) {
    CHECK_EQ(thrum_send(talk[0], &c, 1, 0), 1);
    CHECK_EQ(thrum_recv(talk[0], &c, 1, 0), 1);
  }
}

static void compute_until_served(void) {
  thrum_time begun = thrum_now();
  STORE(computing, 1);
  while (!LOAD(served)) CHECK(thrum_now() - begun < LONGEST);
}

static intptr_t all(void *arg) {
  (void)arg;
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, talk) | socketpair(AF_UNIX, SOCK_STREAM, 0, news), 0);
  thrum_thread answering = must_spawn(answer, NULL);
  for (int i = 0; i < ROUNDS; i++) {
    pthread_t sender;
    computing = served = 0;
    thrum_thread waiting = must_spawn(wait_for_news, NULL);
    CHECK_EQ(pthread_create(&sender, NULL, send_news, NULL), 0);
    talk_briskly();
    compute_until_served();
    must_join(waiting);
    CHECK_EQ(pthread_join(sender, NULL), 0);
  }
  CHECK_EQ(thrum_close(talk[0]), 0);
  return must_join(answering);
}

int main(void) { return (int)thrum_run(all, NULL); }
