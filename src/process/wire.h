/* How messages lie in a stream of bytes: before each its length, of 4 bytes, signed, the highest first; of what is longer than those
 * can say, -1 and 8 bytes more, unsigned. That is the format of Python's multiprocessing.connection, as its documentation of the handshake
 * and its behaviour on the wire tell it.
 *
 * These functions do nothing but compute: tests/fuzz/conn.c feeds them by themselves as well. */
#ifndef THRUMI_WIRE_H
#define THRUMI_WIRE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

enum { THRUMI_HEAD_SHORT = 4, THRUMI_HEAD_LONG = 12 };
#define THRUMI_SHORT_MAX UINT64_C(0x7fffffff)

static inline void thrumi_wire_put(unsigned char *at, uint64_t value, int bytes) {
  for (int i = bytes; i-- > 0; value >>= 8) at[i] = (unsigned char)value;
}

static inline uint64_t thrumi_wire_get(const unsigned char *at, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; i++) value = value << 8 | at[i];
  return value;
}

/* Writes the head of a message of `size` bytes; how long it is. */
static inline size_t thrumi_wire_head(unsigned char head[THRUMI_HEAD_LONG], uint64_t size) {
  if (size <= THRUMI_SHORT_MAX) {
    thrumi_wire_put(head, size, 4);
    return THRUMI_HEAD_SHORT;
  }
  thrumi_wire_put(head, UINT32_MAX, 4);
  thrumi_wire_put(head + 4, size, 8);
  return THRUMI_HEAD_LONG;
}

/* How many bytes the head has, as far as `have` of them tell. */
static inline size_t thrumi_wire_wants(const unsigned char *head, size_t have) {
  return have >= 4 && thrumi_wire_get(head, 4) == UINT32_MAX ? THRUMI_HEAD_LONG : THRUMI_HEAD_SHORT;
}

/* What a whole head says. -EPROTO: no length that a message can have. */
static inline int thrumi_wire_size(const unsigned char *head, uint64_t *size) {
  uint64_t first = thrumi_wire_get(head, 4);
  *size = first == UINT32_MAX ? thrumi_wire_get(head + 4, 8) : first;
  return *size > (first == UINT32_MAX ? (uint64_t)INT64_MAX : THRUMI_SHORT_MAX) ? -EPROTO : 0;
}

#endif
