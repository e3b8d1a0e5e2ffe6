import type { Arguments } from '../config/grammar.ts'
import type { FirewallConfig } from './config.ts'
import { asWritten, type Spec } from './objection.ts'

/** What the help of lines ends with that are kept for whoever brings them. */
export const NOT_ENFORCED = '(kept, and not enforced here)'

const KEPT_WORDS = [
  ['enable', 'Passwords'],
  ['passwd', 'Passwords'],
  ['password', 'Passwords'],
  ['key', 'Passwords'],
  ['username', 'Administrators'],
  ['domain-name', 'The domain of this firewall'],
  ['dns', 'Name servers'],
  ['dns-guard', 'Replies of name servers'],
  ['banner', 'What administrators are told'],
  ['prompt', 'The console'],
  ['pager', 'The console'],
  ['terminal', 'The console'],
  ['console', 'Remote consoles'],
  ['telnet', 'Remote consoles'],
  ['ssh', 'Remote consoles'],
  ['http', 'The device manager'],
  ['pdm', 'The device manager'],
  ['asdm', 'The device manager'],
  ['boot', 'Images'],
  ['ftp', 'Transfers of files'],
  ['tftp-server', 'Transfers of files'],
  ['clock', 'The clock'],
  ['ntp', 'The clock'],
  ['mtu', 'Packet sizes'],
  ['ip', 'Address auditing and pools'],
  ['ipv6', 'Other settings of IPv6'],
  ['icmp', 'ICMP to this firewall'],
  ['failover', 'A second unit'],
  ['monitor-interface', 'A second unit'],
  ['arp', 'Address resolution'],
  ['timeout', 'How long idle connections live'],
  ['time-range', 'Times of day'],
  ['xlate', 'Translations of sessions'],
  ['alias', 'Translation of answers'],
  ['aaa-server', 'Login servers'],
  ['aaa', 'Logins'],
  ['auth-prompt', 'Logins'],
  ['user-identity', 'Logins'],
  ['privilege', 'Administrators'],
  ['snmp-server', 'Monitoring'],
  ['call-home', 'Monitoring'],
  ['flow-export', 'Monitoring'],
  ['floodguard', 'Floods of logins'],
  ['threat-detection', 'Statistics of attacks'],
  ['dynamic-access-policy-record', 'Remote access'],
  ['sysopt', 'Tunnels that end here'],
  ['crypto', 'Tunnels that end here'],
  ['isakmp', 'Tunnels that end here'],
  ['vpdn', 'Tunnels that end here'],
  ['vpngroup', 'Tunnels that end here'],
  ['tunnel-group', 'Tunnels that end here'],
  ['group-policy', 'Tunnels that end here'],
  ['webvpn', 'Tunnels that end here'],
  ['ssl', 'Tunnels that end here'],
  ['management-access', 'Tunnels that end here'],
  ['vpn', 'Tunnels that end here'],
  ['vpn-sessiondb', 'Tunnels that end here'],
  ['service', 'Resets of refused connections'],
  ['dhcpd', 'Addresses for others'],
  ['dhcprelay', 'Addresses for others'],
  ['url-cache', 'Web filtering'],
  ['url-server', 'Web filtering'],
  ['filter', 'Web filtering'],
  ['tcp-map', 'Details of TCP'],
  ['router', 'Routing protocols'],
  ['route-map', 'Routing protocols'],
  ['prefix-list', 'Routing protocols'],
  ['rip', 'Routing protocols'],
  ['sla', 'Routing protocols'],
  ['track', 'Routing protocols'],
  ['multicast-routing', 'Routing protocols'],
  ['firewall', 'Routed or transparent'],
  ['mode', 'One context or several'],
  ['ctl-provider', 'Telephones'],
  ['tls-proxy', 'Telephones'],
  ['hpm', 'Statistics'],
  ['jumbo-frame', 'Packet sizes'],
  ['established', 'Connections back'],
  ['fragment', 'Fragments'],
  ['license', 'Licences'],
  ['xdmcp', 'X displays'],
] as const

/** Lines that do not concern mail: a whole dump must read as it stands, and be written back as it was. */
export const KEPT_COMMANDS: readonly Spec[] = [
  ...KEPT_WORDS.map(([word, what]) => kept(word, word, what)),
  kept('class-map type', 'class-map type', 'Classes for other protocols'),
  kept('policy-map type', 'policy-map type', 'Inspection of other protocols'),
  kept('object service', 'object service', 'Names for ports'),
  kept('object-group', 'object-group', 'Groups of other things'),
]

function kept(word: string, syntax: string, what: string): Spec {
  return {
    syntax: `${syntax} [<rest:text...>]`,
    help: `${what} ${NOT_ENFORCED}`,
    apply: (config, args) => put(config, word, lineOf(word, args)),
    remove(config, args) {
      const line = lineOf(word, args)
      const lines = config.kept[word] ?? []
      const rest = lines.filter(each => headOf(each) !== line)
      // What was never there is switched off from the start, and a dump says so.
      return rest.length < lines.length ? withKept(config, word, rest) : put(config, word, `no ${line}`)
    },
    // The lines below it belong to it, whatever they say.
    block(config, args, below) {
      const line = lineOf(word, args)
      const lines = (config.kept[word] ?? []).map(each =>
        headOf(each) === line ? `${each}\n${below.replace(/^[ \t]+/, blanks => ' '.repeat(blanks.length))}` : each,
      )
      return withKept(config, word, lines)
    },
    show: ({ kept: all }) => (all[word] ?? []).flatMap(each => each.split('\n')),
  }
}

function lineOf(word: string, args: Arguments): string {
  return [word, asWritten(args, 'rest')].filter(part => part !== undefined).join(' ')
}

function headOf(line: string): string {
  return line.split('\n', 1)[0] ?? ''
}

function put(config: FirewallConfig, word: string, line: string): FirewallConfig {
  const opposite = line.startsWith('no ') ? line.slice('no '.length) : `no ${line}`
  const lines = (config.kept[word] ?? []).filter(each => headOf(each) !== line && headOf(each) !== opposite)
  return withKept(config, word, [...lines, line])
}

/** The lines that are kept under a word, from now on. */
export function withKept(config: FirewallConfig, word: string, lines: readonly string[]): FirewallConfig {
  const { [word]: _, ...kept } = config.kept
  return { ...config, kept: lines.length === 0 ? kept : { ...kept, [word]: lines } }
}

/** A line that is shown to whoever asks what is not enforced: what follows these words stays out of it. */
const SECRETS =
  /\b(password|passwd|pre-shared-key|community|shared-secret|md5|ldap-login-password|authentication-key \d+ md5|(?:^|isakmp )key|auth (?:md5|sha)|priv (?:aes|des|3des)(?: \d+)?)(\s+)(?:(?:0|8|hex)\s+)?\S+/g

function withoutSecret(line: string): string {
  return line.replace(SECRETS, '$1$2*****')
}

/** Everything that is kept and shown, and not enforced here; without what is secret. */
export function notEnforced({ kept, otherFixups, disabledFixups, remarks, mpf }: FirewallConfig): readonly string[] {
  return [
    ...Object.values(kept).flatMap(lines => lines.flatMap(each => each.split('\n').map(withoutSecret))),
    ...otherFixups.map(each => `fixup protocol ${each}`),
    ...disabledFixups.filter(each => !each.startsWith('smtp')).map(each => `no fixup protocol ${each}`),
    ...remarks,
    ...mpf.policies.flatMap(({ classes }) => classes.flatMap(each => each.kept)),
  ]
}
