#include "server.h"

#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STACK = 64 * 1024 };

bool server_stopping(struct server *s) {
  bool stopping = false;
  THRUM_LOCKED(&s->lock) stopping = s->stopping;
  return stopping;
}

bool connection_set_idle(struct connection *c, bool idle) {
  bool stopping = false;
  THRUM_LOCKED(&c->server->lock) {
    c->idle = idle;
    stopping = c->server->stopping;
  }
  return !stopping;
}

bool connection_set_other(struct connection *c, int fd) {
  bool stopping = false;
  THRUM_LOCKED(&c->server->lock) {
    c->other = fd;
    stopping = c->server->stopping;
  }
  return !stopping;
}

/* ---- One connection ----------------------------------------------------------------------------------- */

/* Into the list, unless there are too many or it is too late. */
static bool enlist(struct server *s, struct connection *c) {
  bool taken = false;
  THRUM_LOCKED(&s->lock) {
    taken = !s->stopping && s->count < s->most + SERVER_SPARE;
    if (taken) {
      c->refused = s->count >= s->most;
      c->next = s->first;
      c->link = &s->first;
      if (c->next) c->next->link = &c->next;
      s->first = c;
      s->count++;
    }
  }
  return taken;
}

/* Out of the list before it is closed: whoever cuts connections off must not meet another file with its number. */
static void retire(struct server *s, struct connection *c) {
  THRUM_LOCKED(&s->lock) {
    *c->link = c->next;
    if (c->next) c->next->link = c->link;
    s->count--;
  }
  thrum_close(c->fd);
  free(c);
  thrum_event_set(&s->freed);
  thrum_waitgroup_done(&s->running);
}

static intptr_t run(void *arg) {
  struct connection *c = arg;
  c->server->serve(c);
  retire(c->server, c);
  return 0;
}

static void begin(struct server *s, int fd, const struct sockaddr_storage *peer, socklen_t length) {
  thrum_options options = THRUM_OPTIONS_INIT;
  struct connection *c = calloc(1, sizeof *c);
  if (c) *c = (struct connection){.server = s, .fd = fd, .other = -1, .idle = true};
  if (!c || !enlist(s, c)) {
    thrum_close(fd);
    free(c);
    return;
  }
  if (getnameinfo((const struct sockaddr *)peer, length, c->peer, sizeof c->peer, NULL, 0, NI_NUMERICHOST) !=
      0)
    strcpy(c->peer, "unknown");
  thrum_waitgroup_add(&s->running, 1);
  options.name = c->peer;
  options.stack_size = STACK;
  if (thrum_spawn_with(NULL, &options, run, c) != 0) retire(s, c);
}

/* ---- The server --------------------------------------------------------------------------------------- */

/* No error of accept is for ever but that the listener is closed; and with none does it spin. */
static intptr_t accept_all(void *arg) {
  struct server *s = arg;
  int told = 0;
  while (!server_stopping(s)) {
    struct sockaddr_storage peer = {0};
    socklen_t length = sizeof peer;
    thrum_event_clear(&s->freed);
    int fd = thrum_accept(s->listener, (struct sockaddr *)&peer, &length);
    if (fd >= 0) {
      begin(s, fd, &peer, length);
      continue;
    }
    if (fd != told && !server_stopping(s)) fprintf(stderr, "%s: accept: %s\n", s->name, strerror(-fd));
    told = fd;
    if (thrum_event_wait_for(&s->freed, THRUM_MS(100)) == -ECANCELED) break;
  }
  return 0;
}

/* To disconnect is what TCP calls an abort. shutdown would look like an end in order. The owner may be in a call with the socket
 * meanwhile: the kernel's lock of the socket puts the two in an order, and the owner's fails. ThreadSanitizer takes any connect
 * for the making of a descriptor, and would call that a race; so it is the plain system call. */
void socket_reset(int fd) {
  struct sockaddr nobody = {.sa_family = AF_UNSPEC};
  syscall(SYS_connect, fd, &nobody, sizeof nobody);
}

/* Ends the input of those that are idle. */
static void cut_off_idle(struct server *s) {
  THRUM_LOCKED(&s->lock) {
    for (struct connection *c = s->first; c; c = c->next) {
      if (c->idle) shutdown(c->fd, SHUT_RD);
    }
  }
}

/* How many there were. */
static int cut_off_all(struct server *s) {
  int count = 0;
  THRUM_LOCKED(&s->lock) {
    for (struct connection *c = s->first; c; c = c->next) {
      socket_reset(c->fd);
      if (c->other >= 0) socket_reset(c->other);
      count++;
    }
  }
  return count;
}

/* The listener is shut down, not closed, while the acceptor may be about to use it: its number could be another file's. */
static void stop(struct server *s, thrum_thread acceptor) {
  THRUM_LOCKED(&s->lock) s->stopping = true;
  shutdown(s->listener, SHUT_RDWR);
  thrum_event_set(&s->freed);
  thrum_join(acceptor, NULL);
  thrum_close(s->listener);
  if (s->stop) s->stop(s);
  cut_off_idle(s);
  int cut = thrum_waitgroup_wait_for(&s->running, s->grace) == 0 ? 0 : cut_off_all(s);
  thrum_waitgroup_wait(&s->running);
  fprintf(stderr, "%s: stopped, %d connections cut off\n", s->name, cut);
}

/* As many descriptors as the process may have: each connection needs one or more. */
static void raise_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

static int complain(const struct server *s, const char *what, int error) {
  fprintf(stderr, "%s: %s: %s\n", s->name, what,
          error == -ENOENT ? "no such host or service" : strerror(-error));
  return error;
}

int server_run(struct server *s) {
  sigset_t signals;
  thrum_thread acceptor;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  raise_limit();
  int error = thrum_signal_catch(&signals);
  if (error) return complain(s, "signals", error);
  s->listener = thrum_listen_tcp(s->host, s->port);
  if (s->listener < 0) return complain(s, s->port, s->listener);
  error = thrum_spawn_named(&acceptor, accept_all, s, "acceptor");
  if (error) return complain(s, "thread", error);
  thrum_print("listening on port %d\n", thrum_local_port(s->listener));
  fflush(stdout);
  int signo = thrum_signal_wait(&signals);
  thrum_signal_release(&signals);
  stop(s, acceptor);
  return signo < 0 ? signo : 0;
}
