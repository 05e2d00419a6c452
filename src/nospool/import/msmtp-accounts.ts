/**
 * Reads the accounts of an msmtprc: a setting holds for its account, a default for the accounts behind it, and an account may
 * copy others. Knows nothing of nospool.toml.
 */
import { type ForeignFile, type Notes, numberLines, type WrittenSetting } from './foreign-file.ts';

/** The settings that hold for one account. */
export interface MsmtpAccount {
  readonly name: string;
  readonly line: number;
  readonly settings: Map<string, WrittenSetting>;
  /** The settings without the defaults, which an account that copies this one gets. */
  readonly own: Map<string, WrittenSetting>;
}

/** Keys of older releases, with their present name and the value that they mean. */
const RENAMED: Readonly<Record<string, readonly [string, string | null]>> = {
  connect_timeout: ['timeout', null],
  tls_nocertcheck: ['tls_certcheck', 'off'],
  tls_nostarttls: ['tls_starttls', 'off'],
};

/** Accounts in the order of the file. Each has the defaults that stand before it, and the settings of accounts that it copies. */
export function readAccounts(file: ForeignFile, notes: Notes): MsmtpAccount[] {
  const accounts: MsmtpAccount[] = [];
  const defaults = new Map<string, WrittenSetting>();
  let inDefaults = false;
  const begin = (name: string, line: number): MsmtpAccount => {
    const account = { name, line, settings: new Map(defaults), own: new Map<string, WrittenSetting>() };
    accounts.push(account);
    return account;
  };
  for (const { line, text } of numberLines(file)) {
    const found = /^([^\s#]\S*)(?:\s+(.*))?$/s.exec(text.trim());
    if (!found) continue;
    const command = (found[1] as string).toLowerCase();
    const value = stripQuotes(found[2] ?? '');
    if (command === 'defaults') inDefaults = true;
    else if (command === 'account') {
      inDefaults = false;
      const [name = '', bases = ''] = value.split(':').map((part) => part.trim());
      const account = begin(name, line);
      for (const base of bases
        .split(',')
        .map((part) => part.trim())
        .filter(Boolean)) {
        const copied = accounts.findLast((one) => one !== account && one.name === base);
        if (copied) copyInto(account, copied);
        else notes.dropped(file, line, `account ${name} : ${base}`, 'there is no such account before it');
      }
    } else if (command === 'eval') {
      notes.dropped(file, line, 'eval', 'commands that write the configuration are not run: write what it prints');
    } else {
      const [key, meant] = RENAMED[command] ?? [command, null];
      const setting: WrittenSetting = { line, key, value: meant ?? value };
      if (inDefaults) defaults.set(key, setting);
      else {
        // Settings before the first account belong to an account without a name.
        const account = accounts.at(-1) ?? begin('default', line);
        account.settings.set(key, setting);
        account.own.set(key, setting);
      }
    }
  }
  return accounts;
}

/** msmtp never copies allow_from_override, and copies no `from` where that is off. */
function copyInto(account: MsmtpAccount, copied: MsmtpAccount): void {
  for (const [key, setting] of copied.own) {
    if (key === 'allow_from_override' || (key === 'from' && isOff(account.settings.get('allow_from_override')))) continue;
    account.settings.set(key, setting);
    account.own.set(key, setting);
  }
}

const stripQuotes = (text: string): string => (/^".*"$/.test(text) ? text.slice(1, -1) : text);

export const isOff = (setting: WrittenSetting | undefined): boolean => setting?.value.toLowerCase() === 'off';

/** True also for a switch without an argument. */
export const isOn = (setting: WrittenSetting | undefined): boolean => setting !== undefined && /^(on|)$/i.test(setting.value);
