/** Files of ssmtp. */
import { importer } from '../importer.ts';

export const reader = importer(
  'ssmtp',
  '/etc/ssmtp/ssmtp.conf',
  [
    'root=postmaster\nmailhub=mail.example.org:587\nrewriteDomain=example.org\nhostname=web.example.org\nFromLineOverride=YES\nUseSTARTTLS=YES\nAuthUser=me\nAuthPass=hunter2\nAuthMethod=LOGIN\n=== revaliases\nroot:me@example.org:mail.example.org:465\njoe:j@b\n',
    'mailhub=x\nUseTLS=Yes\nUseTLSCert=YES\nTLSCert=/c\nTLSKey=/k\nTLS_CA_File=/ca\nAddHeader=X: y\n=== /etc/passwd\nroot:x:0:0::/:/bin/sh\nwww:x:33:33::/:/bin/sh\n',
  ],
  [
    'root=',
    'mailhub=',
    'RemotePort=',
    'hostname=',
    'rewriteDomain=',
    'FromLineOverride=',
    'UseTLS=',
    'UseSTARTTLS=',
    'UseTLSCert=',
    'TLSCert=',
    'TLSKey=',
    'TLS_CA_File=',
    'AuthUser=',
    'AuthPass=',
    'AuthMethod=',
    'YES',
    'NO',
    'CRAM-MD5',
    '=== revaliases\n',
    '=== /etc/passwd\n',
    'joe:j@b:hub:25\n',
    'daemon:x:1:1::/:/bin/sh\n',
  ],
);
