/* The steps of the workload that listen, dial, look names up, and wait for a child. */
#include "../support.h"

#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

static int close_if_open(int fd) { return fd >= 0 ? thrum_close(fd) : 0; }

/* One byte goes over the connection and comes back. */
static int say_and_hear(int here, int there) {
  char byte = 'b';
  ssize_t n = thrum_write(here, &byte, 1);
  if (n == 1) n = thrum_read(there, &byte, 1);
  if (n == 1) n = thrum_send(there, &byte, 1, 0);
  if (n == 1) n = thrum_recv(here, &byte, 1, 0);
  return n == 1 ? 0 : (int)n;
}

int workload_connecting(void) {
  char port[16];
  int listener = thrum_listen_tcp("127.0.0.1", "0");
  if (listener < 0) return listener;
  snprintf(port, sizeof port, "%d", thrum_local_port(listener));
  int here = thrum_dial_tcp("127.0.0.1", port),
      there = here < 0 ? -EBADF : thrum_accept(listener, NULL, NULL);
  int error = here < 0 ? here : there < 0 ? there : say_and_hear(here, there);
  CHECK_EQ(close_if_open(here) | close_if_open(there) | thrum_close(listener), 0);
  return error;
}

/* A name of the file of hosts, or of none: what is looked up is not the point. */
int workload_resolving(void) {
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
  int error = 0, result = thrum_getaddrinfo("localhost", "80", &hints, &found, &error);
  if (found) freeaddrinfo(found);
  if (result == EAI_SYSTEM) return error;
  return result == EAI_MEMORY ? -ENOMEM : 0;
}

extern char **environ;

/* A child that ends when its input does. Not by fork, whose child would start thrum anew among all failures. */
static pid_t start_child(int input) {
  char sh[] = "sh", c[] = "-c", command[] = "read x; exit 3", *const words[] = {sh, c, command, NULL};
  posix_spawn_file_actions_t actions;
  pid_t child;
  CHECK_EQ(posix_spawn_file_actions_init(&actions), 0);
  CHECK_EQ(posix_spawn_file_actions_adddup2(&actions, input, 0), 0);
  CHECK_EQ(posix_spawnp(&child, "sh", &actions, NULL, words, environ), 0);
  CHECK_EQ(posix_spawn_file_actions_destroy(&actions), 0);
  return child;
}

/* It is waited for while it runs, in vain, and then to its end. */
int workload_children(void) {
  int input[2], status = 0;
  CHECK_EQ(pipe2(input, O_CLOEXEC), 0);
  pid_t child = start_child(input[0]), ended = thrum_child_wait_for(child, NULL, THRUM_MS(1));
  CHECK(close(input[0]) == 0 && close(input[1]) == 0);
  if (ended == -ETIMEDOUT) ended = thrum_child_wait(child, &status);
  if (ended < 0) CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
  return ended < 0 ? (int)ended : 0;
}
