/* What clients and managers say to each other: messages of a connection (wire.h), in which numbers have the lowest byte first.
 *
 *   manager -> client   a reply: number 4, status 4 (0, or a negative errno of Linux's), value 8, then bytes
 *   client -> manager   a request: number 4, operation 2, flags 2, object 8, timeout 8, argument 8, size 4, 0 4, then `size` bytes of a name or key,
 *                       and the value
 *
 * The manager begins, once the key is proved: a reply with the number 0, the value THRUMI_GREETING, and what it takes: message_max 8,
 * requests 4. The client answers with a HELLO whose argument is the version that it speaks. Then come requests, in any number, with
 * numbers of the client's choice that are not under way; each but ACK and CANCEL has one reply, in any order. A manager disconnects who
 * says anything else.
 *
 * These functions do nothing but compute: tests/fuzz/manager.c feeds them by themselves as well. */
#ifndef THRUMI_MANAGER_WIRE_H
#define THRUMI_MANAGER_WIRE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THRUMI_GREETING UINT64_C(0x000172676d726874) /* the version above "thrmgr" */

enum {
  THRUMI_REQUEST_HEAD = 40,
  THRUMI_REPLY_HEAD = 16,
  THRUMI_GREETING_SIZE = 12,
  THRUMI_REQUESTS_MAX = 65536, /* of one client under way */
};

enum thrumi_operation {
  THRUMI_OP_HELLO = 1, /* argument: the version */
  THRUMI_OP_OPEN,      /* flags: kind; name; argument: capacity, units. Value: its id */
  THRUMI_OP_REMOVE,    /* name */
  THRUMI_OP_CANCEL,    /* number: of the request that is to end. No reply of its own */
  THRUMI_OP_ACK,       /* number: of the get whose message has come. No reply */
  THRUMI_OP_CALL,      /* name, value; timeout */
  THRUMI_OP_QUEUE = 16,
  THRUMI_OP_PUT = 16, /* value; timeout */
  THRUMI_OP_GET,      /* argument: bytes that there is room for; timeout. To be acknowledged */
  THRUMI_OP_QUEUE_SIZE,
  THRUMI_OP_UNFINISHED,
  THRUMI_OP_TASK_DONE,
  THRUMI_OP_JOIN,     /* timeout */
  THRUMI_OP_SHUTDOWN, /* argument: now */
  THRUMI_OP_LOCK = 32,
  THRUMI_OP_ACQUIRE = 32, /* argument: the thread; timeout */
  THRUMI_OP_RELEASE,      /* argument: the thread */
  THRUMI_OP_SEM = 48,
  THRUMI_OP_DOWN = 48, /* timeout */
  THRUMI_OP_UP,        /* argument: units */
  THRUMI_OP_UNITS,
  THRUMI_OP_EVENT = 64,
  THRUMI_OP_RAISE = 64,
  THRUMI_OP_CLEAR,
  THRUMI_OP_IS_SET,
  THRUMI_OP_WAIT, /* timeout */
  THRUMI_OP_MAP = 80,
  THRUMI_OP_SET = 80, /* key, value; THRUMI_IF_VERSION: argument */
  THRUMI_OP_LOOK,     /* key */
  THRUMI_OP_DELETE,   /* key; THRUMI_IF_VERSION: argument */
  THRUMI_OP_CHANGE,   /* key; argument: the version that is known; timeout */
  THRUMI_OP_MAP_SIZE,
  THRUMI_OP_KEYS /* of each its size 4, and the key */
};

enum thrumi_object_kind {
  THRUMI_KIND_NONE,
  THRUMI_KIND_QUEUE,
  THRUMI_KIND_LOCK,
  THRUMI_KIND_RLOCK,
  THRUMI_KIND_SEM,
  THRUMI_KIND_EVENT,
  THRUMI_KIND_MAP,
  THRUMI_KINDS
};

enum { THRUMI_IF_VERSION = 1 };

struct thrumi_request_words {
  uint32_t number;
  uint16_t operation, flags;
  uint64_t object;
  int64_t timeout;
  uint64_t argument;
  const unsigned char *name; /* or the key */
  size_t name_size;
  const unsigned char *value;
  size_t value_size;
};

struct thrumi_reply_words {
  uint32_t number;
  int32_t status;
  uint64_t value;
};

static inline void thrumi_little_put(unsigned char *at, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++, value >>= 8) at[i] = (unsigned char)value;
}

static inline uint64_t thrumi_little_get(const unsigned char *at, int bytes) {
  uint64_t value = 0;
  for (int i = bytes; i-- > 0;) value = value << 8 | at[i];
  return value;
}

static inline void thrumi_request_write(unsigned char head[THRUMI_REQUEST_HEAD],
                                        const struct thrumi_request_words *w) {
  thrumi_little_put(head, w->number, 4);
  thrumi_little_put(head + 4, w->operation, 2);
  thrumi_little_put(head + 6, w->flags, 2);
  thrumi_little_put(head + 8, w->object, 8);
  thrumi_little_put(head + 16, (uint64_t)w->timeout, 8);
  thrumi_little_put(head + 24, w->argument, 8);
  thrumi_little_put(head + 32, w->name_size, 4);
  thrumi_little_put(head + 36, 0, 4);
}

/* 0; -EPROTO: no request. What it points to lies in the message. */
static inline int thrumi_request_read(struct thrumi_request_words *w, const void *message, size_t size) {
  const unsigned char *at = (const unsigned char *)message;
  if (size < THRUMI_REQUEST_HEAD) return -EPROTO;
  w->number = (uint32_t)thrumi_little_get(at, 4);
  w->operation = (uint16_t)thrumi_little_get(at + 4, 2);
  w->flags = (uint16_t)thrumi_little_get(at + 6, 2);
  w->object = thrumi_little_get(at + 8, 8);
  w->timeout = (int64_t)thrumi_little_get(at + 16, 8);
  w->argument = thrumi_little_get(at + 24, 8);
  w->name_size = (size_t)thrumi_little_get(at + 32, 4);
  if (thrumi_little_get(at + 36, 4) || w->name_size > size - THRUMI_REQUEST_HEAD) return -EPROTO;
  w->name = at + THRUMI_REQUEST_HEAD;
  w->value = w->name + w->name_size;
  w->value_size = size - THRUMI_REQUEST_HEAD - w->name_size;
  return 0;
}

static inline void thrumi_reply_write(unsigned char head[THRUMI_REPLY_HEAD],
                                      const struct thrumi_reply_words *w) {
  thrumi_little_put(head, w->number, 4);
  thrumi_little_put(head + 4, (uint32_t)w->status, 4);
  thrumi_little_put(head + 8, w->value, 8);
}

/* 0; -EPROTO: no reply. */
static inline int thrumi_reply_read(struct thrumi_reply_words *w, const void *message, size_t size) {
  const unsigned char *at = (const unsigned char *)message;
  if (size < THRUMI_REPLY_HEAD) return -EPROTO;
  w->number = (uint32_t)thrumi_little_get(at, 4);
  w->status = (int32_t)(uint32_t)thrumi_little_get(at + 4, 4);
  w->value = thrumi_little_get(at + 8, 8);
  return w->status < -4095 ? -EPROTO : 0;
}

#endif
