/**
 * Files of other programs: their lines and settings, and a note on each setting. Knows no format and nothing of
 * nospool.toml except the shape of the result.
 */
import type { ConfigPlan } from '../print-config.ts';

/** A file of another program. */
export interface ForeignFile {
  readonly path: string;
  readonly text: string;
}

/** Finds another file by its path, or by its name beside the first one; null when it cannot be read. */
export type FindFile = (name: string) => ForeignFile | null;

/** A setting as it stands in its file. */
export interface WrittenSetting {
  readonly line: number;
  /** As it is written. */
  readonly key: string;
  readonly value: string;
}

/** Settings by the name that the other program knows. */
export type WrittenSettings = ReadonlyMap<string, WrittenSetting>;

export type Effect = 'mapped' | 'approximated' | 'dropped';

/** The fate of one setting. Never holds a secret. */
export interface Note {
  /** `FILE:LINE`; the file alone for a setting that is not written there. */
  readonly place: string;
  readonly key: string;
  readonly effect: Effect;
  readonly text: string;
}

type AddNote = (file: ForeignFile, line: number, key: string, text: string) => void;

/** Collects notes. Line 0 stands for a setting that is absent but means something by its absence. */
export interface Notes {
  readonly list: readonly Note[];
  readonly mapped: AddNote;
  readonly approximated: AddNote;
  readonly dropped: AddNote;
  /** Adds those that were collected apart, while it was open whether they count. */
  readonly take: (notes: Notes) => void;
}

export function collectNotes(): Notes {
  const list: Note[] = [];
  const add =
    (effect: Effect): AddNote =>
    ({ path }, line, key, text) =>
      void list.push({ place: line > 0 ? `${path}:${line}` : path, key, effect, text });
  const take = (notes: Notes): void => void list.push(...notes.list);
  return { list, mapped: add('mapped'), approximated: add('approximated'), dropped: add('dropped'), take };
}

type NoteSetting = (name: string, text: string) => void;

/** Notes on the settings of one file by their names. */
export interface SettingNotes {
  /** Adds no note where the setting is absent. */
  readonly map: NoteSetting;
  /** Adds a note also where the setting is absent, because its absence means something. */
  readonly approximate: NoteSetting;
  /** Adds no note where the setting is absent. */
  readonly drop: NoteSetting;
}

export function noteSettings(file: ForeignFile, settings: WrittenSettings, notes: Notes): SettingNotes {
  const ifWritten =
    (add: AddNote): NoteSetting =>
    (name, text) => {
      const setting = settings.get(name);
      if (setting) add(file, setting.line, setting.key, text);
    };
  return {
    map: ifWritten(notes.mapped),
    approximate(name, text) {
      const setting = settings.get(name);
      notes.approximated(file, setting?.line ?? 0, setting?.key ?? name, text);
    },
    drop: ifWritten(notes.dropped),
  };
}

/** Sets a setting. The last one of a name counts, so an earlier one gets a note; the map keeps the order of the file. */
export function setLast(
  settings: Map<string, WrittenSetting>,
  name: string,
  setting: WrittenSetting,
  { file, notes }: { readonly file: ForeignFile; readonly notes: Notes },
): void {
  const before = settings.get(name);
  if (before) notes.dropped(file, before.line, before.key, printLaterCounts(setting.line));
  settings.delete(name);
  settings.set(name, setting);
}

export const printLaterCounts = (line: number): string => `line ${line} comes later, and counts`;

/** An importer's result. */
export interface Translation {
  readonly plan: ConfigPlan;
  readonly notes: Notes;
}

/** The lines without their ends, numbered from 1. */
export const numberLines = ({ text }: ForeignFile): readonly { readonly line: number; readonly text: string }[] =>
  text.split(/\r?\n/).map((one, i) => ({ line: i + 1, text: one }));
