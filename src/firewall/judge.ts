import { text } from '../base/bytes.ts'
import { NUMBER, SIZE } from '../config/argument.ts'
import { holds } from '../topology/topology.ts'
import { type Pattern, pattern } from './pattern.ts'
import type { Match, OctetKind, Policy, Rule, SizeKind, TextKind, WordKind } from './policy.ts'
import { type Because, type Judgement, PASS, PASSED } from './verdict.ts'

/** What a policy is asked about. Words are in upper case, MIME's in lower. */
export type Subject =
  | { readonly on: 'greeting' }
  | { readonly on: 'word'; readonly what: WordKind; readonly word: string }
  | { readonly on: 'size'; readonly what: SizeKind; readonly size: number }
  | { readonly on: 'text'; readonly what: TextKind; readonly text: Uint8Array }
  | { readonly on: 'octet'; readonly what: OctetKind }
  /** `verb`: the complete verb at its beginning, if there is one. */
  | { readonly on: 'fragment'; readonly verb: string | undefined }
  /** The domain of a recipient, in lower case. */
  | { readonly on: 'relay'; readonly domain: string }
  /** Whoever connects, before a word is said. */
  | { readonly on: 'peer' }

/** Facts that hold for the whole connection. */
export interface Situation {
  /** Whoever connects, where that is known. */
  readonly peer?: string
}

/** What the policy does with the subject. Pure and total. */
export function judge(policy: Policy, subject: Subject, situation: Situation = {}): Judgement {
  const rules = rulesFor(policy, subject)
  if (!rules) return PASSED
  let logged: Because[] | undefined
  for (const rule of rules) {
    if (matches(rule.match, subject, situation) !== true) continue
    const { action } = rule
    if (action.kind === 'pass') break
    const because = becauseOf(policy, rule, subject, situation)
    if (action.kind !== 'log') return { verdict: { ...action, because }, logged: logged ?? [] }
    logged ??= []
    logged.push(because)
  }
  return logged ? { verdict: PASS, logged } : PASSED
}

/** Whether any rule could ever speak of this: what nobody asks about need not be found out. */
export function asksAbout(policy: Policy, about: About): boolean {
  return rulesFor(policy, about) !== undefined
}

/** The size of this kind up to which no rule speaks; `undefined` where none speaks of it at all. */
export function leastJudged(policy: Policy, what: SizeKind): number | undefined {
  const sizes = rulesFor(policy, { on: 'size', what })?.map(({ match }) => (match.on === 'size' ? match.over : 0))
  return sizes && Math.min(...sizes)
}

/** What a rule says whatever it is asked about, made once: most rules of a policy decide often. */
const settled = new WeakMap<Rule, { readonly policy: Policy; readonly because: Because }>()

function becauseOf(policy: Policy, rule: Rule, subject: Subject, situation: Situation): Because {
  const known = settled.get(rule)
  if (known?.policy === policy) return known.because
  const { cause = policy.cause, reason, log = false, label = '', action } = rule
  const named = { ...cause, cure: cureFor(cause.cure, rule.match, { subject, situation }) }
  const because = { policy: policy.name, cause: named, reason, log: log || action.kind === 'log', label }
  if (!cause.cure.includes('<')) settled.set(rule, { policy, because })
  return because
}

/** Longer words are not worth a line of configuration. */
const MAX_CURED = 255

/** The line with what it is about. A word that could not be typed is left to whoever types. */
function cureFor(
  cure: string,
  match: Match,
  { subject, situation: { peer } }: { readonly subject: Subject; readonly situation: Situation },
): string {
  if (!cure.includes('<')) return cure
  if (subject.on === 'size' && match.on === 'size') return withLimit(cure, match.over, subject.size)
  const word = subject.on === 'word' ? subject.word : subject.on === 'relay' ? subject.domain : textOf(subject)
  const canBeTyped = word.length <= MAX_CURED && /^[A-Za-z0-9@._/+=-]+$/.test(word)
  const withWord = canBeTyped ? cure.replace('<word>', word) : cure
  return peer === undefined ? withWord : withWord.replace('<peer>', peer)
}

/** The line with a limit that lets this size pass: twice the one there is, or more where that is not enough. */
export function withLimit(cure: string, over: number, size: number = over + 1): string {
  const twice = Math.max(2 * over, size)
  return cure.replace('<size>', SIZE.show(twice)).replace('<number>', NUMBER.show(Math.max(twice, size + 1)))
}

