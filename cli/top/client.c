#include "client.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MOST = 16 << 20 }; /* an answer is 128 KiB at most; who sends more is not thrum */

void client_close(struct client *c) {
  if (c->fd >= 0) close(c->fd);
  free(c->text);
  *c = (struct client){.fd = -1};
}

/* ---- One answer ------------------------------------------------------------------------------------------------ */

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int make_room(struct client *c) {
  enum { STEP = 64 * 1024 };
  if (c->room - c->used > 1) return 0;
  if (c->room >= ANSWER_MOST) return -EMSGSIZE;
  char *more = realloc(c->text, c->room + STEP);
  if (!more) return -ENOMEM;
  c->text = more;
  c->room += STEP;
  return 0;
}

/* 0: some bytes came; -EPIPE: the program has ended. */
static int read_some(struct client *c, int64_t until) {
  int error = make_room(c);
  if (error) return error;
  int64_t left = until - now_ms();
  struct pollfd fd = {.fd = c->fd, .events = POLLIN};
  int n = left > 0 ? poll(&fd, 1, (int)left) : 0;
  if (n < 0 && errno == EINTR) return 0; /* a terminal that changed its size */
  if (n <= 0) return -ETIMEDOUT;
  ssize_t got = recv(c->fd, c->text + c->used, c->room - c->used - 1, 0);
  if (got <= 0) return -EPIPE;
  c->used += (size_t)got;
  return 0;
}

static int read_line(struct client *c, int seconds) {
  int64_t until = now_ms() + (int64_t)seconds * 1000;
  size_t looked = 0;
  c->used = 0;
  for (;;) {
    if (c->used && memchr(c->text + looked, '\n', c->used - looked)) return 0;
    looked = c->used;
    int error = read_some(c, until);
    if (error) return error;
  }
}

static int send_all(struct client *c, const char *text, size_t length) {
  while (length) {
    ssize_t n = send(c->fd, text, length, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -EPIPE;
    text += n;
    length -= (size_t)n;
  }
  return 0;
}

static const char *explain(int error) {
  switch (error) {
  case -EPIPE: return "it has ended";
  case -ETIMEDOUT: return "it does not answer; is it stopped?";
  case -ENOMEM: return "no memory";
  default: return "its answer makes no sense; is it of another version?";
  }
}

static json_object *parse(struct client *c, const char **why) {
  static char text[256];
  struct json_tokener *tokener = json_tokener_new();
  json_object *o = tokener ? json_tokener_parse_ex(tokener, c->text, (int)c->used) : NULL;
  json_tokener_free(tokener);
  if (!json_object_is_type(o, json_type_object)) {
    json_object_put(o);
    *why = explain(-EBADMSG);
    return NULL;
  }
  if (!member(o, "error")) return o;
  c->refused = true;
  snprintf(text, sizeof text, "%s", member_text(o, "error"));
  *why = text;
  json_object_put(o);
  return NULL;
}

json_object *client_ask(struct client *c, int seconds, const char **why, const char *format, ...) {
  char request[64];
  va_list args;
  va_start(args, format);
  int length = vsnprintf(request, sizeof request - 1, format, args);
  va_end(args);
  request[length++] = '\n';
  c->refused = false;
  int error = send_all(c, request, (size_t)length);
  if (!error) error = read_line(c, seconds);
  if (!error) return parse(c, why);
  *why = explain(error);
  return NULL;
}

/* ---- Members --------------------------------------------------------------------------------------------------- */

json_object *member(json_object *o, const char *key) {
  json_object *found = NULL;
  return o && json_object_object_get_ex(o, key, &found) ? found : NULL;
}

int64_t member_number(json_object *o, const char *key) { return json_object_get_int64(member(o, key)); }

const char *member_text(json_object *o, const char *key) {
  json_object *found = member(o, key);
  return json_object_is_type(found, json_type_string) ? json_object_get_string(found) : "";
}

size_t list_length(json_object *list) {
  return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

json_object *list_item(json_object *list, size_t i) {
  return i < list_length(list) ? json_object_array_get_idx(list, i) : NULL;
}
