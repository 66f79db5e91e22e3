/* What is answered: the status, which part of the file, and the header. After RFC 9110: If-None-Match goes before If-Modified-Since; a
 * range counts only for GET, and with If-Range only if the file is still that one; a range that makes no sense is
 * passed over, one beyond the file is 416; several at once are answered by the whole file. */
#include "httpd.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <thrum/base.h>

static const char *reason(int status) {
  switch (status) {
  case 200: return "OK";
  case 206: return "Partial Content";
  case 301: return "Moved Permanently";
  case 304: return "Not Modified";
  case 400: return "Bad Request";
  case 403: return "Forbidden";
  case 404: return "Not Found";
  case 405: return "Method Not Allowed";
  case 408: return "Request Timeout";
  case 413: return "Content Too Large";
  case 414: return "URI Too Long";
  case 416: return "Range Not Satisfiable";
  case 417: return "Expectation Failed";
  case 431: return "Request Header Fields Too Large";
  case 501: return "Not Implemented";
  case 503: return "Service Unavailable";
  case 505: return "HTTP Version Not Supported";
  default: return "Unknown";
  }
}

/* ---- Is it still the same file? ----------------------------------------------------------------------- */

/* Another size or time is another file. */
static void tag_of(const struct file *f, char tag[static 64]) {
  snprintf(tag, 64, "\"%" PRIx64 "-%" PRIx64 ".%lx\"", f->size, (int64_t)f->modified.tv_sec,
           (unsigned long)f->modified.tv_nsec);
}

