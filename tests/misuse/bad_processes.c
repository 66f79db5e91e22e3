/* What cannot be of processes: the documented error, and nothing has been started. */
#include "../promises/processes.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

THRUM_TASK(unused) { return 0; }

static thrum_process *p;

static int start_with(thrum_process_options o) { return thrum_process_start(&p, &o, &unused, NULL, 0); }
static int exec_with(thrum_process_options o) {
  static const char *const yes[] = {"true", NULL};
  return thrum_process_exec(&p, &o, yes);
}

static void options(void) {
  thrum_process_options good = THRUM_PROCESS_OPTIONS_INIT, o = good;
  o.size--;
  CHECK_EQ(start_with(o), -EINVAL);
  CHECK_EQ(exec_with(o), -EINVAL);
  o = good, o.method = THRUM_FORK + 1;
  CHECK_EQ(start_with(o), -EINVAL);
  o.method = -1;
  CHECK_EQ(start_with(o), -EINVAL);
  o.method = THRUM_SPAWN; /* commands have none */
  CHECK_EQ(exec_with(o), -EINVAL);
  static const int bad_input[] = {-1, THRUM_STDIO_CAPTURE, THRUM_STDIO_OUTPUT, 6, THRUM_STDIO_FIRST_FD - 1};
  for (size_t i = 0; i < sizeof bad_input / sizeof *bad_input; i++) {
    o = good, o.input = bad_input[i];
    CHECK_EQ(start_with(o), -EINVAL);
    CHECK_EQ(exec_with(o), -EINVAL);
  }
  o = good, o.output = THRUM_STDIO_OUTPUT;
  CHECK_EQ(start_with(o), -EINVAL);
  o = good, o.error = THRUM_STDIO_FD(777);
  CHECK_EQ(start_with(o), -EBADF);
  CHECK_EQ(exec_with(o), -EBADF);
  o = good, o.affinity_size = 8;
  CHECK_EQ(start_with(o), -EINVAL);
}

static void descriptors(void) {
  int fds[THRUM_PROCESS_DESCRIPTORS_MAX + 1];
  for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) fds[i] = 2;
  thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
  o.descriptor_count = 1;
  CHECK_EQ(start_with(o), -EINVAL);
  o.descriptors = fds;
  CHECK_EQ(exec_with(o), -EINVAL); /* the standard ones have options of their own */
  o.descriptor_count = THRUM_PROCESS_DESCRIPTORS_MAX + 1;
  CHECK_EQ(start_with(o), -EINVAL);
  o.descriptor_count = 2;
  fds[1] = 777;
  CHECK_EQ(start_with(o), -EBADF);
  fds[1] = -1;
  CHECK_EQ(start_with(o), -EBADF);
  CHECK_EQ(exec_with(o), -EINVAL);
}

static void tasks(void) {
  static const thrum_task no_function = {"unused", NULL}, other = {"nobody knows this one", NULL};
  thrum_task unknown = {"nobody knows this one", unused.fn}, same_name = {"unused", unused.fn};
  CHECK_EQ(thrum_process_start(&p, NULL, NULL, NULL, 0), -EINVAL);
  CHECK_EQ(thrum_process_start(&p, NULL, &no_function, NULL, 0), -EINVAL);
  CHECK_EQ(thrum_process_start(&p, NULL, &other, NULL, 0), -EINVAL);
  CHECK_EQ(thrum_process_start(&p, NULL, &unknown, NULL, 0), -EINVAL);
  CHECK_EQ(thrum_process_start(&p, NULL, &same_name, NULL, 0), -EINVAL);
  CHECK_EQ(thrum_process_start(&p, NULL, &unused, NULL, 1), -EINVAL);
  static const char *const none[] = {NULL};
  CHECK_EQ(thrum_process_exec(&p, NULL, none), -EINVAL);
  CHECK_EQ(thrum_process_exec(&p, NULL, NULL), -EINVAL);
}

static void surroundings(void) {
  for (int m = METHOD_FIRST; m <= METHOD_LAST; m++) {
    thrum_process_options o = with_method(m);
    o.directory = "/no/such/directory";
    CHECK_EQ(start_with(o), -ENOENT);
    cpu_set_t none;
    CPU_ZERO(&none);
    o = with_method(m), o.affinity = &none, o.affinity_size = sizeof none;
    CHECK_EQ(start_with(o), -EINVAL);
  }
}