function textOf(subject: Subject): string {
  return subject.on === 'text' ? text(subject.text) : ''
}

/** Three-valued: `undefined` where the match does not speak of this subject at all, so that `not` stays with its own. */
function matches(match: Match, subject: Subject, situation: Situation): boolean | undefined {
  switch (match.on) {
    case 'not': {
      const inner = matches(match.match, subject, situation)
      return inner === undefined ? undefined : !inner
    }
    case 'all': {
      let all: boolean | undefined = true
      for (const each of match.of) {
        const one = matches(each, subject, situation)
        if (one === undefined) return undefined
        if (!one) all = false
      }
      return all
    }
    case 'peer': {
      const { peer } = situation
      return peer !== undefined && match.within.some(network => holds(network, peer))
    }
    case 'greeting':
      return subject.on === 'greeting' ? true : undefined
    case 'word':
      return subject.on === 'word' && subject.what === match.what ? match.in.has(subject.word) : undefined
    case 'size':
      return subject.on === 'size' && subject.what === match.what ? subject.size > match.over : undefined
    case 'octet':
      return subject.on === 'octet' && subject.what === match.what ? true : undefined
    case 'text':
      return subject.on === 'text' && subject.what === match.what ? isLikeAny(match.like, subject.text) : undefined
    case 'fragment':
      return subject.on === 'fragment' ? subject.verb === undefined || !match.without.has(subject.verb) : undefined
    case 'relay':
      return subject.on === 'relay' ? !isOurs(subject.domain, match) : undefined
    default:
      return undefined
  }
}

function isOurs(domain: string, { except, literals = false }: Match & { readonly on: 'relay' }): boolean {
  return (literals && domain.startsWith('[')) || isWithin(domain, except)
}

function isLikeAny(patterns: readonly string[], text: Uint8Array): boolean {
  for (const each of patterns) if (patternOf(each).test(text)) return true
  return false
}

/** The domain itself, or one above it, is in the set. */
function isWithin(domain: string, domains: ReadonlySet<string>): boolean {
  for (let at = domain; at !== ''; at = at.includes('.') ? at.slice(at.indexOf('.') + 1) : '') {
    if (domains.has(at)) return true
  }
  return false
}

const compiled = new Map<string, Pattern>()

/** Patterns kept compiled; they come from configurations, whose number is small. */
const MAX_COMPILED = 1000

function patternOf(source: string): Pattern {
  let found = compiled.get(source)
  if (!found) {
    const read = pattern(source)
    // The configuration refuses such a pattern where it is written; here it matches nothing.
    found = 'wrong' in read ? NEVER : read
    if (compiled.size >= MAX_COMPILED) compiled.clear()
    compiled.set(source, found)
  }
  return found
}

const NEVER: Pattern = { source: '', test: () => false }

/* The rules by what they speak of, as a policy is asked for every line that passes. */

type Index = ReadonlyMap<string, ReadonlyMap<string, readonly Rule[]>>

export interface About {
  readonly on: Subject['on']
  readonly what?: string
}

const indexes = new WeakMap<Policy, Index>()

function rulesFor(policy: Policy, { on, what = '' }: About): readonly Rule[] | undefined {
  return indexOf(policy).get(on)?.get(what)
}

/** The index that was asked for last: nearly always it is the one. */
let latest: { readonly policy: Policy; readonly index: Index } | undefined

function indexOf(policy: Policy): Index {
  if (latest?.policy === policy) return latest.index
  const index = indexed(policy)
  latest = { policy, index }
  return index
}

function indexed(policy: Policy): Index {
  const known = indexes.get(policy)
  if (known) return known
  const index = new Map<string, Map<string, Rule[]>>()
  for (const rule of policy.rules) {
    const { on, what = '' } = aboutOf(rule.match)
    const whats = index.get(on) ?? new Map<string, Rule[]>()
    index.set(on, whats.set(what, [...(whats.get(what) ?? []), rule]))
  }
  indexes.set(policy, index)
  return index
}

/** What a match speaks of. Of several that must all match, the one that is more than the peer says it. */
function aboutOf(match: Match): About {
  if (match.on === 'not') return aboutOf(match.match)
  if (match.on === 'all') return match.of.map(aboutOf).find(({ on }) => on !== 'peer') ?? { on: 'peer' }
  return match
}
