/** The organisation, its routing groups, and who is in them. */
import { Keyed } from '../base/keyed.ts'
import type { Diagnostic } from '../base/problem.ts'
import type { Arguments, CommandSpec } from '../config/grammar.ts'
import { respelled } from '../config/respelled.ts'
import { quote } from '../config/text.ts'
import { domainKey, sameDomain } from '../smtp/address.ts'
import { refuse } from './change.ts'
import { type GroupDomain, type Member, NO_ROUTING, type RoutingConfig, type RoutingGroup } from './connector.ts'
import { compareTexts, parseGuid } from './link-state.ts'

type Spec = CommandSpec<RoutingConfig>

/** A group of which something is said, made over; one of which nothing is left to say is forgotten. */
function changeGroup(
  config: RoutingConfig,
  args: Arguments,
  next: (group: RoutingGroup) => RoutingGroup,
): RoutingConfig {
  const name = args.text('group')
  const before = config.groups.find(each => each.name === name)
  const group = next(before ?? { name, members: [], domains: [], isHub: false })
  const isEmpty = group.members.length === 0 && group.domains.length === 0 && !group.isHub && group.guid === undefined
  const groups = [...config.groups.filter(each => each !== before), ...(isEmpty ? [] : [group])]
  return { ...config, groups: groups.sort((a, b) => compareTexts(a.name, b.name)) }
}

const GROUP: Spec = {
  syntax: 'routing-group <group:name>',
  help: 'The routing group this server is a member of',
  apply: (config, args) => ({ ...config, group: args.text('group') }),
  remove: config => ({ ...config, group: NO_ROUTING.group }),
  noSyntax: 'routing-group [<group:name>]',
  show: ({ group }) => (group === NO_ROUTING.group ? [] : [`routing-group ${group}`]),
}

const ORGANIZATION: Spec = {
  syntax: 'organization <organization:word> [guid <guid:word>]',
  help: 'The organisation: routing state is told to nobody else',
  words: { guid: 'the GUID that an Exchange directory gave it; else one is made from the name' },
  apply(config, args) {
    const guid = guidOf(args)
    if (guid && typeof guid !== 'string') return guid
    return { ...config, organization: { name: args.text('organization'), ...(guid && { guid }) } }
  },
  remove: config => ({ ...config, organization: NO_ROUTING.organization }),
  noSyntax: 'organization',
  show({ organization: { name, guid } }) {
    if (name === NO_ROUTING.organization.name && !guid) return []
    return [`organization ${quote(name)}${guid ? ` guid ${guid}` : ''}`]
  },
}

function guidOf(args: Arguments): string | undefined | { readonly problems: readonly Diagnostic[] } {
  const word = args.optional('guid')
  if (word === undefined) return undefined
  return (
    parseGuid(word) ??
    refuse(args.at('guid'), `"${word}" is not a GUID`, 'expected 32 hex digits, with dashes or without')
  )
}

const MEMBER: Spec = {
  syntax: 'group-member <group:name> <server:domain> [address <ip> [port <port>]] [master]',
  help: 'A server of a routing group; its master, if none is named the first, publishes its state',
  words: {
    address:
      'where it takes mail: mail may be handed to it directly, and link state on a private interface knows it by this',
  },
  apply: (config, args, at) =>
    changeGroup(config, args, group => {
      const ip = args.optional('ip')
      const member: Member = {
        server: args.text('server'),
        isMaster: args.has('master'),
        ...(ip !== undefined && { address: { ip, port: args.number('port', 25) } }),
        at,
      }
      return { ...group, members: [...withoutMember(group, member.server), member] }
    }),
  remove: (config, args) =>
    changeGroup(config, args, group => ({ ...group, members: withoutMember(group, args.text('server')) })),
  noSyntax: 'group-member <group:name> <server:domain>',
  show: ({ groups }) =>
    groups.flatMap(({ name, members }) =>
      members.map(({ server, isMaster, address }) => {
        const where = address ? ` address ${address.ip}${address.port === 25 ? '' : ` port ${address.port}`}` : ''
        return `group-member ${name} ${server}${where}${isMaster ? ' master' : ''}`
      }),
    ),
}

function withoutMember({ members }: RoutingGroup, server: string): readonly Member[] {
  return members.filter(each => !sameDomain(each.server, server))
}

/** Of one group. */
const GROUP_DOMAINS = new Keyed<GroupDomain>(({ domain }) => domainKey(domain))

const DOMAINS: Spec = {
  syntax: 'group-domain <group:name> <domain> [at <server:domain>]',
  help: 'Mail for this domain is delivered in that routing group',
  words: { at: 'by this member of it' },
  apply(config, args) {
    const server = args.optional('server')
    const line: GroupDomain = { domain: args.text('domain'), ...(server !== undefined && { server }) }
    const before = GROUP_DOMAINS.like(
      config.groups.find(({ name }) => name === args.text('group'))?.domains ?? [],
      line,
    )
    const next = changeGroup(config, args, group => ({ ...group, domains: GROUP_DOMAINS.with(group.domains, line) }))
    return respelled(next, before?.domain, { now: line.domain, at: args.at('domain') })
  },
  remove: (config, args) =>
    changeGroup(config, args, group => ({
      ...group,
      domains: GROUP_DOMAINS.without(group.domains, domainKey(args.text('domain'))),
    })),
  noSyntax: 'group-domain <group:name> <domain>',
  show: ({ groups }) =>
    groups.flatMap(({ name, domains }) =>
      domains.map(
        ({ domain, server }) => `group-domain ${name} ${domain}${server === undefined ? '' : ` at ${server}`}`,
      ),
    ),
}

const HUB: Spec = {
  syntax: 'group-hub <group:name>',
  help: 'Mail that comes through this routing group is handed over there, and not past it',
  apply: (config, args) => changeGroup(config, args, group => ({ ...group, isHub: true })),
  remove: (config, args) => changeGroup(config, args, group => ({ ...group, isHub: false })),
  show: ({ groups }) => groups.filter(({ isHub }) => isHub).map(({ name }) => `group-hub ${name}`),
}

const GROUP_GUID: Spec = {
  syntax: 'group-guid <group:name> <guid:word>',
  help: 'The GUID that an Exchange directory gave a routing group; else one is made from its name',
  apply(config, args) {
    const guid = guidOf(args)
    if (guid && typeof guid !== 'string') return guid
    return changeGroup(config, args, group => ({ ...group, ...(guid && { guid }) }))
  },
  remove: (config, args) => changeGroup(config, args, ({ guid: _gone, ...group }) => group),
  noSyntax: 'group-guid <group:name>',
  show: ({ groups }) => groups.flatMap(({ name, guid }) => (guid ? [`group-guid ${name} ${guid}`] : [])),
}

export const GROUP_COMMANDS: readonly Spec[] = [ORGANIZATION, GROUP, MEMBER, DOMAINS, HUB, GROUP_GUID]
