/* What the holder of a process's handle may ask and do. */
#include <process/record.h>
#include <string.h>
#include <thrum/io/file.h>

static bool is_foreign(thrum_process *p) { return thrumi_load(&p->state) == THRUMI_PROCESS_FOREIGN; }

/* ---- Waiting ------------------------------------------------------------------------------------------------------------ */

/* Of one whose end is known. */
static int tell(thrum_process *p, int *exit_code) {
  if (is_foreign(p)) return -ECHILD;
  if (!p->error && exit_code) *exit_code = p->code;
  return p->error;
}

int thrum_process_join_for(thrum_process *p, int *exit_code, thrum_duration timeout) {
  int error = thrumi_process_await(p, thrum_after(timeout));
  return error ? error : tell(p, exit_code);
}

int thrum_process_join(thrum_process *p, int *exit_code) {
  return thrum_process_join_for(p, exit_code, THRUM_FOREVER);
}

int thrum_process_exit_code(thrum_process *p, int *exit_code) {
  return thrumi_process_look(p) ? tell(p, exit_code) : -EAGAIN;
}

bool thrum_process_is_alive(thrum_process *p) { return !is_foreign(p) && !thrumi_process_look(p); }

int thrum_process_sentinel(thrum_process *p) { return is_foreign(p) ? -ECHILD : p->pidfd; }

void thrum_process_release(thrum_process *p) {
  if (!p) return;
  thrumi_register_lock();
  p->released = true;
  thrumi_register_unlock();
  thrumi_process_unref(p);
}

/* ---- Results --------------------------------------------------------------------------------------------------------------- */

/* `unread`: what has come, but cannot be read at present. */
static int report_of(thrum_process *p, int unread, const void **data, size_t *size) {
  if (!p->has_report) return unread ? unread : -EPIPE;
  if (thrum_failed(p->report.value)) return p->report.value;
  if (!p->result.data) return -ENOMEM;
  if (data) *data = p->result.data;
  if (size) *size = p->result.size;
  return 0;
}

int thrum_process_result(thrum_process *p, const void **data, size_t *size) {
  if (!thrumi_process_look(p)) return -EAGAIN;
  if (is_foreign(p)) return -ECHILD;
  if (p->channel < 0) return -EINVAL;
  thrumi_register_lock();
  int unread = thrumi_process_collect(p);
  int error = report_of(p, unread, data, size);
  thrumi_register_unlock();
  return error;
}

/* Sentences are kept with their end. */
const char *thrum_process_failure(thrum_process *p) {
  if (!thrum_failed(thrum_process_result(p, NULL, NULL)) || !p->has_report) return "";
  return p->result.data && thrum_failed(p->report.value) ? p->result.data : "";
}

int thrum_process_output(thrum_process *p, int which, const void **data, size_t *size) {
  if (which < 1 || which > 2 || p->capture[which] < 0) return -EINVAL;
  if (!thrumi_process_look(p)) return -EAGAIN;
  if (is_foreign(p)) return -ECHILD;
  thrumi_register_lock();
  int error = thrumi_capture_map(p, which);
  if (!error && data) *data = p->output[which].data;
  if (!error && size) *size = p->output[which].size;
  thrumi_register_unlock();
  return error;
}

int thrum_process_pipe(thrum_process *p, int which) {
  if (which < 0 || which > 2) return -EINVAL;
  thrumi_register_lock();
  int fd = p->pipe[which];
  p->pipe[which] = -1;
  thrumi_register_unlock();
  return fd < 0 ? -EBADF : fd;
}

/* ---- Signals ----------------------------------------------------------------------------------------------------------------- */

int thrum_process_signal(thrum_process *p, int signo) {
  if (is_foreign(p)) return -ECHILD;
  int error = thrumi_pidfd_signal(p->pidfd, signo);
  return error == -ESRCH ? 0 : error;
}

int thrum_process_terminate(thrum_process *p) { return thrum_process_signal(p, SIGTERM); }
int thrum_process_kill(thrum_process *p) { return thrum_process_signal(p, SIGKILL); }
int thrum_process_interrupt(thrum_process *p) { return thrum_process_signal(p, SIGINT); }

/* ---- Who is who ---------------------------------------------------------------------------------------------------------------- */

pid_t thrum_process_pid(const thrum_process *p) { return p->pid; }
const char *thrum_process_name(const thrum_process *p) { return p->name; }

size_t thrum_processes(thrum_process **out, size_t max) { return thrumi_process_list(out, max); }
