/** Where mail goes beyond connectors: name servers, the store behind LMTP, and what TLS domains are held to. */
import type { CommandSpec } from '../config/grammar.ts'
import { respelled } from '../config/respelled.ts'
import { quote } from '../config/text.ts'
import { checkedTls, sayTls, TLS_SYNTAX, TLS_WORDS } from '../routing/connector-session.ts'
import { domainKey } from '../smtp/address.ts'
import { type DnsServer, KEYED, type LmtpTarget, type MtaConfig } from './config.ts'

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

const DOMAIN_TLS: Spec = {
  syntax: `destination-tls <space:word> ${TLS_SYNTAX}`,
  help: 'How much TLS there must be with the servers that DNS names for a.example, *.a.example, or * for all',
  words: TLS_WORDS,
  apply(config, args, at) {
    const tls = checkedTls(args)
    if ('problems' in tls) return tls
    const space = args.text('space')
    const line = { space, tls, at }
    const before = KEYED.domainTls.like(config.domainTls, line)
    const domainTls = KEYED.domainTls.with(config.domainTls, line)
    return respelled({ ...config, domainTls }, before?.space, { now: space, at: args.at('space') })
  },
  remove: (config, args) => ({
    ...config,
    domainTls: KEYED.domainTls.without(config.domainTls, domainKey(args.text('space'))),
  }),
  noSyntax: 'destination-tls <space:word>',
  show: ({ domainTls }) => domainTls.map(({ space, tls }) => `destination-tls ${quote(space)} ${sayTls(tls)}`),
}

const MTA_STS: Spec = {
  syntax: 'mta-sts off',
  help: 'Ask no domain for its MTA-STS policy (RFC 8461); otherwise those are asked whose servers DNS names',
  apply: config => ({ ...config, mtaSts: false }),
  remove: config => ({ ...config, mtaSts: true }),
  show: ({ mtaSts }) => (mtaSts ? [] : ['mta-sts off']),
}

export const DESTINATION_COMMANDS: readonly Spec[] = [DNS_SERVER, DOMAIN_TLS, MTA_STS, DELIVER]
