/**
 * A program that asks Linux for memory that can be both written and run. A compiler at run time needs it, and a sandbox may
 * forbid it (systemd's MemoryDenyWriteExecute, SELinux's execmem). The program ends with status 0 or 1. It is machine code
 * because any other way takes longer than all else that the shell does. Knows no runtime.
 */

/** Sizes of the header and of a segment's entry in an ELF file, and numbers that stand there. */
const [HEADER, SEGMENT, EXECUTABLE, LOAD, READ_AND_RUN] = [64, 56, 2, 1, 5];
const BASE = 0x40_0000;

interface Processor {
  readonly elf: number;
  /** exit(mmap(NULL, 4096, READ | WRITE | EXECUTE, PRIVATE | ANONYMOUS, -1, 0) < 0) */
  readonly code: string;
}

/** Processors by process.arch. */
const PROCESSORS: Readonly<Record<string, Processor>> = {
  x64: {
    elf: 62,
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

/** The program as an executable file; null for another processor. */
export function printMemoryTest(arch: string): Uint8Array | null {
  const machine = PROCESSORS[arch];
  if (machine === undefined) return null;
  const code = Buffer.from(machine.code, 'hex');
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
