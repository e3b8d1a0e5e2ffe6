import type { Cause, InPlace, MaskKind, Policy, Rule } from '../policy.ts'

/** The seven commands of RFC 821 §4.5.1, and nothing else. */
export const SEVEN: ReadonlySet<string> = new Set(['HELO', 'MAIL', 'RCPT', 'DATA', 'RSET', 'NOOP', 'QUIT'])

const IN_PLACE: InPlace = { kind: 'in-place', dataFirstBug: false }

export type PixProfile = '4.0' | '4.4' | '5.1'

/** How the versions differ; Cisco's own documents disagree, so each line is what its users captured. */
interface Traits {
  readonly versions: string
  readonly greeting: MaskKind
  readonly unknownVerb: MaskKind
  /** Does it look into the addresses of MAIL and RCPT (syslog 108002)? */
  readonly scansAddresses: boolean
}

export const PIX_TRAITS: Readonly<Record<PixProfile, Traits>> = {
  '4.0': { versions: '4.0-4.1', greeting: 'cmap', unknownVerb: 'noop', scansAddresses: false },
  '4.4': { versions: '4.2-5.0', greeting: 'stars', unknownVerb: 'noop', scansAddresses: false },
  '5.1': { versions: '5.1-6.x', greeting: 'keep-2-0', unknownVerb: 'x-verb', scansAddresses: true },
}

/** Which behaviour a `PIX Version` had; 5.1-6.x where none is told. */
export function pixProfile(version: string | undefined): PixProfile {
  const found = /^(\d+)\.(\d+)/.exec(version ?? '')
  const number = found ? Number(found[1]) * 100 + Number(found[2]) : 501
  if (number < 402) return '4.0'
  return number < 501 ? '4.4' : '5.1'
}

/** MailGuard as `fixup protocol smtp` puts it in force. */
export function pix(profile: PixProfile, cause: Cause): Policy {
  const { versions, greeting, unknownVerb, scansAddresses } = PIX_TRAITS[profile]
  const rules: Rule[] = [
    {
      match: { on: 'greeting' },
      action: { kind: 'mask', how: greeting },
      reason: 'MailGuard hides what the server says of itself',
    },
    {
      match: { on: 'not', match: { on: 'word', what: 'verb', in: SEVEN } },
      action: { kind: 'mask', how: unknownVerb },
      reason: 'MailGuard lets only HELO MAIL RCPT DATA RSET NOOP QUIT through',
    },
    {
      match: { on: 'fragment', without: SEVEN },
      action: { kind: 'mask', how: 'x-line' },
      reason: 'MailGuard looks at each segment by itself, and this one holds no whole command it knows',
    },
  ]
  if (scansAddresses) {
    for (const what of ['pipe', 'stray-bracket'] as const) {
      rules.push({
        match: { on: 'octet', what },
        action: { kind: 'mask', how: 'blank' },
        reason: 'MailGuard replaces characters that do not belong in an address',
      })
    }
  }
  return { name: `PIX MailGuard (${versions})`, engine: IN_PLACE, rules, directions: new Set(['inbound']), cause }
}