static void date_of(time_t when, char date[static 64]) {
  struct tm tm;
  date[0] = '\0';
  if (gmtime_r(&when, &tm)) strftime(date, 64, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

/* False: it is no date. */
static bool parse_date(const char *text, time_t *when) {
  struct tm tm = {0};
  const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
  if (!end || end[strspn(end, " \t")]) return false;
  *when = timegm(&tm);
  return true;
}

/* Whether a list of tags has this one. The weak comparison: what stands before the quotes does not matter. */
static bool lists(const char *list, const char *tag) {
  size_t length = strlen(tag);
  if (*list == '*') return true;
  for (const char *at = list; (at = strchr(at, '"'));) {
    const char *end = strchr(at + 1, '"');
    if (!end) return false;
    if ((size_t)(end + 1 - at) == length && memcmp(at, tag, length) == 0) return true;
    at = end + 1;
  }
  return false;
}

static bool is_known(const struct request *r, const struct file *f) {
  const char *tags = request_value(r, WANT_IF_NONE_MATCH), *since = request_value(r, WANT_IF_MODIFIED_SINCE);
  char tag[64];
  time_t when;
  tag_of(f, tag);
  if (*tags) return lists(tags, tag);
  return *since && !r->values[WANT_IF_NONE_MATCH].unusable && parse_date(since, &when) &&
         f->modified.tv_sec <= when;
}

/* Whether If-Range leaves the range in force: there is none, or it is this tag (the strong comparison) or this date. */
static bool is_same(const struct request *r, const struct file *f) {
  const struct value *v = &r->values[WANT_IF_RANGE];
  const char *text = request_value(r, WANT_IF_RANGE);
  char tag[64];
  time_t when;
  if (v->size == 0) return true;
  tag_of(f, tag);
  size_t length = strlen(tag);
  if (*text == '"') return strncmp(text, tag, length) == 0 && !text[length + strspn(text + length, " \t")];
  return parse_date(text, &when) && when == f->modified.tv_sec;
}

/* ---- Ranges ------------------------------------------------------------------------------------------- */

enum range { RANGE_NONE, RANGE_PART, RANGE_BEYOND };

/* A number, at most INT64_MAX; moves on. -1: none stands there. */
static int64_t number(const char **at) {
  int64_t n = -1;
  for (; **at >= '0' && **at <= '9'; (*at)++) {
    int digit = **at - '0';
    if (n < 0) n = 0;
    n = n > (INT64_MAX - digit) / 10 ? INT64_MAX : n * 10 + digit;
  }
  return n;
}

/* "bytes=FIRST-LAST", "bytes=FIRST-" or "bytes=-COUNT". */
static enum range parse_range(const char *text, int64_t size, int64_t *from, int64_t *length) {
  if (strncmp(text, "bytes=", 6) != 0) return RANGE_NONE;
  text += 6;
  int64_t first = number(&text);
  if (*text++ != '-') return RANGE_NONE;
  int64_t last = number(&text);
  if (text[strspn(text, " \t")] || (first < 0 && last < 0) || (last >= 0 && first > last)) return RANGE_NONE;
  if (first < 0) { /* the last so many */
    if (last == 0 || size == 0) return RANGE_BEYOND;
    *length = last < size ? last : size;
    *from = size - *length;
    return RANGE_PART;
  }
  if (first >= size) return RANGE_BEYOND;
  *from = first;
  *length = last < 0 || last >= size ? size - first : last - first + 1;
  return RANGE_PART;
}

/* ---- The answer --------------------------------------------------------------------------------------- */

static const char *last_part(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

void answer_plain(struct answer *a, const struct request *r, int status, const char *path) {
  bool head = r->parser.method == HTTP_HEAD;
  if (status == 301 && strlen(last_part(path)) > NAME_MAX)
    status = 404; /* no folder has such a name, and no header room for it */
  *a = (struct answer){.status = status, .keep_alive = r->keep_alive, .head = head, .redirect = path};
}

void answer_file(struct answer *a, const struct request *r, const struct file *file) {
  answer_plain(a, r, 200, NULL);
  const char *range = a->head || !is_same(r, file) ? "" : request_value(r, WANT_RANGE);
  a->file = file;
  a->length = file->size;
  if (is_known(r, file)) {
    a->status = 304;
    a->length = 0;
    return;
  }
  switch (parse_range(range, file->size, &a->from, &a->length)) {
  case RANGE_NONE: break;
  case RANGE_PART: a->status = 206; break;
  case RANGE_BEYOND: a->status = 416; break;
  }
}

struct text {
  char *at;
  size_t used, room;
};

static THRUM_PRINTF(2, 3) void add(struct text *t, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int n = vsnprintf(t->at + t->used, t->room - t->used, format, arguments);
  va_end(arguments);
  if (n > 0 && t->used + (size_t)n < t->room) t->used += (size_t)n;
}

/* The last part of the path with a '/', from which the client makes the whole by what it asked for. The "./" keeps a colon in
 * it from being taken for a scheme's. */
static void add_location(struct text *t, const char *path) {
  add(t, "Location: ./");
  for (const char *at = last_part(path); *at; at++) {
    bool plain = strchr("-._~", *at) || (*at >= '0' && *at <= '9') || (*at >= 'A' && *at <= 'Z') ||
                 (*at >= 'a' && *at <= 'z');
    add(t, plain ? "%c" : "%%%02X", (unsigned char)*at);
  }
  add(t, "/\r\n");
}

static void add_file(struct text *t, const struct answer *a) {
  char tag[64], date[64];
  tag_of(a->file, tag);
  date_of(a->file->modified.tv_sec, date);
  add(t, "ETag: %s\r\nAccept-Ranges: bytes\r\n", tag);
  if (*date) add(t, "Last-Modified: %s\r\n", date);
  if (a->status == 206)
    add(t, "Content-Range: bytes %" PRId64 "-%" PRId64 "/%" PRId64 "\r\n", a->from, a->from + a->length - 1,
        a->file->size);
}

size_t answer_text(const struct answer *a, char text[static 64]) {
  return (size_t)snprintf(text, 64, "%d %s\n", a->status, reason(a->status));
}

/* With 416 there is a file, whose size the client is told, and a body without it. */
static void add_body(struct text *t, const struct answer *a) {
  char text[64];
  bool whole = a->file && a->status != 416;
  if (a->status == 416) add(t, "Content-Range: bytes */%" PRId64 "\r\n", a->file->size);
  if (a->status == 304) return;
  add(t, "Content-Type: %s\r\nContent-Length: %" PRId64 "\r\n", whole ? a->file->type : "text/plain",
      whole ? a->length : (int64_t)answer_text(a, text));
}

size_t answer_header(const struct answer *a, time_t now, char header[static ANSWER_MAX]) {
  struct text t = {header, 0, ANSWER_MAX};
  char date[64];
  date_of(now, date);
  add(&t, "HTTP/1.1 %d %s\r\nDate: %s\r\nServer: thrum-httpd\r\n", a->status, reason(a->status), date);
  if (a->status == 405) add(&t, "Allow: GET, HEAD\r\n");
  if (a->status == 503) add(&t, "Retry-After: 1\r\n");
  if (a->status == 301) add_location(&t, a->redirect);
  if (a->file && a->status != 416) add_file(&t, a);
  add_body(&t, a);
  add(&t, "Connection: %s\r\n\r\n", a->keep_alive ? "keep-alive" : "close");
  return t.used;
}
