/** Files of nullmailer. */
import { importer } from '../importer.ts';

export const reader = importer(
  'nullmailer',
  '/etc/nullmailer/remotes',
  [
    'mail.example.org smtp --port=587 --starttls --user=me --pass=hunter2\nb.example smtp --ssl --auth-login\n=== me\nweb\n=== defaultdomain\nexample.org\n=== ../mailname\nx.example\n=== adminaddr\nops@example.org\n=== defaulthost\nweb.example\n',
    '# c\nx smtp --source=192.0.2.1 --x509cafile=/ca --insecure\ny qmqp\n=== allmailfrom\nz@b\n=== pausetime\n60\n=== idhost\ni\n=== helohost\nh.example\n',
  ],
  [
    'smtp ',
    'qmqp ',
    '--port=',
    '--user=',
    '--pass=',
    '--ssl',
    '--tls',
    '--starttls',
    '--auth-login',
    '--auth-external',
    '--x509certfile=',
    '--x509keyfile=',
    '--x509cafile=',
    '--source=',
    '--insecure',
    '=== me\n',
    '=== defaultdomain\n',
    '=== defaulthost\n',
    '=== adminaddr\n',
    '=== allmailfrom\n',
    '=== helohost\n',
    '=== idhost\n',
    '=== sendtimeout\n',
    "'",
    '"',
    '\\ ',
  ],
);
