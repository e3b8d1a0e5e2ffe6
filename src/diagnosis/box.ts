/**
 * The boxes we can run, each with the policy that makes a firewall of ours behave as it does. They are the profiles of
 * the firewall and their documented variants: a box that is not here is told by its signature (`signatures/`), or not.
 */
import type { SourceRef } from '../base/problem.ts'
import { DEFAULT_ESMTP_MAP, defaultEsmtpMap, type EsmtpMap, type EsmtpParameters } from '../firewall/esmtp-map.ts'
import type { Cause, Policy } from '../firewall/policy.ts'
import { asa, FIFTEEN } from '../firewall/profiles/asa.ts'
import { CHAR_MODES, fragments, PIX_PROFILES, PIX_TRAITS, type PixVariant, pix } from '../firewall/profiles/pix.ts'

export type Vendor = 'cisco-pix' | 'cisco-asa' | 'cisco-ios' | 'other'

export interface Box {
  /** `pix-5.1`, `asa`, `asa+allow-tls`. */
  readonly id: string
  readonly name: string
  readonly vendor: Vendor
  /** Departures from what the box does as it comes: of two that explain the same, the plainer one is named first. */
  readonly oddities: number
  readonly policy: Policy
}

const NOWHERE: SourceRef = { file: '', line: 0, column: 1, length: 1, text: '' }

function cause(command: string, cure: string): Cause {
  return { at: NOWHERE, command, cure }
}

const FIXUP = cause('fixup protocol smtp 25', 'no fixup protocol smtp 25')
const INSPECT = cause('inspect esmtp', 'no inspect esmtp')

/** What a PIX of any version could be told or was seen to do otherwise. */
const PIX_VARIANTS: readonly (readonly [suffix: string, words: string, change: Partial<PixVariant>])[] = [
  ['', '', {}],
  ['+x-verb', ', unknown verbs as X', { unknownVerb: 'x-verb' }],
  ['+x-line', ', whole lines as X', { unknownVerb: 'x-line' }],
  ['+noop', ', unknown verbs as NOOP', { unknownVerb: 'noop' }],
  ['+banner-off', ', greeting left alone', { banner: 'off' }],
  ['+hold', ', typed commands held', { charMode: 'hold' }],
  ['+discard', ', typed commands thrown away', { charMode: 'discard' }],
]

function pixes(): readonly Box[] {
  // 5.1-6.x stood everywhere: where nothing tells them apart, it is named first.
  return PIX_PROFILES.toReversed().flatMap(profile => {
    const { versions, variant } = PIX_TRAITS[profile]
    return PIX_VARIANTS.filter(([, , change]) => differs(variant, change)).map(
      ([suffix, words, change]): Box => ({
        id: `pix-${profile}${suffix}`,
        name: `Cisco PIX ${versions} MailGuard${words}`,
        vendor: 'cisco-pix',
        oddities: suffix === '' ? 0 : suffix === '+hold' || suffix === '+discard' ? 1 : 2,
        policy: pix(profile, profile === '4.0' ? cause('mailhost', 'no mailhost') : FIXUP, change),
      }),
    )
  })
}

/** A variant that is what the version does anyway is no variant. */
function differs(usual: PixVariant, change: Partial<PixVariant>): boolean {
  const keys = Object.keys(change) as (keyof PixVariant)[]
  return keys.length === 0 || keys.some(key => change[key] !== usual[key])
}

const MAPS: readonly (readonly [
  suffix: string,
  words: string,
  parameters: Partial<EsmtpParameters>,
  masks: boolean,
])[] = [
  ['', '', {}, true],
  ['+allow-tls', ', allow-tls', { allowTls: 'yes' }, true],
  ['+no-mask-banner', ', no mask-banner', { maskBanner: false }, true],
  ['+no-mask-banner+allow-tls', ', no mask-banner, allow-tls', { maskBanner: false, allowTls: 'yes' }, true],
  ['+mask-banner-only', ', mask-banner and nothing of EHLO', { allowTls: 'yes' }, false],
  ['+no-tls-only', ', no allow-tls and nothing else', { maskBanner: false }, false],
]

function asas(): readonly Box[] {
  const plain = defaultEsmtpMap(NOWHERE)
  return MAPS.flatMap(([suffix, words, parameters, masks]) =>
    CHAR_MODES.map((charMode): Box => {
      const matches = masks ? plain.matches : plain.matches.filter(({ condition }) => condition.kind !== 'words')
      const map: EsmtpMap = {
        ...plain,
        name: DEFAULT_ESMTP_MAP,
        parameters: { ...plain.parameters, ...parameters },
        matches,
      }
      const mode = { x: '', hold: '+hold', discard: '+discard' }[charMode]
      const said = { x: '', hold: ', typed commands held', discard: ', typed commands thrown away' }[charMode]
      return {
        id: `asa${suffix}${mode}`,
        name: `Cisco ASA inspect esmtp${words}${said}`,
        vendor: 'cisco-asa',
        oddities: (suffix === '' ? 0 : suffix.split('+').length - 1) + (charMode === 'x' ? 0 : 1),
        policy: asa(map, INSPECT, () => ({ isAny: true, like: [] }), { charMode }),
      }
    }),
  )
}

/** `inspect esmtp` of an FWSM: an ASA's verbs and masks. `inspect smtp` is MailGuard with a banner of stars. */
const IOS: Box = {
  id: 'ios',
  name: 'Cisco IOS firewall, ip inspect smtp',
  vendor: 'cisco-ios',
  oddities: 1,
  policy: {
    name: 'IOS ip inspect smtp',
    engine: { kind: 'in-place', dataFirstBug: false },
    directions: new Set(['inbound', 'outbound', 'lateral']),
    cause: cause('ip inspect name NAME smtp', 'no ip inspect name NAME smtp'),
    rules: [
      {
        match: { on: 'not', match: { on: 'word', what: 'verb', in: new Set([...FIFTEEN, 'EXPN']) } },
        action: { kind: 'mask', how: 'x-line' },
        reason: 'the router lets only the commands through that it knows',
      },
      fragments(new Set([...FIFTEEN, 'EXPN']), 'x', 'the router'),
    ],
  },
}

export const BOXES: readonly Box[] = [...pixes(), ...asas(), IOS]
