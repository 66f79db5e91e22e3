/* httpd: an HTTP/1.1 server of static files, with one thread a connection.
 *
 *     httpd [OPTION...] FOLDER
 *     httpd --port=0 --log . & curl -r 0-99 http://localhost:PORT/README.md
 *
 * It answers GET and HEAD with keep-alive, pipelining, single ranges, If-None-Match, If-Modified-Since and If-Range, and sends files
 * by sendfile. A folder is answered by its index.html. What lies outside of FOLDER is not there, be it by "..", percent signs or
 * symbolic links. Bodies of requests are read and thrown away.
 *
 * Each connection is one loop in connection.c, whose calls wait for the peer and hold up nobody else. Limits are in httpd.h;
 * who exceeds one is told so (413, 414, 431, 503). Who is too slow is cut off, in seconds, unless the options say otherwise:
 *
 *     --idle=15      until the first byte of a request; the connection is closed
 *     --header=10    from there to the end of its header; 408
 *     --body=10      from there to the end of its body; 408
 *     --send=15      for each 64 KiB of an answer; the connection is closed
 *     --grace=5      for answers that are under way when SIGINT or SIGTERM comes; what is idle is closed at once
 *
 * Nothing else takes time but the 2 s for which the rest of what the peer sends is read after a last answer. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../options.h"
#include "connection.h"

static const char usage[] = "usage: httpd [OPTION...] FOLDER\n"
                            "  --host=ADDRESS     to listen at, localhost\n"
                            "  --port=PORT        8080; 0: one that is free\n"
                            "  --connections=N    at once, 10000\n"
                            "  --log              a line for each request on standard output\n"
                            "  --walk             follow no symbolic links, as without openat2\n"
                            "  --idle=S --header=S --body=S --send=S --grace=S\n"
                            "                     seconds until a slow peer is cut off: 15 10 10 15 5\n";

int main(int argc, char **argv) {
  struct httpd h = {
      .server = {.name = "httpd", .host = "localhost", .port = "8080", .most = 10000, .serve = httpd_serve},
      .idle = THRUM_S(15),
      .header = THRUM_S(10),
      .body = THRUM_S(10),
      .send = THRUM_S(15),
  };
  h.server.grace = THRUM_S(5);
  const struct option_row options[] = {
      {"host", OPTION_TEXT, &h.server.host, 0, 0},
      {"port", OPTION_TEXT, &h.server.port, 0, 0},
      {"connections", OPTION_NUMBER, &h.server.most, 1, 1000000},
      {"log", OPTION_FLAG, &h.log, 0, 0},
      {"walk", OPTION_FLAG, &h.walk, 0, 0},
      {"idle", OPTION_SECONDS, &h.idle, 0, 3600},
      {"header", OPTION_SECONDS, &h.header, 0, 3600},
      {"body", OPTION_SECONDS, &h.body, 0, 3600},
      {"send", OPTION_SECONDS, &h.send, 0, 3600},
      {"grace", OPTION_SECONDS, &h.server.grace, 0, 3600},
      {0},
  };
  const char *folder = argv[options_read(argc, argv, options, usage, 1, 1)];
  h.root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (h.root < 0) return fprintf(stderr, "httpd: %s: %s\n", folder, strerror(errno)), 1;
  setvbuf(stdout, NULL, _IOLBF, 0); /* a log that can be followed */
  int error = server_run(&h.server);
  close(h.root);
  return error != 0;
}
