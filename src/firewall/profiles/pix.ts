import type { Direction } from '../../topology/topology.ts'
import type { Action, Cause, MaskKind, Policy, Rule } from '../policy.ts'

/** The seven commands of RFC 821 §4.5.1, and nothing else. */
export const SEVEN: ReadonlySet<string> = new Set(['HELO', 'MAIL', 'RCPT', 'DATA', 'RSET', 'NOOP', 'QUIT'])

export const PIX_PROFILES = ['4.0', '4.2', '5.0', '5.1'] as const
export type PixProfile = (typeof PIX_PROFILES)[number]

/** What can be told otherwise of any version: Cisco's own documents disagree, and so did the boxes. */
export interface PixVariant {
  readonly banner: Banner
  readonly unknownVerb: UnknownVerb
  readonly charMode: CharMode
  /** Does it look into the addresses of MAIL and RCPT (syslog 108002)? */
  readonly scansAddresses: boolean
  readonly direction: 'inbound' | 'both'
  /** CSCds90792: a dot line that two segments share is thrown away, and the message never ends. */
  readonly dotSplitBug: boolean
  /** CVE-2000-1022: DATA is believed before the server takes it, and everything passes behind it. */
  readonly dataFirstBug: boolean
}

export const BANNERS = ['keep-2-0', 'stars', 'cmap', 'off'] as const
export type Banner = (typeof BANNERS)[number]
export const UNKNOWN_VERBS = ['x-verb', 'x-line', 'noop'] as const
export type UnknownVerb = (typeof UNKNOWN_VERBS)[number]
/** What becomes of a piece of a command: it becomes X and goes on, it waits for its end, or it is thrown away. */
export const CHAR_MODES = ['x', 'hold', 'discard'] as const
export type CharMode = (typeof CHAR_MODES)[number]

interface Traits {
  readonly versions: string
  readonly variant: PixVariant
}

/** Neither bug is had unless it is asked for: a firewall that is put to use should not let through what a PIX once did. */
const SOUND = { charMode: 'x', direction: 'inbound', dotSplitBug: false, dataFirstBug: false } as const

/**
 * How the versions differ; each line is what its users captured, where somebody did. A 4.0 is said to have answered
 * `250 OK` by itself: as a NOOP the server says so, and the client cannot tell the two apart. 5.0 has the banner of its
 * predecessors; that it wrote X is by the captures of 5.x, against a list post that says NOOP.
 */
export const PIX_TRAITS: Readonly<Record<PixProfile, Traits>> = {
  '4.0': {
    versions: '4.0-4.1',
    variant: { ...SOUND, banner: 'cmap', unknownVerb: 'noop', scansAddresses: false },
  },
  '4.2': {
    versions: '4.2-4.4',
    variant: { ...SOUND, banner: 'stars', unknownVerb: 'noop', scansAddresses: false },
  },
  '5.0': {
    versions: '5.0',
    variant: { ...SOUND, banner: 'stars', unknownVerb: 'x-verb', scansAddresses: false },
  },
  '5.1': {
    versions: '5.1-6.x',
    variant: { ...SOUND, banner: 'keep-2-0', unknownVerb: 'x-verb', scansAddresses: true },
  },
}

/** Which behaviour a `PIX Version` had; 5.1-6.x where none is told. */
export function pixProfile(version: string | undefined): PixProfile {
  const found = /^(\d+)\.(\d+)/.exec(version ?? '')
  const number = found ? Number(found[1]) * 100 + Number(found[2]) : 501
  if (number < 402) return '4.0'
  if (number < 500) return '4.2'
  return number < 501 ? '5.0' : '5.1'
}

const DIRECTIONS: Readonly<Record<PixVariant['direction'], ReadonlySet<Direction>>> = {
  inbound: new Set(['inbound']),
  both: new Set(['inbound', 'outbound']),
}

const CHAR_ACTIONS: Readonly<Record<CharMode, Action>> = {
  x: { kind: 'mask', how: 'x-line' },
  hold: { kind: 'hold' },
  discard: { kind: 'discard' },
}

/** MailGuard as `fixup protocol smtp` puts it in force. */
export function pix(profile: PixProfile, cause: Cause, variant: Partial<PixVariant> = {}): Policy {
  const { versions, variant: usual } = PIX_TRAITS[profile]
  const { banner, unknownVerb, charMode, scansAddresses, direction, dotSplitBug, dataFirstBug } = {
    ...usual,
    ...variant,
  }
  const rules: Rule[] = []
  if (banner !== 'off') rules.push(maskedBanner(banner, 'MailGuard hides what the server says of itself'))
  rules.push(
    {
      match: { on: 'not', match: { on: 'word', what: 'verb', in: SEVEN } },
      action: { kind: 'mask', how: unknownVerb },
      reason: 'MailGuard lets only HELO MAIL RCPT DATA RSET NOOP QUIT through',
    },
    fragments(SEVEN, charMode, 'MailGuard'),
  )
  if (scansAddresses) {
    for (const what of ['pipe', 'stray-bracket'] as const) {
      rules.push({
        match: { on: 'octet', what },
        action: { kind: 'mask', how: 'blank' },
        reason: 'MailGuard replaces characters that do not belong in an address',
        log: true,
      })
    }
  }
  if (dotSplitBug) {
    rules.push({
      match: { on: 'octet', what: 'split-end' },
      action: { kind: 'discard' },
      reason: 'MailGuard knows the end of a message only within one segment, and throws its pieces away (CSCds90792)',
    })
  }
  return {
    name: `PIX MailGuard (${versions})`,
    engine: { kind: 'in-place', dataFirstBug },
    rules,
    directions: DIRECTIONS[direction],
    cause,
  }
}

export function maskedBanner(how: MaskKind, reason: string): Rule {
  return { match: { on: 'greeting' }, action: { kind: 'mask', how }, reason }
}

export function fragments(without: ReadonlySet<string>, charMode: CharMode, who: string): Rule {
  return {
    match: { on: 'fragment', without },
    action: CHAR_ACTIONS[charMode],
    reason: `${who} looks at each segment by itself, and this one holds no whole command it knows`,
  }
}
