/** Finds what a configuration of the system that is not written yet would collide with: keys that a file of /etc/nospool.d sets, too. Writes nothing. */
import { readdirSync, readFileSync } from 'node:fs';
import { mergeFiles } from '../config/merge.ts';
import { isPart, systemFolder } from '../config/read.ts';
import { parseToml } from '../config/toml.ts';

/** The errors that sendmail would report if `text` stood in the system file `file`; [] also where a file cannot be read, which `nospool check` reports. */
export function findClashes(file: string, text: string): readonly string[] {
  const [first, ...others] = [{ path: file, text }, ...readFilesBeside(file)].flatMap(({ path, text: content }) => {
    const toml = parseToml(content);
    return toml.ok ? [{ path, toml: toml.value, refuses: () => null, isSystem: true }] : [];
  });
  const merged = first === undefined ? null : mergeFiles(first, others);
  return merged === null || merged.ok ? [] : merged.errors;
}

function readFilesBeside(file: string): readonly { readonly path: string; readonly text: string }[] {
  const folder = systemFolder(file);
  try {
    const names = readdirSync(folder).filter(isPart);
    return names.toSorted().map((name) => ({ path: `${folder}/${name}`, text: readFileSync(`${folder}/${name}`, 'utf8') }));
  } catch {
    return [];
  }
}
