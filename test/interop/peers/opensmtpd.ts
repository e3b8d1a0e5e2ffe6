/** An OpenSMTPD of one's own: relays mail for `postern.example` to us. */
import { untilListening } from '../../../tools/bench/process.ts'
import { makeJail } from './jail.ts'
import type { MailSystem, Ports } from './mail-system.ts'

const CONFIGURATION = ({ port, postern }: Ports): string => `
smtp max-message-size 64M
listen on 127.0.0.1 port ${port} hostname opensmtpd.peer.example
listen on ::1 port ${port} hostname opensmtpd.peer.example
action "four" relay host smtp://127.0.0.1:${postern} helo opensmtpd.peer.example
action "six" relay host "smtp://[::1]:${postern}" helo opensmtpd.peer.example
match from any for domain "v4.postern.example" action "four"
match from any for domain "v6.postern.example" action "six"
`

export async function startOpenSmtpd(ports: Ports): Promise<MailSystem> {
  const jail = makeJail({
    peer: 'opensmtpd',
    users: ['opensmtpd', 'opensmtpq'],
    directories: {
      '/var/lib/opensmtpd/empty': {},
      '/var/run': {},
      '/var/spool/smtpd': { mode: 0o711 },
      '/tmp': { mode: 0o1777 },
    },
    files: { '/etc/smtpd.conf': CONFIGURATION(ports), '/etc/mailname': 'opensmtpd.peer.example\n' },
  })
  const program = jail.start('/usr/sbin/smtpd', ['-d', '-f', '/etc/smtpd.conf'])
  await untilListening(program, ports.port)
  return {
    version: jail.version,
    arrived: () => Promise.reject(new Error('OpenSMTPD only relays here')),
    said: program.said,
    stop: () => program.stop(),
  }
}
