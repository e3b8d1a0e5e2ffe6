/** Where mail goes beyond connectors: name servers, the store behind LMTP, and what TLS domains are held to. */
import type { CommandSpec } from '../config/grammar.ts'
import { quote } from '../config/text.ts'
import type { DnsServer, LmtpTarget, MtaConfig } from './config.ts'

type Spec = CommandSpec<MtaConfig>

const sameServer = (one: DnsServer, ip: string, port: number): boolean => one.ip === ip && one.port === port

const DNS_SERVER: Spec = {
  syntax: 'dns server <ip> [port <port>] [trusted]',
  help: 'Whom to ask for the servers of domains, in this order; without such a line those of this machine',
  words: {
    dns: 'how names are looked up',
    trusted: 'it validates by DNSSEC, and nobody stands between: what it says is secure is taken to be',
  },
  apply(config, args) {
    const [ip, port] = [args.text('ip'), args.number('port', 53)]
    const rest = config.dns.filter(each => !sameServer(each, ip, port))
    return { ...config, dns: [...rest, { ip, port, trusted: args.has('trusted') }] }
  },
  remove: (config, args) => ({
    ...config,
    dns: config.dns.filter(each => !sameServer(each, args.text('ip'), args.number('port', 53))),
  }),
  noSyntax: 'dns server <ip> [port <port>]',
  show: ({ dns }) =>
    dns.map(
      ({ ip, port, trusted }) => `dns server ${ip}${port === 53 ? '' : ` port ${port}`}${trusted ? ' trusted' : ''}`,
    ),
}

const DELIVER: Spec = {
  syntax: 'deliver lmtp {<ip> port <port> | <socket:file>}',
  help: 'Hand mail for local mailboxes to a store by LMTP (RFC 2033), and not into Maildirs',
  apply(config, args) {
    const socket = args.optional('socket')
    const lmtp: LmtpTarget = socket === undefined ? { ip: args.text('ip'), port: args.number('port') } : { socket }
    return { ...config, lmtp }
  },
  remove({ lmtp: _gone, ...config }) {
    return config
  },
  noSyntax: 'deliver',
  show({ lmtp }) {
    if (!lmtp) return []
    return [`deliver lmtp ${'socket' in lmtp ? quote(lmtp.socket) : `${lmtp.ip} port ${lmtp.port}`}`]
  },
}

export const DESTINATION_COMMANDS: readonly Spec[] = [DNS_SERVER, DELIVER]
