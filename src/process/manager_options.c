/* A manager's options, and what both ends ask of each other. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <os/os.h>
#include <process/listener.h>
#include <process/manager.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static const thrum_manager_options defaults = THRUM_MANAGER_OPTIONS_INIT;

/* ---- Options -------------------------------------------------------------------------------------------------------------- */

/* Free of charge, and unlikely to be somebody's: who may connect is not decided by the name. */
static char *chance_address(void) {
  uint64_t chance = 0;
  char *address = thrumi_os.allocate(64);
  if (getrandom(&chance, sizeof chance, 0) < 0) chance = (uint64_t)thrum_now();
  if (address)
    snprintf(address, 64, "unix:@thrum-manager-%d-%016llx", (int)getpid(), (unsigned long long)chance);
  return address;
}

static char *copy_text(const char *text) {
  char *copy = thrumi_os.allocate(strlen(text) + 1);
  return copy ? strcpy(copy, text) : NULL;
}

static int check_tasks(const thrum_manager_options *o) {
  if (o->task_count && !o->tasks) return -EINVAL;
  for (size_t i = 0; i < o->task_count; i++)
    if (!o->tasks[i] || !o->tasks[i]->fn || !o->tasks[i]->name) return -EINVAL;
  return 0;
}

static int check(const thrum_manager_options *o, const thrum_conn_options *connection) {
  bool tcp = o->address && strncmp(o->address, "tcp:", 4) == 0;
  bool fits = o->message_max <= UINT32_MAX && o->objects <= UINT32_MAX && o->clients <= UINT32_MAX;
  if (!fits || (tcp && !connection->key)) return -EINVAL;
  return check_tasks(o);
}

static void fill_in(thrum_manager_options *o) {
  if (!o->clients) o->clients = 1000;
  if (!o->objects) o->objects = 100000;
  if (!o->message_max) o->message_max = (size_t)64 << 20;
  if (!o->memory) o->memory = (size_t)1 << 30;
}

static int copy_tasks(thrumi_server *server) {
  size_t bytes = server->options.task_count * sizeof *server->options.tasks;
  void *copy = thrumi_os.allocate(bytes + 1);
  if (copy && bytes) memcpy(copy, server->options.tasks, bytes);
  server->options.tasks = copy;
  return copy ? 0 : -ENOMEM;
}

static int copy_key(thrumi_server *server) {
  thrum_conn_options *c = &server->connection;
  server->has_key = c->key != NULL;
  void *copy = thrumi_os.allocate(c->key_size + 1);
  if (copy && c->key_size) memcpy(copy, c->key, c->key_size);
  c->key = copy;
  return copy ? 0 : -ENOMEM;
}

/* What is copied is so in any case, for the free. */
int thrumi_manager_options_copy(thrumi_server *server, const thrum_manager_options *options) {
  const thrum_manager_options *o = options ? options : &defaults;
  if (o->size != sizeof *o) return -EINVAL;
  int error = thrumi_conn_options(&server->connection, o->connection);
  if (!error) error = check(o, &server->connection);
  if (error) {
    server->connection.key = NULL;
    return error;
  }
  server->connection.digest =
      thrumi_digest_named(server->connection.digest, strlen(server->connection.digest))->name;
  server->options = *o;
  fill_in(&server->options);
  server->options.connection = NULL;
  server->options.address = o->address ? copy_text(o->address) : chance_address();
  int no_key = copy_key(server), no_tasks = copy_tasks(server);
  return no_key || no_tasks || !server->options.address ? -ENOMEM : 0;
}

void thrumi_manager_options_free(thrumi_server *server) {
  void *key = (void *)(uintptr_t)server->connection.key, *tasks = (void *)(uintptr_t)server->options.tasks;
  void *address = (void *)(uintptr_t)server->options.address;
  if (key) {
    explicit_bzero(key, server->connection.key_size);
    thrumi_os.free(key);
  }
  if (tasks) thrumi_os.free(tasks);
  if (address) thrumi_os.free(address);
}

/* ---- The other end ---------------------------------------------------------------------------------------------------------- */

int thrumi_peer_is_kin(int fd) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || size != sizeof peer) return -EACCES;
  return peer.uid == geteuid() || peer.uid == 0 ? 0 : -EACCES;
}

/* A host that has gone without a word is noticed after half a minute; a Unix socket has no use for this. */
void thrumi_keep_alive(int fd) {
  int on = 1, idle = 10, interval = 5, count = 4;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

void thrumi_manager_hang_up(thrum_conn *c) {
  struct thrumi_turn turn;
  bool open = false;
  THRUM_SHIELD(0) open = thrumi_conn_begin(&turn, c, 0, 0) == 0;
  if (open) {
    shutdown(thrum_conn_fd(c), SHUT_RDWR);
    thrumi_conn_end(&turn);
  }
  thrum_conn_shutdown(c);
}
