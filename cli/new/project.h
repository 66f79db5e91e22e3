/* The files of a new project, made at build time from cli/new/project. */
#ifndef THRUM_PROJECT_H
#define THRUM_PROJECT_H

struct project_file {
  const char *path; /* below the project's folder; NULL: the last one was before */
  const char *text; /* @NAME@ stands for the project's name */
};

extern const struct project_file project_files[];

#endif
