/* When a thread gives up the CPU (3): what that is worth beside threads that never do
 *
 * A client asks over TCP, a server answers, one round trip after the other: first alone, then beside four threads that only
 * compute, twice as many as there are workers for them. Behind Python's lock each answer would queue behind all who compute, 5
 * ms each: a convoy (issue 7946 of CPython). Here who has waited goes first, and takes the CPU from whoever
 * computes. Each row counts the round trips that took so long. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <thrum.h>

enum { HOGS = 4, ROUND_TRIPS = 1000, ROWS = 14, WIDTH = 28 };

static atomic_bool over;

static intptr_t hog(void *arg) {
  (void)arg;
  unsigned long x = 1;
  while (!atomic_load_explicit(&over, memory_order_relaxed)) x = x * 6364136223846793005UL + 1;
  return (intptr_t)(x >> 1);
}

static intptr_t serve(void *arg) {
  int fd = thrum_accept(*(int *)arg, NULL, NULL);
  char message[8];
  if (fd < 0) return fd;
  while (thrum_read_full(fd, message, sizeof message) == sizeof message)
    if (thrum_write_all(fd, message, sizeof message) != sizeof message) break;
  return thrum_close(fd);
}

/* Row n counts what took less than 2^n times 10 us, and not less than row n - 1 says. */
struct histogram {
  int count[ROWS], most;
  thrum_duration slowest;
};

static void note(struct histogram *h, thrum_duration took) {
  int row = 0;
  while (row < ROWS - 1 && took >= THRUM_US(10) << row) row++;
  h->count[row]++;
  if (h->count[row] > h->most) h->most = h->count[row];
  if (took > h->slowest) h->slowest = took;
}

static intptr_t ask(int fd, struct histogram *h) {
  for (int i = 0; i < ROUND_TRIPS; i++) {
    char message[8] = "hello", answer[8];
    thrum_sleep(THRUM_US(200)); /* so that those who compute do so */
    thrum_time start = thrum_now();
    if (thrum_write_all(fd, message, sizeof message) != sizeof message) return -EIO;
    if (thrum_read_full(fd, answer, sizeof answer) != sizeof answer) return -EIO;
    if (memcmp(message, answer, sizeof answer) != 0) return -EBADMSG;
    note(h, thrum_now() - start);
  }
  return 0;
}

static intptr_t client(void *arg) {
  struct histogram *h = arg;
  char port[8];
  int listener = thrum_listen_tcp("127.0.0.1", "0");
  if (listener < 0) return listener;
  snprintf(port, sizeof port, "%d", thrum_local_port(listener));
  thrum_thread server = {0};
  thrum_spawn(&server, serve, &listener);
  int fd = thrum_dial_tcp("127.0.0.1", port);
  intptr_t result = fd < 0 ? fd : ask(fd, h);
  if (fd >= 0) thrum_close(fd);
  thrum_join(server, NULL);
  thrum_close(listener);
  return result;
}

static intptr_t measure(int hogs, struct histogram *h) {
  thrum_thread computing[HOGS] = {0}, asking = {0};
  intptr_t result = -EAGAIN;
  atomic_store(&over, false);
  for (int i = 0; i < hogs; i++) thrum_spawn_named(&computing[i], hog, NULL, "hog-%d", i);
  thrum_spawn(&asking, client, h);
  thrum_join(asking, &result);
  atomic_store(&over, true);
  for (int i = 0; i < hogs; i++) thrum_join(computing[i], NULL);
  return result;
}

static void bar(char text[WIDTH + 1], const struct histogram *h, int row) {
  int length = h->count[row] ? 1 + h->count[row] * (WIDTH - 1) / h->most : 0;
  snprintf(text, WIDTH + 1, "%.*s", length, "############################");
}

static void draw(const struct histogram *alone, const struct histogram *beside) {
  int first = 0, last = ROWS - 1;
  while (first < last && !alone->count[first] && !beside->count[first]) first++;
  while (last > first && !alone->count[last] && !beside->count[last]) last--;
  thrum_print("%16s  %5s %-*s  %6s 4 that compute\n", "ms, less than", "alone", WIDTH, "", "beside");
  for (int row = first; row <= last; row++) {
    char left[WIDTH + 1], right[WIDTH + 1];
    bar(left, alone, row);
    bar(right, beside, row);
    thrum_print("%16.2f  %5d %-*s  %6d %s\n", (double)(THRUM_US(10) << row) / 1e6, alone->count[row], WIDTH,
                left, beside->count[row], right);
  }
  thrum_print("the slowest: %.2f ms alone, %.2f ms beside them\n", (double)alone->slowest / 1e6,
              (double)beside->slowest / 1e6);
}

int main(void) {
  struct histogram alone = {0}, beside = {0};
  intptr_t result = measure(0, &alone);
  if (!thrum_failed(result)) result = measure(HOGS, &beside);
  if (thrum_failed(result)) return fprintf(stderr, "no-convoy: %s\n", strerror((int)-result)), 1;
  draw(&alone, &beside);
  return 0;
}
