/* httpd's requests and answers: whatever bytes come, and wherever they are cut, the requests are the same ones; a path never leaves the
 * root; an answer is well-formed, promises no byte that the file does not have, and lets nothing of the request into its header.
 *
 * The input's first bytes say how to cut, which file there is, and whether the rest are bytes as they stand, the numbers of phrases in whatever
 * order, or decisions that make requests which are nearly right. */
#include "fuzz.h"

#include "../../examples/httpd/httpd.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 16 * 1024, TOLD_MAX = 256 * 1024 };

static const char *const phrases[] = {"GET ",
                                      "HEAD ",
                                      "POST ",
                                      "CONNECT ",
                                      "BREW ",
                                      "PRI * HTTP/2.0\r\n\r\n",
                                      "/",
                                      "/",
                                      "..",
                                      ".",
                                      "%2e",
                                      "%2F",
                                      "%00",
                                      "%",
                                      "a",
                                      "index.html",
                                      "?",
                                      "#",
                                      "http://",
                                      "//",
                                      " HTTP/1.1\r\nHost: h\r\n",
                                      " HTTP/1.0\r\n",
                                      " HTTP/1.1\r\n",
                                      " HTTP/2.0\r\n",
                                      "Host: h\r\n",
                                      "\r\n",
                                      "\r\n",
                                      "\n",
                                      "\r",
                                      "Connection: close\r\n",
                                      "Connection: keep-alive, Upgrade\r\nUpgrade: x\r\n",
                                      "Content-Length: 5\r\n",
                                      "Content-Length: 70000\r\n",
                                      "Transfer-Encoding: chunked\r\n",
                                      "Transfer-Encoding: gzip\r\n",
                                      "5\r\nabcde\r\n",
                                      "0\r\n\r\n",
                                      "0\r\nRange: x\r\n\r\n",
                                      "abcde",
                                      "Range: bytes=",
                                      "Range: ",
                                      "bytes=",
                                      "0",
                                      "7",
                                      "99999999999999999999",
                                      "-",
                                      ",",
                                      "If-Range: ",
                                      "If-None-Match: ",
                                      "If-Modified-Since: ",
                                      "\"",
                                      "W/",
                                      "\"0-0.0\"",
                                      "\"5-0.0\"",
                                      "*",
                                      "Thu, 01 Jan 1970 00:00:00 GMT",
                                      "Expect: 100-continue\r\n",
                                      "Expect: x\r\n",
                                      "X: y\r\n",
                                      " ",
                                      "\t",
                                      "\x80",
                                      ":",
                                      "GET /a HTTP/1.1\r\nHost: h\r\n"};

enum { PHRASES = sizeof phrases / sizeof *phrases };

struct told {
  size_t used;
  char text[TOLD_MAX];
};

static void tell(struct told *told, const void *bytes, size_t size) {
  if (!told) return;
  if (size > sizeof told->text - told->used) size = sizeof told->text - told->used;
  memcpy(told->text + told->used, bytes, size);
  told->used += size;
}

static bool is_part(const char *at, size_t length, const char *what) {
  return length == strlen(what) && memcmp(at, what, length) == 0;
}

static void check_path(const char *path) {
  if (strcmp(path, ".") == 0) return;
  CHECK(*path && *path != '/');
  for (const char *at = path; *at;) {
    size_t length = strcspn(at, "/");
    CHECK(length > 0 && !is_part(at, length, ".") && !is_part(at, length, ".."));
    at += length;
    at += *at == '/';
  }
}

static void check_header(const char *header, size_t length) {
  CHECK(length < ANSWER_MAX && strlen(header) == length && strncmp(header, "HTTP/1.1 ", 9) == 0);
  for (size_t i = 0; i < length; i++) {
    if (header[i] == '\r') CHECK(header[i + 1] == '\n');
    if (header[i] == '\n') CHECK(header[i - 1] == '\r');
    CHECK((header[i] >= ' ' && header[i] < 0x7f) || header[i] == '\r' || header[i] == '\n');
  }
  const char *end = strstr(header, "\r\n\r\n");
  CHECK(end == header + length - 4 && !strstr(header, "Unknown"));
}

static void check_answer(const struct answer *a, const struct request *r, const struct file *file) {
  CHECK(!a->keep_alive || r->state == REQUEST_WHOLE);
  CHECK(a->status >= 200 && a->status <= 505);
  if (!a->file || a->status == 416) return;
  CHECK(a->from >= 0 && a->length >= 0 && a->from <= file->size && a->length <= file->size - a->from);
  CHECK(a->status == 206 ? a->length > 0 : a->from == 0);
  CHECK(a->status != 200 || a->length == file->size);
}

