import type { Grammar } from '../config/grammar.ts'
import { within } from '../config/within.ts'
import { INTERFACE_COMMANDS } from '../topology/commands.ts'
import { GROUP_COMMANDS, LIST_COMMANDS, OBJECT_COMMANDS } from './commands-access.ts'
import { ESMTP_COMMANDS } from './commands-esmtp.ts'
import { FIXUP_COMMANDS, VERSION_COMMANDS } from './commands-fixup.ts'
import { GATEWAY_COMMANDS } from './commands-gateway.ts'
import { KEPT_COMMANDS, withKept } from './commands-kept.ts'
import { MPF_BEFORE_MAPS, MPF_BEHIND_MAPS } from './commands-mpf.ts'
import { NAT_COMMANDS, OBJECT_NAT_COMMANDS, ROUTE_COMMANDS } from './commands-nat.ts'
import { PROXY_COMMANDS } from './commands-proxy.ts'
import { EMPTY_FIREWALL, type FirewallConfig } from './config.ts'
import { put, type Spec, warning } from './objection.ts'

const HOSTNAME: Spec = {
  syntax: 'hostname <host:name>',
  noSyntax: 'hostname [<host:name>]',
  help: 'The name of this firewall',
  apply: (config, args) => ({ ...config, hostname: args.text('host') }),
  remove: config => ({ ...config, hostname: EMPTY_FIREWALL.hostname }),
  show: ({ hostname }) => [`hostname ${hostname}`],
}

const NAMES: Spec = {
  syntax: 'names',
  help: 'Names stand for addresses from here on (they always do; addresses are shown as numbers)',
  apply: config => withKept(config, 'names', ['names']),
  remove: config => withKept(config, 'names', []),
  show: ({ kept }) => kept.names ?? [],
}

const NAME: Spec = {
  syntax: 'name <ip> <name> [description <text...>]',
  noSyntax: 'name <ip> [<name>]',
  help: 'A name that stands for an address in the lines below',
  apply: (config, args) => ({
    ...config,
    names: put(config.names, { ip: args.text('ip'), name: args.text('name') }, ({ name }) => name),
  }),
  remove: (config, args) => ({ ...config, names: config.names.filter(({ ip }) => ip !== args.text('ip')) }),
  show: ({ names }) => names.map(({ ip, name }) => `name ${ip} ${name}`),
}

const SAME_SECURITY: Spec = {
  syntax: 'same-security-traffic permit <what:inter-interface|intra-interface>',
  help: 'Let interfaces of one level reach each other (ASA); to and from one interface is not enforced here',
  apply: (config, args) =>
    args.text('what') === 'inter-interface' ? { ...config, sameSecurity: true } : withKept(config, INTRA, [INTRA]),
  remove: (config, args) =>
    args.text('what') === 'inter-interface' ? { ...config, sameSecurity: false } : withKept(config, INTRA, []),
  show: ({ sameSecurity, kept }) => [
    ...(sameSecurity ? ['same-security-traffic permit inter-interface'] : []),
    ...(kept[INTRA] ?? []),
  ],
}

const INTRA = 'same-security-traffic permit intra-interface'

const CHECKSUM: Spec = {
  syntax: 'Cryptochecksum:<sum:word>',
  help: 'The checksum of the dump (kept; it is not computed anew)',
  apply: (config, args) => withKept(config, SUM, [`${SUM}:${args.text('sum')}`]),
  show: ({ kept }) => kept[SUM] ?? [],
}

const SUM = 'Cryptochecksum'

const [NAMEIF, ...DEVICES] = within<FirewallConfig, 'ports'>('ports', INTERFACE_COMMANDS)

/** The text of a PIX or an ASA, in the order in which a PIX dumps it; whatever is named comes before what names it. */
export const FIREWALL: Grammar<FirewallConfig> = {
  name: 'firewall',
  empty: EMPTY_FIREWALL,
  commands: [
    ...VERSION_COMMANDS,
    ...(NAMEIF ? [NAMEIF] : []),
    HOSTNAME,
    ...FIXUP_COMMANDS,
    NAMES,
    NAME,
    ...LIST_COMMANDS,
    ...DEVICES,
    SAME_SECURITY,
    ...OBJECT_COMMANDS,
    ...OBJECT_NAT_COMMANDS,
    ...NAT_COMMANDS,
    ...GROUP_COMMANDS,
    ...ROUTE_COMMANDS,
    ...within<FirewallConfig, 'gateway'>('gateway', GATEWAY_COMMANDS),
    ...within<FirewallConfig, 'proxies'>('proxies', PROXY_COMMANDS),
    ...KEPT_COMMANDS,
    ...MPF_BEFORE_MAPS,
    ...ESMTP_COMMANDS,
    ...MPF_BEHIND_MAPS,
    CHECKSUM,
  ],
  names: ({ names }) => new Map(names.map(({ ip, name }) => [name, ip])),
  check(config) {
    const { accessGroups, accessRules, mpf } = config
    return [
      ...accessGroups
        .filter(({ list }) => !accessRules.some(rule => rule.list === list))
        .map(({ list, at }) => warning(`access list ${list} has no lines: everything is denied`, at)),
      ...mpf.esmtpMaps.flatMap(({ matches }) =>
        matches
          .filter(({ actions }) => actions.length === 0)
          .map(({ at }) =>
            warning('this match has no action below it, and does nothing', at, 'such as drop-connection log'),
          ),
      ),
    ]
  },
}
