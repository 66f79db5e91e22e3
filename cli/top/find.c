/* Which program is meant, and where its socket is.
 *
 * A program's socket is DIR/PID.sock; DIR is one of three, since the program's environment need not be ours. What lies in a directory
 * that another user may write to is not looked at. A socket that refuses is left from a program that was killed, and removed; unless there is
 * a process of that number: it may just be about to listen, and it replaces what is not its own. */
#include "../command.h"
#include "client.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inspect/inspect.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { DIRECTORIES = 3, LISTED = 32 };

struct directories {
  char of[DIRECTORIES][PATH_MAX];
};

static void name_directories(struct directories *out, uid_t uid) {
  const char *runtime = getenv("XDG_RUNTIME_DIR");
  if (!runtime || *runtime != '/') runtime = "/nonexistent";
  snprintf(out->of[0], PATH_MAX, "%s/thrum", runtime);
  snprintf(out->of[1], PATH_MAX, "/run/user/%u/thrum", (unsigned)uid);
  snprintf(out->of[2], PATH_MAX, "/tmp/thrum-%u", (unsigned)uid);
  if (strcmp(out->of[0], out->of[1]) == 0) out->of[1][0] = 0;
}

/* Of that user, whom nobody else can have put something there. */
static int is_private(const char *directory, uid_t uid) {
  struct stat s;
  return *directory && lstat(directory, &s) == 0 && S_ISDIR(s.st_mode) && s.st_uid == uid &&
         !(s.st_mode & (S_IRWXG | S_IRWXO));
}

/* 0: there is no such process. */
static int owner_of(pid_t pid, uid_t *out) {
  char path[64];
  struct stat s;
  snprintf(path, sizeof path, "/proc/%d", (int)pid);
  if (stat(path, &s) != 0) return 0;
  *out = s.st_uid;
  return 1;
}

/* A connected socket; -1: there is none (a dead one is removed). */
static int connect_to(const char *directory, pid_t pid) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/%d.sock", directory, (int)pid);
  int fd = length < (int)sizeof address.sun_path ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  uid_t uid;
  if (errno == ECONNREFUSED && !owner_of(pid, &uid)) unlink(address.sun_path);
  close(fd);
  return -1;
}

/* ---- Processes ------------------------------------------------------------------------------------------------- */

static void read_line_of(const char *path, char *out, size_t size) {
  FILE *file = fopen(path, "re");
  *out = 0;
  if (!file) return;
  if (fgets(out, (int)size, file)) out[strcspn(out, "\n")] = 0;
  fclose(file);
}

/* What the kernel adds to the name of a file that has been removed or replaced, as by a build, while it runs. */
static void cut_deleted(char *file) {
  static const char suffix[] = " (deleted)";
  size_t length = strlen(file), cut = sizeof suffix - 1;
  if (length <= cut || strcmp(file + length - cut, suffix) != 0) return;
  if (access(file, F_OK) != 0) file[length - cut] = 0; /* else it is called so */
}

/* By the file that runs, whose name is whole; else by what the kernel calls it. */
static void name_process(pid_t pid, char *out, size_t size) {
  char path[64], file[PATH_MAX];
  snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
  ssize_t n = readlink(path, file, sizeof file - 1);
  if (n > 0) {
    file[n] = 0;
    cut_deleted(file);
    const char *slash = strrchr(file, '/');
    snprintf(out, size, "%.*s", (int)size - 1, slash ? slash + 1 : file);
    return;
  }
  snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
  read_line_of(path, out, size);
}

/* The runtime has started in it: its monitor is there. */
static int runs_thrum(pid_t pid) {
  char path[64], name[32];
  snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
  DIR *tasks = opendir(path);
  int found = 0;
  for (struct dirent *e; tasks && !found && (e = readdir(tasks));) {
    if (!isdigit((unsigned char)e->d_name[0])) continue;
    snprintf(path, sizeof path, "/proc/%d/task/%.16s/comm", (int)pid, e->d_name);
    read_line_of(path, name, sizeof name);
    found = strcmp(name, "thrum-monitor") == 0;
  }
  if (tasks) closedir(tasks);
  return found;
}

/* ---- By PID ------------------------------------------------------------------------------------------------------ */

static int say_no_socket(pid_t pid, const char *name) {
  if (!runs_thrum(pid))
    return fail("process %d (%s) does not run thrum: it has no kernel thread `thrum-monitor`", (int)pid,
                name);
  return fail(
      "process %d (%s) runs thrum, but nobody may look: start it with THRUM_INSPECT=1 in its environment, or "
      "call thrum_inspect(true) in it. As it is, `kill -QUIT %d` has it print its threads, on its own "
      "standard error",
      (int)pid, name, (int)pid);
}

