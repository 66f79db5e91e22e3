/* What the tests of connections share: a pattern for messages, and pairs. */
#ifndef TESTS_CONNECTIONS_H
#define TESTS_CONNECTIONS_H

#include "../support.h"

#include <sys/socket.h>

static inline unsigned char pattern_at(size_t i, unsigned seed) {
  return (unsigned char)(i * 7 + i / 251 + seed * 31);
}

static inline void fill_pattern(unsigned char *at, size_t size, unsigned seed) {
  for (size_t i = 0; i < size; i++) at[i] = pattern_at(i, seed);
}

static inline void check_pattern(const unsigned char *at, size_t size, unsigned seed) {
  for (size_t i = 0; i < size; i++)
    if (at[i] != pattern_at(i, seed))
      check_failed(__FILE__, __LINE__, "byte %zu of %zu, seed %u", i, size, seed);
}

static inline unsigned char *must_allocate(size_t size) {
  unsigned char *at = (unsigned char *)malloc(size ? size : 1);
  CHECK(at);
  return at;
}

struct ends {
  thrum_conn *a, *b;
};

static inline struct ends must_pair(void) {
  thrum_conn *end[2];
  CHECK_EQ(thrum_conn_pair(end), 0);
  return (struct ends){end[0], end[1]};
}

/* A connection whose other end is a plain descriptor. */
static inline thrum_conn *must_open(int *plain) {
  int fd[2];
  thrum_conn *c;
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
  CHECK_EQ(thrum_conn_open(&c, fd[0], THRUM_CONN_BOTH), 0);
  *plain = fd[1];
  return c;
}

static inline void must_write(int fd, const void *bytes, size_t size) {
  CHECK_EQ(thrum_write_all(fd, bytes, size), (ssize_t)size);
}

static inline void close_both(struct ends e) {
  thrum_conn_close(e.a);
  thrum_conn_close(e.b);
}

#endif
