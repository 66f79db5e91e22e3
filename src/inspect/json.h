/* JSON, written as it goes: into a block of memory, or in pieces to a descriptor.
 *
 * Commas are the writer's business. In memory the last SPARE bytes are kept for what closes: text that does not fit before them
 * is cut, and `full` says so, so that what has been written can always be ended as JSON. Who writes lists looks at
 * thrumi_json_room before each element. If even the spare bytes do not suffice, `error` is -ENOSPC and the text is good for nothing. */
#ifndef THRUMI_JSON_H
#define THRUMI_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { THRUMI_JSON_SPARE = 2048 };

struct thrumi_json {
  char *text;
  size_t used, size;
  int fd; /* -1: it stays in memory */
  int error;
  char last; /* the last byte written that is no part of a string */
  bool full;
};

/* `size` is more than twice the spare bytes, if it is to stay in memory. */
static inline struct thrumi_json thrumi_json_in(char *text, size_t size, int fd) {
  return (struct thrumi_json){.text = text, .size = size, .fd = fd};
}

/* How much text it still takes. */
size_t thrumi_json_room(const struct thrumi_json *j);

/* '{' or '[', and what closes it. A key is NULL in a list. */
void thrumi_json_open(struct thrumi_json *j, const char *key, char bracket);
void thrumi_json_close(struct thrumi_json *j, char bracket);

void thrumi_json_string(struct thrumi_json *j, const char *key, const char *value);
void thrumi_json_number(struct thrumi_json *j, const char *key, int64_t value);
void thrumi_json_count(struct thrumi_json *j, const char *key, uint64_t value);
void thrumi_json_bool(struct thrumi_json *j, const char *key, bool value);
void thrumi_json_address(struct thrumi_json *j, const char *key, const void *value); /* "0x7f00", a string */

/* A string in parts. What is no UTF-8 becomes U+FFFD, each byte for itself, also a character that is cut by the end of a part. */
void thrumi_json_begin_string(struct thrumi_json *j, const char *key);
void thrumi_json_part(struct thrumi_json *j, const char *text, size_t length);
void thrumi_json_end_string(struct thrumi_json *j);

/* The end of a line; then, with a descriptor, all is written. 0 or an error. */
int thrumi_json_end(struct thrumi_json *j);

#endif
