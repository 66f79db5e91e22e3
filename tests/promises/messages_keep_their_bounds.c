/* A connection carries messages of any length, none of which is merged with another or cut: in a pair and in a pipe; what is too
 * long for a buffer is kept; the end is told, and one in the midst of a message is told as that. */
#include "connections.h"

#include <fcntl.h>
#include <sys/mman.h>

enum { LARGEST = TESTS_TSAN ? 1 << 20 : 16 << 20 };
static const size_t sizes[] = {0,     1,     3,     4,     5,     64,     4095,    4096,
                               16379, 16380, 16384, 16385, 65536, 300000, LARGEST, 0};
enum { SIZES = sizeof sizes / sizeof *sizes };

static intptr_t send_all_sizes(void *arg) {
  unsigned char *bytes = must_allocate(LARGEST);
  for (unsigned i = 0; i < SIZES; i++) {
    fill_pattern(bytes, sizes[i], i);
    CHECK_EQ(thrum_conn_send((thrum_conn *)arg, sizes[i] ? bytes : NULL, sizes[i]), 0);
  }
  free(bytes);
  return 0;
}

static void carry(thrum_conn *from, thrum_conn *to, bool new_memory) {
  thrum_thread sender = must_spawn(send_all_sizes, from);
  unsigned char *room = must_allocate(LARGEST);
  for (unsigned i = 0; i < SIZES; i++) {
    void *got = room;
    size_t size;
    if (new_memory) {
      CHECK_EQ(thrum_conn_recv_new(to, &got, &size, SIZE_MAX), 0);
    } else {
      ssize_t n = thrum_conn_recv(to, room, LARGEST);
      CHECK(n >= 0);
      size = (size_t)n;
    }
    CHECK_EQ(size, sizes[i]);
    check_pattern((unsigned char *)got, size, i);
    if (new_memory) free(got);
  }
  CHECK_EQ(must_join(sender), 0);
  thrum_conn_close(from);
  CHECK_EQ(thrum_conn_recv(to, room, 16), -EPIPE);
  CHECK_EQ(thrum_conn_recv(to, room, 16), -EPIPE);
  CHECK_EQ(thrum_conn_wait(to), 0); /* the end is there to be found */
  thrum_conn_close(to);
  free(room);
}

static void all_sizes_arrive(void) {
  for (int new_memory = 0; new_memory < 2; new_memory++) {
    thrum_conn *reader, *writer;
    struct ends e = must_pair(), f = must_pair();
    carry(e.a, e.b, new_memory);
    carry(f.b, f.a, new_memory);
    CHECK_EQ(thrum_conn_pipe(&reader, &writer), 0);
    carry(writer, reader, new_memory);
  }
}

static void too_long_is_kept(void) {
  struct ends e = must_pair();
  unsigned char bytes[100], room[100];
  fill_pattern(bytes, 100, 1);
  CHECK_EQ(thrum_conn_next_size(e.b), -EAGAIN);
  CHECK_EQ(thrum_conn_send(e.a, bytes, 100), 0);
  CHECK_EQ(thrum_conn_send(e.a, bytes, 3), 0);
  CHECK_EQ(thrum_conn_next_size(e.b), -EAGAIN);
  for (int again = 0; again < 3; again++) CHECK_EQ(thrum_conn_recv(e.b, room, (size_t)again * 33), -EMSGSIZE);
  CHECK_EQ(thrum_conn_next_size(e.b), 100);
  CHECK_EQ(thrum_conn_wait_for(e.b, 0), 0);
  CHECK_EQ(thrum_conn_recv(e.b, room, 100), 100);
  check_pattern(room, 100, 1);
  CHECK_EQ(thrum_conn_next_size(e.b), -EAGAIN);
  CHECK_EQ(thrum_conn_recv(e.b, room, 100), 3);
  CHECK_EQ(thrum_conn_wait_for(e.b, 0), -ETIMEDOUT);
  close_both(e);
}

