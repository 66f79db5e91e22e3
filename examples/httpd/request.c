/* Requests, parsed by llhttp: the callbacks keep what is of use and check the limits.
 *
 * What a request is must not depend on where its bytes were cut on their way, so nothing here looks at the pieces but
 * through the parser's callbacks, which count. llhttp refuses what could be read in two ways (Content-Length beside
 * Transfer-Encoding, a bare LF in a header, blanks before a colon); each message begins with a fresh parser. */
#include "httpd.h"

#include <string.h>
#include <strings.h>

static const char *const names[WANTS] = {"range", "if-range", "if-none-match", "if-modified-since", "expect"};

static int wrong(struct request *r, int status) {
  r->status = status;
  return HPE_USER;
}

/* ---- What llhttp calls -------------------------------------------------------------------------------- */

static int on_url(llhttp_t *parser, const char *at, size_t length) {
  struct request *r = parser->data;
  if (r->target_size + length > TARGET_MAX) return wrong(r, 414);
  memcpy(r->target + r->target_size, at, length);
  r->target_size += length;
  return 0;
}

/* Headers behind a chunked body count too, but say nothing. */
static int count_header(struct request *r, size_t length) {
  r->header_size += length;
  return r->header_size > HEADER_MAX ? wrong(r, 431) : 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t length) {
  struct request *r = parser->data;
  size_t room = sizeof r->name - r->name_size, kept = length < room ? length : room;
  memcpy(r->name + r->name_size, at, kept); /* a full one is too long to be among those wanted */
  r->name_size += kept;
  return count_header(r, length);
}

static bool is_named(const struct request *r, const char *name) {
  return r->name_size == strlen(name) && strncasecmp(r->name, name, r->name_size) == 0;
}

static int on_field_complete(llhttp_t *parser) {
  struct request *r = parser->data;
  bool header = r->state == REQUEST_HEADER;
  r->current = NULL;
  for (int i = 0; i < WANTS && header; i++) {
    if (is_named(r, names[i])) r->current = &r->values[i];
  }
  if (r->current && r->current->size > 0) r->current->unusable = true;
  r->hosts += header && is_named(r, "host");
  r->name_size = 0;
  return ++r->lines > HEADERS_MAX ? wrong(r, 431) : 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t length) {
  struct request *r = parser->data;
  struct value *v = r->current;
  if (v && v->size + length > VALUE_MAX) v->unusable = true;
  if (v && !v->unusable) {
    memcpy(v->text + v->size, at, length);
    v->size += length;
  }
  return count_header(r, length);
}

/* A body that the client holds back until it is told to go on is not asked for: the connection ends instead. */
static int begin_body(struct request *r, bool held_back) {
  const llhttp_t *p = &r->parser;
  bool has_body = p->flags & F_CHUNKED || p->content_length > 0;
  if (p->content_length > BODY_MAX) return wrong(r, 413);
  if (has_body && held_back) {
    r->keep_alive = false;
    r->state = REQUEST_WHOLE;
    return HPE_PAUSED;
  }
  r->state = REQUEST_BODY;
  return 0;
}

static int on_headers_complete(llhttp_t *parser) {
  struct request *r = parser->data;
  const char *expect = request_value(r, WANT_EXPECT);
  bool old = parser->http_minor == 0;
  if (parser->http_major != 1) return wrong(r, 505);
  if (r->hosts > 1 || (r->hosts == 0 && !old)) return wrong(r, 400);
  if (parser->method == HTTP_CONNECT) return wrong(r, 405);
  if (*expect && strcasecmp(expect, "100-continue") != 0) return wrong(r, 417);
  parser->upgrade = 0; /* it is an offer, which may be passed over */
  r->keep_alive = llhttp_should_keep_alive(parser);
  return begin_body(r, *expect != '\0');
}

static int on_body(llhttp_t *parser, const char *at, size_t length) {
  struct request *r = parser->data;
  (void)at;
  r->body_size += length;
  return r->body_size > BODY_MAX ? wrong(r, 413) : 0;
}

