/*
 * An SMTP receiver that keeps nothing, and is so fast that the sender is the bottleneck. One process, one epoll loop, any
 * number of sessions. It is no server, because it checks nothing. It answers `STAT` with its counts.
 *
 *   sink [--pipelining] [--chunking] [--auth] [--starttls | --tls] [--cert FILE --key FILE]
 *
 * It listens on a free port of 127.0.0.1 and prints the number. Built with -DTLS -lssl -lcrypto where OpenSSL is.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/ssl.h>
static SSL_CTX *tls_settings;
#endif

enum mode { COMMAND, PROMPTED, DATA, BDAT };
struct session {
  int fd, started, closing;
  enum mode mode;
  int last;             /* the BDAT under way is the last one */
  size_t left;          /* octets of the BDAT under way that are still to come */
  char *kept;           /* octets to be used later: a part of a command, or of the end of the content */
  size_t kept_length;
  char *out;
  size_t out_length, out_room;
#ifdef TLS
  SSL *tls;
#endif
};

#define CHUNK (1 << 20)
static char chunk[CHUNK + 65536];
static unsigned long long messages, octets, recipients, sessions;
static int pipelining, chunking, authenticates, starttls, implicit_tls, epoll;

static void say(struct session *s, const char *text) {
  size_t length = strlen(text);
  if (s->out_length + length > s->out_room) {
    s->out_room = 2 * (s->out_length + length) + 512;
    s->out = realloc(s->out, s->out_room);
  }
  memcpy(s->out + s->out_length, text, length);
  s->out_length += length;
}

static ssize_t get(struct session *s, char *at, size_t room) {
#ifdef TLS
  if (s->tls) {
    size_t all = 0;
    while (all < room) {
      int n = SSL_read(s->tls, at + all, room - all > 1 << 30 ? 1 << 30 : (int)(room - all));
      if (n > 0) {
        all += n;
        continue;
      }
      int why = SSL_get_error(s->tls, n);
      if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
        return all > 0 ? (ssize_t)all : -1;
      }
      return all > 0 ? (ssize_t)all : 0;
    }
    return all;
  }
#endif
  return read(s->fd, at, room);
}

static ssize_t put(struct session *s, const char *at, size_t length) {
#ifdef TLS
  if (s->tls) {
    int n = SSL_write(s->tls, at, (int)length);
    if (n > 0) return n;
    int why = SSL_get_error(s->tls, n);
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
    return -1;
  }
#endif
  return write(s->fd, at, length);
}

static void end(struct session *s) {
#ifdef TLS
  if (s->tls) SSL_free(s->tls);
#endif
  close(s->fd);
  free(s->kept);
  free(s->out);
  free(s);
}

/* Writes as much as possible; 0 when the session is over. */
static int flush(struct session *s) {
  size_t at = 0;
  int ok = 1;
  while (at < s->out_length) {
    ssize_t n = put(s, s->out + at, s->out_length - at);
    if (n < 0) {
      ok = errno == EAGAIN;
      break;
    }
    at += n;
  }
  memmove(s->out, s->out + at, s->out_length - at);
  s->out_length -= at;
  if (!ok || (s->closing && s->out_length == 0)) return 0;
  struct epoll_event event = {.events = EPOLLIN | (s->out_length > 0 ? EPOLLOUT : 0), .data.ptr = s};
  epoll_ctl(epoll, EPOLL_CTL_MOD, s->fd, &event);
  return 1;
}

static int secure(struct session *s) {
#ifdef TLS
  s->tls = SSL_new(tls_settings);
  SSL_set_fd(s->tls, s->fd);
  SSL_set_accept_state(s->tls);
  return 1;
#else
  (void)s;
  return 0;
#endif
}

static int is(const char *line, const char *verb) { return strncasecmp(line, verb, strlen(verb)) == 0; }

static void command(struct session *s, char *line) {
  char text[256];
  if (s->mode == PROMPTED) {
    s->mode = COMMAND;
    s->last--;
    if (s->last > 0) {
      s->mode = PROMPTED;
      say(s, "334 UGFzc3dvcmQ6\r\n");
    } else say(s, "235 2.7.0 ok\r\n");
  } else if (is(line, "EHLO")) {
    int secured = 0;
#ifdef TLS
    secured = s->tls != NULL;
#endif
    snprintf(text, sizeof text, "250-sink.example\r\n%s%s%s%s250-8BITMIME\r\n250 SIZE\r\n", pipelining ? "250-PIPELINING\r\n" : "",
             chunking ? "250-CHUNKING\r\n" : "", authenticates ? "250-AUTH PLAIN LOGIN\r\n" : "",
             starttls && !secured ? "250-STARTTLS\r\n" : "");
    say(s, text);
  } else if (is(line, "RCPT")) {
    recipients++;
    say(s, "250 2.1.5 ok\r\n");
  } else if (is(line, "DATA")) {
    /* A terminator may come first: then the line end of the command is the CRLF before its dot. */
    s->mode = DATA;
    s->kept = realloc(s->kept, 8);
    memcpy(s->kept, "\r\n", 2);
    s->kept_length = 2;
    say(s, "354 go\r\n");
  } else if (is(line, "BDAT ")) {
    char *rest;
    s->left = strtoull(line + 5, &rest, 10);
    s->last = strcasestr(rest, "LAST") != NULL;
    s->mode = BDAT;
  } else if (is(line, "AUTH PLAIN ")) say(s, "235 2.7.0 ok\r\n");
  else if (is(line, "AUTH")) {
    /* `last` counts the answers to come: one for PLAIN without an initial response, or the rest of LOGIN's two. */
    s->last = is(line, "AUTH LOGIN") ? (strchr(line + 5, ' ') ? 1 : 2) : 1;
    s->mode = PROMPTED;
    say(s, s->last == 2 ? "334 VXNlcm5hbWU6\r\n" : "334 \r\n");
  } else if (is(line, "STAT")) {
    snprintf(text, sizeof text, "250 %llu %llu %llu %llu\r\n", messages, octets, recipients, sessions);
    say(s, text);
  } else if (is(line, "QUIT")) {
    say(s, "221 2.0.0 bye\r\n");
    s->closing = 1;
  } else say(s, "250 2.0.0 ok\r\n");
}

