/**
 * The administrator's commands as a table: options, help, and how each is run. A command's own code is loaded when it is
 * called. Knows no argv.
 */
import { SINK_DEFAULTS, type SinkOptions } from './sink/sink-options.ts';

export type OptionKind = 'text' | 'number' | 'list' | 'switch';

export interface CommandOption {
  readonly name: string;
  /** The word for the value in the help; '' for a switch. */
  readonly value: string;
  readonly kind: OptionKind;
  readonly help: string;
}

/** Values by the option's name in camel case. */
export type OptionValues = Readonly<Record<string, unknown>>;

export interface AdminCommand {
  readonly name: string;
  /** Operands, as the usage line shows them: '' = the command takes none; in brackets = they may be left out. */
  readonly operands: string;
  readonly help: string;
  readonly options: readonly CommandOption[];
  readonly examples: readonly string[];
  /** The exit status. */
  readonly run: (values: OptionValues, operands: readonly string[]) => Promise<number>;
}

const option = (name: string, kind: OptionKind, value: string, help: string): CommandOption => ({ name, kind, value, help });

const CONFIG = option('config', 'text', 'FILE', 'read this configuration (also -C)');

export const COMMANDS: readonly AdminCommand[] = [
  {
    name: 'send',
    operands: 'FILE',
    help: 'send a message from a file, or from standard input: "-"',
    options: [
      CONFIG,
      option('from', 'text', 'ADDR', 'the reverse-path (also -f)'),
      option('to', 'list', 'ADDR', 'a recipient; none: those of To, Cc and Bcc'),
      option('json', 'switch', '', 'the result as JSON, as in a log'),
      option('verbose', 'switch', '', 'show the conversation (also -v)'),
      option('trace', 'text', 'FILE', 'append the conversation there, for a bug report'),
    ],
    examples: ['nospool send --to you@example.org message.eml'],
    run: async (values, operands) =>
      (await import('./send.ts')).runSend(
        {
          config: asText(values.config) ?? '',
          from: asText(values.from),
          to: asTexts(values.to),
          json: values.json === true,
          verbose: values.verbose === true,
          trace: asText(values.trace),
        },
        operands,
      ),
  },
  {
    name: 'route',
    operands: 'ADDRESS...',
    help: 'show where addresses go, and why; nothing is sent',
    options: [
      CONFIG,
      option('from', 'text', 'ADDR', 'the reverse-path (also -f)'),
      option('resolve', 'switch', '', 'look up MX, SRV and addresses of the smart hosts'),
      option('json', 'switch', '', 'JSON in place of a tree'),
    ],
    examples: ['nospool route root alice@example.org', 'nospool route --resolve root'],
    run: async (values, operands) =>
      (await import('./show-route.ts')).runRoute(
        {
          config: asText(values.config) ?? '',
          from: asText(values.from),
          json: values.json === true,
          resolve: values.resolve === true,
        },
        operands,
      ),
  },
  {
    name: 'check',
    operands: '',
    help: 'try the configuration and every smart host',
    options: [
      CONFIG,
      option('json', 'switch', '', 'JSON in place of tables'),
      option('warn-days', 'number', 'N', 'status 2 if a certificate ends within N days'),
      option('verbose', 'switch', '', 'show the conversations (also -v)'),
    ],
    examples: ['nospool check', 'nospool check --config ./nospool.toml --verbose', 'nospool check --warn-days 14 --json'],
    run: async (values) =>
      (await import('./check/check.ts')).runCheck({
        config: asText(values.config) ?? '',
        json: values.json === true,
        verbose: values.verbose === true,
        warnDays: asNumber(values.warnDays),
      }),
  },
  {
    name: 'init',
    operands: '',
    help: 'write a first configuration; asks for what is not given',
    options: [
      option('smarthost', 'text', 'HOST', 'mail.example.org (STARTTLS), or with :465 (TLS)'),
      option('user', 'text', 'NAME', 'the user there'),
      option('password-file', 'text', 'FILE', 'where the password is, or is to be'),
      option('group', 'text', 'GROUP', 'whose members may read the password, and so send'),
      option('domain', 'text', 'DOMAIN', 'of addresses without one'),
      option('from', 'text', 'ADDR', 'the sender of all mail that names none'),
      option('root', 'text', 'ADDR', "who gets root's mail"),
      option('output', 'text', 'FILE', "in place of /etc/nospool.toml or the user's own"),
      option('force', 'switch', '', 'replace the file'),
    ],
    examples: ['nospool init', 'nospool init --smarthost mail.example.org --domain example.org'],
    run: async (values) =>
      (await import('./init/init.ts')).runInit({
        smarthost: asText(values.smarthost),
        user: asText(values.user),
        passwordFile: asText(values.passwordFile),
        group: asText(values.group),
        domain: asText(values.domain),
        from: asText(values.from),
        root: asText(values.root),
        output: asText(values.output),
        force: values.force === true,
      }),
  },
  {
    name: 'import',
    operands: 'FILE',
    help: "turn another program's configuration into ours",
    options: [
      option('program', 'text', 'NAME', 'msmtp, ssmtp, dma, nullmailer or esmtp'),
      option('output', 'text', 'FILE', 'in place of standard output; mode 600'),
      option('force', 'switch', '', 'replace the file'),
    ],
    examples: ['nospool import /etc/msmtprc --output /etc/nospool.toml'],
    run: async (values, operands) =>
      (await import('./import/import.ts')).runImport(
        { program: asText(values.program), output: asText(values.output), force: values.force === true },
        operands,
      ),
  },
  {
    name: 'install',
    operands: '',
    help: 'be /usr/sbin/sendmail, mailq and newaliases',
    options: [
      option('root', 'text', 'DIR', 'a folder that stands for /'),
      option('runtime', 'text', 'FILE', 'the interpreter, if not the one that runs now'),
      option('compile', 'switch', '', 'only compile the code anew, for faster starts'),
    ],
    examples: ['nospool install', 'nospool install --root /srv/image'],
    run: async (values) =>
      (await import('./install/install.ts')).runInstall({
        root: asText(values.root) ?? '/',
        runtime: asText(values.runtime),
        compile: values.compile === true,
      }),
  },
  {
    name: 'uninstall',
    operands: '',
    help: 'undo install: what was there before comes back',
    options: [option('root', 'text', 'DIR', 'a folder that stands for /')],
    examples: ['nospool uninstall'],
    run: async (values) => (await import('./install/install.ts')).runUninstall({ root: asText(values.root) ?? '/' }),
  },
  {
    name: 'log',
    operands: '[WORD...]',
    help: 'show what the log says of an address or a message id',
    options: [
      CONFIG,
      option('file', 'text', 'FILE', 'this log in place of the configured one'),
      option('last', 'number', 'N', 'the last N that match (10 where no word is given)'),
      option('failed', 'switch', '', 'only messages that were not delivered'),
      option('json', 'switch', '', 'one JSON object a line'),
    ],
    examples: ['nospool log alice@example.org', 'nospool log --failed --last 3'],
    run: async (values, operands) =>
      (await import('./show-log.ts')).runLog(
        {
          config: asText(values.config) ?? '',
          file: asText(values.file),
          last: asNumber(values.last),
          failed: values.failed === true,
          json: values.json === true,
        },
        operands,
      ),
  },
  {
    name: 'sink',
    operands: '',
    help: 'run a smart host on loopback that shows what it gets',
    options: [
      option('listen', 'text', 'ADDR', 'address to listen on (127.0.0.1)'),
      option('port', 'number', 'N', 'port (2525); 0: any free one'),
      option('unix', 'text', 'PATH', 'a unix socket in place of address and port'),
      option('anywhere', 'switch', '', 'allow an address that is not loopback'),
      option('starttls', 'switch', '', 'offer STARTTLS'),
      option('tls', 'switch', '', 'TLS at once, as on port 465'),
      option('certificate', 'text', 'FILE', 'write the certificate there, for ca_file'),
      option('auth', 'text', 'USER:PASS', 'ask for authentication'),
      option('refuse', 'list', 'ADDR', 'refuse a recipient or @domain with 550'),
      option('defer', 'list', 'ADDR', 'refuse it with 450'),
      option('refuse-at', 'list', 'STEP', 'connect, mail, data, content; =CODE or 550'),
      option('delay', 'number', 'MS', 'hold every reply back'),
      option('store', 'text', 'DIR', 'write messages there as .eml files'),
      option('messages', 'number', 'N', 'end after N messages (--once: after one)'),
      option('discard', 'switch', '', 'count octets only: fast, for measuring'),
      option('size', 'number', 'N', 'largest message in octets (50 MiB); 0: any'),
      option('extensions', 'list', 'WORD', 'offer these extensions, or none'),
      option('lmtp', 'switch', '', 'LMTP in place of SMTP'),
      option('json', 'switch', '', 'one JSON object a line'),
      option('quiet', 'switch', '', 'no conversation, no content'),
    ],
    examples: ['nospool sink --starttls --auth me:secret --refuse bob@example.org'],
    run: async (values) => (await import('./sink/sink.ts')).runSink(sinkOptions(values)),
  },
  {
    name: 'bench',
    operands: '',
    help: 'send many messages to a host, and measure: real mail',
    options: [
      option('host', 'text', 'HOST', 'who gets them: 127.0.0.1:2525, as in smarthosts'),
      option('anywhere', 'switch', '', 'allow a host that is not loopback'),
      option('messages', 'number', 'N', 'how many (1000)'),
      option('connections', 'number', 'N', 'sessions at a time (1)'),
      option('size', 'text', 'SIZE', 'of a message: 64KiB, 1MB, or octets (2048)'),
      option('recipients', 'number', 'N', 'of each message (1)'),
      option('from', 'text', 'ADDR', 'the reverse-path (also -f)'),
      option('to', 'text', 'ADDR', 'the recipient; numbered where there are several'),
      option('user', 'text', 'NAME', 'authenticate as this user'),
      option('password-file', 'text', 'FILE', 'where the password is'),
      option('tls', 'text', 'MODE', 'required, opportunistic or off (off at loopback)'),
      option('ca-file', 'text', 'FILE', 'certificates to trust; TLS is required then'),
      option('json', 'switch', '', 'one JSON object in place of lines'),
    ],
    examples: ['nospool bench --host 127.0.0.1:2525 --messages 10000 --connections 20'],
    run: async (values) =>
      (await import('./bench/bench.ts')).runBench({
        host: asText(values.host),
        anywhere: values.anywhere === true,
        messages: asNumber(values.messages),
        connections: asNumber(values.connections),
        size: asText(values.size),
        recipients: asNumber(values.recipients),
        from: asText(values.from),
        to: asText(values.to),
        user: asText(values.user),
        passwordFile: asText(values.passwordFile),
        tls: asText(values.tls),
        caFile: asText(values.caFile),
        json: values.json === true,
      }),
  },
];

const asText = (value: unknown): string | null => (typeof value === 'string' ? value : null);
const asNumber = (value: unknown): number | null => (typeof value === 'number' ? value : null);
const asTexts = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(String) : []);

function sinkOptions(values: OptionValues): SinkOptions {
  const given = Object.fromEntries(Object.keys(SINK_DEFAULTS).flatMap((key) => (values[key] === undefined ? [] : [[key, values[key]]])));
  return { ...SINK_DEFAULTS, ...(values.once ? { messages: 1 } : {}), ...given };
}
