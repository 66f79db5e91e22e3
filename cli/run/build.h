/* From source files to a program. */
#ifndef THRUM_BUILD_H
#define THRUM_BUILD_H

#include "words.h"

#include <stdbool.h>

enum source_kind { SOURCE_UNKNOWN, SOURCE_C, SOURCE_CXX, SOURCE_OBJECT };

/* By its suffix. */
enum source_kind source_kind(const char *path);

struct build {
  struct words sources;
  bool verbose;  /* prints each command */
  char *program; /* what was built, in the temporary folder */
};

/* Each: 0, or an exit status after a message. The first also makes the temporary folder. */
int build_program(struct build *build);
int build_keep(const struct build *build, const char *path);

/* Calls work(arg), which returns an exit status, in a child (process_do), and returns that status. An interrupt or a closed pipe that
 * ends it ends this process, too, without what is temporary. */
int build_apart(int (*work)(void *), void *arg);

/* How a tool ended. */
enum tool_end {
  TOOL_OK,
  TOOL_FAILED, /* it has said why */
  TOOL_ABSENT, /* it did not start, or crashed: that has been said */
};

/* Runs a tool to its end; its streams go to those files, NULL: where ours go. `remedy`: what to do if it is not there. An
 * interrupt ends this process. */
enum tool_end build_tool(const struct words *command, const char *out, const char *err, const char *remedy);

#endif
