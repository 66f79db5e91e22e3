/* A program that does a little of everything, for a recording: hogs, a lock, calls that block, sleeps, a foreign thread, spans, a thread
 * that outlives main. */
#include <pthread.h>
#include <thrum.h>
#include <unistd.h>

enum { HOGS = 2 };
#define ENOUGH THRUM_MS(20)

static thrum_lock table;
static thrum_event go, reading;
static bool reads, written;
static int hogs_through; /* have computed for some time beside the reader */
static int ends[2];      /* of a pipe */

/* Until the reader has been in its call for long, so there is always somebody who wants its worker. Time in which others run does not
 * count: each look at the clock is soon after the one before. */
static intptr_t hog(void *arg) {
  thrum_duration computed = 0;
  thrum_time last = thrum_now();
  while (!__atomic_load_n(&written, __ATOMIC_RELAXED)) {
    thrum_time now = thrum_now();
    bool was_through = computed >= ENOUGH;
    if (now - last < THRUM_MS(1) && __atomic_load_n(&reads, __ATOMIC_RELAXED)) computed += now - last;
    if (!was_through && computed >= ENOUGH) __atomic_add_fetch(&hogs_through, 1, __ATOMIC_RELAXED);
    last = now;
  }
  return (intptr_t)arg;
}

static intptr_t use_table(void *arg) {
  (void)arg;
  thrum_event_wait(&go);
  for (int i = 0; i < 5; i++) {
    thrum_lock_acquire(&table);
    thrum_sleep(THRUM_MS(1)); /* so the others have to wait, also with one worker */
    thrum_lock_release(&table);
  }
  return 0;
}

/* By libc's read: its worker goes to others meanwhile. */
static intptr_t read_pipe(void *arg) {
  (void)arg;
  char byte;
  thrum_span_begin("waiting for a byte");
  thrum_event_set(&reading);
  __atomic_store_n(&reads, true, __ATOMIC_RELAXED);
  ssize_t n = read(ends[0], &byte, 1);
  thrum_span_end();
  return n == 1 ? 0 : -1;
}

static intptr_t write_pipe(void *arg) {
  (void)arg;
  thrum_event_wait(&reading);
  thrum_sleep(THRUM_MS(100));
  while (__atomic_load_n(&hogs_through, __ATOMIC_RELAXED) < HOGS) thrum_sleep(THRUM_MS(1));
  __atomic_store_n(&written, true, __ATOMIC_RELAXED);
  return write(ends[1], "x", 1) == 1 ? 0 : -1;
}

static void *foreign(void *arg) {
  (void)arg;
  thrum_lock_acquire(&table);
  thrum_event_set(&go);
  thrum_sleep(THRUM_MS(3));
  thrum_lock_release(&table);
  return NULL;
}

static intptr_t outlive(void *arg) {
  (void)arg;
  while (thrum_is_alive(thrum_main_thread())) thrum_sleep(THRUM_MS(1));
  thrum_sleep(THRUM_MS(20));
  return 0;
}

int main(void) {
  thrum_thread t[7];
  pthread_t stranger;
  if (pipe(ends) || pthread_create(&stranger, NULL, foreign, NULL)) return 1;
  for (int i = 0; i < 3; i++) thrum_spawn_named(&t[i], use_table, NULL, "user-%d", i);
  for (int i = 3; i < 3 + HOGS; i++) thrum_spawn_named(&t[i], hog, NULL, "hog-%d", i - 3);
  thrum_spawn_named(&t[5], read_pipe, NULL, "reader");
  thrum_spawn_named(&t[6], write_pipe, NULL, "writer");
  for (int i = 0; i < 7; i++) {
    intptr_t result = 0;
    if (thrum_join(t[i], &result) || result) return 1;
    thrum_trace_count("joined", i + 1);
  }
  pthread_join(stranger, NULL);
  thrum_spawn_named(NULL, outlive, NULL, "late");
  return 0;
}
