/* The parts of httpd. Those of request.c and answer.c know no sockets: tests/fuzz/httpd.c calls them on bytes. */
#ifndef EXAMPLES_HTTPD_H
#define EXAMPLES_HTTPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <llhttp.h>

enum {
  TARGET_MAX = 4000,         /* bytes of what a request asks for, as sent: else 414 */
  HEADER_MAX = 16 * 1024,    /* bytes of all names and values: else 431 */
  HEADERS_MAX = 100,         /* lines of them: else 431 */
  BODY_MAX = 64 * 1024,      /* bytes of a body, which is read and thrown away: else 413 */
  REQUEST_MAX = 1024 * 1024, /* bytes of one request, whatever they are: else 413 */
  VALUE_MAX = 200,           /* of the values below; what is longer, or comes twice, counts as not sent */
  ANSWER_MAX = 2048          /* bytes of an answer's header */
};

/* ---- request.c: from bytes to what is asked for ------------------------------------------------------- */

enum request_state {
  REQUEST_HEADER, /* not yet at the end of the header; the first one */
  REQUEST_BODY,   /* not yet at the end of the body */
  REQUEST_WHOLE,  /* can be answered */
  REQUEST_WRONG   /* can be answered with `status`, and then the connection is over */
};

enum { WANT_RANGE, WANT_IF_RANGE, WANT_IF_NONE_MATCH, WANT_IF_MODIFIED_SINCE, WANT_EXPECT, WANTS };

struct value {
  bool unusable;
  size_t size;
  char text[VALUE_MAX + 1];
};

struct request {
  llhttp_t parser;
  enum request_state state;
  int status;      /* 0 unless it is wrong */
  bool keep_alive; /* the client wants to, and it can be */
  int hosts, lines;
  size_t size, header_size, body_size;
  bool begun, word; /* its first byte has come, and is a capital */
  char target[TARGET_MAX + 1], name[24];
  size_t target_size, name_size;
  struct value values[WANTS], *current;
};

void request_begin(struct request *r);

/* Takes bytes, and says how many: all, unless the request ends before. Not to be called on one that is whole or wrong. */
size_t request_feed(struct request *r, const char *bytes, size_t size);

const char *request_method(const struct request *r);

/* The value without blanks around it, or "" */
const char *request_value(const struct request *r, int want);

/* The path within the root that a target stands for, decoded, without empty parts; "." is the root itself. A '/' at its end stays.
 * 0; 400: it is none, holds a NUL, or would climb. `path` has room for TARGET_MAX + 2 bytes. */
int target_decode(const char *target, char *path);

/* ---- files.c: from a path to a file ------------------------------------------------------------------- */

struct file {
  int fd; /* -1: none */
  int64_t size;
  struct timespec modified;
  const char *type; /* its Content-Type */
};

/* Opens what lies below the folder `root`, and index.html for a folder. 0, or the status that says why not; 301: a folder
 * whose path lacks the '/' at its end. With `walk` it does without openat2, as on kernels before 5.6. */
int file_open(int root, const char *path, bool walk, struct file *out);
const char *file_type(const char *path);

/* ---- answer.c: from a request and a file to an answer ------------------------------------------------- */

struct answer {
  int status;
  bool keep_alive;
  bool head;               /* no body is sent, whatever the header says */
  const struct file *file; /* NULL: the body is answer_text */
  int64_t from, length;    /* of the body within the file */
  const char *redirect;    /* the path of the folder, with 301 */
};

/* The answer with a status that has no file. `path` matters for 301 alone. */
void answer_plain(struct answer *a, const struct request *r, int status, const char *path);

/* The answer with a file: 200, 206, 304 or 416. */
void answer_file(struct answer *a, const struct request *r, const struct file *file);

/* Writes the header, with the empty line behind it. Its length, which is below ANSWER_MAX. */
size_t answer_header(const struct answer *a, time_t now, char header[static ANSWER_MAX]);

/* The body of an answer without a file, such as "404 Not Found\n". Its length. */
size_t answer_text(const struct answer *a, char text[static 64]);

#endif
