/* Rows by the million: see rows.h. */
#include "rows.h"

#include <errno.h>
#include <stdlib.h>

enum { SIZE = 1 << 20, DIGITS = 20 };

int rows_open(struct rows *r, struct output *out) {
  *r = (struct rows){.out = out, .data = malloc(SIZE)};
  return r->data ? 0 : fail("%s: no memory", out->path);
}

static void drain(struct rows *r) {
  if (!r->status && fwrite(r->data, 1, r->at, r->out->stream) != r->at)
    r->status = fail("%s: not written: %s", r->out->path, strerror(errno));
  r->at = 0;
}

int rows_close(struct rows *r) {
  if (r->data) drain(r);
  free(r->data);
  r->data = NULL;
  return r->status;
}

char *rows_room(struct rows *r, size_t size) {
  if (SIZE - r->at < size) drain(r);
  return size <= SIZE && !r->status ? r->data + r->at : NULL;
}

void rows_bytes(struct rows *r, const char *bytes, size_t size) {
  while (size) {
    size_t n = size < SIZE / 2 ? size : SIZE / 2;
    char *to = rows_room(r, n);
    if (!to) return;
    memcpy(to, bytes, n);
    r->at += n;
    bytes += n;
    size -= n;
  }
}

/* The digits of n, at least `least` of them, end at `end`. Returns where they begin. */
static char *digits(char *end, uint64_t n, int least) {
  char *at = end;
  for (; n || least > 0; least--) {
    *--at = (char)('0' + n % 10);
    n /= 10;
  }
  return at;
}

void rows_number(struct rows *r, uint64_t n) {
  char text[DIGITS], *at = digits(text + DIGITS, n, 1);
  rows_bytes(r, at, (size_t)(text + DIGITS - at));
}

void rows_signed(struct rows *r, int64_t n) {
  if (n < 0) ROWS_TEXT(r, "-");
  rows_number(r, n < 0 ? -(uint64_t)n : (uint64_t)n);
}

void rows_us(struct rows *r, int64_t ns) {
  char text[DIGITS + 2], *end = text + sizeof text;
  uint64_t n = ns > 0 ? (uint64_t)ns : 0;
  char *at = digits(end, n % 1000, 3);
  *--at = '.';
  at = digits(at, n / 1000, 1);
  rows_bytes(r, at, (size_t)(end - at));
}