static void answer_it(const struct request *r, const struct file *file, struct told *told) {
  char path[TARGET_MAX + 2] = "", header[ANSWER_MAX], text[64];
  struct answer a;
  int status = r->state == REQUEST_WRONG ? r->status : target_decode(r->target, path);
  if (!status) check_path(path);
  if (!status && file->fd < 0) status = file->fd == -1 ? 404 : 301;
  if (status)
    answer_plain(&a, r, status, path);
  else
    answer_file(&a, r, file);
  check_answer(&a, r, file);
  size_t length = answer_header(&a, 1000000000, header);
  check_header(header, length);
  CHECK(answer_text(&a, text) < sizeof text);
  tell(told, path, strlen(path));
  tell(told, header, length);
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* All requests that the bytes hold, and what is answered. Of a wrong one what came of its target is not told: the parser hands a
 * piece over when its bytes end, and not if it meets an error before. For the same reason one that is too long and wrong as well may be called
 * either, depending on the cuts. The bytes come in pieces of at most `most` bytes by `seed`; 0: in one. */
static void converse(const char *bytes, size_t size, unsigned seed, const struct file *file,
                     struct told *told) {
  static struct request r;
  bool over = false;
  told->used = 0;
  request_begin(&r);
  for (size_t at = 0; at < size && !over;) {
    size_t piece = size - at;
    if (seed) piece = smaller(piece, 1 + (seed = seed * 1103515245 + 12345) / 65536 % 24);
    /* A copy of its own, so that AddressSanitizer sees a look beyond its end. */
    char *copy = malloc(piece);
    CHECK(copy);
    memcpy(copy, bytes + at, piece);
    size_t taken = request_feed(&r, copy, piece);
    free(copy);
    CHECK(taken <= piece && (taken == piece || r.state >= REQUEST_WHOLE));
    CHECK((r.state == REQUEST_WRONG) == (r.status != 0));
    at += taken;
    if (r.state < REQUEST_WHOLE) continue;
    if (r.state == REQUEST_WHOLE) tell(told, r.target, r.target_size);
    answer_it(&r, file, size > TARGET_MAX && r.status ? NULL : told);
    over = !r.keep_alive;
    if (!over) request_begin(&r);
  }
  tell(told, &r.state, sizeof r.state);
}

/* ---- From decisions to bytes -------------------------------------------------------------------------- */

struct writing {
  size_t size;
  char text[TEXT_MAX];
};

static void put(struct writing *w, const char *phrase) {
  size_t length = smaller(strlen(phrase), sizeof w->text - w->size);
  memcpy(w->text + w->size, phrase, length);
  w->size += length;
}

static bool is_full(const struct writing *w) { return w->size > TEXT_MAX - 64; }

static void put_bytes(struct writing *w, struct decisions *d) {
  while (any_left(d) && !is_full(w)) w->text[w->size++] = (char)decide(d);
}

static void put_phrases(struct writing *w, struct decisions *d, int most) {
  while (any_left(d) && !is_full(w) && most-- > 0) put(w, phrases[decide(d) % PHRASES]);
}

/* A request whose parts are right ones, but for one in sixteen. */
static void put_request(struct writing *w, struct decisions *d) {
  static const char *const methods[] = {"GET ", "GET ", "GET ", "HEAD ", "POST "};
  static const char *const parts[] = {"/", "a", "..", ".", "%2e", "%2F", "%41", "?", "index.html"};
  static const char *const headers[] = {
      "Range: bytes=", "Range: bytes=-", "If-Range: ",  "If-None-Match: ", "If-Modified-Since: ",
      "X: ",           "Expect: ",       "Connection: "};
  static const char *const values[] = {"0",
                                       "5",
                                       "7-",
                                       "-",
                                       "99999",
                                       "\"0-0.0\"",
                                       "\"5-0.0\"",
                                       "*",
                                       "close",
                                       "100-continue",
                                       "Thu, 01 Jan 1970 00:00:00 GMT",
                                       ","};
#define ANY(list) list[decide(d) % (sizeof list / sizeof *list)]
#define USUALLY(phrase) (decide(d) % 16 ? (phrase) : phrases[decide(d) % PHRASES])
  put(w, USUALLY(ANY(methods)));
  put(w, "/");
  for (int n = decide(d) % 8; n > 0; n--) put(w, ANY(parts));
  put(w, USUALLY(" HTTP/1.1\r\nHost: h\r\n"));
  for (int n = decide(d) % 5; n > 0; n--) {
    put(w, USUALLY(ANY(headers)));
    for (int m = decide(d) % 4; m > 0; m--) put(w, ANY(values));
    put(w, USUALLY("\r\n"));
  }
  bool body = decide(d) % 4 == 0;
  put(w, body ? "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n" : USUALLY("\r\n"));
}

static void compose(struct writing *w, struct decisions *d) {
  w->size = 0;
  switch (decide(d) % 4) {
  case 0: put_bytes(w, d); break;
  case 1: put_phrases(w, d, INT_MAX); break;
  default:
    while (any_left(d) && !is_full(w)) put_request(w, d);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct told whole, cut;
  static struct writing w;
  struct decisions d = {data, data + size};
  unsigned seed = decide(&d) + 1u;
  struct file file = {.type = "text/plain", .fd = decide(&d) % 8 - 2};
  static const int64_t sizes[] = {0, 1, 5, 100, 70000, INT64_MAX};
  file.size = sizes[decide(&d) % 6];
  file.modified.tv_sec = (time_t)(decide(&d) % 4 == 0 ? (int64_t)decide_u64(&d) : 0);
  compose(&w, &d);
  converse(w.text, w.size, 0, &file, &whole);
  converse(w.text, w.size, seed, &file, &cut);
  CHECK(whole.used == cut.used && memcmp(whole.text, cut.text, whole.used) == 0);
  return 0;
}
