/**
 * The programs that call sendmail, each as its users run it: what to run so that it sends, and how it shows that sending
 * failed. Facts about them are of Debian 12. It knows the command under test only as /usr/sbin/sendmail.
 */
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Need } from './needs.ts';
import { at } from './peer.ts';
import type { Called, World } from './world.ts';

export interface Letter {
  /** Full addresses. */
  readonly to: readonly string[];
  readonly subject: string;
  /** Unicode, LF, with its last line end. */
  readonly text: string;
}

export interface Caller {
  readonly name: string;
  readonly needs: readonly Need[];
  send(world: World, letter: Letter): Promise<Called>;
  /** How sendmail is called, if it is to two recipients, the first being ann. */
  readonly argv: RegExp;
  /** True when the caller shows that the letter did not go; undefined for callers that cannot (atd, Ruby): the log has to. */
  readonly notices?: (called: Called) => boolean;
  /** It shows nothing: its status is 0 although the letter did not go. */
  readonly ignores?: true;
  /** It sends to its own user (root) alone, whatever the letter says. */
  readonly toItself?: true;
  /** The message is not the letter's text, but has this in it; and there are so many. */
  readonly own?: { readonly text: RegExp; readonly times: number };
  /** Its text differs from the letter's in this known way. */
  readonly changes?: (text: string) => string;
}

export const SENDER = at('sender');
const failed = ({ status }: Called) => status !== 0 && status !== null;
const require = createRequire(import.meta.url);

/** PHP code that has the letter in $letter, and says on standard error what it caught. */
const php = (code: string) => (world: World, letter: Letter) =>
  world.call(
    [
      '/usr/bin/php',
      '-r',
      `$letter = json_decode(getenv('LETTER'), true); try { ${code} } catch (\\Throwable $e) { fwrite(STDERR, $e->getMessage()); exit(1); }`,
    ],
    { env: { LETTER: JSON.stringify(letter) } },
  );

/** Perl code likewise, with %$letter and raw octets. */
const perl = (code: string) => (world: World, letter: Letter) =>
  world.call(['/usr/bin/perl', '-MJSON::PP', '-e', `my $letter = decode_json($ENV{LETTER}); utf8::encode($letter->{text}); ${code}`], {
    env: { LETTER: JSON.stringify(letter) },
  });

const symfony = (command: string) =>
  php(`require '/usr/share/php/Symfony/Component/Mailer/autoload.php'; require '/usr/share/php/Symfony/Component/Mime/autoload.php';
    $mail = (new \\Symfony\\Component\\Mime\\Email())->from('${SENDER}')->to(...$letter['to'])->subject($letter['subject'])->text($letter['text']);
    (new \\Symfony\\Component\\Mailer\\Transport\\SendmailTransport(${command}))->send($mail);`);

const phpMailer = (way: string) =>
  php(`require '/usr/share/php/libphp-phpmailer/autoload.php'; $mail = new \\PHPMailer\\PHPMailer\\PHPMailer(true); $mail->${way}();
    $mail->CharSet = 'UTF-8'; $mail->setFrom('${SENDER}'); foreach ($letter['to'] as $to) $mail->addAddress($to);
    $mail->Subject = $letter['subject']; $mail->Body = $letter['text']; $mail->send();`);

/** A recipe, and behind it one that keeps what it has not taken. */
const procmail =
  (recipe: (letter: Letter) => string) =>
  (world: World, letter: Letter): Promise<Called> => {
    const kept = `${world.home}/kept`;
    const rc = world.file('procmailrc', `SENDMAIL=/usr/sbin/sendmail\n${recipe(letter)}\n:0\n${kept}\n`);
    const mail = `From: ${SENDER}\nSubject: ${letter.subject}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n${letter.text}`;
    return world.call(
      ['/bin/sh', '-c', `rm -f ${kept}; procmail -m ${rc}; status=$?; ${world.untilLogged}; test -e ${kept} && echo kept; exit $status`],
      {
        input: mail,
      },
    );
  };