static int take(struct client *out, int fd, pid_t pid) {
  *out = (struct client){.fd = fd, .pid = pid};
  name_process(pid, out->name, sizeof out->name);
  return STATUS_OK;
}

static int open_pid(struct client *out, pid_t pid) {
  struct directories in;
  char name[64];
  uid_t uid = geteuid();
  int there = owner_of(pid, &uid);
  name_directories(&in, uid);
  for (int i = 0; i < DIRECTORIES; i++) {
    int fd = is_private(in.of[i], uid) ? connect_to(in.of[i], pid) : -1;
    if (fd >= 0) return take(out, fd, pid);
  }
  if (!there) return fail("there is no process %d", (int)pid);
  if (uid != geteuid() && geteuid() != 0)
    return fail("process %d belongs to another user, who alone may look at it", (int)pid);
  name_process(pid, name, sizeof name);
  return say_no_socket(pid, name);
}

/* ---- By name ----------------------------------------------------------------------------------------------------- */

struct matches {
  const char *wanted; /* NULL: any */
  pid_t pid[LISTED];
  int count;
  struct client first;
};

static void match(struct matches *m, int fd, pid_t pid) {
  char name[64];
  name_process(pid, name, sizeof name);
  if (m->count == LISTED || (m->wanted && strcmp(name, m->wanted) != 0)) {
    close(fd);
    return;
  }
  m->pid[m->count++] = pid;
  if (m->count == 1)
    take(&m->first, fd, pid);
  else
    close(fd);
}

static void match_in(struct matches *m, const char *directory) {
  DIR *sockets = is_private(directory, geteuid()) ? opendir(directory) : NULL;
  for (struct dirent *e; sockets && (e = readdir(sockets));) {
    char *end;
    long pid = strtol(e->d_name, &end, 10);
    if (pid <= 0 || strcmp(end, ".sock") != 0) continue;
    int fd = connect_to(directory, (pid_t)pid);
    if (fd >= 0) match(m, fd, (pid_t)pid);
  }
  if (sockets) closedir(sockets);
}

static int say_several(const struct matches *m) {
  fail("several programs may be meant; name one by its PID:");
  for (int i = 0; i < m->count; i++) {
    char name[64];
    name_process(m->pid[i], name, sizeof name);
    fprintf(stderr, "  %7d  %s\n", (int)m->pid[i], name);
  }
  return STATUS_FAILED;
}

static int open_name(struct client *out, const char *name) {
  struct directories in;
  struct matches m = {.wanted = name, .first = {.fd = -1}};
  name_directories(&in, geteuid());
  for (int i = 0; i < DIRECTORIES; i++) match_in(&m, in.of[i]);
  if (m.count > 1) {
    client_close(&m.first);
    return say_several(&m);
  }
  *out = m.first;
  if (m.count == 1) return STATUS_OK;
  return fail(
      "no program %s%slets itself be looked at: start it with THRUM_INSPECT=1 in its environment, or call "
      "thrum_inspect(true) in it",
      name ? name : "", name ? " " : "");
}

/* Whether its answers mean what they do here. */
static int check_protocol(struct client *c) {
  enum { PATIENCE = 10 };
  const char *why;
  json_object *stats = client_ask(c, PATIENCE, &why, "stats");
  long long protocol = member_number(stats, "protocol");
  json_object_put(stats);
  if (stats && protocol == THRUMI_INSPECT_PROTOCOL) return STATUS_OK;
  if (!stats)
    fail("%s (process %d): %s", c->name, (int)c->pid, why);
  else
    fail(
        "%s (process %d): it answers by protocol %lld, and this command reads protocol %d; use the thrum that comes with "
        "its library",
        c->name, (int)c->pid, protocol, THRUMI_INSPECT_PROTOCOL);
  client_close(c);
  return STATUS_FAILED;
}

int client_open(struct client *out, const char *what) {
  char *end;
  long pid = what ? strtol(what, &end, 10) : 0;
  int status;
  *out = (struct client){.fd = -1};
  if (what && *what && !*end && pid > 0 && pid <= INT_MAX)
    status = open_pid(out, (pid_t)pid);
  else
    status = open_name(out, what);
  return status == STATUS_OK ? check_protocol(out) : status;
}
