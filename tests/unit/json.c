/* The writer of JSON: escapes, bytes that are no UTF-8, what does not fit, and pieces to a descriptor. */
#include "../inspected.h"

#include <fcntl.h>
#include <inspect/json.h>

static char text[8192];

static const char *string_of(const char *value, size_t length) {
  struct thrumi_json j = thrumi_json_in(text, sizeof text, -1);
  thrumi_json_begin_string(&j, NULL);
  thrumi_json_part(&j, value, length);
  thrumi_json_end_string(&j);
  CHECK_EQ(j.error, 0);
  CHECK(!j.full);
  text[j.used] = 0;
  return json_checked(text);
}

#define CHECK_STRING(value, expected) CHECK_STR(string_of(value, sizeof(value) - 1), "\"" expected "\"")

static void escape(void) {
  CHECK_STRING("", "");
  CHECK_STRING("a\"b\\c/", "a\\\"b\\\\c/");
  CHECK_STRING("\n\t\x01\x1f\x7f", "\\n\\u0009\\u0001\\u001f\\u007f");
  CHECK_STRING("a\0b", "a\\u0000b");
}

/* Well-formed text stays; of each sort that is not well formed every byte is replaced. */
static void replace(void) {
#define X "\\ufffd"
  CHECK_STRING("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf",
               "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf");
  CHECK_STRING("\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", "\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf");
  CHECK_STRING("\x80\xbf\xff\xfe", X X X X);       /* no beginning */
  CHECK_STRING("\xc0\xaf\xc1\xbf", X X X X);       /* too long a form */
  CHECK_STRING("\xe0\x9f\xbf", X X X);             /* likewise */
  CHECK_STRING("\xf0\x8f\xbf\xbf", X X X X);       /* likewise */
  CHECK_STRING("\xed\xa0\x80", X X X);             /* half of a pair */
  CHECK_STRING("\xf4\x90\x80\x80\xf5", X X X X X); /* beyond the last one */
  CHECK_STRING("\xc3z\xe2\x82z\xf0\x9f\x98z", X "z" X X "z" X X X "z");
  CHECK_STRING("\xe2\x28\xa1", X "(" X);
  CHECK_STR(string_of("\xe2\x82\xac", 2), "\"" X X "\""); /* cut by the end */
#undef X
}

static void nest(void) {
  struct thrumi_json j = thrumi_json_in(text, sizeof text, -1);
  thrumi_json_open(&j, NULL, '{');
  thrumi_json_number(&j, "a", INT64_MIN);
  thrumi_json_count(&j, "b", UINT64_MAX);
  thrumi_json_open(&j, "c", '[');
  thrumi_json_bool(&j, NULL, true);
  thrumi_json_open(&j, NULL, '{');
  thrumi_json_close(&j, '}');
  thrumi_json_string(&j, NULL, "x{[");
  thrumi_json_string(&j, NULL, "y");
  thrumi_json_close(&j, ']');
  thrumi_json_address(&j, "d", (const void *)0x7f00);
  thrumi_json_close(&j, '}');
  CHECK_EQ(thrumi_json_end(&j), 0);
  text[j.used] = 0;
  CHECK_STR(
      text,
      "{\"a\":-9223372036854775808,\"b\":18446744073709551615,\"c\":[true,{},\"x{[\",\"y\"],\"d\":\"0x7f00\"}\n");
}

/* Whatever the length, what is cut is JSON, and no character of it is. */
static void cut(void) {
  static char longer[6000];
  for (size_t i = 0; i + 3 <= sizeof longer; i += 3) memcpy(longer + i, "\xe2\x82\xac", 3);
  for (size_t size = THRUMI_JSON_SPARE + 1; size < THRUMI_JSON_SPARE + 200; size++) {
    struct thrumi_json j = thrumi_json_in(text, size, -1);
    thrumi_json_open(&j, NULL, '[');
    thrumi_json_begin_string(&j, NULL);
    thrumi_json_part(&j, longer, sizeof longer);
    thrumi_json_part(&j, "more", 4);
    thrumi_json_end_string(&j);
    thrumi_json_close(&j, ']');
    CHECK_EQ(thrumi_json_end(&j), 0);
    CHECK(j.full && thrumi_json_room(&j) < 8);
    text[j.used] = 0;
    json_checked(text);
    CHECK(!strstr(text, "ufffd") && !strstr(text, "more"));
  }
}

/* Structure alone may use what is kept, and no more. */
static void overflow(void) {
  struct thrumi_json j = thrumi_json_in(text, THRUMI_JSON_SPARE + 8, -1);
  memset(text, 'x', sizeof text);
  thrumi_json_open(&j, NULL, '[');
  for (int i = 0; i < 2000; i++) thrumi_json_number(&j, NULL, i);
  CHECK_EQ(thrumi_json_end(&j), -ENOSPC);
  CHECK_EQ(text[THRUMI_JSON_SPARE + 8], 'x');
}

static void write_pieces(void) {
  static char read_back[100000];
  char block[64];
  FILE *file = tmpfile();
  CHECK(file);
  struct thrumi_json j = thrumi_json_in(block, sizeof block, fileno(file));
  thrumi_json_open(&j, NULL, '[');
  for (int i = 0; i < 5000; i++) thrumi_json_string(&j, NULL, "\xe2\x82\xac\n");
  thrumi_json_close(&j, ']');
  CHECK_EQ(thrumi_json_end(&j), 0);
  CHECK_EQ(pread(fileno(file), read_back, sizeof read_back - 1, 0), 1 + 5000 * 8 + 1);
  json_checked(read_back);
  fclose(file);
  int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  if (full < 0) return;
  j = thrumi_json_in(block, sizeof block, full);
  thrumi_json_string(&j, NULL, "x");
  CHECK_EQ(thrumi_json_end(&j), -ENOSPC);
  close(full);
}

int main(void) {
  escape();
  replace();
  nest();
  cut();
  overflow();
  write_pieces();
  return 0;
}
