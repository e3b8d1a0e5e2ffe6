/** An OpenSMTPD of one's own: relays mail for `postern.example` to us. */
import { readFileSync } from 'node:fs'
import { untilListening } from '../../../tools/bench/process.ts'
import { makeJail } from './jail.ts'
import type { MailSystem, Ports } from './mail-system.ts'

const CONFIGURATION = ({ port, postern, tls }: Ports): string => `
smtp max-message-size 64M
listen on 127.0.0.1 port ${port} hostname opensmtpd.peer.example
listen on ::1 port ${port} hostname opensmtpd.peer.example
action "four" relay host "${tls ? 'smtp+tls' : 'smtp'}://127.0.0.1:${postern}" helo opensmtpd.peer.example
action "six" relay host "${tls ? 'smtp+tls' : 'smtp'}://v6.postern.example:${postern}" helo opensmtpd.peer.example
match from any for domain "v4.postern.example" action "four"
match from any for domain "v6.postern.example" action "six"
`

export async function startOpenSmtpd(ports: Ports): Promise<MailSystem> {
  const { tls } = ports
  const jail = makeJail({
    peer: 'opensmtpd',
    users: ['opensmtpd', 'opensmtpq'],
    directories: {
      '/var/lib/opensmtpd/empty': {},
      '/var/run': {},
      '/var/spool/smtpd': { mode: 0o711 },
      '/tmp': { mode: 0o1777 },
    },
    files: {
      '/etc/smtpd.conf': CONFIGURATION(ports),
      // It would look for an address in brackets in a certificate, and for a name as it should.
      '/etc/hosts': '127.0.0.1 localhost\n::1 v6.postern.example\n',
      '/etc/mailname': 'opensmtpd.peer.example\n',
      // Where it looks for authorities, and for no others.
      ...(tls && { '/etc/ssl/certs/ca-certificates.crt': readFileSync(tls.authority, 'utf8') }),
    },
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
