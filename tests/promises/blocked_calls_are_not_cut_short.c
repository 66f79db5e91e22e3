/* Promise 3: a thread that blocks in a plain call loses its worker without a signal, so that the call does
 * not return early. The race that remains is counted: no more calls may be cut short than it says. And it is rare, but where others on the
 * machine hold up whoever is about to send the signal. */
#include "../support.h"

#include <fcntl.h>
#include <poll.h>

enum { ATTEMPTS = 5, ROUNDS = 8, CALLERS = 4, BYTES = 1 << 20 };

static int fds[2];
static int cut_short;

static void count_if(bool interrupted) {
  if (interrupted) ADD(cut_short, 1);
}

static intptr_t poll_for_a_while(void *arg) {
  (void)arg;
  for (int i = 0; i < ROUNDS; i++) {
    int64_t start = wall_now();
    int result = poll(NULL, 0, 30);
    if (result < 0)
      CHECK_EQ(errno, EINTR);
    else
      CHECK(wall_now() - start >= THRUM_MS(30));
    count_if(result != 0);
  }
  return 0;
}

static intptr_t sleep_for_a_while(void *arg) {
  (void)arg;
  struct timespec span = {0, 25000000}, left;
  for (int i = 0; i < ROUNDS; i++) count_if(nanosleep(&span, &left) != 0);
  return 0;
}

/* Much more than the pipe holds: the kernel sleeps in the middle of it. If a signal ends it early nobody can tell, so
 * it is not counted. */
static intptr_t write_much(void *arg) {
  char *block = calloc(1, BYTES);
  CHECK(block);
  ssize_t written = write(fds[1], block, BYTES);
  CHECK(written > 0);
  free(block);
  (void)arg;
  return written;
}

static intptr_t read_slowly(void *arg) {
  char block[8192];
  intptr_t total = 0;
  for (ssize_t n; (n = thrum_read(fds[0], block, sizeof block)) > 0; total += n)
    CHECK_EQ(thrum_sleep(THRUM_US(100)), 0);
  (void)arg;
  return total;
}

/* How many are cut short. */
static int calls_beside_hogs(void) {
  int before = LOAD(cut_short);
  CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
  thrum_thread pollers[CALLERS], sleepers[CALLERS];
  for (int i = 0; i < CALLERS; i++) {
    pollers[i] = must_spawn(poll_for_a_while, NULL);
    sleepers[i] = must_spawn(sleep_for_a_while, NULL);
  }
  thrum_thread reader = must_spawn(read_slowly, NULL), writer = must_spawn(write_much, NULL);
  intptr_t written = must_join(writer);
  CHECK_EQ(close(fds[1]), 0);
  CHECK_EQ(must_join(reader), written);
  CHECK_EQ(close(fds[0]), 0);
  for (int i = 0; i < CALLERS; i++) {
    CHECK_EQ(must_join(pollers[i]), 0);
    CHECK_EQ(must_join(sleepers[i]), 0);
  }
  fprintf(stderr, "%d calls were cut short, %d counted\n", LOAD(cut_short),
          (int)statistics().signals_blocked);
  CHECK(LOAD(cut_short) <= (int)statistics().signals_blocked);
  return LOAD(cut_short) - before;
}

int main(void) {
  struct hogs hogs;
  hogs_start(&hogs, thrum_workers(), hog_loop);
  for (int i = 0; calls_beside_hogs() > 2 * ROUNDS * CALLERS / 8; i++) CHECK(i < ATTEMPTS);
  hogs_stop(&hogs);
  CHECK(statistics().leases_lost > 0);
  return 0;
}