/* Looking takes nothing, however often, and of a message without bytes neither. */
static void waiting_consumes_nothing(void) {
  struct ends e = must_pair();
  char room[4];
  CHECK_EQ(thrum_conn_wait_for(e.b, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(thrum_conn_send(e.a, NULL, 0), 0);
  CHECK_EQ(thrum_conn_send(e.a, "ab", 2), 0);
  for (int i = 0; i < 5; i++) CHECK_EQ(thrum_conn_wait_for(e.b, i - 1), 0);
  CHECK_EQ(thrum_conn_recv(e.b, room, 4), 0);
  for (int i = 0; i < 5; i++) CHECK_EQ(thrum_conn_wait(e.b), 0);
  CHECK_EQ(thrum_conn_recv(e.b, room, 4), 2);
  close_both(e);
}

/* What is beyond the limit is refused, and nothing can be received any more; sending goes on, and the other end is told. */
static void limits_refuse(void) {
  struct ends e = must_pair();
  void *data;
  size_t size;
  CHECK_EQ(thrum_conn_send(e.a, "0123456789", 10), 0);
  CHECK_EQ(thrum_conn_send(e.a, "01234567890", 11), 0);
  CHECK_EQ(thrum_conn_recv_new(e.b, &data, &size, 10), 0);
  CHECK_EQ(size, 10);
  free(data);
  CHECK_EQ(thrum_conn_recv_new(e.b, &data, &size, 10), -EMSGSIZE);
  CHECK_EQ(thrum_conn_recv_new(e.b, &data, &size, 100), -ECONNABORTED);
  CHECK_EQ(thrum_conn_recv(e.b, NULL, 0), -ECONNABORTED);
  CHECK_EQ(thrum_conn_send(e.b, "still", 5), 0);
  char room[8];
  CHECK_EQ(thrum_conn_recv(e.a, room, 8), 5);
  CHECK_EQ(thrum_conn_send(e.a, "x", 1), -EPIPE);
  close_both(e);
}

static void check_end(const void *bytes, size_t size, int expected) {
  int plain;
  char room[16];
  thrum_conn *c = must_open(&plain);
  must_write(plain, bytes, size);
  CHECK_EQ(thrum_close(plain), 0);
  CHECK_EQ(thrum_conn_recv(c, room, 16), expected);
  CHECK_EQ(thrum_conn_recv(c, room, 16), expected); /* for good */
  thrum_conn_close(c);
}

static void ends_are_told(void) {
  check_end("", 0, -EPIPE);
  check_end("\0", 1, -EBADMSG);
  check_end("\0\0\0", 3, -EBADMSG);
  check_end("\0\0\0\4", 4, -EBADMSG);
  check_end("\0\0\0\4abc", 7, -EBADMSG);
  check_end("\377\377\377\377\0\0\0\0\0\0\0", 11, -EBADMSG);
  check_end("\377\377\377\376", 4, -EPROTO); /* a negative length */
  check_end("\200\0\0\0", 4, -EPROTO);
  check_end("\377\377\377\377\200\0\0\0\0\0\0\0", 12, -EPROTO);
  struct ends e = must_pair();
  thrum_conn_close(e.b);
  CHECK_EQ(thrum_conn_send(e.a, "x", 1), -EPIPE);
  CHECK_EQ(thrum_conn_send(e.a, NULL, 0), -EPIPE);
  thrum_conn_close(e.a);
}

/* One end each, of one direction. */
static void directions(void) {
  thrum_conn *reader, *writer;
  char room[4];
  CHECK_EQ(thrum_conn_pipe(&reader, &writer), 0);
  CHECK_EQ(thrum_conn_send(reader, "x", 1), -EOPNOTSUPP);
  CHECK_EQ(thrum_conn_recv(writer, room, 4), -EOPNOTSUPP);
  CHECK_EQ(thrum_conn_wait_for(writer, 0), -EOPNOTSUPP);
  CHECK_EQ(thrum_conn_send(writer, "x", 1), 0);
  CHECK_EQ(thrum_conn_recv(reader, room, 4), 1);
  thrum_conn_close(reader);
  CHECK_EQ(thrum_conn_send(writer, "x", 1), -EPIPE);
  thrum_conn_close(writer);
}

/* The length of 8 bytes, for a message that does not need it; and who claims to send 2^62 bytes costs only what it sends. */
static void long_heads(void) {
  int plain;
  char room[16];
  void *data;
  size_t size;
  thrum_conn *c = must_open(&plain);
  must_write(plain, "\377\377\377\377\0\0\0\0\0\0\0\3abc", 15);
  CHECK_EQ(thrum_conn_recv(c, room, 16), 3);
  must_write(plain, "\377\377\377\377\100\0\0\0\0\0\0\0abc", 15);
  CHECK_EQ(thrum_conn_recv(c, room, 16), -EMSGSIZE);
  CHECK_EQ(thrum_conn_next_size(c), (ssize_t)1 << 62);
  CHECK_EQ(thrum_conn_recv_new_for(c, &data, &size, SIZE_MAX, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(thrum_close(plain), 0);
  CHECK_EQ(thrum_conn_recv_new(c, &data, &size, SIZE_MAX), -EBADMSG);
  thrum_conn_close(c);
}

static intptr_t send_huge(void *arg) {
  size_t size = ((size_t)2 << 30) + 5;
  char *bytes = (char *)mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(bytes != MAP_FAILED);
  CHECK_EQ(thrum_conn_send((thrum_conn *)arg, bytes, size), 0);
  CHECK_EQ(munmap(bytes, size), 0);
  return 0;
}

/* More than 2 GiB, without having them: the sender's are one page of zeroes, and the receiver's lie on top of each other. */
static void more_than_two_gibibytes(void) {
  enum { WINDOW = 16 << 20 };
  size_t size = ((size_t)2 << 30) + 5;
  struct ends e = must_pair();
  int file = memfd_create("window", 0);
  CHECK(file >= 0 && ftruncate(file, WINDOW) == 0);
  size_t whole = (size + WINDOW - 1) / WINDOW * WINDOW;
  char *room = (char *)mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(room != MAP_FAILED);
  for (size_t at = 0; at < whole; at += WINDOW)
    CHECK(mmap(room + at, WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) != MAP_FAILED);
  thrum_thread sender = must_spawn(send_huge, e.a);
  CHECK_EQ(thrum_conn_recv(e.b, room, 16), -EMSGSIZE);
  CHECK_EQ(thrum_conn_next_size(e.b), (ssize_t)size);
  CHECK_EQ(thrum_conn_recv(e.b, room, whole), (ssize_t)size);
  CHECK_EQ(must_join(sender), 0);
  CHECK_EQ(munmap(room, whole), 0);
  CHECK_EQ(close(file), 0);
  close_both(e);
}

int main(void) {
  all_sizes_arrive();
  too_long_is_kept();
  waiting_consumes_nothing();
  limits_refuse();
  ends_are_told();
  directions();
  long_heads();
  if (!TESTS_SANITIZED) more_than_two_gibibytes(); /* which check each byte of them */
  return 0;
}
