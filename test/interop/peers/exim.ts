/** An Exim of one's own: takes mail for `peer.example`, and relays mail for `postern.example` to us. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { untilListening } from '../../../tools/bench/process.ts'
import { withCrlf } from '../letter.ts'
import { arrival } from '../mailbox.ts'
import { makeJail } from './jail.ts'
import type { MailSystem, Ports } from './mail-system.ts'

/** What its server shows, and what its client must be shown. */
const SERVER_TLS = `
tls_advertise_hosts = *
tls_certificate = /etc/exim4/server.pem
tls_privatekey = /etc/exim4/server.key`
/** It would refuse to send lines beyond 998 octets. */
const ANY_LINE = '\n  message_linelength_limit = 1000000'
const CLIENT_TLS = `
  hosts_require_tls = *
  tls_verify_hosts = *
  tls_verify_certificates = /etc/exim4/authority.pem`

/** What one is told besides. */
export interface EximMore {
  /** Which build of it. */
  readonly peer?: 'exim' | 'exim-heavy'
  /** Main options. */
  readonly settings?: string
  /** Which recipients it takes. */
  readonly acl?: string
}

const CONFIGURATION = ({ port, postern, tls }: Ports, { settings = '', acl = '  accept' }: EximMore): string => `
primary_hostname = exim.peer.example
local_interfaces = <; 127.0.0.1 ; ::1
daemon_smtp_ports = ${port}
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%slog
message_size_limit = 0
dsn_advertise_hosts = *
acl_smtp_rcpt = acl_any
${tls ? SERVER_TLS : 'tls_advertise_hosts ='}
# Nothing here has a name that could be looked up.
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
${settings}

begin acl
acl_any:
${acl}

begin routers
here:
  driver = accept
  domains = v4.peer.example : v6.peer.example
  transport = maildir
four:
  driver = accept
  domains = v4.postern.example
  transport = four
six:
  driver = accept
  domains = v6.postern.example
  transport = six

begin transports
maildir:
  driver = appendfile
  directory = /var/mail/ann
  create_directory
  maildir_format
  return_path_add
  user = vmail
four:
  driver = smtp
  hosts = 127.0.0.1
  port = ${postern}
  allow_localhost${ANY_LINE}${tls ? CLIENT_TLS : ''}
six:
  driver = smtp
  hosts = <; ::1
  port = ${postern}
  allow_localhost${ANY_LINE}${tls ? CLIENT_TLS : ''}

begin retry
* * F,1h,5s
`

/** An Exim, and what it wrote to its log. */
export interface Exim extends MailSystem {
  log(): string
}

export async function startExim(ports: Ports, more: EximMore = {}): Promise<Exim> {
  const { tls } = ports
  const jail = makeJail({
    peer: more.peer ?? 'exim',
    users: ['Debian-exim', 'vmail'],
    directories: {
      '/var/log/exim4': { owner: 'Debian-exim' },
      '/var/spool/exim4': { owner: 'Debian-exim' },
      '/var/mail': { owner: 'vmail' },
    },
    files: {
      '/etc/exim4/exim4.conf': CONFIGURATION(ports, more),
      ...(tls && {
        '/etc/exim4/server.pem': readFileSync(tls.certificate, 'utf8'),
        '/etc/exim4/server.key': readFileSync(tls.key, 'utf8'),
        '/etc/exim4/authority.pem': readFileSync(tls.authority, 'utf8'),
      }),
    },
  })
  const program = jail.start('/usr/sbin/exim4', ['-bdf', '-q1h'])
  const written = (...names: readonly string[]) =>
    names
      .map(name => join(jail.root, 'var/log/exim4', name))
      .filter(existsSync)
      .map(log => readFileSync(log, 'utf8').slice(-4000))
  const said = () => [program.said(), ...written('mainlog', 'paniclog', 'rejectlog')].join('\n')
  await untilListening(program, ports.port)
  return {
    version: jail.version,
    arrived: async token => withCrlf(await arrival(join(jail.root, 'var/mail/ann/new'), token, said)),
    said,
    log: () => written('mainlog').join('\n'),
    stop: () => program.stop(),
  }
}
