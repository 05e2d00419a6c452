/** Files of esmtp. */
import { importer } from '../importer.ts';

export const reader = importer(
  'esmtp',
  '/etc/esmtprc',
  [
    'hostname = mail.example.org:587\nusername = "me"\npassword = "hunter2"\nstarttls = enabled\nforce_reverse_path = me@example.org\nmda "/usr/bin/procmail -d %T"\n',
    'identity me@example.org\nhostname=a.example:25\nusername=x\npassword=y\nstarttls=required\ndefault\nidentity = b@example.org\nhostname = b\nqualifydomain = q.example\nhelo = h\nforce reverse_path = z@b\n',
  ],
  [
    'identity ',
    'hostname = ',
    'username = ',
    'password = ',
    'starttls = ',
    'enabled',
    'disabled',
    'required',
    'default\n',
    'helo = ',
    'force sender = ',
    'force reverse_path = ',
    'qualifydomain = ',
    'certificate_passphrase = ',
    'preconnect = ',
    'postconnect = ',
    'mda = ',
    'message_id ',
    '"',
    '=',
    '%u',
  ],
);
