/** Middleboxes that we cannot run: how they show themselves, as data, and the search for them in an observation. */
import type { AlterationKind } from '../alteration.ts'
import { type Exchange, type Observation, textsOf, verbOf } from '../observation.ts'
import { SIGNATURES } from './list.ts'

export interface Signature {
  readonly id: string
  readonly name: string
  readonly vendor: string
  /**
   * A `box` stands between and answers in the server's place, or alters what it says. A `front` is what somebody put there
   * to be talked to: it is described, and accused of nothing. A `test` is no mail server at all.
   */
  readonly role: 'box' | 'front' | 'test'
  readonly marks: readonly Mark[]
  /** How many marks must be found. */
  readonly needs: number
  /** It names itself. */
  readonly isUnmistakable: boolean
  /** What it may be the cause of. */
  readonly explains: readonly AlterationKind[]
  /** What it does, and what goes wrong with it. */
  readonly does: string
  /** Where this is known from. */
  readonly source: string
}

/** Something that one of the replies says. Patterns have no nested repetition: they run over what a peer sent. */
export interface Mark {
  readonly on: 'greeting' | 'ehlo' | 'helo' | 'noop' | 'help' | 'starttls' | 'unknown' | 'quit'
  readonly like: RegExp
  readonly says: string
}

export interface Signed {
  readonly signature: Signature
  readonly marks: readonly string[]
}

/** All whose marks are found, those with the most marks first. */
export function signaturesOf(observation: Observation): readonly Signed[] {
  const found = SIGNATURES.flatMap((signature): readonly Signed[] => {
    const marks = signature.marks.filter(mark => repliesTo(observation, mark.on).some(each => mark.like.test(each)))
    return marks.length >= signature.needs ? [{ signature, marks: marks.map(({ says }) => says) }] : []
  })
  return found.toSorted((a, b) => b.marks.length - a.marks.length)
}

/** Each reply as one text: its code, a blank, and its lines. What was said in TLS comes from the server itself. */
function repliesTo({ exchanges }: Observation, on: Mark['on']): readonly string[] {
  return exchanges
    .filter(each => !each.secured && !each.typed && each.heard.length > 0 && isAbout(each, on))
    .map(each => `${(each.heard.at(-1) ?? '').slice(0, 3)} ${textsOf(each).join('\n')}`)
}

const VERBS: Readonly<Record<Exclude<Mark['on'], 'greeting' | 'unknown'>, string>> = {
  ehlo: 'EHLO',
  helo: 'HELO',
  noop: 'NOOP',
  help: 'HELP',
  starttls: 'STARTTLS',
  quit: 'QUIT',
}

function isAbout(exchange: Exchange, on: Mark['on']): boolean {
  if (on === 'greeting') return exchange.said === ''
  if (on === 'unknown') return /^ZQXJ/i.test(exchange.said)
  return exchange.said !== '' && verbOf(exchange) === VERBS[on]
}
