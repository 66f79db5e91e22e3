/* What the servers here have in common: they listen at a TCP port, run a thread for each connection, and end in a known time.
 *
 *     struct server s = {.name = "echo", .port = "7", .most = 100, .grace = THRUM_S(5), .serve = echo};
 *     return server_run(&s) != 0;
 *
 * - The first line on standard output is "listening on port N"; "0" asks for a port that is free.
 * - SIGINT or SIGTERM stops it: it accepts no more; connections that are idle are cut off at once, the others `grace` later,
 *   unless they end by themselves before. A second signal does what it does in any program: it ends it on the spot.
 * - Above `most` connections there may be SERVER_SPARE more, which are marked as refused: `serve` can say so
 *   before it returns. Those beyond are closed without a word.
 * - Without descriptors or memory for one more it waits until a connection has ended, or for a tenth of a second, and tries again:
 *   meanwhile the kernel keeps the new ones in its queue. */
#ifndef EXAMPLES_SERVER_H
#define EXAMPLES_SERVER_H

#include <stdbool.h>

#include <thrum.h>

enum { SERVER_SPARE = 64, PEER_MAX = 64 };

struct server;

struct connection {
  struct server *server;
  int fd;              /* the server closes it when serve has returned */
  bool refused;        /* one too many */
  char peer[PEER_MAX]; /* the peer's numeric address */
  int other; /* under the server's lock, as those below: a second socket to be cut off with it, or -1 */
  bool idle;
  struct connection *next, **link;
};

struct server {
  const char *name; /* for messages */
  const char *host; /* NULL: all addresses */
  const char *port;
  int64_t most;
  thrum_duration grace;
  void (*serve)(struct connection *c); /* runs in the connection's thread */
  void (*stop)(struct server *s);      /* NULL, or called once nobody is accepted any more */

  /* The rest is private, and all-zero in the beginning. */
  thrum_lock lock;
  bool stopping;
  int64_t count;
  struct connection *first;
  thrum_waitgroup running;
  thrum_event freed;
  int listener;
};

/* 0 after a clean end; or it says what is wrong on standard error: a negative errno. */
int server_run(struct server *s);

/* Whether it has been asked to stop: no further request should be begun. */
bool server_stopping(struct server *s);

/* Says whether the connection waits for its peer to begin something (as at its start), or is in the middle. False: the server is stopping. */
bool connection_set_idle(struct connection *c, bool idle);

/* From here on `fd` is cut off with the connection, until it is said to be -1 again: before it is closed. False: the server is
 * stopping. */
bool connection_set_other(struct connection *c, int fd);

/* Resets a connection of TCP and ends what waits for it, whose calls fail. The peer is told that this is not an end in order. The
 * descriptor stays, to be closed. */
void socket_reset(int fd);

#endif
