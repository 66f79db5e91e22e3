/* Tasks are found by their names, whatever the linker and the compiler think of what nobody calls: in two files of a program, in
 * C++, and in a shared object for as long as it is loaded. */
#include "../check.h"

#include <thrum/executor.h>

#ifdef PLUGIN
#include <dlfcn.h>
#endif

#define SECTION_BOUND __attribute__((weak, visibility("hidden")))
extern thrumi_task_record __start_thrum_tasks[] SECTION_BOUND, __stop_thrum_tasks[] SECTION_BOUND;

THRUM_TASK(first) { return thrum_out_write(out, in, size); }
THRUM_TASK(second) { return 2; }

static bool lies_in_section(const char *name) {
  for (const thrumi_task_record *r = __start_thrum_tasks; r < __stop_thrum_tasks; r++)
    if (r->task == thrum_task_find(name)) return true;
  return false;
}

static void run(const char *name, const char *text, int result, const char *expected) {
  thrum_executor *x;
  thrum_future *f;
  const void *data;
  size_t size;
  intptr_t got;
  CHECK_EQ(thrum_executor_inline(&x), 0);
  CHECK_EQ(thrum_submit_task(x, &f, thrum_task_find(name), text, strlen(text)), 0);
  CHECK_EQ(thrum_future_result(f, &got), 0);
  CHECK_EQ(got, result);
  CHECK_EQ(thrum_future_bytes(f, &data, &size), 0);
  CHECK_EQ(size, strlen(expected));
  CHECK(size == 0 || memcmp(data, expected, size) == 0);
  thrum_future_release(f);
  thrum_executor_release(x);
}

#ifdef PLUGIN
static void in_a_shared_object(void) {
  CHECK(!thrum_task_find("in_plugin"));
  void *plugin = dlopen(PLUGIN, RTLD_NOW);
  if (!plugin) check_failed(__FILE__, __LINE__, "%s", dlerror());
  run("in_plugin", "", 7, "plugged");
  CHECK(thrum_task_find("second") == &second); /* it has one of that name, too: the first counts */
  CHECK_EQ(dlclose(plugin), 0);
  CHECK(!thrum_task_find("in_plugin"));
  CHECK(thrum_task_find("second") == &second);
}
#endif

int main(void) {
  CHECK(thrum_task_find("first") == &first);
  CHECK_STR(first.name, "first");
  CHECK(!thrum_task_find("firs"));
  CHECK(!thrum_task_find(""));
  CHECK(!thrum_task_find(NULL));
  CHECK(lies_in_section("first") && lies_in_section("second") && lies_in_section("elsewhere"));
  run("first", "and last", 0, "and last");
  run("second", "", 2, "");
  run("elsewhere", "abc", 3, "");
#ifdef CXX
  run("in_cxx", "", 0, "C++");
#endif
#ifdef PLUGIN
  in_a_shared_object();
#endif
  return 0;
}