/* The end of the terminator CRLF . CRLF, or NULL. Searches dots, because they are rarer than line ends. */
static char *terminator(char *from, char *to) {
  for (char *at = from; at < to && (at = memchr(at, '.', to - at)) != NULL; at++)
    if (at - from >= 2 && to - at >= 3 && at[1] == '\r' && at[2] == '\n' && at[-1] == '\n' && at[-2] == '\r') return at + 3;
  return NULL;
}

/* Uses as many octets as possible; returns where the rest begins. */
static char *take(struct session *s, char *at, char *to) {
  for (;;) {
    if (s->mode == DATA) {
      char *stop = terminator(at, to);
      if (!stop) return to - at > 4 ? to - 4 : at;
      messages++;
      s->mode = COMMAND;
      say(s, "250 2.0.0 taken\r\n");
      at = stop;
    } else if (s->mode == BDAT) {
      size_t here = (size_t)(to - at) < s->left ? (size_t)(to - at) : s->left;
      s->left -= here;
      at += here;
      if (s->left > 0) return at;
      messages += s->last;
      s->mode = COMMAND;
      say(s, "250 2.0.0 taken\r\n");
    } else {
      char *line_end = at < to ? memchr(at, '\n', to - at) : NULL;
      if (!line_end || s->closing) return at;
      *line_end = 0;
#ifdef TLS
      if (is(at, "STARTTLS") && starttls && !s->tls) {
        say(s, "220 2.0.0 go\r\n");
        if (!flush(s)) s->closing = 1;
        secure(s);
        return to;
      }
#endif
      command(s, at);
      at = line_end + 1;
    }
  }
}

static int readable(struct session *s) {
  memcpy(chunk, s->kept, s->kept_length);
  ssize_t n = get(s, chunk + s->kept_length, CHUNK);
  if (n <= 0) return n < 0 && errno == EAGAIN;
  octets += n;
#ifdef TLS
  if (s->tls && !s->started && implicit_tls) say(s, "220 sink.example ESMTP\r\n"), s->started = 1;
#endif
  char *to = chunk + s->kept_length + n;
  s->kept_length = 0;
  char *rest = take(s, chunk, to);
  /* DATA's command leaves its line end in `kept`, but only when it was the last thing read. */
  if (s->mode != DATA || to - rest > 0) {
    if (to - rest > 60000) return 0;
    s->kept = realloc(s->kept, to - rest + 8);
    memcpy(s->kept, rest, to - rest);
    s->kept_length = to - rest;
  }
  return 1;
}

int main(int argc, char **argv) {
  const char *certificate = NULL, *key = NULL;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--pipelining")) pipelining = 1;
    else if (!strcmp(argv[i], "--chunking")) chunking = 1;
    else if (!strcmp(argv[i], "--auth")) authenticates = 1;
    else if (!strcmp(argv[i], "--starttls")) starttls = 1;
    else if (!strcmp(argv[i], "--tls")) implicit_tls = 1;
    else if (!strcmp(argv[i], "--cert") && i + 1 < argc) certificate = argv[++i];
    else if (!strcmp(argv[i], "--key") && i + 1 < argc) key = argv[++i];
    else return fprintf(stderr, "unknown option %s\n", argv[i]), 1;
  }
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (starttls || implicit_tls) {
#ifdef TLS
    tls_settings = SSL_CTX_new(TLS_server_method());
    if (!certificate || !key || SSL_CTX_use_certificate_chain_file(tls_settings, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls_settings, key, SSL_FILETYPE_PEM) != 1)
      return fprintf(stderr, "no usable certificate\n"), 1;
    SSL_CTX_set_options(tls_settings, SSL_OP_IGNORE_UNEXPECTED_EOF);
#else
    return fprintf(stderr, "built without TLS: %s %s\n", certificate, key), 1;
#endif
  }
  int on = 1, door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (bind(door, (void *)&address, size) != 0 || listen(door, 4096) != 0) return perror("listen"), 1;
  getsockname(door, (void *)&address, &size);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  epoll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN}, events[256];
  epoll_ctl(epoll, EPOLL_CTL_ADD, door, &event);
  for (;;) {
    int count = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < count; i++) {
      struct session *s = events[i].data.ptr;
      if (!s) {
        int fd;
        while ((fd = accept4(door, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
          setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
          s = calloc(1, sizeof *s);
          s->fd = fd;
          sessions++;
          struct epoll_event in = {.events = EPOLLIN, .data.ptr = s};
          epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &in);
          if (implicit_tls) secure(s);
          else say(s, "220 sink.example ESMTP\r\n");
          if (!implicit_tls && !flush(s)) end(s);
        }
        continue;
      }
#ifdef TLS
      if (s->tls && !SSL_is_init_finished(s->tls)) {
        int done = SSL_do_handshake(s->tls), why = SSL_get_error(s->tls, done);
        if (done != 1 && why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
          end(s);
          continue;
        }
        if (done != 1) continue;
        if (implicit_tls && !s->started) say(s, "220 sink.example ESMTP\r\n"), s->started = 1;
      }
#endif
      int open = 1;
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) open = readable(s);
#ifdef TLS
      while (open && s->tls && SSL_pending(s->tls) > 0) open = readable(s);
#endif
      if (!open || !flush(s)) end(s);
    }
  }
}
