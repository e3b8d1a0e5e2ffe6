/** An Exim of one's own: takes mail for `peer.example`, and relays mail for `postern.example` to us. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { untilListening } from '../../../tools/bench/process.ts'
import { withCrlf } from '../letter.ts'
import { arrival } from '../mailbox.ts'
import { makeJail } from './jail.ts'
import type { MailSystem, Ports } from './mail-system.ts'

const CONFIGURATION = ({ port, postern }: Ports): string => `
primary_hostname = exim.peer.example
local_interfaces = <; 127.0.0.1 ; ::1
daemon_smtp_ports = ${port}
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%slog
message_size_limit = 0
acl_smtp_rcpt = acl_any
tls_advertise_hosts =
# Nothing here has a name that could be looked up.
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =

begin acl
acl_any:
  accept

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
  allow_localhost
six:
  driver = smtp
  hosts = <; ::1
  port = ${postern}
  allow_localhost

begin retry
* * F,1h,5s
`

export async function startExim(ports: Ports): Promise<MailSystem> {
  const jail = makeJail({
    peer: 'exim',
    users: ['Debian-exim', 'vmail'],
    directories: {
      '/var/log/exim4': { owner: 'Debian-exim' },
      '/var/spool/exim4': { owner: 'Debian-exim' },
      '/var/mail': { owner: 'vmail' },
    },
    files: { '/etc/exim4/exim4.conf': CONFIGURATION(ports) },
  })
  const program = jail.start('/usr/sbin/exim4', ['-bdf', '-q1h'])
  const said = () => {
    const logs = ['mainlog', 'paniclog'].map(name => join(jail.root, 'var/log/exim4', name)).filter(existsSync)
    return [program.said(), ...logs.map(log => readFileSync(log, 'utf8').slice(-4000))].join('\n')
  }
  await untilListening(program, ports.port)
  return {
    version: jail.version,
    arrived: async token => withCrlf(await arrival(join(jail.root, 'var/mail/ann/new'), token, said)),
    said,
    stop: () => program.stop(),
  }
}
