/* A big buffer before an output: rows by the million, each put together in place. A stream's functions would cost as much as all the
 * rest. What cannot be written is told once; from then on nothing is. */
#ifndef THRUM_TRACE_ROWS_H
#define THRUM_TRACE_ROWS_H

#include "../command.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rows {
  struct output *out;
  char *data;
  size_t at;
  int status;
};

/* 0, or STATUS_FAILED after a message. */
int rows_open(struct rows *r, struct output *out);

/* Writes what is there, and frees the buffer. 0, or STATUS_FAILED; the message has been given. */
int rows_close(struct rows *r);

/* Room for that many bytes at r->data + r->at. NULL: there is none, or what is there could not be written. */
char *rows_room(struct rows *r, size_t size);

void rows_bytes(struct rows *r, const char *bytes, size_t size);
void rows_number(struct rows *r, uint64_t n);
void rows_signed(struct rows *r, int64_t n);
void rows_us(struct rows *r, int64_t ns); /* in us, with three places; ns >= 0 */

/* A constant string. */
#define ROWS_TEXT(r, text) rows_bytes(r, text, sizeof(text) - 1)

#endif
