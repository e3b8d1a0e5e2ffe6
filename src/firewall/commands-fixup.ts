import { PORTS, type Ports } from '../config/argument.ts'
import type { Arguments } from '../config/grammar.ts'
import type { FirewallConfig, Product } from './config.ts'
import { asWritten, error, type Spec, warning } from './objection.ts'
import { BANNERS, CHAR_MODES, type PixVariant, UNKNOWN_VERBS } from './profiles/pix.ts'
import { defaultFixups, versionNumber } from './versions.ts'

const SMTP: Ports = { from: 25, to: 25 }
const samePorts = (a: Ports, b: Ports): boolean => a.from === b.from && a.to === b.to

/** The version's own fixups, before a line says otherwise; from 7.0 on the policy framework has taken their place. */
function withDefaultFixups(config: FirewallConfig, version: string, at: Parameters<Spec['apply']>[2]): FirewallConfig {
  const defaults = (versionNumber(version) ?? 0) >= 700 ? [] : defaultFixups(version)
  const other = defaults.filter(fixup => !fixup.startsWith('smtp '))
  return {
    ...config,
    otherFixups: other,
    smtpFixups: defaults.length > other.length ? [{ ports: SMTP, at, implied: true }] : [],
    disabledFixups: [],
  }
}

const VERSION: Spec = {
  syntax: '<product:PIX|ASA|FWSM> Version <version:word> [<rest:text...>]',
  help: 'The version this text was written by; it loads the fixups that version had from the start',
  apply(config, args, at) {
    const version = args.text('version')
    if (versionNumber(version) === undefined) {
      return error(`"${version}" is not a version`, args.at('version'), 'expected one such as 6.1(1) or 9.1(2)')
    }
    const product = args.text('product') as Product
    const next = { ...config, product, version }
    return product === 'PIX' ? withDefaultFixups(next, version, at) : next
  },
  show: ({ product, version }) => (version === undefined ? [] : [`${product} Version ${version}`]),
}

const FIXUP_SMTP: Spec = {
  syntax: 'fixup protocol smtp [<ports>]',
  help: 'Inspect SMTP on these ports (MailGuard): only HELO MAIL RCPT DATA RSET NOOP QUIT pass, the banner is masked',
  words: { protocol: 'inspect a protocol', smtp: 'SMTP: MailGuard' },
  apply(config, args, at) {
    const ports = args.get('ports', PORTS) ?? SMTP
    return {
      ...config,
      smtpFixups: [...config.smtpFixups.filter(each => !samePorts(each.ports, ports)), { ports, at, implied: false }],
      disabledFixups: config.disabledFixups.filter(each => each !== `smtp ${PORTS.show(ports)}`),
    }
  },
  remove(config, args, at) {
    const ports = args.get('ports', PORTS)
    if (!ports) {
      const message = 'this puts inspection of port 25 back: it clears all ports of smtp and sets the default again'
      const problem = warning(message, at, 'to switch it off: no fixup protocol smtp 25')
      const disabledFixups = config.disabledFixups.filter(each => !each.startsWith('smtp '))
      const smtpFixups = [{ ports: SMTP, at, implied: false }]
      return { problems: [problem], config: { ...config, smtpFixups, disabledFixups } }
    }
    const name = `smtp ${PORTS.show(ports)}`
    const rest = config.smtpFixups.filter(each => !samePorts(each.ports, ports))
    const overlapping = rest.find(each => each.ports.from <= ports.to && each.ports.to >= ports.from)
    if (overlapping && rest.length === config.smtpFixups.length) {
      const set = config.smtpFixups.map(each => `smtp ${PORTS.show(each.ports)}`).join(', ')
      return error(`no fixup of exactly "${name}" is set`, args.at('ports'), `set: ${set}`)
    }
    return { ...config, smtpFixups: rest, disabledFixups: off(config.disabledFixups, name) }
  },
  // What is off comes first: a later line may inspect a range around such a port, which then could not be taken out.
  show: ({ smtpFixups, disabledFixups }) => [
    ...disabledFixups.filter(each => each.startsWith('smtp ')).map(each => `no fixup protocol ${each}`),
    ...smtpFixups.map(({ ports }) => `fixup protocol smtp ${PORTS.show(ports)}`),
  ],
}

/** In the order in which they are shown: those of SMTP first. */
function off(disabled: readonly string[], fixup: string): readonly string[] {
  const all = [...new Set([...disabled, fixup])]
  const isSmtp = (each: string): boolean => each.startsWith('smtp ')
  return [...all.filter(isSmtp), ...all.filter(each => !isSmtp(each))]
}

