/** The files that are the configuration of the system together, and what one that is not written yet would collide with. Writes nothing. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { mergeFiles } from '../config/merge.ts';
import { isPart, listSystemFiles, SYSTEM_FILE, systemFolder } from '../config/read.ts';
import { parseToml } from '../config/toml.ts';

/** True for /etc/nospool.toml and for the files of /etc/nospool.d that are read: every user's sendmail reads them. */
export const isSystemFile = (file: string, systemFile = SYSTEM_FILE): boolean =>
  file === systemFile || (path.dirname(file) === systemFolder(systemFile) && isPart(path.basename(file)));

/** The errors that sendmail would report if `text` stood in `file`; [] also where a file cannot be read, which `nospool check` reports. */
export function findClashes(file: string, text: string): readonly string[] {
  const files = new Map([[SYSTEM_FILE, ''], ...readSystemFiles(), [file, text]]);
  const [first, ...others] = [...files].flatMap(([name, content]) => {
    const toml = parseToml(content);
    return toml.ok ? [{ path: name, toml: toml.value, refuses: () => null, isSystem: true }] : [];
  });
  const merged = first === undefined ? null : mergeFiles(first, others);
  return merged === null || merged.ok ? [] : merged.errors;
}

function readSystemFiles(): readonly (readonly [string, string])[] {
  try {
    const files = listSystemFiles(SYSTEM_FILE).filter((name) => existsSync(name));
    return files.map((name) => [name, readFileSync(name, 'utf8')]);
  } catch {
    return [];
  }
}
