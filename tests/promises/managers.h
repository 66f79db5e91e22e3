/* What the tests of managers share. */
#ifndef TESTS_MANAGERS_H
#define TESTS_MANAGERS_H

#include "../support.h"

static inline thrum_manager_server *must_serve(const thrum_manager_options *options) {
  thrum_manager_server *server = NULL;
  CHECK_EQ(thrum_manager_serve(&server, options), 0);
  return server;
}

static inline thrum_manager *must_connect(const char *address, const thrum_conn_options *options) {
  thrum_manager *m = NULL;
  CHECK_EQ(thrum_manager_connect(&m, address, options), 0);
  return m;
}

static inline thrum_manager *must_connect_to(const thrum_manager_server *server) {
  return must_connect(thrum_manager_server_address(server), NULL);
}

static inline thrum_manager_queue must_open_queue(thrum_manager *m, const char *name, size_t capacity) {
  thrum_manager_queue q;
  CHECK_EQ(thrum_manager_queue_open(&q, m, name, capacity), 0);
  return q;
}

static inline thrum_manager_lock must_open_lock(thrum_manager *m, const char *name) {
  thrum_manager_lock lock;
  CHECK_EQ(thrum_manager_lock_open(&lock, m, name), 0);
  return lock;
}

static inline thrum_manager_map must_open_map(thrum_manager *m, const char *name) {
  thrum_manager_map map;
  CHECK_EQ(thrum_manager_map_open(&map, m, name), 0);
  return map;
}

static inline void must_put(thrum_manager_queue *q, uint64_t number) {
  CHECK_EQ(thrum_manager_queue_put(q, &number, sizeof number), 0);
}

/* The number that was put. */
static inline uint64_t must_get(thrum_manager_queue *q) {
  uint64_t number = 0;
  CHECK_EQ(thrum_manager_queue_get(q, &number, sizeof number), sizeof number);
  return number;
}

#endif