const FIXUP_OTHER: Spec = {
  syntax:
    'fixup protocol <protocol:ctiqbe|dns|esp-ike|ftp|h323|http|icmp|ils|mgcp|pptp|rsh|rtsp|sip|skinny|snmp|sqlnet|tftp> [<how:text...>]',
  help: 'Inspection of another protocol (kept, and not enforced here)',
  words: { protocol: 'inspect a protocol' },
  apply(config, args) {
    const fixup = otherFixup(args)
    return {
      ...config,
      otherFixups: [...config.otherFixups.filter(each => each !== fixup), fixup],
      disabledFixups: config.disabledFixups.filter(each => each !== fixup),
    }
  },
  remove(config, args) {
    const fixup = otherFixup(args)
    return {
      ...config,
      otherFixups: config.otherFixups.filter(each => each !== fixup),
      disabledFixups: off(config.disabledFixups, fixup),
    }
  },
  show: ({ otherFixups, disabledFixups }) => [
    ...otherFixups.map(each => `fixup protocol ${each}`),
    ...disabledFixups.filter(each => !each.startsWith('smtp ')).map(each => `no fixup protocol ${each}`),
  ],
}

function otherFixup(args: Arguments): string {
  return [args.text('protocol'), asWritten(args, 'how')].filter(part => part !== undefined).join(' ')
}

const CLEAR_FIXUP: Spec = {
  syntax: 'clear fixup',
  help: 'Set all fixups back to those the version had from the start',
  apply: (config, _args, at) => withDefaultFixups(config, config.version ?? '6.3(5)', at),
  show: () => [],
}

/** One way in which MailGuard may differ; these lines are ours, and no PIX has them. */
function variant<Key extends keyof PixVariant>(
  key: Key,
  { syntax, noSyntax, help }: Pick<Spec, 'syntax' | 'noSyntax' | 'help'>,
  { read, show }: { read(args: Arguments): PixVariant[Key]; show(value: PixVariant[Key]): string },
): Spec {
  return {
    syntax,
    ...(noSyntax !== undefined && { noSyntax }),
    help,
    apply: (config, args) => ({ ...config, mailguard: { ...config.mailguard, [key]: read(args) } }),
    remove(config) {
      const { [key]: _, ...mailguard } = config.mailguard
      return { ...config, mailguard }
    },
    show({ mailguard }) {
      const value = mailguard[key]
      return value === undefined ? [] : [show(value as PixVariant[Key])]
    },
  }
}

function choice<Key extends 'banner' | 'unknownVerb' | 'charMode' | 'direction'>(
  key: Key,
  word: string,
  values: readonly PixVariant[Key][],
  help: string,
): Spec {
  return variant(
    key,
    { syntax: `mailguard ${word} <how:${values.join('|')}>`, noSyntax: `mailguard ${word} [<how:word>]`, help },
    { read: args => args.text('how') as PixVariant[Key], show: value => `mailguard ${word} ${value}` },
  )
}

function flag(key: 'dotSplitBug' | 'dataFirstBug', word: string, help: string): Spec {
  return variant(key, { syntax: `mailguard ${word}`, help }, { read: () => true, show: () => `mailguard ${word}` })
}

const MAILGUARD: readonly Spec[] = [
  choice('banner', 'banner', BANNERS, 'How a banner is masked, whatever the version'),
  choice('unknownVerb', 'unknown-verb', UNKNOWN_VERBS, 'What becomes of a command that is none of the seven'),
  choice(
    'charMode',
    'char-mode',
    CHAR_MODES,
    'What becomes of a piece of a command that comes alone, as typed by hand',
  ),
  choice('direction', 'direction', ['inbound', 'both'], 'Inspect what comes in to a higher level, or both ways'),
  variant(
    'scansAddresses',
    {
      syntax: 'mailguard address-scan <how:on|off>',
      noSyntax: 'mailguard address-scan [<how:word>]',
      help: 'Replace | and stray brackets in addresses by blanks (syslog 108002)',
    },
    { read: args => args.text('how') === 'on', show: value => `mailguard address-scan ${value ? 'on' : 'off'}` },
  ),
  flag('dotSplitBug', 'dot-split-bug', 'Lose the end of a message that two segments share, as CSCds90792 did'),
  flag('dataFirstBug', 'data-first-bug', 'Believe DATA before the server takes it, as in CVE-2000-1022'),
]

export const VERSION_COMMANDS: readonly Spec[] = [VERSION]
export const FIXUP_COMMANDS: readonly Spec[] = [FIXUP_SMTP, FIXUP_OTHER, CLEAR_FIXUP, ...MAILGUARD]
