/* A watchdog: a timer that must never fire
 *
 * Three threads serve, and give a sign of life after each request by starting their timer anew. A timer that fires means: no sign
 * for 300 ms. The second thread asks a server that never answers, here an empty pipe, and so its dog barks. It names the
 * thread, and has all threads printed with what they wait for. The others never stop, and no dog barks for them.
 *
 * Then main closes the pipe, and the thread that hung goes on to its end. The last line tells how many requests it had: it hung in
 * the tenth. */
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <thrum.h>

enum { SERVERS = 3, HANGS = 1 };

#define PATIENCE THRUM_MS(300)

struct server {
  thrum_timer dog;
  const char *name;
  int number, requests;
};

static struct server servers[SERVERS];
static int silent[2]; /* a pipe that nobody writes to */
static atomic_bool closing;
static thrum_event barked;

static intptr_t bark(void *arg) {
  const struct server *s = arg;
  thrum_print("the watchdog: no sign of life from %s for %d ms\n\n", s->name, (int)(PATIENCE / THRUM_MS(1)));
  fflush(stdout); /* a dump is written past it */
  thrum_dump(STDOUT_FILENO);
  thrum_event_set(&barked);
  return 0;
}

static void handle_request(struct server *s) {
  char answer;
  s->requests++;
  if (s->number == HANGS && s->requests == 10)
    thrum_read(silent[0], &answer, 1);
  else
    thrum_sleep(THRUM_MS(2));
}

static intptr_t serve(void *arg) {
  struct server *s = arg;
  s->name = thrum_current_name();
  thrum_timer_start(&s->dog, PATIENCE, bark, s);
  while (!atomic_load(&closing)) {
    handle_request(s);
    thrum_timer_restart(&s->dog, PATIENCE); /* a sign of life */
  }
  thrum_timer_cancel_wait(&s->dog);
  return 0;
}

int main(void) {
  if (pipe(silent) != 0) return 1;
  thrum_thread threads[SERVERS] = {0};
  for (int i = 0; i < SERVERS; i++) {
    servers[i].number = i;
    thrum_spawn_named(&threads[i], serve, &servers[i], "server-%d", i);
  }
  thrum_event_wait(&barked);

  atomic_store(&closing, true);
  close(silent[1]); /* the read ends now */
  for (int i = 0; i < SERVERS; i++) thrum_join(threads[i], NULL);
  thrum_print("\nclosed: server-%d had %d requests\n", HANGS, servers[HANGS].requests);
  return 0;
}
