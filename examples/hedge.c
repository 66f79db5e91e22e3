/* Asks several servers the same, and takes the first answer.
 *
 *     hedge DELAY_MS QUESTION HOST:PORT...
 *
 * The first server is asked at once, each further one when DELAY_MS more have gone by without an answer, or as soon as one has failed. The
 * first line that comes back is printed, with the server's name, and all others are hung up on. So the slow tail of one server costs
 * little more than the delay, and most questions go to one server alone. (Dean and Barroso, The Tail at Scale, 2013.)
 *
 * The threads that ask belong to a scope: who has an answer cancels it, the dials, writes and reads of the others end with -ECANCELED, and the
 * block ends when all of them have closed what they opened. Nobody has to remember who is still under way. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <thrum.h>

enum { LINE_MAX_SIZE = 4096 };

struct server {
  const char *name;
  char *host, *port;
  int error;
};

static const char *question;
static thrum_scope *asking;
static thrum_sem failures; /* a unit for each that has failed: the next one's turn */
static thrum_lock lock;
static const char *winner; /* these two: under the lock */
static char answer[LINE_MAX_SIZE];

static void take(const struct server *s, const char *line, size_t size) {
  THRUM_LOCKED(&lock) {
    if (winner) return;
    winner = s->name;
    memcpy(answer, line, size);
    answer[size] = 0;
  }
  thrum_scope_cancel(asking);
}

/* 0, or why there is no answer. */
static int ask_over(int fd, const struct server *s) {
  char room[LINE_MAX_SIZE];
  const char *line;
  thrum_reader in;
  ssize_t n = thrum_write_all(fd, question, strlen(question));
  if (n >= 0) n = thrum_write_all(fd, "\n", 1);
  if (n < 0) return (int)n;
  thrum_reader_init(&in, fd, room, sizeof room - 1);
  n = thrum_reader_line(&in, &line);
  if (n > 0) take(s, line, (size_t)n);
  return n > 0 ? 0 : n ? (int)n : -ENODATA;
}

static intptr_t ask(void *arg) {
  struct server *s = arg;
  int fd = thrum_dial_tcp(s->host, s->port);
  s->error = fd < 0 ? fd : ask_over(fd, s);
  if (fd >= 0) thrum_close(fd);
  if (s->error && s->error != -ECANCELED) thrum_sem_release(&failures, 1);
  return 0; /* that one server failed is no failure of the whole */
}

/* HOST:PORT, cut in two. */
static bool name_server(struct server *s, char *name) {
  char *colon = strrchr(name, ':');
  if (!colon || colon == name || !colon[1]) return false;
  s->name = strdup(name);
  *colon = 0;
  s->host = name;
  s->port = colon + 1;
  return s->name;
}

static void ask_in_turn(struct server *servers, int n, thrum_duration delay) {
  THRUM_SCOPE(s) {
    asking = &s;
    for (int i = 0; i < n; i++) {
      if (thrum_scope_spawn_named(&s, NULL, ask, &servers[i], "ask %s", servers[i].name) != 0) break;
      if (thrum_sem_acquire_for(&failures, delay) == -ECANCELED) break; /* there is an answer */
    }
  }
}

int main(int argc, char **argv) {
  char *end = NULL;
  long delay = argc > 3 ? strtol(argv[1], &end, 10) : -1;
  int n = argc - 3;
  struct server *servers = n > 0 ? calloc((size_t)n, sizeof *servers) : NULL;
  bool good = servers && !*end && delay >= 0 && delay <= 1000000;
  for (int i = 0; good && i < n; i++) good = name_server(&servers[i], argv[i + 3]);
  if (!good) {
    fprintf(stderr, "usage: hedge DELAY_MS QUESTION HOST:PORT...\n");
    return 2;
  }
  question = argv[2];
  ask_in_turn(servers, n, THRUM_MS(delay));
  if (winner) printf("%s: %s%s", winner, answer, strchr(answer, '\n') ? "" : "\n");
  for (int i = 0; i < n; i++) {
    if (!winner) fprintf(stderr, "hedge: %s: %s\n", servers[i].name, strerror(-servers[i].error));
    free((void *)(uintptr_t)servers[i].name);
  }
  free(servers);
  return winner ? 0 : 1;
}
