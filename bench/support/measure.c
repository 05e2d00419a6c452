/*
 * Runs a command and writes to descriptor 3: its wait status, wall time, user time, system time (seconds), peak
 * resident set (KiB), and with -a the peak of its anonymous memory (KiB, else 0), from a look every 2 ms. Anonymous memory
 * belongs to the process alone, unlike the pages of executables, which all processes share. This program is small because
 * the peak that Linux reports for a process begins with that of its parent.
 *
 *   measure [-a] COMMAND ARGUMENT…
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* KiB. Linux writes numbers of pages: all, the resident ones, and those of them that are not anonymous. */
static long anonymous(int statm) {
  char text[128];
  long all, resident, shared;
  ssize_t n = pread(statm, text, sizeof text - 1, 0);
  if (n <= 0) return 0;
  text[n] = 0;
  if (sscanf(text, "%ld %ld %ld", &all, &resident, &shared) != 3) return 0;
  return (resident - shared) * (sysconf(_SC_PAGESIZE) / 1024);
}

int main(int argc, char **argv) {
  struct timespec from, to, between = {.tv_nsec = 2000000};
  struct rusage used;
  sigset_t ends, before;
  int status, samples = argc > 1 && strcmp(argv[1], "-a") == 0;
  long peak = 0;
  char **command = argv + 1 + samples;
  if (!*command) return 2;
  fcntl(3, F_SETFD, FD_CLOEXEC);
  sigemptyset(&ends);
  sigaddset(&ends, SIGCHLD);
  sigprocmask(SIG_BLOCK, &ends, &before);
  clock_gettime(CLOCK_MONOTONIC, &from);
  pid_t child = fork();
  if (child == 0) {
    sigprocmask(SIG_SETMASK, &before, NULL);
    execvp(*command, command);
    _exit(127);
  }
  if (samples) {
    char name[64];
    snprintf(name, sizeof name, "/proc/%ld/statm", (long)child);
    int statm = open(name, O_RDONLY | O_CLOEXEC);
    while (statm >= 0 && sigtimedwait(&ends, NULL, &between) < 0) {
      long now = anonymous(statm);
      if (now > peak) peak = now;
    }
  }
  wait4(child, &status, 0, &used);
  clock_gettime(CLOCK_MONOTONIC, &to);
  dprintf(3, "%d %.6f %ld.%06ld %ld.%06ld %ld %ld\n", status,
          (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec), (long)used.ru_utime.tv_sec,
          (long)used.ru_utime.tv_usec, (long)used.ru_stime.tv_sec, (long)used.ru_stime.tv_usec, used.ru_maxrss, peak);
  return 0;
}
