/* Lua scripts in several threads, behind one interpreter lock.
 *
 *     lua [MILLISECONDS]
 *
 * Lua is not thread-safe: its states may share globals only while one thread at a time runs. Here each script has a thread of
 * thrum's and a coroutine of one common state (lua_newthread), so all see the same globals. A hook that Lua calls every
 * thousand instructions is the check point, at which a script hands the lock over when another one is due. What waits gives the
 * lock back for as long: `sleep`, and `receive`, which reads from a pipe.
 *
 * Three scripts compute, one answers messages and one sends them. The report says how often each computed and how long the
 * answers took: the three get equal shares, and an answer does not wait for them to use up theirs. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <thrum.h>

enum { INSTRUCTIONS = 1000 }; /* between two check points */

static thrum_gil gil;
static int pipes[2][2]; /* to who answers, and back */

static void check(lua_State *L, lua_Debug *what) {
  (void)L, (void)what;
  thrum_gil_check(&gil);
}

/* ---- What scripts may call --------------------------------------------------------------------------------- */

/* sleep(milliseconds) */
static int script_sleep(lua_State *L) {
  thrum_duration span = THRUM_MS(luaL_checknumber(L, 1));
  THRUM_GIL_UNLOCKED(&gil) thrum_sleep(span);
  return 0;
}

/* now(): seconds */
static int script_now(lua_State *L) {
  lua_pushnumber(L, (double)thrum_now() / 1e9);
  return 1;
}

/* receive(end): a byte as a number, or nil at the end */
static int script_receive(lua_State *L) {
  lua_Integer end = luaL_checkinteger(L, 1);
  unsigned char byte;
  ssize_t n = 0;
  THRUM_GIL_UNLOCKED(&gil) n = thrum_read(pipes[end & 1][0], &byte, 1);
  if (n == 1)
    lua_pushinteger(L, byte);
  else
    lua_pushnil(L);
  return 1;
}

/* send(end, byte) */
static int script_send(lua_State *L) {
  lua_Integer end = luaL_checkinteger(L, 1);
  unsigned char byte = (unsigned char)luaL_checkinteger(L, 2);
  ssize_t n = 0;
  THRUM_GIL_UNLOCKED(&gil) n = thrum_write(pipes[end & 1][1], &byte, 1);
  return n == 1 ? 0 : luaL_error(L, "send: %s", strerror((int)-n));
}

/* finish(end): nobody sends there any more */
static int script_finish(lua_State *L) {
  thrum_close(pipes[luaL_checkinteger(L, 1) & 1][1]);
  return 0;
}

static const luaL_Reg functions[] = {{"sleep", script_sleep},     {"now", script_now},
                                     {"receive", script_receive}, {"send", script_send},
                                     {"finish", script_finish},   {NULL, NULL}};

/* ---- The scripts --------------------------------------------------------------------------------------------- */

#define COMPUTE(n) "local n = 0; while not over do n = n + 1 end; counts[" #n "] = n"

static const struct {
  const char *name, *text;
} scripts[] = {
    {"compute-1", COMPUTE(1)},
    {"compute-2", COMPUTE(2)},
    {"compute-3", COMPUTE(3)},
    {"answer", "for byte in receive, 0 do send(1, (byte + 1) % 256) end"},
    {"ask", "local begun, i = now(), 0\n"
            "while now() - begun < milliseconds / 1000 do\n"
            "  sleep(2)\n"
            "  local before = now()\n"
            "  send(0, i % 256)\n"
            "  if receive(1) ~= (i + 1) % 256 then error('a wrong answer') end\n"
            "  i = i + 1\n"
            "  took[i] = (now() - before) * 1000\n"
            "end\n"
            "finish(0); over = true"},
};

enum { SCRIPTS = sizeof scripts / sizeof *scripts };

static const char report[] =
    "table.sort(took)\n"
    "local total = counts[1] + counts[2] + counts[3]\n"
    "for i, n in ipairs(counts) do\n"
    "  print(string.format('compute-%d: %4.1f %% of the work', i, 100 * n / total))\n"
    "end\n"
    "print(string.format('%d answers: %.3f ms as a rule, %.3f ms at the 99th percentile', #took,\n"
    "  took[#took // 2 + 1], took[math.ceil(#took * 0.99)]))";

/* Runs a script to its end, holding the gil but where it waits or is asked for it. */
static intptr_t run(void *arg) {
  lua_State *L = arg;
  bool failed = false;
  THRUM_GIL_LOCKED(&gil) {
    failed = lua_pcall(L, 0, 0, 0) != LUA_OK;
    if (failed) thrum_print("%s: %s\n", thrum_current_name(), lua_tostring(L, -1));
  }
  return failed ? -EINVAL : 0;
}

/* A coroutine of the common state that is about to run the script. What it stands on in the common stack keeps it alive. */
static lua_State *prepare(lua_State *common, int i) {
  lua_State *L = lua_newthread(common);
  lua_sethook(L, check, LUA_MASKCOUNT, INSTRUCTIONS);
  return luaL_loadbuffer(L, scripts[i].text, strlen(scripts[i].text), scripts[i].name) == LUA_OK ? L : NULL;
}

static int start_all(lua_State *common, thrum_thread *threads) {
  int error = 0;
  THRUM_GIL_LOCKED(&gil) {
    for (int i = 0; i < SCRIPTS && !error; i++) {
      lua_State *L = prepare(common, i);
      error = L ? thrum_spawn_named(&threads[i], run, L, "%s", scripts[i].name) : -EINVAL;
    }
  }
  return error;
}

static lua_State *common_state(double milliseconds) {
  lua_State *L = luaL_newstate();
  if (!L) return NULL;
  luaL_openlibs(L);
  lua_pushglobaltable(L);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
  lua_newtable(L), lua_setglobal(L, "counts");
  lua_newtable(L), lua_setglobal(L, "took");
  lua_pushnumber(L, milliseconds), lua_setglobal(L, "milliseconds");
  return L;
}

int main(int argc, char **argv) {
  thrum_thread threads[SCRIPTS] = {0};
  lua_State *common = common_state(argc > 1 ? atof(argv[1]) : 1000);
  if (!common || pipe2(pipes[0], O_NONBLOCK) != 0 || pipe2(pipes[1], O_NONBLOCK) != 0) return 1;
  int error = start_all(common, threads);
  for (int i = 0; i < SCRIPTS && !error; i++) {
    intptr_t result = 0;
    thrum_join(threads[i], &result);
    if (thrum_failed(result)) error = (int)result;
  }
  if (!error && luaL_dostring(common, report) != LUA_OK) error = -EINVAL;
  if (error) fprintf(stderr, "lua: %s\n", strerror(-error));
  lua_close(common);
  return error != 0;
}
