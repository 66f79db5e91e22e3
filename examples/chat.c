/* chat: a room in which everybody reads what anybody says.
 *
 *     chat [OPTION...]
 *     chat --port=5000 & nc localhost 5000
 *
 * A client sends its name in the first line: up to 16 letters, digits, '-' and '_', not that of somebody who is there. From then
 * on each line is said to all, its author too. /who lists who is there, /quit leaves, and so does the end of the input.
 *
 * Two threads a client: one reads its lines, the other writes to it what is in its queue, which has 64 places. Who
 * speaks never waits for who reads: if a client's queue is full, that client is cut off, and the others are told so. All queues get the
 * messages under one lock, so all clients read them in one order.
 *
 *     512            bytes of a line; a longer one ends the connection
 *     2              seconds that who leaves has to read what is in its queue
 *     --name=30      seconds to send the name
 *     --idle=600     seconds between two lines
 *     --grace=2      seconds, after SIGINT or SIGTERM, to read what is left in the queues
 *     --connections=1000     more are told that the room is full */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "options.h"
#include "server.h"

enum { LINE_ROOM = 512, NAME_ROOM = 16, QUEUE = 64 };

/* ---- Messages ----------------------------------------------------------------------------------------- */

/* One text for all who get it; the last one frees it. */
struct message {
  atomic_int users;
  size_t size;
  char text[];
};

static void message_release(struct message *m) {
  if (m && atomic_fetch_sub(&m->users, 1) == 1) free(m);
}

static void drop(void *item, void *arg) {
  (void)arg;
  message_release(*(struct message **)item);
}

/* NULL: no memory. */
static struct message *message_make(const char *format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  int size = vsnprintf(NULL, 0, format, again);
  va_end(again);
  struct message *m = size < 0 ? NULL : malloc(sizeof *m + (size_t)size + 1);
  if (!m) return NULL;
  atomic_init(&m->users, 1);
  m->size = (size_t)size;
  vsnprintf(m->text, m->size + 1, format, arguments);
  return m;
}

/* ---- The room ----------------------------------------------------------------------------------------- */

struct client {
  struct connection *connection;
  struct room *room;
  char name[NAME_ROOM + 1]; /* "": not in the room */
  thrum_queue inbox;        /* of messages */
  bool slow;                /* cut off for it; under the room's lock, as `next` and `link` */
  struct client *next, **link;
};

struct room {
  struct server server; /* the first */
  thrum_duration name, idle;
  thrum_lock lock; /* of all below */
  struct client *first;
};

/* Puts the message into the client's queue, or cuts the client off. Its reader finds out and takes it out of the room. */
static void deliver(struct client *c, struct message *m) {
  atomic_fetch_add(&m->users, 1);
  int error = thrum_queue_try_put(&c->inbox, &m);
  if (!error) return;
  message_release(m);
  if (error != -EAGAIN || c->slow) return;
  c->slow = true;
  thrum_queue_shutdown(&c->inbox, true);
  shutdown(c->connection->fd, SHUT_RDWR);
}

/* To all in the room. The lock is held. */
static THRUM_PRINTF(2, 3) void say_locked(struct room *room, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  struct message *m = message_make(format, arguments);
  va_end(arguments);
  for (struct client *c = room->first; m && c; c = c->next) deliver(c, m);
  message_release(m);
}

/* To one alone. */
static THRUM_PRINTF(2, 3) void tell(struct client *c, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  struct message *m = message_make(format, arguments);
  va_end(arguments);
  THRUM_LOCKED(&c->room->lock) {
    if (m) deliver(c, m);
  }
  message_release(m);
}

static bool is_there(struct room *room, const char *name) {
  for (struct client *c = room->first; c; c = c->next) {
    if (strcmp(c->name, name) == 0) return true;
  }
  return false;
}

/* False: somebody has that name. */
static bool enter(struct client *c, const char *name) {
  struct room *room = c->room;
  bool free_name = false;
  THRUM_LOCKED(&room->lock) {
    free_name = !is_there(room, name);
    if (free_name) {
      strcpy(c->name, name);
      c->next = room->first;
      c->link = &room->first;
      if (c->next) c->next->link = &c->next;
      room->first = c;
      say_locked(room, "* %s is here\n", name);
    }
  }
  return free_name;
}

static void leave(struct client *c) {
  struct room *room = c->room;
  THRUM_LOCKED(&room->lock) {
    *c->link = c->next;
    if (c->next) c->next->link = c->link;
    say_locked(room, "* %s %s\n", c->name, c->slow ? "was too slow" : "has left");
  }
}

/* One line for each, which may be more than a queue has places for: so it is one message. */
static void who(struct client *c) {
  char *names = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&names, &size);
  if (!out) return;
  THRUM_LOCKED(&c->room->lock) {
    for (struct client *other = c->room->first; other; other = other->next) fprintf(out, " %s", other->name);
  }
  if (fclose(out) == 0) tell(c, "* here:%s\n", names);
  free(names);
}

/* ---- One client --------------------------------------------------------------------------------------- */

/* Ends when the queue is shut down and empty, or the client is gone: nothing more will be read by it. */
static intptr_t write_all(void *arg) {
  struct client *c = arg;
  struct message *m;
  bool gone = false;
  while (thrum_queue_get_ptr(&c->inbox, &m) == 0) {
    if (!gone) gone = thrum_write_all(c->connection->fd, m->text, m->size) != (ssize_t)m->size;
    message_release(m);
  }
  return 0;
}

