/* What cannot be of processes: the documented error, and nothing has been started. */
#include "../promises/processes.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/statvfs.h>

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

/* Its caller holds the other end of the socket: a program with the set-user-ID bit is no child of his. Exit code 2: refused. */
static void privileged(void) {
  char path[] = "/tmp/thrum-suid-XXXXXX", command[256];
  struct statvfs about;
  int code = 0, ends[2], fd = mkstemp(path);
  CHECK(fd >= 0 && close(fd) == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
  bool can = getuid() == 0 && statvfs(path, &about) == 0 && !(about.f_flag & ST_NOSUID) && !TESTS_SANITIZED;
  snprintf(command, sizeof command, "cp /proc/%d/exe %s && chmod 4755 %s", (int)getpid(), path, path);
  if (can && system(command) == 0) {
    pid_t child = fork();
    if (child == 0) {
      const char *const args[] = {"it", "--thrum-process", "child", NULL};
      int quiet = open("/dev/null", O_WRONLY);
      bool ready = dup2(quiet, 2) == 2 && dup2(ends[1], 3) == 3 && setgid(65534) == 0 && setuid(65534) == 0;
      close(ends[0]);
      if (ready) execv(path, (char *const *)(uintptr_t)args);
      _exit(1);
    }
    close(ends[0]); /* without the refusal it finds no plan, and says 127 */
    CHECK_EQ(waitpid(child, &code, 0), child);
    CHECK(WIFEXITED(code));
    CHECK_EQ(WEXITSTATUS(code), 2);
  } else {
    close(ends[0]);
  }
  close(ends[1]);
  unlink(path);
}

/* With only the default: a status of 0 says that nothing was wrong with the test itself. */
int main(int argc, char **argv) {
  CHECK_EQ(thrum_process_main(argc, argv), 0);
  options();
  descriptors();
  tasks();
  surroundings();
  methods();
  handles();
  privileged();
  AWAIT(count_children(getpid(), true) == 0);
  return 0;
}
