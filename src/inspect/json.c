#include <errno.h>
#include <inspect/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- Bytes -------------------------------------------------------------------------------------------------- */

static void flush(struct thrumi_json *j) {
  for (size_t done = 0; !j->error && done < j->used;) {
    ssize_t n = write(j->fd, j->text + done, j->used - done);
    if (n < 0 && errno != EINTR) j->error = -errno;
    if (n > 0) done += (size_t)n;
  }
  j->used = 0;
}

static void put(struct thrumi_json *j, const char *bytes, size_t length) {
  if (j->fd >= 0 && length > j->size - j->used) flush(j);
  if (length > j->size - j->used) {
    j->error = j->error ? j->error : -ENOSPC;
    return;
  }
  memcpy(j->text + j->used, bytes, length);
  j->used += length;
}

size_t thrumi_json_room(const struct thrumi_json *j) {
  if (j->fd >= 0) return SIZE_MAX;
  size_t most = j->size - THRUMI_JSON_SPARE;
  return j->used < most ? most - j->used : 0;
}

static void put_mark(struct thrumi_json *j, char c) {
  put(j, &c, 1);
  j->last = c;
}

/* ---- Text --------------------------------------------------------------------------------------------------- */

/* Bytes of the well-formed character that begins here; 0: none does (Unicode 15, table 3-7). */
static size_t character(const unsigned char *s, size_t rest) {
  static const struct {
    unsigned char low, high, second_low, second_high, length;
  } rows[] = {
      {0x00, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
      {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
      {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (s[0] < rows[i].low || s[0] > rows[i].high) continue;
    size_t length = rows[i].length;
    if (length > rest) return 0;
    if (length > 1 && (s[1] < rows[i].second_low || s[1] > rows[i].second_high)) return 0;
    for (size_t k = 2; k < length; k++)
      if (s[k] < 0x80 || s[k] > 0xbf) return 0;
    return length;
  }
  return 0;
}

/* How one character is written, into at most 8 bytes. Returns how many it read. */
static size_t encode(const unsigned char *s, size_t rest, char out[8], size_t *length) {
  size_t n = character(s, rest);
  if (n == 0)
    *length = (size_t)snprintf(out, 8, "\\ufffd");
  else if (*s == '"' || *s == '\\')
    *length = (size_t)snprintf(out, 8, "\\%c", *s);
  else if (*s == '\n')
    *length = (size_t)snprintf(out, 8, "\\n");
  else if (*s < 0x20 || *s == 0x7f)
    *length = (size_t)snprintf(out, 8, "\\u%04x", *s);
  else
    memcpy(out, s, *length = n);
  return n ? n : 1;
}

void thrumi_json_part(struct thrumi_json *j, const char *text, size_t length) {
  char bytes[8];
  for (size_t at = 0, n; at < length && !j->full;) {
    at += encode((const unsigned char *)text + at, length - at, bytes, &n);
    j->full = n > thrumi_json_room(j);
    if (!j->full) put(j, bytes, n);
  }
}

/* ---- Structure ------------------------------------------------------------------------------------------------ */

/* A comma unless it is the first, and the key. Keys are the library's own words. */
static void begin(struct thrumi_json *j, const char *key) {
  if (j->last && j->last != '{' && j->last != '[') put_mark(j, ',');
  if (!key) return;
  put(j, "\"", 1);
  put(j, key, strlen(key));
  put(j, "\":", 2);
}

void thrumi_json_open(struct thrumi_json *j, const char *key, char bracket) {
  begin(j, key);
  put_mark(j, bracket);
}

void thrumi_json_close(struct thrumi_json *j, char bracket) { put_mark(j, bracket); }

void thrumi_json_begin_string(struct thrumi_json *j, const char *key) {
  begin(j, key);
  put(j, "\"", 1);
}

void thrumi_json_end_string(struct thrumi_json *j) { put_mark(j, '"'); }

void thrumi_json_string(struct thrumi_json *j, const char *key, const char *value) {
  thrumi_json_begin_string(j, key);
  thrumi_json_part(j, value, strlen(value));
  thrumi_json_end_string(j);
}

static void put_word(struct thrumi_json *j, const char *key, const char *word) {
  begin(j, key);
  put(j, word, strlen(word));
  j->last = '0';
}

void thrumi_json_number(struct thrumi_json *j, const char *key, int64_t value) {
  char digits[24];
  snprintf(digits, sizeof digits, "%lld", (long long)value);
  put_word(j, key, digits);
}

void thrumi_json_count(struct thrumi_json *j, const char *key, uint64_t value) {
  char digits[24];
  snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
  put_word(j, key, digits);
}

void thrumi_json_bool(struct thrumi_json *j, const char *key, bool value) {
  put_word(j, key, value ? "true" : "false");
}

void thrumi_json_address(struct thrumi_json *j, const char *key, const void *value) {
  char text[24];
  snprintf(text, sizeof text, "%#lx", (unsigned long)(uintptr_t)value);
  thrumi_json_string(j, key, text);
}

int thrumi_json_end(struct thrumi_json *j) {
  put(j, "\n", 1);
  if (j->fd >= 0) flush(j);
  return j->error;
}