const TYPIST = fileURLToPath(new URL('./typist.py', import.meta.url));

/** Types at a program on a terminal: what it must have shown, and what is typed then. */
const typed = (world: World, argv: readonly string[], steps: readonly (readonly [string, string])[], env: NodeJS.ProcessEnv = {}) =>
  world.call(['/usr/bin/python3', '-B', TYPIST, JSON.stringify({ argv, steps, seconds: 25 })], { env: { TERM: 'xterm', ...env } });

const alpine =
  (setting: string) =>
  (world: World, { to, subject, text }: Letter): Promise<Called> => {
    const rc = `personal-name=Tester\nuser-domain=peer.test\ninbox-path=${world.home}/inbox\ndefault-fcc=""\nfeature-list=quell-dead-letter-on-cancel\nposting-character-set=UTF-8\n${setting}`;
    return typed(
      world,
      ['alpine', '-p', world.file('pinerc', rc), ...to],
      [
        ['Message Text', `\r\r\r${subject}\r${text.replaceAll('\n', '\r')}`],
        ['.', '\u0018'],
        ['Send message', 'y'],
        ['(Message sent|rror|550|no such|250)', '\u0003'],
      ],
    );
  };

const aerc =
  (outgoing: string) =>
  (world: World, { to, subject, text }: Letter): Promise<Called> => {
    mkdirSync(`${world.home}/.config/aerc`, { recursive: true });
    for (const folder of ['cur', 'new', 'tmp']) mkdirSync(`${world.home}/Maildir/INBOX/${folder}`, { recursive: true });
    world.file(
      '.config/aerc/accounts.conf',
      `[test]\nsource = maildir://${world.home}/Maildir\noutgoing = ${outgoing}\nfrom = ${SENDER}\n`,
      0o600,
    );
    const editor = world.file('editor', `#!/bin/sh\ncat ${world.file('text', text)} >> "$1"\n`, 0o755);
    return typed(
      world,
      ['aerc'],
      [
        ['INBOX', `:compose -H "To: ${to.join(', ')}" -H "Subject: ${subject}"\r`],
        ['Send this email', 'y'],
        ['(essage sent|Send this email)', ':quit -f\r'],
        ['.', ':quit -f\r'],
      ],
      { EDITOR: editor },
    );
  };

const swift = (options: string) =>
  php(`require '/usr/share/php/Swift/autoload.php';
    $mail = (new Swift_Message($letter['subject']))->setFrom('${SENDER}')->setTo($letter['to'])->setBody($letter['text'])->setCharset('utf-8');
    (new Swift_Mailer(new Swift_SendmailTransport('/usr/sbin/sendmail ${options}')))->send($mail) or exit(1);`);

/** Cron and at run jobs whose output they mail. */
const job = (letter: Letter) => `cat <<'END'\n${letter.text}END\n`;

