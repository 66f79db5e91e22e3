#include "exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ROOM = 32 * 1024 };

static int stop(struct exchange *x, int error) {
  if (!x->error) x->error = error;
  return error ? HPE_USER : 0;
}

/* ---- What llhttp calls -------------------------------------------------------------------------------- */

static int on_begin(llhttp_t *parser) {
  struct exchange *x = parser->data;
  x->length = x->first = x->total = -1;
  x->ranges = false;
  x->etag[0] = '\0';
  x->name_size = x->value_size = 0;
  return 0;
}

/* Longer ones than there is room for are none of those below. */
static void append(char *room, size_t *size, size_t most, const char *at, size_t length) {
  if (length > most - *size) length = most - *size;
  memcpy(room + *size, at, length);
  *size += length;
}

static int on_field(llhttp_t *parser, const char *at, size_t length) {
  struct exchange *x = parser->data;
  append(x->name, &x->name_size, sizeof x->name - 1, at, length);
  return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t length) {
  struct exchange *x = parser->data;
  append(x->value, &x->value_size, sizeof x->value - 1, at, length);
  return 0;
}

/* "bytes FIRST-LAST/TOTAL" or "bytes *" "/TOTAL" */
static void take_range(struct exchange *x) {
  intmax_t first, last, total;
  if (sscanf(x->value, "bytes %jd-%jd/%jd", &first, &last, &total) != 3 || first < 0 || last < first ||
      total <= last)
    return;
  x->first = first;
  x->total = total;
}

/* A weak tag is no use: If-Range wants to know whether the bytes are the same. */
static void take_header(struct exchange *x) {
  if (strcasecmp(x->name, "content-range") == 0) take_range(x);
  if (strcasecmp(x->name, "accept-ranges") == 0) x->ranges = strcasecmp(x->value, "bytes") == 0;
  if (strcasecmp(x->name, "etag") == 0 && x->value[0] == '"' && x->value_size < ETAG_MAX &&
      !strchr(x->value, ' '))
    strcpy(x->etag, x->value);
}

static int on_value_complete(llhttp_t *parser) {
  struct exchange *x = parser->data;
  x->name[x->name_size] = '\0';
  while (x->value_size > 0 && strchr(" \t", x->value[x->value_size - 1])) x->value_size--;
  x->value[x->value_size] = '\0';
  if (x->status == 0) take_header(x); /* not behind the body */
  x->name_size = x->value_size = 0;
  return 0;
}

static bool is_interim(const llhttp_t *parser) { return parser->status_code / 100 == 1; }

static int on_headers_complete(llhttp_t *parser) {
  struct exchange *x = parser->data;
  if (is_interim(parser)) return parser->status_code == 101 ? stop(x, -EPROTO) : 0;
  x->status = parser->status_code;
  x->keep_alive = llhttp_should_keep_alive(parser) != 0;
  if (parser->flags & F_CONTENT_LENGTH) x->length = (int64_t)parser->content_length;
  int error = x->begin ? x->begin(x) : 0;
  if (error) return stop(x, error);
  return x->head ? 1 : 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t length) {
  struct exchange *x = parser->data;
  return stop(x, x->take ? x->take(x, at, length) : 0);
}

static int on_message_complete(llhttp_t *parser) {
  struct exchange *x = parser->data;
  if (is_interim(parser)) return 0;
  x->over = true;
  return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_begin,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- The exchange ------------------------------------------------------------------------------------- */

static int send_request(int fd, const char *request, thrum_duration timeout) {
  size_t size = strlen(request);
  while (size > 0) {
    ssize_t n = thrum_send_for(fd, request, size, 0, timeout);
    if (n < 0) return (int)n;
    request += n;
    size -= (size_t)n;
  }
  return 0;
}

/* At the end of the input: an answer without a length is complete then, any other is not. */
static int at_end(struct exchange *x) {
  llhttp_finish(&x->parser);
  x->keep_alive = false;
  return x->error ? x->error : x->over ? 0 : -ECONNRESET;
}

static int receive(struct exchange *x, int fd, char *room, thrum_duration timeout) {
  while (!x->over) {
    ssize_t n = thrum_recv_for(fd, room, ROOM, 0, timeout);
    if (n < 0) return (int)n;
    if (n == 0) return at_end(x);
    llhttp_errno_t error = llhttp_execute(&x->parser, room, (size_t)n);
    if (x->error) return x->error;
    if (error != HPE_OK && !x->over) return -EPROTO;
    if (x->over && llhttp_get_error_pos(&x->parser) != room + n)
      x->keep_alive = false; /* more than was asked for */
  }
  return 0;
}

int exchange_run(struct exchange *x, int fd, const char *request, thrum_duration timeout) {
  x->status = x->error = 0;
  x->over = false;
  llhttp_init(&x->parser, HTTP_RESPONSE, &settings);
  x->parser.data = x;
  char *room = malloc(ROOM);
  int error = room ? send_request(fd, request, timeout) : -ENOMEM;
  if (!error) error = receive(x, fd, room, timeout);
  free(room);
  return error;
}
