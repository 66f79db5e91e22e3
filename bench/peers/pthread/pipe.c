/* pipe: bytes there and back between two processes over a plain pair of sockets, each with its length before it, as a
 * connection's message has. */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

void pipe_run(long size);

enum { LARGEST = 65536, BATCH = 100 };

static void send_message(int fd, char *bytes, uint32_t size) {
  struct iovec pieces[] = {{&size, sizeof size}, {bytes, size}};
  if (writev(fd, pieces, 2) != (ssize_t)(sizeof size + size)) bench_fail("a short write");
}

/* 0: the end. */
static int receive_message(int fd, char *bytes, uint32_t *size) {
  ssize_t n = recv(fd, size, sizeof *size, MSG_WAITALL);
  if (n == 0) return 0;
  if (n != sizeof *size || *size > LARGEST) bench_fail("no length came");
  if (recv(fd, bytes, *size, MSG_WAITALL) != (ssize_t)*size) bench_fail("no message came");
  return 1;
}

static void echo(int fd) {
  static char bytes[LARGEST];
  uint32_t size;
  while (receive_message(fd, bytes, &size)) send_message(fd, bytes, size);
  _exit(0);
}

static void there_and_back(int fd, char *bytes, uint32_t size) {
  uint32_t back = 0;
  send_message(fd, bytes, size);
  if (!receive_message(fd, bytes, &back) || back != size) bench_fail("%u bytes came back", back);
}

void pipe_run(long size) {
  static char bytes[LARGEST];
  int fd[2];
  if (size > LARGEST) bench_fail("no more than %d bytes", LARGEST);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd)) bench_check(errno, "socketpair");
  pid_t child = fork();
  if (child < 0) bench_check(errno, "fork");
  if (child == 0) {
    close(fd[0]);
    echo(fd[1]);
  }
  close(fd[1]);
  for (int i = 0; i < BATCH; i++) there_and_back(fd[0], bytes, (uint32_t)size);
  int64_t begun = bench_now(), took = 0;
  long trips = 0;
  for (; took < bench_budget(); took = bench_now() - begun, trips += BATCH)
    for (int i = 0; i < BATCH; i++) there_and_back(fd[0], bytes, (uint32_t)size);
  bench_print("pipe", (double)took / 1e3 / (double)trips, "us");
  close(fd[0]);
  int status;
  if (waitpid(child, &status, 0) != child || status)
    bench_fail("the other process ended with status %d", status);
}
