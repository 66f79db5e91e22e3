/* Waiting for one of several connections, descriptors and sentinels: all that are ready are told, the end counts, nothing is taken; and
 * connections in a select. */
#include "connections.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

enum { MANY = 40 };

static int began;

static intptr_t wait_for_many(void *arg) {
  ADD(began, 1);
  return thrum_conn_wait_many((thrum_conn_item *)arg, MANY);
}

static void all_that_are_ready_are_told(void) {
  struct ends e[MANY];
  thrum_conn_item items[MANY] = {{NULL, 0, false}};
  char room[4];
  for (int i = 0; i < MANY; i++) {
    e[i] = must_pair();
    items[i] =
        i % 2 ? (thrum_conn_item){e[i].a, -1, true} : (thrum_conn_item){NULL, thrum_conn_fd(e[i].a), true};
  }
  CHECK_EQ(thrum_conn_wait_many_for(items, MANY, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_conn_wait_many_for(items, MANY, -1), -ETIMEDOUT);
  CHECK_EQ(thrum_conn_wait_many_for(items, 3, THRUM_MS(2)), -ETIMEDOUT);
  for (int i = 0; i < MANY; i++) CHECK(!items[i].ready);
  began = 0;
  thrum_thread waiter = must_spawn(wait_for_many, items);
  AWAIT(LOAD(began) == 1);
  CHECK_EQ(thrum_conn_send(e[5].b, NULL, 0), 0);
  CHECK_EQ(must_join(waiter), 1);
  CHECK(items[5].ready);
  CHECK_EQ(thrum_conn_send(e[8].b, "x", 1), 0);
  thrum_conn_close(e[11].b);
  for (int again = 0; again < 2; again++) CHECK_EQ(thrum_conn_wait_many(items, MANY), 3);
  for (int i = 0; i < MANY; i++) CHECK_EQ(items[i].ready, i == 5 || i == 8 || i == 11);
  CHECK_EQ(thrum_conn_recv(e[5].a, room, 4), 0);
  CHECK_EQ(thrum_conn_recv(e[8].a, room, 4), 1);
  CHECK_EQ(thrum_conn_recv(e[11].a, room, 4), -EPIPE);
  CHECK_EQ(thrum_conn_wait_many(items, MANY), 1);
  for (int i = 0; i < MANY; i++) {
    thrum_conn_close(e[i].a);
    if (i != 11) thrum_conn_close(e[i].b);
  }
}

/* It ends when its standard input does, and holds `open` until then. No fork: ThreadSanitizer lets the child of one start no threads. */
static pid_t start_cat(int input, int open) {
  pid_t pid;
  char *cat[] = {(char *)"cat", NULL};
  posix_spawn_file_actions_t actions;
  CHECK_EQ(posix_spawn_file_actions_init(&actions), 0);
  CHECK_EQ(posix_spawn_file_actions_adddup2(&actions, input, 0), 0);
  CHECK_EQ(posix_spawn_file_actions_adddup2(&actions, open, 1), 0);
  CHECK_EQ(posix_spawnp(&pid, cat[0], &actions, NULL, cat, environ), 0);
  CHECK_EQ(posix_spawn_file_actions_destroy(&actions), 0);
  return pid;
}

/* A child that ends, by a pipe that it holds open. */
static void sentinels_are_waited_for(void) {
  struct ends e = must_pair();
  int sentinel[2], hold[2];
  CHECK_EQ(pipe2(sentinel, O_CLOEXEC), 0);
  CHECK_EQ(pipe2(hold, O_CLOEXEC), 0);
  pid_t pid = start_cat(hold[0], sentinel[1]);
  CHECK_EQ(close(sentinel[1]), 0);
  thrum_conn_item items[] = {{e.a, -1, false}, {NULL, sentinel[0], false}};
  CHECK_EQ(thrum_conn_wait_many_for(items, 2, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(close(hold[0]) | close(hold[1]), 0);
  CHECK_EQ(thrum_conn_wait_many(items, 2), 1);
  CHECK(!items[0].ready && items[1].ready);
  CHECK_EQ(waitpid(pid, NULL, 0), pid);
  CHECK_EQ(close(sentinel[0]), 0);
  close_both(e);
}

static void closing_ends_the_wait(void) {
  struct ends e = must_pair(), f = must_pair();
  thrum_conn_item items[MANY];
  for (int i = 0; i < MANY; i++) items[i] = (thrum_conn_item){i == 20 ? f.a : e.a, -1, false};
  began = 0;
  thrum_thread waiter = must_spawn(wait_for_many, items);
  AWAIT(LOAD(began) == 1);
  thrum_conn_shutdown(f.a);
  CHECK_EQ(must_join(waiter), -EBADF);
  CHECK_EQ(thrum_conn_wait_many(items, MANY), -EBADF);
  began = 0;
  items[20].conn = e.a;
  waiter = must_spawn(wait_for_many, items);
  AWAIT(LOAD(began) == 1);
  CHECK_EQ(thrum_cancel(waiter), 0);
  CHECK_EQ(must_join(waiter), -ECANCELED);
  thrum_conn_item gone[] = {{e.a, -1, false}, {NULL, 9999, false}};
  CHECK_EQ(thrum_conn_wait_many_for(gone, 2, 0), -EBADF);
  gone[1].fd = -1;
  CHECK_EQ(thrum_conn_wait_many_for(gone, 2, 0), -EBADF);
  CHECK_EQ(thrum_conn_wait_many_for(NULL, 0, THRUM_FOREVER), 0);
  CHECK_EQ(thrum_conn_wait_many_for(NULL, 1, 0), -EINVAL);
  close_both(e);
  close_both(f);
}

static intptr_t select_two(void *arg) {
  struct ends *e = (struct ends *)arg;
  thrum_case cases[] = {thrum_case_conn(e[0].a), thrum_case_conn(e[1].a), thrum_case_conn(NULL)};
  ADD(began, 1);
  int at = thrum_select(cases, 3);
  return at < 0 ? at : cases[at].status ? cases[at].status : at;
}

static void connections_are_cases(void) {
  struct ends e[2] = {must_pair(), must_pair()};
  char room[4];
  for (int i = 0; i < 2; i++) {
    began = 0;
    thrum_thread selector = must_spawn(select_two, e);
    AWAIT(LOAD(began) == 1);
    CHECK_EQ(thrum_conn_send(e[i].b, "ab", 2), 0);
    CHECK_EQ(must_join(selector), i);
    CHECK_EQ(thrum_conn_recv(e[i].a, room, 1), -EMSGSIZE); /* kept, and still ready */
    CHECK_EQ(select_two(e), i);
    CHECK_EQ(thrum_conn_recv(e[i].a, room, 4), 2);
  }
  thrum_conn_close(e[1].b);
  CHECK_EQ(select_two(e), 1);
  thrum_case none[] = {thrum_case_conn(e[0].a)};
  CHECK_EQ(thrum_try_select(none, 1), -EAGAIN);
  thrum_conn_close(e[1].a);
  close_both(e[0]);
}

int main(void) {
  all_that_are_ready_are_told();
  sentinels_are_waited_for();
  closing_ends_the_wait();
  connections_are_cases();
  return 0;
}
