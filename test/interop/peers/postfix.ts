/** A Postfix of one's own: takes mail for `peer.example`, and relays mail for `postern.example` to us. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { untilListening } from '../../../tools/bench/process.ts'
import { withCrlf } from '../letter.ts'
import { arrival } from '../mailbox.ts'
import { makeJail } from './jail.ts'
import type { MailSystem, Ports } from './mail-system.ts'

const QUEUE = [
  'active',
  'bounce',
  'corrupt',
  'defer',
  'deferred',
  'flush',
  'hold',
  'incoming',
  'private',
  'saved',
  'trace',
]

const MASTER = (port: number): string => `
127.0.0.1:${port} inet n - n - - smtpd
[::1]:${port}     inet n - n - - smtpd
cleanup  unix n - n - 0    cleanup
qmgr     unix n - n 300 1  qmgr
tlsmgr   unix - - n 300 1  tlsmgr
rewrite  unix - - n - -    trivial-rewrite
bounce   unix - - n - 0    bounce
defer    unix - - n - 0    bounce
trace    unix - - n - 0    bounce
flush    unix n - n 300 0  flush
proxymap unix - - n - -    proxymap
smtp     unix - - n - -    smtp
error    unix - - n - -    error
retry    unix - - n - -    error
virtual  unix - n n - -    virtual
anvil    unix - - n - 1    anvil
scache   unix - - n - 1    scache
showq    unix n - n - -    showq
postlog  unix-dgram n - n - 1 postlogd
`

/** Whom it must have proven to be: us, by the name in the certificate. */
const PROVEN = (postern: number): string =>
  ['127.0.0.1', '::1'].map(ip => `{ [${ip}]:${postern} = secure match=mx.postern.example }`).join(', ')

const SECURE = (postern: number) => ({
  smtpd_tls_security_level: 'may',
  smtpd_tls_cert_file: '/etc/postfix/server.pem',
  smtpd_tls_key_file: '/etc/postfix/server.key',
  smtpd_tls_received_header: 'yes',
  smtp_tls_CAfile: '/etc/postfix/authority.pem',
  smtp_tls_policy_maps: `inline:{ ${PROVEN(postern)} }`,
})

/** A Postfix, and all that it wrote to its log. */
export interface Postfix extends MailSystem {
  /** Of its master, under which all the others are. */
  readonly pid: number
  log(): string
}

export async function startPostfix(
  { port, postern, tls }: Ports,
  more: Readonly<Record<string, string>> = {},
): Promise<Postfix> {
  const settings = {
    compatibility_level: '3.6',
    myhostname: 'postfix.peer.example',
    mydestination: '',
    // There are none, nor a database of them.
    alias_maps: '',
    local_recipient_maps: '',
    mynetworks: '127.0.0.0/8 [::1]/128',
    inet_protocols: 'all',
    maillog_file: '/var/log/mail.log',
    // Nothing here has a name that could be looked up.
    disable_dns_lookups: 'yes',
    smtpd_peername_lookup: 'no',
    virtual_mailbox_domains: 'v4.peer.example v6.peer.example',
    virtual_mailbox_base: '/var/mail',
    virtual_mailbox_maps: 'static:ann/',
    virtual_uid_maps: 'static:20001',
    virtual_gid_maps: 'static:20001',
    virtual_minimum_uid: '1',
    virtual_mailbox_limit: '0',
    message_size_limit: '0',
    enable_original_recipient: 'no',
    // It would fold lines beyond 998 octets.
    smtp_line_length_limit: '0',
    transport_maps: `inline:{ {v4.postern.example = smtp:[127.0.0.1]:${postern}}, {v6.postern.example = smtp:[::1]:${postern}} }`,
    import_environment: 'LD_LIBRARY_PATH',
    ...(tls && SECURE(postern)),
    ...more,
  }
  const jail = makeJail({
    peer: 'postfix',
    users: ['postfix', 'vmail', 'postdrop', 'nobody'],
    directories: {
      '/var/log': {},
      '/var/spool/postfix': {},
      ...Object.fromEntries(QUEUE.map(name => [`/var/spool/postfix/${name}`, { owner: 'postfix', mode: 0o700 }])),
      '/var/spool/postfix/pid': {},
      '/var/spool/postfix/maildrop': { owner: 'postfix', group: 'postdrop', mode: 0o730 },
      '/var/spool/postfix/public': { owner: 'postfix', group: 'postdrop', mode: 0o710 },
      '/var/lib/postfix': { owner: 'postfix', mode: 0o700 },
      '/var/mail': { owner: 'vmail' },
    },
    files: {
      '/etc/postfix/main.cf': Object.entries(settings)
        .map(([name, value]) => `${name} = ${value}\n`)
        .join(''),
      '/etc/postfix/master.cf': MASTER(port),
      ...(tls && {
        '/etc/postfix/server.pem': readFileSync(tls.certificate, 'utf8'),
        '/etc/postfix/server.key': readFileSync(tls.key, 'utf8'),
        '/etc/postfix/authority.pem': readFileSync(tls.authority, 'utf8'),
      }),
    },
  })
  const program = jail.start('/usr/lib/postfix/sbin/master', ['-d'])
  const log = join(jail.root, 'var/log/mail.log')
  const whole = () => readFileSync(log, { encoding: 'utf8', flag: 'a+' })
  const said = () => `${program.said()}\n${whole().slice(-4000)}`
  await untilListening(program, port)
  return {
    version: jail.version,
    pid: program.pid,
    arrived: async token => withCrlf(await arrival(join(jail.root, 'var/mail/ann/new'), token, said)),
    said,
    log: whole,
    stop: () => program.stop(),
  }
}