static void handles(void) {
  CHECK_EQ(thrum_process_start(&p, NULL, &unused, NULL, 0), 0);
  CHECK_EQ(thrum_process_pipe(p, -1), -EINVAL);
  CHECK_EQ(thrum_process_pipe(p, 3), -EINVAL);
  CHECK_EQ(thrum_process_pipe(p, 0), -EBADF);
  CHECK_EQ(thrum_process_output(p, 0, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_process_output(p, 1, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_process_join(p, NULL), 0);
  CHECK_EQ(thrum_process_signal(p, 0), 0); /* it has ended */
  CHECK_EQ(thrum_process_result(p, NULL, NULL), 0);
  thrum_process_release(p);
  thrum_process_release(NULL);
  CHECK_EQ(thrum_process_start(&p, NULL, &unused, NULL, 0), 0);
  int error = thrum_process_signal(p, 1000);
  CHECK(error == -EINVAL || error == 0); /* or it has ended */
  must_end_with(p, 0);
  CHECK_EQ(thrum_inherited_fd(0), -EINVAL);
  CHECK_EQ(thrum_inherited_fd(SIZE_MAX), -EINVAL);
}

static void methods(void) {
  CHECK_EQ(thrum_process_start_method(), THRUM_FORKSERVER);
  CHECK_EQ(thrum_process_set_start_method(THRUM_METHOD_DEFAULT), -EINVAL);
  CHECK_EQ(thrum_process_set_start_method(THRUM_FORK + 1), -EINVAL);
  CHECK_EQ(thrum_process_start_method(), THRUM_FORKSERVER);
  CHECK_EQ(thrum_process_set_start_method(THRUM_SPAWN), 0);
  CHECK_EQ(thrum_process_start(&p, NULL, &unused, NULL, 0), 0);
  must_end_with(p, 0);
  CHECK_EQ(thrum_process_set_start_method(THRUM_FORKSERVER), 0);
}

/* A copy of this program that all may execute, with these permissions. False: privileges of files count for nothing here. */
static bool make_copy(char *path, int mode) {
  struct statvfs about;
  char command[256];
  int fd = mkstemp(path);
  CHECK(fd >= 0 && close(fd) == 0);
  snprintf(command, sizeof command, "cp /proc/%d/exe %s && chmod %o %s", (int)getpid(), path, (unsigned)mode,
           path);
  return getuid() == 0 && statvfs(path, &about) == 0 && !(about.f_flag & ST_NOSUID) && !TESTS_SANITIZED &&
         system(command) == 0;
}

/* By nobody, with the socket as its descriptor 3. */
static pid_t execute(const char *path, const char *const args[], int socket) {
  pid_t child = fork();
  if (child) return child;
  int quiet = open("/dev/null", O_WRONLY);
  bool ready = dup2(quiet, 2) == 2 && dup2(socket, 3) == 3 && setgid(65534) == 0 && setuid(65534) == 0;
  if (ready) execv(path, (char *const *)(uintptr_t)args);
  _exit(1);
}

static void must_say(pid_t child, int wanted) {
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), wanted);
}

/* Its caller holds the other end of the socket: a program with the set-user-ID bit is no child of his. Exit code 2: refused. */
static void privileged(void) {
  const char *const args[] = {"it", "--thrum-process", "child", NULL};
  char path[] = "/tmp/thrum-suid-XXXXXX";
  int ends[2];
  bool can = make_copy(path, 04755);
  CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  pid_t child = can ? execute(path, args, ends[1]) : 0;
  close(ends[0]); /* without the refusal it finds no plan, and says 127 */
  if (can) must_say(child, 2);
  close(ends[1]);
  unlink(path);
}

/* Nor are those that it would start itself: capabilities of the file are theirs as well. */
static void capable(void) {
  static const uint32_t bind_service[] = {0x02000001, 1 << 10, 0, 0, 0}; /* a struct vfs_cap_data */
  const char *const args[] = {"it", "capable", NULL};
  char path[] = "/tmp/thrum-capable-XXXXXX";
  bool can = make_copy(path, 0755) &&
             setxattr(path, "security.capability", bind_service, sizeof bind_service, 0) == 0;
  if (can) must_say(execute(path, args, STDIN_FILENO), 5);
  unlink(path);
}

static int start_in_vain(void) { return thrum_process_start(&p, NULL, &unused, NULL, 0) == -ENOTSUP ? 5 : 6; }

/* With only the default: a status of 0 says that nothing was wrong with the test itself. */
int main(int argc, char **argv) {
  CHECK_EQ(thrum_process_main(argc, argv), 0);
  if (argc > 1 && strcmp(argv[1], "capable") == 0) return start_in_vain();
  options();
  descriptors();
  tasks();
  surroundings();
  methods();
  handles();
  privileged();
  capable();
  AWAIT(count_children(getpid(), true) == 0);
  return 0;
}
