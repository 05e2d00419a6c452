/** Files of dma. */
import { importer } from '../importer.ts';

export const reader = importer(
  'dma',
  '/etc/dma/dma.conf',
  [
    'SMARTHOST mail.example.org\nPORT 465\nALIASES /etc/aliases\nAUTHPATH /etc/dma/auth.conf\nSECURETRANSFER\nMAILNAME /etc/mailname\nMASQUERADE me@\n=== /etc/dma/auth.conf\nme|mail.example.org:hunter2\n=== /etc/mailname\nweb.example.org\n',
    'SMARTHOST x\nSTARTTLS\nSECURETRANS\nOPPORTUNISTIC_TLS\nCERTFILE /c\nFINGERPRINT AA\nVERIFYCERT\nNULLCLIENT\nMAILNAME y\nMASQUERADE example.org\n',
  ],
  [
    'SMARTHOST ',
    'PORT ',
    'ALIASES ',
    'AUTHPATH ',
    'SECURETRANSFER\n',
    'STARTTLS\n',
    'OPPORTUNISTIC_TLS\n',
    'FINGERPRINT ',
    'VERIFYCERT\n',
    'CERTFILE ',
    'INSECURE\n',
    'MAILNAME ',
    'MASQUERADE ',
    'NULLCLIENT\n',
    'SPOOLDIR ',
    'DEFER\n',
    '=== /etc/dma/auth.conf\n',
    '=== /etc/mailname\n',
    '|',
    'user|x:pass\n',
  ],
);
