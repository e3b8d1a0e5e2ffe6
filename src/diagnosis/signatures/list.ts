import type { Mark, Signature } from './signature.ts'

/**
 * Each row is what somebody saw or a vendor wrote, with the source. A mark that many servers have alone is never enough
 * alone (`needs`).
 */
const greeting = (like: RegExp, says: string): Mark => ({ on: 'greeting', like, says })

type Row = Omit<Signature, 'isUnmistakable' | 'needs'> & Partial<Pick<Signature, 'isUnmistakable' | 'needs'>>

const ROWS: readonly Row[] = [
  {
    id: 'check-point-fw1',
    name: 'Check Point FireWall-1 SMTP security server',
    vendor: 'check-point',
    role: 'box',
    marks: [
      greeting(/CheckPoint FireWall-1 secure/i, 'the greeting names CheckPoint FireWall-1'),
      { on: 'noop', like: /^220 OK$/i, says: 'NOOP is answered 220 OK' },
    ],
    isUnmistakable: true,
    explains: ['greeting', 'keyword-missing', 'reply', 'refused'],
    does: 'takes mail itself and sends it on later: every extension is its own, and a recipient of another rule is refused with 450',
    source: 'Rapid7 Recog smtp_banners.xml; Check Point Advanced Technical Reference Guide 4.1',
  },
  {
    id: 'watchguard-wfs',
    name: 'WatchGuard Firebox SMTP proxy (WFS 4.6-7.x)',
    vendor: 'watchguard',
    role: 'box',
    marks: [
      greeting(/^220 SMTP service ready$/, 'the greeting is "SMTP service ready", without a host name'),
      {
        on: 'help',
        like: /^214 Commands:\n\s*DATA\s+RCPT\s+MAIL\s+QUIT\s+RSET/,
        says: 'HELP lists its own ten commands',
      },
    ],
    isUnmistakable: true,
    explains: ['greeting', 'keyword-missing', 'reply', 'refused', 'verb'],
    does: 'speaks for the server: extensions that are not ticked in its ESMTP tab are left out, unknown header fields are removed',
    source: 'nmap-service-probes; WatchGuard System Manager help, SMTP proxy',
  },
  {
    id: 'fwtk-smap',
    name: 'TIS FWTK / Gauntlet smap',
    vendor: 'tis',
    role: 'box',
    marks: [
      greeting(/SMTP\/smap Ready\./, 'the greeting says SMTP/smap Ready.'),
      { on: 'unknown', like: /Debug set -NOT!/, says: 'it makes fun of DEBUG' },
    ],
    isUnmistakable: true,
    explains: ['greeting', 'keyword-missing', 'reply', 'refused'],
    does: 'stores mail and passes it on later; it knows no extension',
    source: 'Rapid7 Recog; nmap-service-probes',
  },
  {
    id: 'raptor',
    name: 'Raptor / Symantec Enterprise Firewall',
    vendor: 'symantec',
    role: 'box',
    marks: [
      greeting(/Generic SMTP handler/, 'the greeting says Generic SMTP handler'),
      {
        on: 'help',
        like: /Help not supported by this implementation/,
        says: 'HELP is not supported by this implementation',
      },
    ],
    isUnmistakable: true,
    explains: ['greeting', 'keyword-missing', 'reply', 'refused'],
    does: 'speaks for the server; ATRN, ETRN, EXPN and VRFY are off, and no AUTH that encrypts gets through',
    source: 'nmap-service-probes; Symantec Security Gateways Reference Guide p.59',
  },
  {
    id: 'norton-2002',
    name: 'Norton AntiVirus e-mail scanner, on the sending machine',
    vendor: 'desktop',
    role: 'box',
    marks: [
      { on: 'starttls', like: /^500 Unsupported command\.$/, says: 'STARTTLS is answered 500 Unsupported command.' },
      {
        on: 'quit',
        like: /^221 Closing connection\. Good bye\.$/,
        says: 'QUIT is answered Closing connection. Good bye.',
      },
    ],
    isUnmistakable: false,
    explains: ['refused', 'reply'],
    does: 'stands on the sending machine itself and refuses the STARTTLS that the server offers',
    source: 'Bugtraq msg03715',
  },
  ...(
    [
      ['avast', 'avast! mail shield', /avast! SMTP proxy ready/],
      ['avg', 'AVG e-mail scanner', /AVG ESMTP Proxy Server/],
      ['f-secure-gatekeeper', 'F-Secure Internet Gatekeeper', /F-Secure\/fsigk_smtp\//],
      ['bitdefender', 'BitDefender mail proxy', /ESMTP BitDefender Proxy/],
      ['mcafee-webshield', 'McAfee WebShield', /WebShield/],
    ] as const
  ).map(
    ([id, name, like]): Row => ({
      id,
      name,
      vendor: 'desktop',
      role: 'box',
      marks: [greeting(like, 'the greeting names it')],
      isUnmistakable: true,
      explains: ['greeting', 'keyword-missing', 'reply', 'refused'],
      does: 'speaks for the server, and leaves out extensions that keep it from looking: CHUNKING, PIPELINING, STARTTLS',
      source: 'nmap-service-probes; F-Secure Internet Gatekeeper 4.01 manual p.152',
    }),
  ),
  {
    id: 'canned-interceptor',
    name: 'an interceptor with canned replies, near the sender',
    vendor: 'interceptor',
    role: 'box',
    marks: [
      greeting(/ESMTP Service ready$/, 'the greeting is the name that was asked for, and ESMTP Service ready'),
      {
        on: 'ehlo',
        like: /^250 Requested mail action okay, completed\nSIZE \d+\nETRN\n8BITMIME\nOK$/,
        says: 'EHLO is answered with the one list that is seen in front of unrelated servers',
      },
    ],
    needs: 2,
    explains: ['greeting', 'keyword-missing', 'reply', 'refused'],
    does: 'answers for every destination alike: an internet provider, a hotel or a virus scanner. The server is not to blame',
    source: 'mail-in-a-box/mailinabox issue 1535; seen again in 2026',
  },
  {
    id: 'proxsmtp',
    name: 'proxsmtp or clamsmtp',
    vendor: 'proxsmtp',
    role: 'box',
    marks: [
      greeting(/^220 smtp\.passthru/, 'the greeting says smtp.passthru'),
      { on: 'ehlo', like: /\bXFILTERED\b/, says: 'XFILTERED is offered' },
    ],
    isUnmistakable: true,
    explains: ['greeting', 'keyword-missing', 'keyword-added', 'reply', 'refused'],
    does: 'PIPELINING, STARTTLS and CHUNKING are taken out of the list',
    source: 'measured with Debian 12',
  },
  {
    id: 'barracuda',
    name: 'Barracuda Email Security Gateway',
    vendor: 'barracuda',
    role: 'front',
    marks: [greeting(/^220 \S+ ESMTP \([0-9a-f]{32}\)$/, 'the greeting ends in 32 hexadecimal digits')],
    explains: [],
    does: 'takes mail for the server and passes it on later: what is offered is its own',
    source: 'nmap-service-probes',
  },
  {
    id: 'isp-block',
    name: "a provider's block on port 25",
    vendor: 'interceptor',
    role: 'box',
    marks: [greeting(/^452 syntax error \(connecting\)/, 'the greeting is 452 syntax error (connecting)')],
    isUnmistakable: true,
    explains: ['greeting', 'refused', 'reply', 'cut-off'],
    does: 'lets nobody but its own server send mail',
    source: 'nmap-service-probes, "ISP SMTP block"',
  },
  {
    id: 'nginx-mail',
    name: 'nginx mail proxy',
    vendor: 'nginx',
    role: 'front',
    marks: [
      greeting(/^220 \S+ ESMTP ready$/, 'the greeting is its server_name and ESMTP ready'),
      {
        on: 'unknown',
        like: /^500 5\.5\.1 Invalid command$/,
        says: 'an unknown verb is answered 500 5.5.1 Invalid command',
      },
    ],
    needs: 2,
    explains: ['keyword-missing'],
    does: 'what is offered is its smtp_capabilities, whatever the server behind can do; behind RCPT it passes everything as it comes',
    source: 'measured with nginx 1.22; nginx/nginx issues 155, 705',
  },
  {
    id: 'haraka',
    name: 'Haraka, as a server or a proxy',
    vendor: 'haraka',
    role: 'front',
    marks: [greeting(/ESMTP Haraka/, 'the greeting names Haraka')],
    explains: ['keyword-missing'],
    does: 'what is offered is its own: as a proxy it passes on neither DSN, CHUNKING, ETRN nor ENHANCEDSTATUSCODES',
    source: 'measured with Haraka 3.3',
  },
  {
    id: 'smtp-sink-pix',
    name: "Postfix's test server, smtp-sink -P",
    vendor: 'postfix',
    role: 'test',
    marks: [
      greeting(/^220 \*{8}$/, 'the greeting is exactly eight stars, too short for most names'),
      {
        on: 'unknown',
        like: /^500 (?:5\.\d\.\d )?Error: unknown command$/,
        says: 'an unknown verb is answered Error: unknown command',
      },
    ],
    needs: 2,
    explains: ['greeting', 'verb', 'refused'],
    does: 'pretends to stand behind a PIX so that clients can be tested: nothing is altered on the way',
    source: 'postfix src/smtpstone/smtp-sink.c',
  },
  {
    id: 'openbsd-spamd',
    name: 'OpenBSD spamd',
    vendor: 'openbsd',
    role: 'front',
    marks: [greeting(/ESMTP spamd IP-based SPAM blocker/, 'the greeting names spamd')],
    isUnmistakable: true,
    explains: [],
    does: 'answers an octet a second and puts strangers off with 450 or 451 until it knows them: it alters nothing',
    source: 'spamd(8)',
  },
]

export const SIGNATURES: readonly Signature[] = ROWS.map(row => ({ isUnmistakable: false, needs: 1, ...row }))
