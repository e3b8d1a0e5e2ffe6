import type { Arguments } from '../config/grammar.ts'
import { type PortMatch, showPortMatch } from './access.ts'
import type { ClassMap, ClassMatch, FirewallConfig, Mpf, PolicyClass, PolicyMap, RegexClass } from './config.ts'
import { asWritten, error, knownNames, named, put, type Spec, unknownInterface } from './objection.ts'
import { pattern } from './pattern.ts'

function change(config: FirewallConfig, next: Partial<Mpf>): FirewallConfig {
  return { ...config, mpf: { ...config.mpf, ...next } }
}

const nameOf = ({ name }: { readonly name: string }): string => name
const without = <T extends { readonly name: string }>(list: readonly T[], args: Arguments): readonly T[] =>
  list.filter(({ name }) => name !== args.text('name'))
const outer = (args: Arguments): string => args.outer?.text('name') ?? ''

/* Patterns. */

const REGEX: Spec = {
  syntax: 'regex <name> <pattern:word>',
  noSyntax: 'regex <name> [<pattern:word>]',
  help: 'A name for a pattern, which matching takes linear time for',
  apply(config, args, at) {
    const place = args.at('pattern')
    // As it is written: a backslash is the pattern's own, and so the quotation marks are all there is to take off.
    const word = asWritten(args, 'pattern') ?? ''
    const quoted = word.startsWith('"') ? 1 : 0
    const source = word.slice(quoted, word.length - quoted)
    const read = pattern(source)
    if ('wrong' in read) return error(read.wrong, { ...place, column: place.column + quoted + read.at, length: 1 })
    const next = { name: args.text('name'), pattern: source, at }
    return change(config, { regexes: put(config.mpf.regexes, next, nameOf) })
  },
  remove: (config, args) => change(config, { regexes: without(config.mpf.regexes, args) }),
  show: ({ mpf }) => mpf.regexes.map(({ name, pattern }) => `regex ${name} "${pattern}"`),
}

const REGEX_MODE = 'config-cmap-regex'

const REGEX_CLASS: Spec = {
  syntax: 'class-map type regex [<how:match-any|match-all>] <name>',
  help: 'A name for several patterns',
  enters: REGEX_MODE,
  apply(config, args, at) {
    const name = args.text('name')
    if (named(config.mpf.regexClasses, name)) return config
    const next = { name, isAny: args.text('how') !== 'match-all', regexes: [], at }
    return change(config, { regexClasses: [...config.mpf.regexClasses, next] })
  },
  remove: (config, args) => change(config, { regexClasses: without(config.mpf.regexClasses, args) }),
  show: ({ mpf }) =>
    mpf.regexClasses.flatMap(({ name, isAny, regexes }: RegexClass) => [
      `class-map type regex ${isAny ? 'match-any' : 'match-all'} ${name}`,
      ...regexes.map(each => ` match regex ${each}`),
    ]),
}

const REGEX_MEMBER: Spec = {
  syntax: 'match regex <regex:name>',
  mode: REGEX_MODE,
  help: 'A pattern of this class',
  apply(config, args) {
    const regex = args.text('regex')
    if (!named(config.mpf.regexes, regex)) {
      return error(`no regex is called "${regex}"`, args.at('regex'), knownNames(config.mpf.regexes))
    }
    const found = named(config.mpf.regexClasses, outer(args))
    if (!found) return config
    const regexes = [...found.regexes.filter(each => each !== regex), regex]
    return change(config, { regexClasses: put(config.mpf.regexClasses, { ...found, regexes }, nameOf) })
  },
  remove(config, args) {
    const found = named(config.mpf.regexClasses, outer(args))
    if (!found) return config
    const regexes = found.regexes.filter(each => each !== args.text('regex'))
    return change(config, { regexClasses: put(config.mpf.regexClasses, { ...found, regexes }, nameOf) })
  },
  show: () => [],
}

/* Classes of traffic. */

const CLASS_MODE = 'config-cmap'

const CLASS_MAP: Spec = {
  syntax: 'class-map [<how:match-any|match-all>] <name>',
  help: 'A class of traffic',
  enters: CLASS_MODE,
  apply(config, args, at) {
    const name = args.text('name')
    if (named(config.mpf.classes, name)) return config
    return change(config, { classes: [...config.mpf.classes, { name, at }] })
  },
  remove: (config, args) => change(config, { classes: without(config.mpf.classes, args) }),
  show: ({ mpf }) =>
    mpf.classes.flatMap(({ name, match }: ClassMap) => [
      `class-map ${name}`,
      ...(match === undefined ? [] : [` ${showClassMatch(match)}`]),
    ]),
}

