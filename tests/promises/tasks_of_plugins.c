/* A task of a shared object that was opened while the program ran is found in children, whatever they are started by and wherever they are
 * started: also if the object was opened by a path that is good from the directory of that moment only. */
#include "process_pools.h"

#include <dlfcn.h>

static int methods[] = {THRUM_FORKSERVER, THRUM_SPAWN, THRUM_FORK};
enum { METHODS = sizeof methods / sizeof *methods };

static void must_run(int method, const char *directory) {
  thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
  thrum_process *p;
  const void *data;
  size_t size;
  int code = -1;
  o.method = method;
  o.directory = directory;
  CHECK_EQ(thrum_process_start(&p, &o, thrum_task_find("in_plugin"), NULL, 0), 0);
  CHECK_EQ(thrum_process_join(p, &code), 0);
  CHECK_EQ(code, 0);
  CHECK_EQ(thrum_process_result(p, &data, &size), 0);
  CHECK(size == 7 && memcmp(data, "plugged", 7) == 0);
  thrum_process_release(p);
}

/* Its initializer is the plugin's as well, or not. */
static void must_run_in_a_pool(int method, bool initializer) {
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  o.processes = 1;
  o.method = method;
  if (initializer) o.initializer = thrum_task_find("in_plugin");
  thrum_executor *x = processes_with(o);
  CHECK_EQ(take(must_submit(x, thrum_task_find("in_plugin"), NULL, 0)), 7);
  end_pool(x);
}

static void must_run_everywhere(void) {
  for (int i = 0; i < METHODS; i++) {
    must_run(methods[i], NULL);
    must_run(methods[i], "/proc");
    must_run_in_a_pool(methods[i], false);
    must_run_in_a_pool(methods[i], true);
  }
}

static void go_to(const char *directory) { CHECK_EQ(chdir(directory), 0); }

/* Opened by `path` from the directory `from`. */
static void opened_by(const char *from, const char *path) {
  go_to(from);
  void *plugin = dlopen(path, RTLD_NOW);
  if (!plugin) check_failed(__FILE__, __LINE__, "%s", dlerror());
  must_run_everywhere();
  go_to("/");
  must_run_everywhere();
  CHECK_EQ(dlclose(plugin), 0);
  CHECK(!thrum_task_find("in_plugin"));
}

int main(int argc, char **argv) {
  static char folder[] = PLUGIN, path[sizeof PLUGIN + 16];
  thrum_process_main(argc, argv);
  char *file = strrchr(folder, '/');
  *file++ = 0;
  opened_by("/", PLUGIN);
  snprintf(path, sizeof path, "./%s", file);
  opened_by(folder, path);
  snprintf(path, sizeof path, ".%s", PLUGIN);
  opened_by("/", path);
  return 0;
}
