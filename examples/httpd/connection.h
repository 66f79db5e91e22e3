/* One connection of httpd, and what all of them share. */
#ifndef EXAMPLES_HTTPD_CONNECTION_H
#define EXAMPLES_HTTPD_CONNECTION_H

#include "../server.h"

struct httpd {
  struct server server; /* the first */
  int root;             /* the folder, as a descriptor */
  bool log, walk;
  thrum_duration idle, header, body, send; /* see main.c */
};

void httpd_serve(struct connection *c);

#endif