const CLASS_MATCH: Spec = {
  syntax:
    'match {default-inspection-traffic | any | access-list <list:name> | port <protocol:tcp|udp> {eq <port> | range <from:port> <to:port>}}',
  mode: CLASS_MODE,
  help: 'What belongs to this class; default-inspection-traffic is the usual port of each protocol, 25 for SMTP',
  apply(config, args) {
    const found = named(config.mpf.classes, outer(args))
    if (!found) return config
    return change(config, { classes: put(config.mpf.classes, { ...found, match: classMatchOf(args) }, nameOf) })
  },
  remove(config, args) {
    const found = named(config.mpf.classes, outer(args))
    if (!found) return config
    const { match: _, ...rest } = found
    return change(config, { classes: put(config.mpf.classes, rest, nameOf) })
  },
  show: () => [],
}

function classMatchOf(args: Arguments): ClassMatch {
  if (args.has('any')) return { kind: 'any' }
  if (args.has('default-inspection-traffic')) return { kind: 'default-inspection-traffic' }
  const list = args.optional('list')
  if (list !== undefined) return { kind: 'access-list', list }
  const ports: PortMatch = args.has('eq')
    ? { operator: 'eq', from: args.number('port') }
    : { operator: 'range', from: args.number('from'), to: args.number('to') }
  return { kind: 'port', protocol: args.text('protocol') as 'tcp', ports }
}

function showClassMatch(match: ClassMatch): string {
  switch (match.kind) {
    case 'access-list':
      return `match access-list ${match.list}`
    case 'port':
      return `match port ${match.protocol}${showPortMatch(match.ports)}`
    default:
      return `match ${match.kind}`
  }
}

/* What is done to them. */

const POLICY_MODE = 'config-pmap'
const POLICY_CLASS_MODE = 'config-pmap-c'

const POLICY_MAP: Spec = {
  syntax: 'policy-map <name>',
  help: 'What is done to classes of traffic',
  enters: POLICY_MODE,
  apply(config, args, at) {
    const name = args.text('name')
    if (named(config.mpf.policies, name)) return config
    return change(config, { policies: [...config.mpf.policies, { name, classes: [], at }] })
  },
  remove: (config, args) => change(config, { policies: without(config.mpf.policies, args) }),
  show: ({ mpf }) =>
    mpf.policies.flatMap(({ name, classes }: PolicyMap) => [
      `policy-map ${name}`,
      ...classes.flatMap(({ name, smtp, esmtp, kept }) => [
        ` class ${name}`,
        ...(smtp ? ['  inspect smtp'] : []),
        ...(esmtp ? [`  inspect esmtp${esmtp.map === undefined ? '' : ` ${esmtp.map}`}`] : []),
        ...kept.map(line => `  ${line}`),
      ]),
    ]),
}

const CLASS_DEFAULT = 'class-default'

const POLICY_CLASS: Spec = {
  syntax: 'class <name>',
  mode: POLICY_MODE,
  enters: POLICY_CLASS_MODE,
  help: 'A class of traffic, and in the lines below what is done to it',
  apply(config, args) {
    const name = args.text('name')
    if (name !== CLASS_DEFAULT && !named(config.mpf.classes, name)) {
      return error(`no class-map is called "${name}"`, args.at('name'), knownNames(config.mpf.classes))
    }
    const policy = named(config.mpf.policies, outer(args))
    if (!policy || named(policy.classes, name)) return config
    return putPolicy(config, { ...policy, classes: [...policy.classes, { name, kept: [] }] })
  },
  remove(config, args) {
    const policy = named(config.mpf.policies, outer(args))
    return policy ? putPolicy(config, { ...policy, classes: without(policy.classes, args) }) : config
  },
  show: () => [],
}

function putPolicy(config: FirewallConfig, policy: Mpf['policies'][number]): FirewallConfig {
  return change(config, { policies: put(config.mpf.policies, policy, nameOf) })
}

/** Changes the class that the line stands below. */
function inClass(config: FirewallConfig, args: Arguments, then: (found: PolicyClass) => PolicyClass): FirewallConfig {
  const policy = named(config.mpf.policies, args.outer?.outer?.text('name') ?? '')
  const found = policy && named(policy.classes, outer(args))
  return policy && found ? putPolicy(config, { ...policy, classes: put(policy.classes, then(found), nameOf) }) : config
}

