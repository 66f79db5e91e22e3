/* What a test asserts with. A check that fails prints where, what and the values, and ends the process with
 * status 1 at once, without handlers: it works in any thread, in a forked child and in a broken runtime. None is inlined: tests
 * compile a third faster so. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHECK_SKIPPED = 77 }; /* the exit status of a test that cannot run here */

/* Exits with 1 unless the condition holds. */
#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, "%s is false", #condition))

/* Compares integers (or pointers cast to intptr_t) and prints both when they differ. */
#define CHECK_EQ(actual, expected) \
  check_equal(__FILE__, __LINE__, #actual, (long long)(actual), #expected, (long long)(expected))

/* Compares strings. */
#define CHECK_STR(actual, expected) check_string(__FILE__, __LINE__, #actual, actual, expected)

/* The string contains the part. */
#define CHECK_HAS(text, part) check_has(__FILE__, __LINE__, #text, text, part)

__attribute__((noreturn, noinline, cold, format(printf, 3, 4), unused)) static void check_failed(
    const char *file, int line, const char *format, ...) {
  char text[4096];
  int head = snprintf(text, sizeof text, "%s:%d: ", file, line);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text + head, sizeof text - (size_t)head - 1, format, arguments);
  va_end(arguments);
  strcat(text, "\n");
  if (write(2, text, strlen(text)) < 0) _exit(2);
#ifdef TESTS_FUZZ
  abort(); /* libFuzzer keeps the input then */
#endif
  _exit(1);
}

__attribute__((noinline, unused)) static void check_equal(const char *file, int line, const char *actual_text,
                                                          long long actual, const char *expected_text,
                                                          long long expected) {
  if (actual == expected) return;
  check_failed(file, line, "%s is %lld, expected %s = %lld", actual_text, actual, expected_text, expected);
}

__attribute__((noinline, unused)) static void check_string(const char *file, int line,
                                                           const char *actual_text, const char *actual,
                                                           const char *expected) {
  if (actual && strcmp(actual, expected) == 0) return;
  check_failed(file, line, "%s is \"%s\", expected \"%s\"", actual_text, actual ? actual : "(null)",
               expected);
}

__attribute__((noinline, unused)) static void check_has(const char *file, int line, const char *name,
                                                        const char *text, const char *part) {
  if (text && strstr(text, part)) return;
  check_failed(file, line, "%s lacks \"%s\"; it is:\n%s", name, part, text ? text : "(null)");
}

/* Ends the test as one that cannot run here, and says why. */
#define CHECK_SKIP(reason) \
  do { \
    printf("skipped: %s\n", reason); \
    fflush(stdout); \
    _exit(CHECK_SKIPPED); \
  } while (0)

#endif