export const CALLERS: readonly Caller[] = [
  {
    name: 'cron',
    needs: ['cron'],
    argv: /^-FCronDaemon -i -B8BITMIME -oem ann@\S+,/,
    notices: ({ stdout }) => /mailed \d+ bytes of output but got status/.test(stdout),
    // A job of @reboot is due when the daemon starts, unless it finds its mark of an earlier start.
    send: (world, letter) =>
      world.call(['/bin/sh', '-c', `/usr/sbin/cron -f & ${world.untilLogged}; cat ${world.home}/syslog`], {
        script: `${world.syslog}mount -t tmpfs tmpfs /run\nmount -t tmpfs tmpfs /var/spool/cron\nmkdir -m 1730 /var/spool/cron/crontabs
mount --bind ${world.file('crontab', `MAILTO=${letter.to.join(',')}\n@reboot root /bin/sh ${world.file('job', job(letter))}\n`)} /etc/crontab
mount -t tmpfs tmpfs /etc/cron.d\n`,
      }),
  },
  {
    name: 'at',
    needs: ['at'],
    argv: /^-i root$/,
    toItself: true,
    send: (world, letter) =>
      world.call(
        ['/bin/sh', '-c', `at -f ${world.file('job', job(letter))} now 2>${world.home}/at && /usr/sbin/atd -s; ${world.untilLogged}`],
        {
          script: `mount -t tmpfs tmpfs /run\nmount -t tmpfs tmpfs /var/spool/cron\nmkdir -m 1770 /var/spool/cron/atjobs /var/spool/cron/atspool
chown daemon:daemon /var/spool/cron/at*\ntouch /var/spool/cron/atjobs/.SEQ\nchmod 600 /var/spool/cron/atjobs/.SEQ\nchown daemon:daemon /var/spool/cron/atjobs/.SEQ\n`,
        },
      ),
  },
  {
    name: 'mutt',
    needs: ['mutt'],
    argv: /^-oem -oi -f \S+ -- ann@\S+ \S+$/,
    notices: (called) => failed(called) && /child exited 1/.test(called.stdout + called.stderr),
    send(world, { to, subject, text }) {
      const settings = `set from=${SENDER} use_from use_envelope_from charset=utf-8 send_charset=utf-8 copy=no record=\n`;
      return world.call(['mutt', '-F', world.file('muttrc', settings), '-s', subject, '--', ...to], { input: text });
    },
  },
  {
    name: 'bsd-mailx',
    needs: ['bsd-mailx'],
    argv: /^-i -t -f \S+$/,
    notices: (called) => failed(called) && /sendmail/.test(called.stderr),
    send: (world, { to, subject, text }) => world.call(['bsd-mailx', '-n', '-r', SENDER, '-s', subject, ...to], { input: text }),
  },
  {
    name: 's-nail',
    needs: ['s-nail'],
    argv: /^-i -f \S+ -- ann@\S+ \S+$/,
    notices: failed,
    send: (world, { to, subject, text }) =>
      world.call(['s-nail', '-n', '-S', 'sendwait', '-S', 'ttycharset=utf-8', '-r', SENDER, '-s', subject, ...to], {
        input: text,
        env: { MAILRC: '/dev/null' },
      }),
  },
  {
    name: 'GNU mailutils mail',
    needs: ['mailutils'],
    argv: /^-oi -f \S+ -t$/,
    notices: failed,
    send: (world, { to, subject, text }) =>
      world.call(['mail.mailutils', '-r', SENDER, '-s', subject, '-a', 'Content-Type: text/plain; charset=utf-8', ...to], { input: text }),
  },
  {
    name: 'git send-email',
    needs: ['git-email'],
    argv: /^-f \S+ -i ann@\S+ \S+$/,
    notices: failed,
    send(world, { to, subject, text }) {
      const patch = world.file(
        '0001.patch',
        `From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001
From: ${SENDER}
Date: Sun, 22 Nov 2026 12:00:00 +0000
Subject: ${subject}
MIME-Version: 1.0
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: 8bit

${text}`,
      );
      const options = [
        '--confirm=never',
        '--suppress-cc=all',
        '--no-validate',
        '--quiet',
        `--from=${SENDER}`,
        `--envelope-sender=${SENDER}`,
      ];
      return world.call(['git', 'send-email', ...options, ...to.map((one) => `--to=${one}`), patch], { env: { GIT_CONFIG_NOSYSTEM: '1' } });
    },
  },
  {
    name: 'StGit',
    needs: ['stgit'],
    argv: /^-t -i$/,
    notices: (called) => failed(called) && /550 5\.1\.1/.test(called.stderr + called.stdout),
    own: { text: /\n\+\.dot\n/, times: 1 },
    send: (world, { to, subject, text }) =>
      world.call([
        '/bin/sh',
        '-e',
        world.file(
          'patches',
          `rm -rf ${world.home}/tree
git init -q ${world.home}/tree
cd ${world.home}/tree
git config user.name Tester
git config user.email ${SENDER}
git config stgit.smtpserver '/usr/sbin/sendmail -t -i'
git commit -q --allow-empty -m first
stg init
stg new -m '${subject}' one
cp ${world.file('text', text)} text
git add text
stg refresh
exec stg mail ${to.map((one) => `--to=${one}`).join(' ')} one\n`,
        ),
      ]),
  },
  {
    name: 'PHP mail()',
    needs: ['php-cli'],
    argv: /^-t -i$/,
    notices: failed,
    send: php(`exit(mail(implode(', ', $letter['to']), $letter['subject'], $letter['text'],
      ['From' => '${SENDER}', 'Content-Type' => 'text/plain; charset=utf-8', 'Content-Transfer-Encoding' => '8bit', 'MIME-Version' => '1.0']) ? 0 : 1);`),
  },
  {
    name: 'PHPMailer, isMail',
    needs: ['php-cli', 'libphp-phpmailer'],
    argv: /^-t -i -f\S+$/,
    notices: failed,
    send: phpMailer('isMail'),
  },
  {
    name: 'PHPMailer, isSendmail',
    needs: ['php-cli', 'libphp-phpmailer'],
    argv: /^-t -i -oi -f\S+ -t$/,
    notices: failed,
    send: phpMailer('isSendmail'),
  },
  {
    name: 'Symfony Mailer, -bs',
    needs: ['php-cli', 'php-symfony-mailer'],
    argv: /^-bs$/,
    notices: (called) => failed(called) && /550/.test(called.stderr),
    send: symfony(''),
  },
  {
    name: 'Symfony Mailer, -t',
    needs: ['php-cli', 'php-symfony-mailer'],
    argv: /^-i -f\S+ -- ann@\S+ \S+$/,
    notices: (called) => failed(called) && /550/.test(called.stderr),
    send: symfony("'/usr/sbin/sendmail -t -i'"),
  },
  {
    name: 'Perl Email::Sender',
    needs: ['libemail-sender-perl'],
    argv: /^-i -f \S+ -- ann@\S+ \S+$/,
    notices: failed,
    send: perl(`use Email::Sender::Simple 'sendmail'; use Email::Simple; use Email::Sender::Transport::Sendmail;
      my $mail = Email::Simple->create(header => [From => '${SENDER}', To => join(', ', @{$letter->{to}}), Subject => $letter->{subject},
        'MIME-Version' => '1.0', 'Content-Type' => 'text/plain; charset=utf-8', 'Content-Transfer-Encoding' => '8bit'], body => $letter->{text});
      sendmail($mail, { from => '${SENDER}', to => $letter->{to}, transport => Email::Sender::Transport::Sendmail->new });`),
  },
  {
    name: 'Perl MIME::Lite',
    needs: ['libmime-lite-perl'],
    argv: /^-t -oi -oem( -f\S+)?$/,
    notices: failed,
    send: perl(`use MIME::Lite; MIME::Lite->new(From => '${SENDER}', To => join(', ', @{$letter->{to}}), Subject => $letter->{subject},
        Type => 'text/plain; charset=utf-8', Encoding => '8bit', Data => $letter->{text})->send('sendmail') or die 'not sent';`),
  },
  {
    name: 'Ruby mail',
    needs: ['ruby-mail'],
    argv: /^-i -f \S+ -- ann@\S+ \S+$/,
    send: (world, letter) =>
      world.call(
        [
          '/usr/bin/ruby',
          '-rmail',
          '-rjson',
          '-e',
          `letter = JSON.parse(ENV['LETTER']); mail = Mail.new { from '${SENDER}'; to letter['to']; subject letter['subject']; body letter['text']; charset = 'UTF-8' }
           mail.charset = 'UTF-8'; mail.delivery_method :sendmail; mail.deliver!`,
        ],
        { env: { LETTER: JSON.stringify(letter) } },
      ),
  },
  {
    name: 'Python subprocess',
    needs: ['python3'],
    argv: /^-t -oi$/,
    notices: (called) => failed(called) && /550/.test(called.stderr),
    send: (world, letter) =>
      world.call(
        [
          '/usr/bin/python3',
          '-c',
          `import json, os, subprocess
from email.message import EmailMessage
letter = json.loads(os.environ['LETTER'])
mail = EmailMessage()
mail['From'], mail['To'], mail['Subject'] = '${SENDER}', ', '.join(letter['to']), letter['subject']
mail.set_content(letter['text'], cte='8bit')
subprocess.run(['/usr/sbin/sendmail', '-t', '-oi'], input=mail.as_bytes(), check=True)`,
        ],
        { env: { LETTER: JSON.stringify(letter) } },
      ),
  },
  {
    name: 'nodemailer',
    needs: ['nodemailer'],
    argv: /^-i -f \S+ ann@\S+ \S+$/,
    notices: (called) => failed(called) && /exited with code 1/.test(called.stderr),
    send: (world, letter) =>
      world.call(
        [
          process.execPath,
          '-e',
          `const letter = JSON.parse(process.env.LETTER);
           require(process.env.NODEMAILER).createTransport({ sendmail: true })
             .sendMail({ from: '${SENDER}', to: letter.to, subject: letter.subject, text: letter.text })
             .catch((error) => { console.error(error.message); process.exitCode = 1; });`,
        ],
        {
          // What a caller's own Node is told must not reach ours.
          env: {
            LETTER: JSON.stringify(letter),
            NODEMAILER: require.resolve('nodemailer'),
            NODE_OPTIONS: '--no-deprecation',
            PATH: '/usr/sbin:/usr/bin:/bin',
          },
        },
      ),
  },
  {
    name: 'Emacs',
    needs: ['emacs-nox'],
    argv: /^-oi (-f \S+ )?(-oep -odi )?-t$/,
    notices: (called) => failed(called) && /exit value 1|550/.test(called.stderr),
    send(world, { to, subject, text }) {
      const lisp = `(progn (set-language-environment "UTF-8")
        (with-temp-buffer
          (insert-file-contents "${world.file('letter', `From: ${SENDER}\nTo: ${to.join(', ')}\nSubject: ${subject}\n--text follows this line--\n${text}`)}")
          (setq mail-interactive t user-mail-address "${SENDER}" mail-specify-envelope-from nil)
          (sendmail-send-it)))`;
      return world.call(['emacs', '-Q', '--batch', '-l', 'sendmail', '--eval', lisp]);
    },
  },
  {
    name: 'procmail, a pipe',
    needs: ['procmail'],
    argv: /^-oi ann@\S+ \S+$/,
    notices: ({ stdout }) => stdout === 'kept\n',
    send: procmail(({ to }) => `:0 w\n| /usr/sbin/sendmail -oi ${to.join(' ')}\n`),
  },
  {
    name: 'procmail, a pipe that is not waited for',
    needs: ['procmail'],
    argv: /^-oi ann@\S+ \S+$/,
    ignores: true,
    send: procmail(({ to }) => `:0\n| /usr/sbin/sendmail -oi ${to.join(' ')}\n`),
  },
  {
    name: 'procmail, !',
    needs: ['procmail'],
    argv: /^-oi ann@\S+ \S+$/,
    notices: ({ stdout }) => stdout === 'kept\n',
    send: procmail(({ to }) => `:0 w\n! ${to.join(' ')}\n`),
  },
  {
    name: 'ActionMailer',
    needs: ['ruby-actionmailer'],
    argv: /^-i -f \S+ -- ann@\S+ \S+$/,
    ignores: true,
    send: (world, letter) =>
      world.call(
        [
          '/usr/bin/ruby',
          '-raction_mailer',
          '-rjson',
          '-e',
          `$letter = JSON.parse(ENV['LETTER']); ActionMailer::Base.delivery_method = :sendmail
           class Notes < ActionMailer::Base; def note; mail(from: '${SENDER}', to: $letter['to'], subject: $letter['subject'], body: $letter['text'], content_type: 'text/plain; charset=UTF-8'); end; end
           Notes.note.deliver_now`,
        ],
        { env: { LETTER: JSON.stringify(letter) } },
      ),
  },
  {
    name: 'SwiftMailer, -bs',
    needs: ['php-cli', 'php-swiftmailer'],
    argv: /^-bs$/,
    notices: (called) => failed(called) && /550/.test(called.stderr),
    send: swift('-bs'),
  },
  {
    name: 'SwiftMailer, -t',
    needs: ['php-cli', 'php-swiftmailer'],
    argv: /^-t -i -f\S+$/,
    ignores: true,
    send: swift('-t -i'),
  },
  {
    name: 'nmh, sendmail/pipe',
    needs: ['nmh'],
    argv: /^-t -i$/,
    ignores: true,
    send(world, { to, subject, text }) {
      const draft = world.file(
        'draft',
        `From: ${SENDER}\nTo: ${to.join(', ')}\nSubject: ${subject}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n${text}`,
      );
      world.file('mts.conf', 'sendmail: /usr/sbin/sendmail\n');
      world.file('.mh_profile', 'Path: Mail\n');
      return world.call(['/usr/bin/mh/send', '-mts', 'sendmail/pipe', draft], {
        script: `mkdir -p ${world.home}/Mail\n`,
        env: { MHMTSUSERCONF: `${world.home}/mts.conf` },
      });
    },
  },
  {
    name: 'mpack',
    needs: ['mpack'],
    argv: /^-oi ann@\S+ \S+$/,
    ignores: true,
    // Python's parser reads no text in it: the boundary is a hyphen.
    own: { text: /\n\.\.\n\.dot\nthe end\n/, times: 1 },
    send: (world, { to, subject, text }) =>
      world.call(['mpack', '-s', subject, '-d', world.file('described', text), world.file('octets', 'x'), ...to]),
  },
  {
    name: 'calendar',
    needs: ['calendar'],
    argv: /^-i -t -F "?Reminder Service"?$/,
    toItself: true,
    ignores: true,
    own: { text: /Gr\u00fc\u00dfe aus M\u00fcnchen/, times: 1 },
    send: (world, { text }) =>
      world.call(['/bin/sh', '-c', `calendar -a; ${world.untilLogged}`], {
        script: `mkdir -p ${world.home}/.calendar\nd=$(date +%m/%d)\nprintf '%s\\t%s\\n' $d '${text.split('\n')[0]}' > ${world.home}/.calendar/calendar\nsed "s|^root:.*|root:x:0:0:root:${world.home}:/bin/sh|;2,\\$d" /etc/passwd > ${world.home}/passwd\nmount --bind ${world.home}/passwd /etc/passwd\n`,
      }),
  },
  {
    name: 'sudo',
    needs: ['sudo'],
    argv: /^-t$/,
    ignores: true,
    own: { text: /COMMAND=|USER=root/, times: 2 },
    send: (world, { to }) =>
      world.call(['/bin/sh', '-c', `sudo -u root /bin/true; ${world.untilLogged}`], {
        script: `printf 'Defaults mail_always, mailto="${to.join(',')}", mailfrom="${SENDER}"\nroot ALL=(ALL:ALL) ALL\n' > ${world.home}/sudoers\nchmod 440 ${world.home}/sudoers\nmount --bind ${world.home}/sudoers /etc/sudoers\nmount -t tmpfs tmpfs /etc/sudoers.d\n`,
      }),
  },
  {
    name: 'Alpine',
    needs: ['alpine'],
    argv: /^-oem -oi -t$/,
    notices: ({ stdout }) => /550 5\.1\.1|POSTING ERRORS/.test(stdout),
    send: alpine('sendmail-path=/usr/sbin/sendmail -oem -oi -t\n'),
  },
  {
    name: 'Alpine, as it comes',
    needs: ['alpine'],
    argv: /^-bs /,
    notices: ({ stdout }) => /Mail not sent/.test(stdout),
    send: alpine(''),
  },
  {
    name: 'aerc',
    needs: ['aerc'],
    argv: /^-i ann@\S+ \S+$/,
    // It shows the letter again, and asks again whether to send it.
    notices: ({ stdout }) => /Sending\.\.\..*Send this email/s.test(stdout),
    send: aerc('/usr/sbin/sendmail -i'),
  },
];
