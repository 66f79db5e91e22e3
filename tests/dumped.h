/* A dump, as text. */
#ifndef TESTS_DUMPED_H
#define TESTS_DUMPED_H

#include "check.h"

#include <thrum/thread.h>
#include <thrum/trace.h>

/* Good until the next one. */
__attribute__((unused)) static const char *dumped(void) {
  static char text[1 << 20];
  FILE *file = tmpfile();
  CHECK(file);
  CHECK_EQ(thrum_dump(fileno(file)), 0);
  rewind(file);
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  fclose(file);
  return text;
}

/* The part of a dump that is of one thread. */
__attribute__((unused)) static const char *dump_entry(const char *dump, const char *name) {
  static char part[1 << 16];
  char head[THRUM_NAME_MAX + 8];
  snprintf(head, sizeof head, "\n\"%s\" #", name);
  const char *at = strstr(dump, head);
  if (!at) check_failed(__FILE__, __LINE__, "no thread %s in:\n%s", name, dump);
  const char *end = strstr(at + 1, "\n\n");
  size_t length = end ? (size_t)(end - at) : strlen(at);
  snprintf(part, sizeof part, "%.*s", (int)length, at);
  return part;
}

#endif
