/**
 * The programs that call sendmail, each as its users run it: what to run so that it sends, and how it shows that sending
 * failed. Facts about them are of Debian 12. It knows the command under test only as /usr/sbin/sendmail.
 */
import { createRequire } from 'node:module';
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
  /** It sends to its own user (root) alone, whatever the letter says. */
  readonly toItself?: true;
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
];