static int on_message_complete(llhttp_t *parser) {
  struct request *r = parser->data;
  r->state = REQUEST_WHOLE;
  return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_field_complete = on_field_complete,
    .on_header_value = on_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- The request -------------------------------------------------------------------------------------- */

void request_begin(struct request *r) {
  memset(r, 0, sizeof *r);
  llhttp_init(&r->parser, HTTP_REQUEST, &settings);
  r->parser.data = r;
}

/* What is wrong, where llhttp found it. A method that it does not know is one that is not implemented, if it looks like one. */
static int status_of(const struct request *r, llhttp_errno_t error) {
  if (error == HPE_INVALID_METHOD) return r->word ? 501 : 400;
  if (error == HPE_INVALID_VERSION || error == HPE_PAUSED_H2_UPGRADE) return 505;
  return 400;
}

static void note_first(struct request *r, const char *bytes, size_t size) {
  for (size_t i = 0; i < size && !r->begun; i++) {
    r->begun = bytes[i] != '\r' && bytes[i] != '\n';
    r->word = bytes[i] >= 'A' && bytes[i] <= 'Z';
  }
}

size_t request_feed(struct request *r, const char *bytes, size_t size) {
  size_t taken = size;
  note_first(r, bytes, size);
  llhttp_errno_t error = llhttp_execute(&r->parser, bytes, size);
  if (error != HPE_OK) taken = (size_t)(llhttp_get_error_pos(&r->parser) - bytes);
  r->size += taken;
  if (error == HPE_PAUSED && r->state == REQUEST_WHOLE) return taken;
  if (error == HPE_OK && r->size > REQUEST_MAX) r->status = 413;
  if (error != HPE_OK && !r->status) r->status = status_of(r, error);
  if (r->status) {
    r->state = REQUEST_WRONG;
    r->keep_alive = false;
  }
  return taken;
}

const char *request_method(const struct request *r) {
  bool known = r->state != REQUEST_HEADER && r->status != 501 && r->status != 400;
  return known ? llhttp_method_name((llhttp_method_t)r->parser.method) : "-";
}

const char *request_value(const struct request *r, int want) {
  const struct value *v = &r->values[want];
  return v->unusable ? "" : v->text + strspn(v->text, " \t");
}

/* ---- The path ----------------------------------------------------------------------------------------- */

/* Of "http://host/path?query" as of "/path?query" only the path matters. NULL: it is neither. */
static const char *path_of(const char *target) {
  if (*target == '/') return target;
  if (strncasecmp(target, "http://", 7) != 0) return NULL;
  const char *authority = target + 7;
  size_t length = strcspn(authority, "/?#");
  if (length == 0) return NULL;
  return authority[length] == '/' ? authority + length : "/";
}

static int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The next byte of the path, decoded; moves on. -1: none that may be. */
static int next_byte(const char **at) {
  int c = (unsigned char)*(*at)++;
  if (c == '%') {
    int high = hex((*at)[0]), low = high < 0 ? -1 : hex((*at)[1]);
    if (low < 0) return -1;
    c = high * 16 + low;
    *at += 2;
  }
  return c ? c : -1;
}

/* Drops the part that ends at `to` if it is empty or "."; the new end, or NULL if it climbs. */
static char *end_part(const char *path, char *to) {
  char *part = to;
  while (part > path && part[-1] != '/') part--;
  size_t length = (size_t)(to - part);
  if (length == 2 && part[0] == '.' && part[1] == '.') return NULL;
  return length == 0 || (length == 1 && part[0] == '.') ? part : to;
}

int target_decode(const char *target, char *path) {
  const char *at = path_of(target);
  char *to = path;
  if (!at) return 400;
  while (*at && *at != '?' && *at != '#') {
    int c = next_byte(&at);
    if (c < 0) return 400;
    if (c == '/' && !(to = end_part(path, to))) return 400;
    if (c != '/' || (to > path && to[-1] != '/')) *to++ = (char)c;
  }
  if (!(to = end_part(path, to))) return 400;
  if (to == path) *to++ = '.';
  *to = '\0';
  return 0;
}
