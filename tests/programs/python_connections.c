/* python_connections PYTHON PEER: the real multiprocessing.connection of Python at the other end of thrum's connections: over descriptors
 * that it inherits, as client and as listener, with a key, with a wrong one, and with descriptors that go along. Python up to 3.11 proves itself by
 * MD5 alone: it is refused, and let in where that is allowed. */
#include "../support.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

static const char *python, *peer;
static bool old; /* Python up to 3.11 */

struct child {
  pid_t pid;
  FILE *out;
};

extern char **environ;

/* Descriptors in `keep` stay open under their numbers. Not by fork, whose child ThreadSanitizer lets start no threads. */
static struct child start(const char *const args[], const int keep[2]) {
  const char *all[8] = {python, peer};
  posix_spawn_file_actions_t actions;
  struct child c;
  int out[2];
  for (int i = 0; args[i]; i++) all[i + 2] = args[i], all[i + 3] = NULL;
  CHECK_EQ(pipe2(out, O_CLOEXEC), 0);
  CHECK_EQ(posix_spawn_file_actions_init(&actions), 0);
  CHECK_EQ(posix_spawn_file_actions_adddup2(&actions, out[1], 1), 0);
  for (int i = 0; keep && i < 2; i++)
    CHECK_EQ(posix_spawn_file_actions_adddup2(&actions, keep[i], keep[i]), 0); /* no more closed on exec */
  CHECK_EQ(posix_spawn(&c.pid, python, &actions, NULL, (char *const *)(uintptr_t)all, environ), 0);
  CHECK_EQ(posix_spawn_file_actions_destroy(&actions), 0);
  CHECK_EQ(close(out[1]), 0);
  c.out = fdopen(out[0], "r");
  CHECK(c.out);
  return c;
}

static intptr_t read_line(void *arg) {
  struct child *c = *(struct child **)arg;
  char *line = ((char **)arg)[1];
  if (!fgets(line, 200, c->out)) return -EPIPE;
  line[strcspn(line, "\n")] = 0;
  return 0;
}

static void check_says(struct child *c, const char *expected) {
  char line[200] = "";
  void *both[] = {c, line};
  CHECK_EQ(read_line(both), 0);
  CHECK_STR(line, expected);
}

static int finish(struct child *c) {
  int status;
  CHECK_EQ(waitpid(c->pid, &status, 0), c->pid);
  fclose(c->out);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* ---- Messages ----------------------------------------------------------------------------------------------------- */

struct echoed {
  thrum_conn *to;
  const unsigned char *bytes;
  size_t size;
};

static intptr_t send_one(void *arg) {
  const struct echoed *e = (const struct echoed *)arg;
  return thrum_conn_send(e->to, e->bytes, e->size);
}

static void check_echo(thrum_conn *to, thrum_conn *from, size_t size) {
  unsigned char *bytes = (unsigned char *)malloc(size + 1);
  CHECK(bytes);
  for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)(i * 13 + size);
  struct echoed e = {to, bytes, size};
  thrum_thread sender = must_spawn(send_one, &e);
  void *back;
  size_t got;
  CHECK_EQ(thrum_conn_recv_new(from, &back, &got, SIZE_MAX), 0);
  CHECK_EQ(got, size);
  CHECK(memcmp(back, bytes, size) == 0);
  CHECK_EQ(must_join(sender), 0);
  free(back);
  free(bytes);
}

static void check_echoes(thrum_conn *to, thrum_conn *from) {
  static const size_t sizes[] = {0, 1, 100, 16380, 16384, 16385, 70000, 3 << 20, 0, 5};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) check_echo(to, from, sizes[i]);
}

static struct child start_echo(int in, int out) {
  char a[16], b[16];
  snprintf(a, sizeof a, "%d", in);
  snprintf(b, sizeof b, "%d", out);
  return start((const char *[]){"echo", a, b, NULL}, (int[]){in, out});
}

/* The long head of a message that would not need it: it is not 2 GiB that are the point. */
static void check_long_head(thrum_conn *c) {
  char room[8];
  static const char message[] = "\377\377\377\377\0\0\0\0\0\0\0\5hello";
  CHECK_EQ(thrum_write_all(thrum_conn_fd(c), message, 17), 17);
  CHECK_EQ(thrum_conn_recv(c, room, sizeof room), 5);
  CHECK_EQ(memcmp(room, "hello", 5), 0);
}

static void inherited_pairs(bool long_heads) {
  thrum_conn *end[2];
  CHECK_EQ(thrum_conn_pair(end), 0);
  int fd = thrum_conn_fd(end[1]);
  struct child c = start_echo(fd, fd);
  thrum_conn_close(end[1]);
  check_echoes(end[0], end[0]);
  if (long_heads) check_long_head(end[0]);
  thrum_conn_close(end[0]);
  CHECK_EQ(finish(&c), 0);
}

/* The head that Python sends of its own when a message needs it. Of the message nothing is taken but that. */
static void heads_of_python(void) {
  static const size_t sizes[] = {(size_t)INT32_MAX + 1, ((size_t)5 << 30) + 5};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    char room[8], fd[16], size[32];
    thrum_conn *end[2];
    CHECK_EQ(thrum_conn_pair(end), 0);
    int theirs = thrum_conn_fd(end[1]);
    snprintf(fd, sizeof fd, "%d", theirs);
    snprintf(size, sizeof size, "%zu", sizes[i]);
    struct child c = start((const char *[]){"long", fd, size, NULL}, (int[]){theirs, theirs});
    thrum_conn_close(end[1]);
    CHECK_EQ(thrum_conn_recv(end[0], room, sizeof room), -EMSGSIZE);
    CHECK_EQ(thrum_conn_next_size(end[0]), sizes[i]);
    thrum_conn_close(end[0]);
    check_says(&c, "ok");
    CHECK_EQ(finish(&c), 0);
  }
}

