/* No memory for a message, or for the part of one that is to be kept: what can be kept is, and what is lost is said. */
#include "connections.h"

/* Memory of this size is not to be had. */
static size_t refused;

void *__real_malloc(size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size) { return size == LOAD(refused) ? NULL : __real_malloc(size); }
void *__wrap_realloc(void *block, size_t size) {
  return size == LOAD(refused) ? NULL : __real_realloc(block, size);
}

enum { SIZE = 200003 };
static unsigned char message[SIZE];

static intptr_t send_it(void *arg) { return thrum_conn_send((thrum_conn *)arg, message, SIZE); }

/* Refused at the first or the second piece, or the last; each time the message is kept as far as it has come. */
static void new_memory(size_t size) {
  struct ends e = must_pair();
  thrum_thread sender = must_spawn(send_it, e.a);
  void *data = NULL;
  size_t got = 0;
  STORE(refused, size);
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_conn_recv_new(e.b, &data, &got, SIZE_MAX), -ENOMEM);
  CHECK(!data && !got);
  CHECK_EQ(thrum_conn_next_size(e.b), SIZE);
  STORE(refused, 0);
  CHECK_EQ(thrum_conn_recv_new(e.b, &data, &got, SIZE_MAX), 0);
  CHECK_EQ(got, SIZE);
  check_pattern((unsigned char *)data, SIZE, 5);
  free(data);
  CHECK_EQ(must_join(sender), 0);
  close_both(e);
}

/* What has come is in the caller's buffer, and cannot be kept. */
static void kept_parts(void) {
  int plain;
  unsigned char room[100];
  thrum_conn *c = must_open(&plain);
  must_write(plain,
             "\0\0\0\100"
             "0123456789",
             14);
  STORE(refused, 10);
  CHECK_EQ(thrum_conn_recv_for(c, room, 100, 0), -ENOMEM);
  STORE(refused, 0);
  CHECK_EQ(thrum_conn_recv(c, room, 100), -ECONNABORTED);
  CHECK_EQ(thrum_conn_send(c, "x", 1), 0);
  CHECK_EQ(thrum_read_full(plain, room, 5), 5);
  thrum_conn_close(c);
  CHECK_EQ(thrum_close(plain), 0);
}

int main(void) {
  fill_pattern(message, SIZE, 5);
  new_memory(65536);
  new_memory(131072);
  new_memory(SIZE);
  kept_parts();
  return 0;
}
