/* proxy: passes TCP connections on to another server.
 *
 *     proxy [OPTION...] HOST PORT
 *     proxy --port=2222 example.org 22
 *
 * Two threads a connection: one carries what the client sends, the other what the server sends. Each is a loop of "receive, send":
 * while the one side does not take what it gets, nothing more is read from the other, so a slow reader costs one buffer and
 * no more.
 *
 * An end is passed on as what it was. If one side has sent all (half-close), the other is told so, and may go on sending. If
 * one side broke off, the other side's connection is reset as well, so that it does not take what it got for the whole.
 *
 *     --dial=10      seconds to reach the server; the client is reset if it cannot be
 *     --idle=60      seconds in which neither side sent anything that could be passed on; both are reset
 *     --grace=5      seconds for connections to end by themselves after SIGINT or SIGTERM; then they are reset, and the program
 *                    ends, or as soon as no connection to the server is under way any more
 *     --connections=1000     more are closed at once */
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "options.h"
#include "server.h"

enum { ROOM = 16 * 1024 };

struct proxy {
  struct server server; /* the first */
  const char *host, *port;
  thrum_duration dial, idle;
};

struct pair {
  struct proxy *proxy;
  int client, server;
  _Atomic thrum_time active; /* when something was passed on last, either way */
};

struct direction {
  struct pair *pair;
  int from, to;
};

static void break_off(struct pair *p) {
  socket_reset(p->client);
  socket_reset(p->server);
}

/* How long until both directions have been quiet for too long. */
static thrum_duration quiet_left(struct pair *p) {
  return thrum_left(atomic_load(&p->active) + p->proxy->idle);
}

/* A timeout of this direction alone means nothing while the other one is busy. */
static ssize_t receive(struct direction *d, char *room) {
  ssize_t n;
  do n = thrum_recv_for(d->from, room, ROOM, 0, quiet_left(d->pair));
  while (n == -ETIMEDOUT && quiet_left(d->pair) > 0);
  return n;
}

static ssize_t pass_on(struct direction *d, const char *bytes, size_t size) {
  while (size > 0) {
    ssize_t n = thrum_send_for(d->to, bytes, size, 0, quiet_left(d->pair));
    if (n == -ETIMEDOUT && quiet_left(d->pair) > 0) continue;
    if (n < 0) return n;
    atomic_store(&d->pair->active, thrum_now());
    bytes += n;
    size -= (size_t)n;
  }
  return 0;
}

/* Until the end, which is passed on. An error ends the other direction too. */
static intptr_t carry(void *arg) {
  struct direction *d = arg;
  char room[ROOM];
  ssize_t n;
  while ((n = receive(d, room)) > 0) {
    atomic_store(&d->pair->active, thrum_now());
    if ((n = pass_on(d, room, (size_t)n)) < 0) break;
  }
  if (n == 0 && shutdown(d->to, SHUT_WR) != 0) n = -errno;
  if (n < 0) break_off(d->pair);
  return 0;
}

static void carry_both(struct pair *p) {
  struct direction there = {p, p->client, p->server}, back = {p, p->server, p->client};
  thrum_options options = THRUM_OPTIONS_INIT;
  thrum_thread other;
  options.name = "back";
  options.stack_size = 64 * 1024;
  if (thrum_spawn_with(&other, &options, carry, &back) != 0) {
    break_off(p);
    return;
  }
  carry(&there);
  thrum_join(other, NULL);
}

static void serve(struct connection *c) {
  struct proxy *proxy = (struct proxy *)c->server;
  struct pair p = {.proxy = proxy, .client = c->fd, .server = -1};
  connection_set_idle(c, false);
  if (c->refused) return;
  p.server = thrum_dial_tcp_for(proxy->host, proxy->port, proxy->dial);
  atomic_init(&p.active, thrum_now());
  if (p.server < 0) {
    socket_reset(p.client);
    return;
  }
  if (connection_set_other(c, p.server)) carry_both(&p);
  connection_set_other(c, -1);
  thrum_close(p.server);
}

static const char usage[] =
    "usage: proxy [OPTION...] HOST PORT\n"
    "  --host=ADDRESS    to listen at, localhost\n"
    "  --port=PORT       8081; 0: one that is free\n"
    "  --connections=N   at once, 1000\n"
    "  --dial=S --idle=S --grace=S\n"
    "                    seconds to reach HOST, of silence, and at the end: 10 60 5\n";

int main(int argc, char **argv) {
  struct proxy p = {
      .server = {.name = "proxy", .host = "localhost", .port = "8081", .most = 1000, .serve = serve},
      .dial = THRUM_S(10),
      .idle = THRUM_S(60),
  };
  p.server.grace = THRUM_S(5);
  const struct option_row options[] = {
      {"host", OPTION_TEXT, &p.server.host, 0, 0},
      {"port", OPTION_TEXT, &p.server.port, 0, 0},
      {"connections", OPTION_NUMBER, &p.server.most, 1, 1000000},
      {"dial", OPTION_SECONDS, &p.dial, 0, 3600},
      {"idle", OPTION_SECONDS, &p.idle, 0, 86400},
      {"grace", OPTION_SECONDS, &p.server.grace, 0, 3600},
      {0},
  };
  int at = options_read(argc, argv, options, usage, 2, 2);
  p.host = argv[at];
  p.port = argv[at + 1];
  return server_run(&p.server) != 0;
}
