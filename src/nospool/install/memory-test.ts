/**
 * A program that asks Linux for memory that can be both written and run. A compiler at run time needs it, and a sandbox may
 * forbid it (systemd's MemoryDenyWriteExecute, SELinux's execmem). The program ends with status 0 or 1. Where Node 20 is to run, it asks for
 * a memory protection key before, as that Node does, and dies as it does where a filter of system calls has no @pkey (systemd's
 * SystemCallFilter=@system-service). It is machine code because any other way takes longer than all else that the shell does.
 */

/** Sizes of the header and of a segment's entry in an ELF file, and numbers that stand there. */
const [HEADER, SEGMENT, EXECUTABLE, LOAD, READ_AND_RUN] = [64, 56, 2, 1, 5];
const BASE = 0x40_0000;

interface Processor {
  readonly elf: number;
  /** pkey_alloc(0, 0); empty where Node asks for none. */
  readonly key: string;
  /** exit(mmap(NULL, 4096, READ | WRITE | EXECUTE, PRIVATE | ANONYMOUS, -1, 0) < 0) */
  readonly code: string;
}

/** Processors by process.arch. */
const PROCESSORS: Readonly<Record<string, Processor>> = {
  x64: {
    elf: 62,
    key: [
      'b84a010000', // mov eax, 330: pkey_alloc
      '31ff', // xor edi, edi
      '31f6', // xor esi, esi
      '0f05', // syscall
    ].join(''),
    code: [
      'b809000000', // mov eax, 9: mmap
      '31ff', // xor edi, edi
      'be00100000', // mov esi, 4096
      'ba07000000', // mov edx, 7
      '41ba22000000', // mov r10d, 0x22
      '4983c8ff', // or r8, -1
      '4531c9', // xor r9d, r9d
      '0f05', // syscall
      '48c1e83f', // shr rax, 63: 1 if it is an error
      '89c7', // mov edi, eax
      'b83c000000', // mov eax, 60: exit
      '0f05', // syscall
    ].join(''),
  },
  arm64: {
    elf: 183,
    key: '',
    code: [
      '000080d2', // mov x0, 0
      '010082d2', // mov x1, 4096
      'e20080d2', // mov x2, 7
      '430480d2', // mov x3, 0x22
      '04008092', // mov x4, -1
      '050080d2', // mov x5, 0
      'c81b80d2', // mov x8, 222: mmap
      '010000d4', // svc 0
      '00fc7fd3', // lsr x0, x0, 63: 1 if it is an error
      'a80b80d2', // mov x8, 93: exit
      '010000d4', // svc 0
    ].join(''),
  },
};

/** The program as an executable file, for a Node of this version; null for another processor. */
export function printMemoryTest(arch: string, version: string): Uint8Array | null {
  const machine = PROCESSORS[arch];
  if (machine === undefined) return null;
  const code = Buffer.from(/^v20\./.test(version) ? machine.key + machine.code : machine.code, 'hex');
  const file = Buffer.alloc(HEADER + SEGMENT + code.length);
  code.copy(file, HEADER + SEGMENT);
  // 64 bits, least octet first, version 1.
  file.write('\x7fELF\x02\x01\x01', 'latin1');
  file.writeUInt16LE(EXECUTABLE, 16);
  file.writeUInt16LE(machine.elf, 18);
  file.writeUInt32LE(1, 20);
  file.writeUInt32LE(BASE + HEADER + SEGMENT, 24);
  file.writeUInt32LE(HEADER, 32);
  file.writeUInt16LE(HEADER, 52);
  file.writeUInt16LE(SEGMENT, 54);
  file.writeUInt16LE(1, 56);
  // The one segment is the whole file.
  file.writeUInt32LE(LOAD, HEADER);
  file.writeUInt32LE(READ_AND_RUN, HEADER + 4);
  file.writeUInt32LE(BASE, HEADER + 16);
  file.writeUInt32LE(BASE, HEADER + 24);
  file.writeUInt32LE(file.length, HEADER + 32);
  file.writeUInt32LE(file.length, HEADER + 40);
  file.writeUInt32LE(0x1_0000, HEADER + 48);
  return file;
}
