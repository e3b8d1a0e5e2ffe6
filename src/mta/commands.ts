import type { CommandSpec, Grammar } from '../config/grammar.ts'
import { respelled } from '../config/respelled.ts'
import { quote } from '../config/text.ts'
import { within } from '../config/within.ts'
import { checkRouting, ROUTING_COMMANDS } from '../routing/commands.ts'
import { domainKey, formatMailbox, type Mailbox, mailboxKey, parseMailbox } from '../smtp/address.ts'
import { formatTarget, parseTargets } from './aliases.ts'
import { EMPTY_MTA, KEYED, type MtaConfig } from './config.ts'
import { DESTINATION_COMMANDS } from './destination-commands.ts'
import { LOGIN_COMMANDS } from './login-commands.ts'
import { NETWORK, networkIn, showNetwork, without } from './networks.ts'
import { QUEUE_COMMANDS } from './queue-commands.ts'
import { SERVICE_COMMANDS } from './service-commands.ts'
import { SESSION_COMMANDS } from './session-commands.ts'

type Spec = CommandSpec<MtaConfig>

const COMMANDS: readonly Spec[] = [
  {
    syntax: 'hostname <host:domain>',
    help: 'The name this server goes by',
    apply: (config, args) => ({ ...config, hostname: args.text('host') }),
    show: ({ hostname }) => [`hostname ${hostname}`],
  },
  {
    syntax: 'local-domain <domain>',
    help: 'Mail for this domain is delivered here',
    apply(config, args) {
      const now = args.text('domain')
      const before = KEYED.localDomains.like(config.localDomains, now)
      const localDomains = KEYED.localDomains.with(config.localDomains, now)
      return respelled({ ...config, localDomains }, before, { now, at: args.at('domain') })
    },
    remove(config, args) {
      const key = domainKey(args.text('domain'))
      return {
        ...config,
        localDomains: KEYED.localDomains.without(config.localDomains, key),
        // A mailbox without its domain would not read back.
        mailboxes: config.mailboxes.filter(({ domain }) => domainKey(domain) !== key),
      }
    },
    show: ({ localDomains }) => localDomains.map(each => `local-domain ${each}`),
  },
  {
    syntax: 'mailbox <address>',
    help: 'Somebody who gets mail here',
    apply(config, args) {
      const mailbox = mailboxOf(args.text('address'))
      if (!KEYED.localDomains.like(config.localDomains, mailbox.domain)) {
        const message = `${mailbox.domain} is not a local domain`
        const hint = config.localDomains.length === 0 ? 'none is set yet' : `known: ${config.localDomains.join(', ')}`
        return { problems: [{ severity: 'error', message, hint, at: args.at('address') }] }
      }
      const before = KEYED.mailboxes.like(config.mailboxes, mailbox)
      const mailboxes = KEYED.mailboxes.with(config.mailboxes, mailbox)
      return respelled({ ...config, mailboxes }, before && formatMailbox(before), {
        now: formatMailbox(mailbox),
        at: args.at('address'),
      })
    },
    remove: (config, args) => ({
      ...config,
      mailboxes: KEYED.mailboxes.without(config.mailboxes, mailboxKey(mailboxOf(args.text('address')))),
    }),
    show: ({ mailboxes }) => mailboxes.map(each => `mailbox ${quote(formatMailbox(each))}`),
  },
  {
    syntax: 'alias <name:word> <targets:text...>',
    noSyntax: 'alias <name:word> [<targets:text...>]',
    help: 'An address of ours that stands for others; without a domain it stands in every local one',
    apply(config, args, at) {
      const name = parseMailbox(args.text('name'))
      if ('wrong' in name) {
        const message = `"${args.text('name')}" is no name for an alias: ${name.wrong}`
        return {
          problems: [{ severity: 'error', message, hint: 'expected sales, or sales@a.example', at: args.at('name') }],
        }
      }
      const read = parseTargets(args.text('targets'))
      if ('wrong' in read) return { problems: [{ severity: 'error', message: read.wrong, at: args.at('targets') }] }
      const alias = { name, targets: read.targets, at }
      const before = KEYED.aliases.like(config.aliases, alias)
      const aliases = KEYED.aliases.with(config.aliases, alias)
      return respelled({ ...config, aliases }, before && formatMailbox(before.name), {
        now: formatMailbox(name),
        at: args.at('name'),
      })
    },
    remove: (config, args) => ({
      ...config,
      aliases: KEYED.aliases.without(config.aliases, mailboxKey(mailboxOf(args.text('name')))),
    }),
    show: ({ aliases }) =>
      aliases.map(({ name, targets }) => `alias ${quote(formatMailbox(name))} ${targets.map(formatTarget).join(' ')}`),
  },
  {
    syntax: 'aliases <file>',
    help: 'More of them, in a file as sendmail has it: name: address, address',
    apply: (config, args, at) => ({ ...config, aliasesFile: { file: args.text('file'), at } }),
    remove: ({ aliasesFile: _gone, ...config }) => config,
    noSyntax: 'aliases',
    show: ({ aliasesFile }) => (aliasesFile ? [`aliases ${quote(aliasesFile.file)}`] : []),
  },
  {
    syntax: `relay-from ${NETWORK}`,
    help: 'Take mail for anywhere from these addresses; without it nobody may relay',
    apply: (config, args) => ({
      ...config,
      relayFrom: [...without(config.relayFrom, networkIn(args)), networkIn(args)],
    }),
    remove: (config, args) => ({ ...config, relayFrom: without(config.relayFrom, networkIn(args)) }),
    show: ({ relayFrom }) => relayFrom.map(each => `relay-from ${showNetwork(each)}`),
  },
  {
    syntax: 'turn-domain <domain> login <user:word>',
    help: 'Mail for this domain waits until the account asks for it by TURN or ATRN, or anyone starts it by ETRN',
    apply(config, args) {
      const turn = { domain: args.text('domain'), login: args.text('user') }
      const before = KEYED.turns.like(config.turns, turn)
      const turns = KEYED.turns.with(config.turns, turn)
      return respelled({ ...config, turns }, before?.domain, { now: turn.domain, at: args.at('domain') })
    },
    remove: (config, args) => ({
      ...config,
      turns: KEYED.turns.without(config.turns, domainKey(args.text('domain'))),
    }),
    noSyntax: 'turn-domain <domain>',
    show: ({ turns }) => turns.map(({ domain, login }) => `turn-domain ${domain} login ${quote(login)}`),
  },
]

function mailboxOf(text: string): Mailbox {
  const read = parseMailbox(text)
  return 'wrong' in read ? { local: text, domain: '' } : read
}

export const MTA: Grammar<MtaConfig> = {
  name: 'mta',
  empty: EMPTY_MTA,
  check: ({ routing, hostname }) => checkRouting(routing, hostname),
  commands: [
    ...COMMANDS,
    ...QUEUE_COMMANDS,
    ...DESTINATION_COMMANDS,
    ...SESSION_COMMANDS,
    ...LOGIN_COMMANDS,
    ...SERVICE_COMMANDS,
    ...within<MtaConfig, 'routing'>('routing', ROUTING_COMMANDS),
  ],
}
