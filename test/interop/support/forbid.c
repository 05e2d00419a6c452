/*
 * forbid HOW PROGRAM ARGUMENT...: runs a program that may have no memory that can be both written and run: what systemd's
 * MemoryDenyWriteExecute=true does to a service. HOW is "filter", as systemd does it by a filter of system calls, or
 * "prctl", as it does since version 254 where Linux is 6.3 or newer. With "keys" it may have such memory, and is killed where it
 * asks for a memory protection key, as by SystemCallFilter=@system-service.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* PR_SET_MDWE and PR_MDWE_REFUSE_EXEC_GAIN of newer headers. */
#define SET_MDWE 65
#define REFUSE_EXEC_GAIN 1

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF_EQUAL(value, then, other) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, then, other)
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)

int main(int argc, char **argv) {
  struct sock_filter filter[] = {
    LOAD(nr),
    IF_EQUAL(SYS_mmap, 2, 0),
    IF_EQUAL(SYS_mprotect, 5, 0),
    IF_EQUAL(SYS_pkey_mprotect, 4, 7),
    /* mmap: both at once */
    LOAD(args[2]),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, PROT_WRITE | PROT_EXEC),
    IF_EQUAL(PROT_WRITE | PROT_EXEC, 3, 4),
    RETURN(SECCOMP_RET_ALLOW),
    /* mprotect: to be run, after it was written */
    LOAD(args[2]),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
    RETURN(SECCOMP_RET_ERRNO | EPERM),
    RETURN(SECCOMP_RET_ALLOW),
  };
  struct sock_filter keys[] = {
    LOAD(nr),
    IF_EQUAL(SYS_pkey_alloc, 0, 1),
    RETURN(SECCOMP_RET_KILL_PROCESS),
    RETURN(SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  struct sock_fprog of_keys = {sizeof keys / sizeof *keys, keys};
  if (argc < 3) return 125;
  const struct sock_fprog *chosen = strcmp(argv[1], "keys") ? &program : &of_keys;
  if (strcmp(argv[1], "prctl") ? prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, chosen)
                               : prctl(SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0)) {
    perror("forbid");
    return 125;
  }
  execv(argv[2], argv + 2);
  perror(argv[2]);
  return 127;
}
