/* A dump, as text. */
#ifndef TESTS_DUMPED_H
#define TESTS_DUMPED_H

#include "check.h"

#include <thrum/trace.h>

/* Good until the next one. */
static const char *dumped(void) {
  static char text[1 << 20];
  FILE *file = tmpfile();
  CHECK(file);
  CHECK_EQ(thrum_dump(fileno(file)), 0);
  rewind(file);
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  fclose(file);
  return text;
}

#endif
