import type { MaskKind, Rule } from '../policy.ts'
import type { Lines } from './lines.ts'

/** What every proxy can be told of its front: how much of the greeting is seen, and how fast commands go through. */
export interface Front {
  readonly banner: 'pass' | Banner
  /** Messages and other commands a second, of all sessions together; 0 for no limit. */
  readonly mailRate: number
  readonly commandRate: number
}

type Banner = Extract<MaskKind, 'stars' | 'keep-2-0' | 'cmap'>

export const OPEN_FRONT: Front = { banner: 'pass', mailRate: 0, commandRate: 0 }

/** For `?`: what becomes of the greeting. */
export const BANNERS: Readonly<Record<Front['banner'], string>> = {
  pass: 'as the server says it',
  stars: 'its code, and nothing but *',
  'keep-2-0': 'all but 2 and 0 becomes *, as a PIX 6.3 has it',
  cmap: 'SMTP/cmap ready, as a PIX 4 has it',
}

export const FRONT_HELP = {
  banner: 'What of the greeting is seen',
  mailRate: 'Messages a second, of all sessions together: more wait, at most a minute each; 0 for no limit',
  commandRate: 'Other commands a second, of all sessions together: more wait, at most a minute each; 0 for no limit',
} as const

export function bannerRules({ banner }: Front, lines: Lines): readonly Rule[] {
  if (banner === 'pass') return []
  const reason = 'what the greeting tells of the server is for nobody outside'
  const cause = lines.by('banner', 'banner pass')
  return [{ match: { on: 'greeting' }, action: { kind: 'mask', how: banner }, reason, cause }]
}

const MAIL: ReadonlySet<string> = new Set(['MAIL'])

/** Behind the rules that refuse: of those that limit a rate the first decides, and nothing behind it. */
export function rateRules({ mailRate, commandRate }: Front, lines: Lines): readonly Rule[] {
  const mail = { on: 'word', what: 'verb', in: MAIL } as const
  const rules: Rule[] = []
  if (mailRate > 0) {
    rules.push({
      match: mail,
      action: { kind: 'rate-limit', perSecond: mailRate },
      reason: `messages a second (${mailRate})`,
      cause: lines.by('mailRate', 'mail-rate <number>'),
    })
  }
  if (commandRate > 0) {
    rules.push({
      match: { on: 'not', match: mail },
      action: { kind: 'rate-limit', perSecond: commandRate },
      reason: `commands a second (${commandRate})`,
      cause: lines.by('commandRate', 'command-rate <number>'),
    })
  }
  return rules
}
