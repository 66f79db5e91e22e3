/* The other end of the inspect socket, for tests: blocking, in plain calls. The socket's directory is a temporary one. */
#ifndef TESTS_INSPECTED_H
#define TESTS_INSPECTED_H

#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

enum { INSPECTED_ANSWER = 256 * 1024, INSPECTED_S = 60 };

static char inspected_runtime[128];

/* Before the socket is opened. Children that inherit the environment use the same directory. */
__attribute__((unused)) static void inspected_begin(void) {
  const char *there = getenv("TESTS_RUNTIME");
  snprintf(inspected_runtime, sizeof inspected_runtime, "%s", there ? there : "/tmp/thrum-test-XXXXXX");
  if (!there) CHECK(mkdtemp(inspected_runtime) != NULL);
  CHECK_EQ(setenv("XDG_RUNTIME_DIR", inspected_runtime, 1), 0);
  CHECK_EQ(setenv("TESTS_RUNTIME", inspected_runtime, 1), 0);
}

/* At the end: the directories must be empty. */
__attribute__((unused)) static void inspected_end(void) {
  char path[160];
  snprintf(path, sizeof path, "%s/thrum", inspected_runtime);
  if (rmdir(path) != 0) CHECK_EQ(errno, ENOENT);
  CHECK_EQ(rmdir(inspected_runtime), 0);
}

__attribute__((unused)) static const char *inspected_path(pid_t pid) {
  static char path[160];
  snprintf(path, sizeof path, "%s/thrum/%d.sock", inspected_runtime, (int)pid);
  return path;
}

/* A connection, or a negative errno. */
__attribute__((unused)) static int inspected_try_connect(pid_t pid) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%.100s", inspected_path(pid));
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0);
  struct timeval limit = {.tv_sec = INSPECTED_S};
  CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  int error = errno;
  close(fd);
  return -error;
}

__attribute__((unused)) static int inspected_connect(pid_t pid) {
  int fd = inspected_try_connect(pid);
  if (fd < 0) check_failed(__FILE__, __LINE__, "connect: %s", strerror(-fd));
  return fd;
}

/* A line, without its end; NULL: hung up on. */
__attribute__((unused)) static char *inspected_receive(int fd) {
  static _Thread_local char text[INSPECTED_ANSWER];
  size_t used = 0;
  for (;;) {
    ssize_t n = recv(fd, text + used, 1, 0);
    if (n < 0 && errno == EINTR)
      continue; /* it was stopped for its own dump; the limit makes that an error */
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) check_failed(__FILE__, __LINE__, "no answer");
    if (n <= 0) return NULL;
    if (text[used] == '\n') break;
    CHECK(++used < sizeof text);
  }
  text[used] = 0;
  return text;
}

__attribute__((unused)) static void inspected_send(int fd, const char *text) {
  for (size_t done = 0, n = strlen(text); done < n;) {
    ssize_t sent = send(fd, text + done, n - done, MSG_NOSIGNAL);
    CHECK(sent > 0);
    done += (size_t)sent;
  }
}

__attribute__((unused)) static const char *inspected_ask(int fd, const char *request) {
  inspected_send(fd, request);
  inspected_send(fd, "\n");
  const char *answer = inspected_receive(fd);
  if (!answer) check_failed(__FILE__, __LINE__, "hung up on at \"%s\"", request);
  return answer;
}

/* ---- JSON, as RFC 8259 has it ------------------------------------------------------------------------------- */

__attribute__((unused)) static const char *json_skip(const char *s, int depth);

static const char *json_fail(const char *s) {
  check_failed(__FILE__, __LINE__, "this is no JSON: \"%.80s\"", s);
}

static const char *json_skip_string(const char *s) {
  if (*s++ != '"') return json_fail(s);
  for (; *s != '"'; s++) {
    if ((unsigned char)*s < 0x20) return json_fail(s);
    if (*s != '\\') continue;
    s++;
    if (!strchr("\"\\/bfnrtu", *s)) return json_fail(s);
    for (int i = 0; *s == 'u' && i < 4; i++)
      if (!strchr("0123456789abcdefABCDEF", s[i + 1])) return json_fail(s);
  }
  return s + 1;
}

static const char *json_skip_list(const char *s, char end, int depth) {
  if (*++s == end) return s + 1;
  for (;; s++) {
    if (end == '}') {
      s = json_skip_string(s);
      if (*s++ != ':') return json_fail(s);
    }
    s = json_skip(s, depth + 1);
    if (*s == end) return s + 1;
    if (*s != ',') return json_fail(s);
  }
}

/* Behind one value; fails where there is none. */
__attribute__((unused)) static const char *json_skip(const char *s, int depth) {
  if (depth > 20) return json_fail(s);
  if (*s == '{') return json_skip_list(s, '}', depth);
  if (*s == '[') return json_skip_list(s, ']', depth);
  if (*s == '"') return json_skip_string(s);
  if (strncmp(s, "true", 4) == 0) return s + 4;
  if (strncmp(s, "false", 5) == 0) return s + 5;
  size_t digits = strspn(s, "-0123456789");
  return digits ? s + digits : json_fail(s);
}

__attribute__((unused)) static const char *json_checked(const char *text) {
  const char *end = json_skip(text, 0);
  if (*end && strcmp(end, "\n") != 0) json_fail(end);
  return text;
}

/* The number behind the first `"key":` after `from`. */
__attribute__((unused)) static long long json_number_after(const char *from, const char *key) {
  char pattern[64];
  snprintf(pattern, sizeof pattern, "\"%s\":", key);
  const char *at = strstr(from, pattern);
  if (!at) check_failed(__FILE__, __LINE__, "no %s in \"%.200s\"", pattern, from);
  return atoll(at + strlen(pattern));
}

#endif