const INSPECT_ESMTP: Spec = {
  syntax: 'inspect esmtp [<map:name>]',
  mode: POLICY_CLASS_MODE,
  help: 'Inspect SMTP: unknown commands become X, unknown EHLO keywords too, limits are kept, the banner is masked',
  words: { esmtp: 'SMTP and ESMTP' },
  apply(config, args, at) {
    const map = args.optional('map')
    if (map !== undefined && !named(config.mpf.esmtpMaps, map)) {
      const hint = knownNames(config.mpf.esmtpMaps)
      return error(`no policy-map type inspect esmtp is called "${map}"`, args.at('map'), hint)
    }
    return inClass(config, args, ({ smtp: _, ...found }) => ({
      ...found,
      esmtp: { at, ...(map !== undefined && { map }) },
    }))
  },
  remove: (config, args) => inClass(config, args, ({ esmtp: _, ...found }) => found),
  show: () => [],
}

const INSPECT_SMTP: Spec = {
  syntax: 'inspect smtp',
  mode: POLICY_CLASS_MODE,
  help: 'Inspect SMTP as MailGuard, both ways: only HELO MAIL RCPT DATA RSET NOOP QUIT pass (FWSM)',
  apply: (config, args, at) => inClass(config, args, ({ esmtp: _, ...found }) => ({ ...found, smtp: { at } })),
  remove: (config, args) => inClass(config, args, ({ smtp: _, ...found }) => found),
  show: () => [],
}

const INSPECT_OTHER: Spec = {
  syntax:
    'inspect <protocol:ctiqbe|dcerpc|dns|ftp|gtp|h323|http|icmp|ils|im|ip-options|ipsec-pass-thru|ipv6|mgcp|mmp|netbios|pptp|rsh|rtsp|sip|skinny|snmp|sqlnet|sunrpc|tftp|waas|xdmcp> [<how:text...>]',
  mode: POLICY_CLASS_MODE,
  help: 'Inspection of another protocol (kept, and not enforced here)',
  apply: (config, args) => inClass(config, args, found => keep(found, otherInspection(args))),
  remove: (config, args) => inClass(config, args, found => drop(found, otherInspection(args))),
  show: () => [],
}

function otherInspection(args: Arguments): string {
  return ['inspect', args.text('protocol'), asWritten(args, 'how')].filter(word => word !== undefined).join(' ')
}

function keep(found: PolicyClass, line: string): PolicyClass {
  return { ...found, kept: [...found.kept.filter(each => each !== line), line] }
}

function drop(found: PolicyClass, line: string): PolicyClass {
  return { ...found, kept: found.kept.filter(each => each !== line) }
}

const CLASS_ACTIONS: readonly Spec[] = [
  'set',
  'police',
  'priority',
  'shape',
  'csc',
  'cxsc',
  'sfr',
  'ips',
  'user-statistics',
].map((word): Spec => {
  const line = (args: Arguments) => [word, asWritten(args, 'rest')].filter(each => each !== undefined).join(' ')
  return {
    syntax: `${word} [<rest:text...>]`,
    mode: POLICY_CLASS_MODE,
    help: 'What else is done to this class (kept, and not enforced here)',
    apply: (config, args) => inClass(config, args, found => keep(found, line(args))),
    remove: (config, args) => inClass(config, args, found => drop(found, line(args))),
    show: () => [],
  }
})

/* Where it is in force. */

const SERVICE_POLICY: Spec = {
  syntax: 'service-policy <policy:name> {global | interface <if-name:name>}',
  help: 'Put a policy in force: everywhere, or for what passes one interface, in both directions',
  apply(config, args, at) {
    const policy = args.text('policy')
    if (!named(config.mpf.policies, policy)) {
      return error(`no policy-map is called "${policy}"`, args.at('policy'), knownNames(config.mpf.policies))
    }
    const port = args.optional('if-name')
    const wrong = port === undefined ? undefined : unknownInterface(config, args, 'if-name')
    if (wrong) return wrong
    const next = { policy, ...(port !== undefined && { port }), at }
    return change(config, { services: put(config.mpf.services, next, each => each.port) })
  },
  remove: (config, args) =>
    change(config, {
      services: config.mpf.services.filter(
        ({ policy, port }) => policy !== args.text('policy') || port !== args.optional('if-name'),
      ),
    }),
  show: ({ mpf }) =>
    mpf.services.map(
      ({ policy, port }) => `service-policy ${policy} ${port === undefined ? 'global' : `interface ${port}`}`,
    ),
}

/** Each before what names it. */
export const MPF_BEFORE_MAPS: readonly Spec[] = [REGEX, REGEX_CLASS, REGEX_MEMBER, CLASS_MAP, CLASS_MATCH]
export const MPF_BEHIND_MAPS: readonly Spec[] = [
  POLICY_MAP,
  POLICY_CLASS,
  INSPECT_ESMTP,
  INSPECT_SMTP,
  INSPECT_OTHER,
  ...CLASS_ACTIONS,
  SERVICE_POLICY,
]
