/*
 * The least client in C: sends the commands one by one, writes standard input as it is (it must have CRLF line ends and no
 * leading dots) in 64 KiB writes, and waits for the verdict. Built with -DTLS -lssl -lcrypto it speaks TLS, by OpenSSL.
 *
 *   floor PORT [CA-FILE]
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/ssl.h>
static SSL *tls;
#endif

static int server;
static char chunk[65536];

static void put(const char *at, size_t length) {
  while (length > 0) {
    ssize_t n;
#ifdef TLS
    if (tls) n = SSL_write(tls, at, (int)length);
    else
#endif
      n = write(server, at, length);
    if (n <= 0) exit(1);
    at += n;
    length -= (size_t)n;
  }
}

/* Reads one reply; its last line has a blank behind the code. */
static void expect(char digit) {
  static char text[4096];
  size_t have = 0;
  for (;;) {
    ssize_t n;
#ifdef TLS
    if (tls) n = SSL_read(tls, text + have, (int)(sizeof text - 1 - have));
    else
#endif
      n = read(server, text + have, sizeof text - 1 - have);
    if (n <= 0) exit(1);
    have += (size_t)n;
    text[have] = 0;
    if (text[have - 1] != '\n') continue;
    char *line = text;
    for (char *next; (next = strchr(line, '\n')) != NULL && next[1] != 0; line = next + 1) continue;
    if (line[3] != ' ') continue;
    if (line[0] != digit) exit(1);
    return;
  }
}

static void say(const char *command, char digit) {
  put(command, strlen(command));
  expect(digit);
}

int main(int argc, char **argv) {
  int on = 1;
  if (argc < 2) return 2;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  server = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(server, (void *)&address, sizeof address) != 0) return 1;
  setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (argc > 2) {
#ifdef TLS
    SSL_CTX *settings = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(settings, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(settings, argv[2], NULL) != 1) return 1;
    tls = SSL_new(settings);
    SSL_set_tlsext_host_name(tls, "localhost");
    SSL_set1_host(tls, "localhost");
    SSL_set_fd(tls, server);
    if (SSL_connect(tls) != 1) return 1;
#else
    return 1;
#endif
  }
  expect('2');
  say("EHLO floor.example\r\n", '2');
  say("MAIL FROM:<sender@example.org>\r\n", '2');
  say("RCPT TO:<recipient@example.org>\r\n", '2');
  say("DATA\r\n", '3');
  for (ssize_t n; (n = read(0, chunk, sizeof chunk)) > 0;) put(chunk, (size_t)n);
  say(".\r\n", '2');
  put("QUIT\r\n", 6);
  return 0;
}