/* Ends the line before what ends it, and makes control characters harmless for other people's terminals. */
static void clean(char *line) {
  line[strcspn(line, "\r\n")] = '\0';
  for (; *line; line++) {
    if ((unsigned char)*line < ' ' || *line == 0x7f) *line = '?';
  }
}

/* The next line, clean, in `text`. False: the end, an error, or nothing in time. */
static bool next_line(struct client *c, thrum_reader *in, char text[static LINE_ROOM + 1],
                      thrum_duration timeout) {
  const char *line;
  ssize_t n = thrum_reader_line_for(in, &line, timeout);
  if (n == -ENOBUFS) tell(c, "* a line has at most %d bytes\n", LINE_ROOM);
  if (n == -ETIMEDOUT) tell(c, "* too long without a line\n");
  if (n <= 0) return false;
  memcpy(text, line, (size_t)n);
  text[n] = '\0';
  clean(text);
  return true;
}

static bool is_name(const char *text) {
  size_t plain = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
  return plain > 0 && plain <= NAME_ROOM && text[plain] == '\0';
}

/* False: the client gave no name. */
static bool introduce(struct client *c, thrum_reader *in) {
  char text[LINE_ROOM + 1];
  thrum_time deadline = thrum_after(c->room->name);
  tell(c, "* your name?\n");
  while (next_line(c, in, text, thrum_left(deadline))) {
    if (!is_name(text))
      tell(c, "* a name has 1 to %d letters, digits, - and _\n", NAME_ROOM);
    else if (enter(c, text))
      return true; /* no longer idle: it is the room's to end it */
    else
      tell(c, "* %s is here already\n", text);
  }
  return false;
}

static void converse(struct client *c, thrum_reader *in) {
  char text[LINE_ROOM + 1];
  while (next_line(c, in, text, c->room->idle)) {
    if (strcmp(text, "/quit") == 0) return;
    if (strcmp(text, "/who") == 0)
      who(c);
    else if (*text == '/')
      tell(c, "* there are /who and /quit\n");
    else if (*text)
      THRUM_LOCKED(&c->room->lock) say_locked(c->room, "%s: %s\n", c->name, text);
  }
}

/* The writer has what is in the queue written before it ends, for as long as the client takes it. */
static void attend(struct client *c) {
  char room[LINE_ROOM];
  thrum_reader in;
  thrum_options options = THRUM_OPTIONS_INIT;
  thrum_thread writer;
  options.name = "writer";
  options.stack_size = 64 * 1024;
  if (thrum_reader_init(&in, c->connection->fd, room, sizeof room) != 0) return;
  if (thrum_spawn_with(&writer, &options, write_all, c) != 0) return;
  if (c->connection->refused) {
    tell(c, "* the room is full\n");
  } else if (introduce(c, &in)) {
    if (connection_set_idle(c->connection, false)) converse(c, &in);
    leave(c);
  }
  thrum_queue_shutdown(&c->inbox, false);
  if (thrum_wait_for(writer, THRUM_S(2)) != 0) shutdown(c->connection->fd, SHUT_RDWR); /* it reads nothing */
  thrum_join(writer, NULL);
}

static void serve(struct connection *connection) {
  thrum_queue_options options = THRUM_QUEUE_OPTIONS_INIT;
  struct client c = {.connection = connection, .room = (struct room *)connection->server};
  options.drop = drop;
  if (thrum_queue_init(&c.inbox, sizeof(struct message *), QUEUE, &options) != 0) return;
  attend(&c);
  thrum_queue_destroy(&c.inbox);
}

/* Everybody is told, and their inputs end: the readers leave, and the writers write what is left. */
static void stop(struct server *server) {
  struct room *room = (struct room *)server;
  THRUM_LOCKED(&room->lock) {
    say_locked(room, "* the server stops\n");
    for (struct client *c = room->first; c; c = c->next) shutdown(c->connection->fd, SHUT_RD);
  }
}

static const char usage[] =
    "usage: chat [OPTION...]\n"
    "  --host=ADDRESS    to listen at, localhost\n"
    "  --port=PORT       5000; 0: one that is free\n"
    "  --connections=N   at once, 1000\n"
    "  --name=S --idle=S --grace=S\n"
    "                    seconds to give a name, between lines, and at the end: 30 600 2\n";

int main(int argc, char **argv) {
  static struct room room = {
      .server =
          {.name = "chat", .host = "localhost", .port = "5000", .most = 1000, .serve = serve, .stop = stop},
      .name = THRUM_S(30),
      .idle = THRUM_S(600),
  };
  room.server.grace = THRUM_S(2);
  const struct option_row options[] = {
      {"host", OPTION_TEXT, &room.server.host, 0, 0},
      {"port", OPTION_TEXT, &room.server.port, 0, 0},
      {"connections", OPTION_NUMBER, &room.server.most, 1, 100000},
      {"name", OPTION_SECONDS, &room.name, 0, 3600},
      {"idle", OPTION_SECONDS, &room.idle, 0, 86400},
      {"grace", OPTION_SECONDS, &room.server.grace, 0, 3600},
      {0},
  };
  options_read(argc, argv, options, usage, 0, 0);
  return server_run(&room.server) != 0;
}