static void inherited_pipes(void) {
  thrum_conn *to[2], *from[2];
  CHECK_EQ(thrum_conn_pipe(&to[0], &to[1]), 0);
  CHECK_EQ(thrum_conn_pipe(&from[0], &from[1]), 0);
  struct child c = start_echo(thrum_conn_fd(to[0]), thrum_conn_fd(from[1]));
  thrum_conn_close(to[0]);
  thrum_conn_close(from[1]);
  check_echoes(to[1], from[0]);
  thrum_conn_close(to[1]);
  CHECK_EQ(thrum_conn_recv(from[0], NULL, 0), -EPIPE);
  thrum_conn_close(from[0]);
  CHECK_EQ(finish(&c), 0);
}

static void descriptors(void) {
  thrum_conn *end[2];
  int pipe[2];
  char text[40] = "";
  CHECK_EQ(thrum_conn_pair(end), 0);
  CHECK_EQ(pipe2(pipe, O_CLOEXEC), 0);
  int fd = thrum_conn_fd(end[1]);
  snprintf(text, sizeof text, "%d", fd);
  struct child c = start((const char *[]){"handles", text, NULL}, (int[]){fd, fd});
  thrum_conn_close(end[1]);
  CHECK_EQ(thrum_conn_send_fd(end[0], pipe[1]), 0);
  CHECK_EQ(close(pipe[1]), 0);
  CHECK_EQ(thrum_read_full(pipe[0], text, sizeof text), 11);
  CHECK_EQ(memcmp(text, "from python", 11), 0);
  CHECK_EQ(thrum_close(pipe[0]), 0);
  CHECK_EQ(thrum_conn_recv(end[0], text, sizeof text), 20);
  fd = thrum_conn_recv_fd(end[0]);
  CHECK(fd >= 0);
  CHECK_EQ(thrum_read_full(fd, text, sizeof text), 26);
  CHECK_EQ(thrum_close(fd), 0);
  CHECK_EQ(finish(&c), 0);
  thrum_conn_close(end[0]);
}

/* ---- Keys --------------------------------------------------------------------------------------------------------- */

static thrum_conn_options with_key(const char *key, bool allow_md5) {
  thrum_conn_options o = THRUM_CONN_OPTIONS_INIT;
  o.key = key;
  o.key_size = strlen(key);
  o.allow_md5 = allow_md5;
  o.patience = THRUM_S(100);
  return o;
}

static void python_dials(const char *address, const char *key, bool allow_md5, int expected,
                         const char *says) {
  thrum_conn_options o = with_key("right", allow_md5);
  thrum_listener *l;
  thrum_conn *conn;
  CHECK_EQ(thrum_listener_open(&l, address, &o), 0);
  struct child c = start((const char *[]){"client", thrum_listener_address(l), key, NULL}, NULL);
  CHECK_EQ(thrum_listener_accept(l, &conn), expected);
  check_says(&c, says);
  if (!expected) check_echoes(conn, conn), thrum_conn_close(conn);
  CHECK_EQ(finish(&c), 0);
  thrum_listener_close(l);
}

static void python_listens(const char *address, const char *key, bool allow_md5, int expected,
                           const char *says) {
  thrum_conn_options o = with_key("right", allow_md5);
  thrum_conn *conn;
  struct child c = start((const char *[]){"listener", address, key, "1", NULL}, NULL);
  char where[200] = "";
  void *both[] = {&c, where};
  CHECK_EQ(read_line(both), 0);
  CHECK_EQ(thrum_conn_dial(&conn, where, &o), expected);
  check_says(&c, says);
  if (!expected) check_echoes(conn, conn), thrum_conn_close(conn);
  CHECK_EQ(finish(&c), 0);
}

static void by_each_address(void) {
  char folder[] = "/tmp/thrum-python-XXXXXX", path[64], abstract[64];
  CHECK(mkdtemp(folder));
  snprintf(path, sizeof path, "unix:%s/socket", folder);
  snprintf(abstract, sizeof abstract, "unix:@thrum-python-%d", (int)getpid());
  const char *const all[] = {path, abstract, "tcp:127.0.0.1:0"};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    python_dials(all[i], "right", old, 0, "ok");
    python_listens(all[i], "right", old, 0, "ok");
  }
  python_dials(path, "wrong", old, -EACCES, "AuthenticationError");
  python_listens(path, "wrong", old, -EACCES, "AuthenticationError");
  if (old) {
    python_dials(path, "right", false, -EPROTONOSUPPORT, "AuthenticationError");
    python_listens(path, "right", false, -EPROTONOSUPPORT, "EOFError");
  }
  CHECK_EQ(rmdir(folder), 0);
}

int main(int argc, char **argv) {
  CHECK_EQ(argc, 3);
  python = argv[1];
  peer = argv[2];
  struct child c = start((const char *[]){"version", NULL}, NULL);
  int minor = finish(&c);
  if (minor < 7 || minor > 100)
    CHECK_SKIP("no Python, or one that cannot close a listener of the abstract space");
  old = minor < 12;
  inherited_pairs(minor >= 8);
  if (minor >= 8 && sizeof(size_t) > 4) heads_of_python();
  inherited_pipes();
  descriptors();
  by_each_address();
  printf("Python 3.%d\n", minor);
  return 0;
}
